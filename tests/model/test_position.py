"""A logged position teaches what a place adds, and never changes a score."""

from dataclasses import replace

import numpy as np
import torch
from contracts.ranker_contract import RankerContract
from contracts.toy import Toy, toy
from numpy.typing import NDArray

from motet.batch import Batch, Ranker
from motet.model.position import PACE, PLACES, PositionHead
from motet.model.ranker import Network, resolve
from motet.settings import parse
from motet.train.loop import Train, train
from motet.train.score import score_rows


def network(data: Toy, *, position: bool = True) -> Network:
    torch.manual_seed(0)
    return Network(data.layout, data.counts_V, resolve({"position": position, "expert_widths": [16, 8]}))


class TestPosition(RankerContract):
    def make(self, data: Toy) -> Ranker:
        made = network(data)
        for parameter in made.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        made.inputs.table.weight.data[0] = 0
        return made

    def test_a_position_changes_no_score_but_what_is_learned_from(self, ranker: Network, batch: Batch) -> None:
        first = replace(batch, position_BC=torch.ones(12, 7))
        last = replace(batch, position_BC=torch.full((12, 7), 30.0))
        scores = [ranker.score(given).logits_BCT for given in (batch, first, last)]
        assert torch.equal(scores[0], scores[1])
        assert torch.equal(scores[0], scores[2])
        for dropout in (part for part in ranker.modules() if hasattr(part, "rate")):
            dropout.rate = 0.0
        ranker.train()
        assert not torch.allclose(ranker(first).logits_BCT, ranker(last).logits_BCT)
        ranker.eval()


def test_each_scenario_task_and_place_has_its_own_number_and_an_unknown_place_has_none() -> None:
    head = PositionHead(2, 3).requires_grad_(False).eval()
    head.added_SPT.normal_()
    found = head(torch.tensor([0, 1]), torch.tensor([[1.0, 1000.0], [float("nan"), 2.0]]))
    torch.testing.assert_close(found[0], PACE * torch.stack([head.added_SPT[0, 1], head.added_SPT[0, PLACES]]))
    torch.testing.assert_close(found[1], PACE * torch.stack([torch.zeros(3), head.added_SPT[1, 2]]))


def test_what_places_add_is_zero_on_the_average_over_those_seen_so_that_base_rates_stay_without_it() -> None:
    head = PositionHead(2, 3).requires_grad_(False)
    head.added_SPT.normal_()
    scenario, place = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([[1.0], [1.0], [4.0], [2.0], [float("nan")]])
    added = head(scenario, place)
    torch.testing.assert_close(added[:3].sum(0), torch.zeros(1, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(added[3:], torch.zeros(2, 1, 3), rtol=0, atol=1e-5)
    apart = PACE * (head.added_SPT[0, 1] - head.added_SPT[0, 4])
    torch.testing.assert_close(added[0, 0] - added[2, 0], apart)


class Slates(Toy):
    """The better an item is, the higher it is shown; a place loses attention, so that clicks prefer what is shown."""

    def _react(self, rng: np.random.Generator) -> NDArray[np.float32]:
        labels = super()._react(rng)
        appeal_N = self.appeal_U[self.user_N] + self.appeal_I[self.item_N]
        self.true_N = appeal_N
        noisy = 0.5 * self.appeal_I[self.item_N] + rng.normal(size=len(appeal_N))
        self.position_N = 1 + np.digitize(-noisy, [-0.8, 0.0, 0.8]).astype(np.float32)
        labels[:, 0] = rng.random(len(appeal_N)) < 1 / (1 + np.exp(1.2 * (self.position_N - 1) - appeal_N))
        labels[:, 1] = labels[:, 0] * (rng.random(len(appeal_N)) < 0.4)
        return labels

    def batch(self, rows: NDArray[np.int64] | torch.Tensor) -> Batch:
        positions = torch.from_numpy(self.position_N[np.asarray(rows)])[:, None]
        return replace(super().batch(rows), position_BC=positions)


def test_a_simulated_position_bias_is_removed() -> None:
    """What a place adds is found, and scores are nearer to what people want than without the head."""
    data, distance = Slates(rows=4000), dict[bool, float]()
    test = data.rows("test")
    for position in (False, True):
        made = network(data, position=position)
        train(made, data, parse(Train, {"epochs": 3, "batch_size": 128, "threads": 1}))
        found = score_rows(made, data, test)[:, 0]
        distance[position] = 1 - np.corrcoef(found, data.true_N[test])[0, 1]
    assert made.position is not None
    added_P = PACE * made.position.added_SPT[:, 1:5, 0].mean(0).detach()
    assert (added_P[0] - added_P[3]).item() > 1.2
    assert bool((added_P.diff() < 0).all())
    assert distance[True] < distance[False]


def test_positions_start_without_a_say() -> None:
    data = toy()
    batch = replace(data.batch(data.rows("test")), position_BC=torch.full((len(data.rows("test")), 1), 3.0))
    made = network(data)
    for dropout in (part for part in made.modules() if hasattr(part, "rate")):
        dropout.rate = 0.0
    torch.testing.assert_close(made.train()(batch).logits_BCT, made.score(batch).logits_BCT)
