"""What every ranker promises, as tests to inherit: the model, its presets and the baselines.

class TestPopularity(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return Popularity.fit(data)
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from contracts.toy import Toy, choose, of_strangers, pad_history, take, toy, without_history
from torch import Tensor
from torch.testing import assert_close

from motet.batch import Batch, Ranker


class RankerContract:
    """A subclass says how to `make` the ranker, ready to score; it is made once per class."""

    made: ClassVar[dict[type, Ranker]] = {}

    def make(self, data: Toy) -> Ranker:
        raise NotImplementedError

    @pytest.fixture
    def ranker(self) -> Ranker:
        kind = type(self)
        if kind not in self.made:
            self.made[kind] = self.make(toy())
        return self.made[kind]

    @pytest.fixture
    def batch(self) -> Batch:
        """Twelve requests of the test split with seven candidates each; some items were never trained on."""
        return toy().requests(toy().rows("test")[:12], 7)

    def test_it_has_a_name(self, ranker: Ranker) -> None:
        assert isinstance(ranker.name, str)
        assert ranker.name

    def test_every_candidate_and_task_gets_a_finite_logit(self, ranker: Ranker, batch: Batch) -> None:
        logits = scores(ranker, batch)
        assert logits.shape == (12, 7, len(toy().layout.tasks))
        assert logits.dtype == torch.float32
        assert not logits.requires_grad
        assert torch.isfinite(logits).all()

    def test_training_rows_and_their_single_candidate_are_scored(self, ranker: Ranker) -> None:
        logits = scores(ranker, toy().batch(toy().rows("valid")))
        assert logits.shape == (len(toy().rows("valid")), 1, len(toy().layout.tasks))
        assert torch.isfinite(logits).all()

    def test_the_same_batch_gives_the_same_logits(self, ranker: Ranker, batch: Batch) -> None:
        assert_close(scores(ranker, batch), scores(ranker, batch), rtol=0, atol=0)

    def test_a_candidate_does_not_depend_on_the_others(self, ranker: Ranker, batch: Batch) -> None:
        whole = scores(ranker, batch)
        same(whole[:, [4, 1]], scores(ranker, choose(batch, [4, 1])))
        same(whole[:, [3]], scores(ranker, choose(batch, [3])))

    def test_a_request_does_not_depend_on_the_batch(self, ranker: Ranker, batch: Batch) -> None:
        whole = scores(ranker, batch)
        same(whole[[5]], scores(ranker, take(batch, [5])))
        same(whole[2:9], scores(ranker, take(batch, list(range(2, 9)))))

    def test_permuted_requests_give_permuted_logits(self, ranker: Ranker, batch: Batch) -> None:
        order = np.random.default_rng(1).permutation(12)
        same(scores(ranker, batch)[order], scores(ranker, take(batch, order)))

    def test_padding_changes_nothing(self, ranker: Ranker, batch: Batch) -> None:
        same(scores(ranker, batch), scores(ranker, pad_history(batch, 5)))

    def test_labels_are_not_read(self, ranker: Ranker, batch: Batch) -> None:
        shape = (*batch.item_BC.shape, len(toy().layout.tasks))
        garbage = torch.full(shape, 7.0).masked_fill(torch.rand(shape) < 0.5, float("nan"))
        assert_close(scores(ranker, batch), scores(ranker, replace(batch, labels_BCT=garbage)), rtol=0, atol=0)

    def test_unknown_users_and_items_are_scored(self, ranker: Ranker, batch: Batch) -> None:
        logits = scores(ranker, of_strangers(batch, toy().layout))
        assert torch.isfinite(logits).all()

    def test_users_without_a_history_are_scored(self, ranker: Ranker, batch: Batch) -> None:
        logits = scores(ranker, without_history(batch))
        assert torch.isfinite(logits).all()
        same(logits, scores(ranker, pad_history(without_history(batch), 3)))

    def test_a_shared_catalogue_may_be_an_expanded_view(self, ranker: Ranker, batch: Batch) -> None:
        names = ("item_BC", "kind_BC", "item_ids_BCK", "item_numbers_BCN", "pair_numbers_BCN")
        views = {name: getattr(batch, name)[:1].expand_as(getattr(batch, name)) for name in names}
        copies = {name: view.clone() for name, view in views.items()}
        same(scores(ranker, replace(batch, **views)), scores(ranker, replace(batch, **copies)))


def scores(ranker: Ranker, batch: Batch) -> Tensor:
    return ranker.score(batch).logits_BCT


def same(left: Tensor, right: Tensor) -> None:
    """Equal up to the rounding that another batch size may bring."""
    assert_close(left, right, rtol=1e-4, atol=1e-5)
