"""The pooled linear model: what it can and cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.toy import Toy, of_strangers, toy
from numpy.testing import assert_allclose

from motet.baselines import logistic
from motet.baselines.logistic import Logistic
from motet.baselines.matrix import flatten, read
from motet.batch import Batch
from motet.scoring.metrics import auc, log_loss


class WithoutRates(Toy):
    """No running number says anything: only ids may speak."""

    def _batch(self, rows: np.ndarray, item_BC: np.ndarray) -> Batch:  # type: ignore[type-arg]
        batch = super()._batch(rows, item_BC)
        return replace(batch, pair_numbers_BCN=torch.zeros_like(batch.pair_numbers_BCN))


def test_users_and_items_are_learned_by_id() -> None:
    data = WithoutRates(rows=4000)
    rows = data.rows("test")
    scores = Logistic.fit(data).score(data.batch(rows)).logits_BCT[:, 0, 0]
    assert auc(data.labels_NT[rows, 0], scores) > 0.75


def test_it_is_calibrated_where_it_is_right() -> None:
    data = Toy(rows=4000)
    rows = data.rows("test")
    logits = Logistic.fit(data).score(data.batch(rows)).logits_BCT[:, 0]
    clicks = data.labels_NT[rows, 0]
    assert log_loss(clicks, logits[:, 0].sigmoid()) < 0.85 * log_loss(clicks, np.full(len(rows), clicks.mean()))
    assert abs(float(logits[:, 0].sigmoid().mean()) - clicks.mean()) < 0.05


def test_a_running_rate_may_mean_the_opposite_in_another_scenario() -> None:
    data = Toy(rows=4000)
    hint = data.hint_UI[data.user_N, data.item_N] * np.where(data.scenario_N == 0, 1, -1)
    data = data.relabelled(np.repeat((hint > 0)[:, None].astype(float), 3, axis=1))
    rows = data.rows("test")
    assert auc(data.labels_NT[rows, 0], Logistic.fit(data).score(data.batch(rows)).logits_BCT[:, 0, 0]) > 0.9


def test_large_logs_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "TRAIN_ROWS", 200)
    rows = toy().rows("test")
    some, again, other = (
        Logistic.fit(toy(), seed=seed).score(toy().batch(rows)).logits_BCT.numpy() for seed in (0, 0, 1)
    )
    assert_allclose(some, again, rtol=0, atol=0)
    assert not np.allclose(some, other, atol=1e-3)


def test_padding_of_bags_and_constant_numbers_add_nothing() -> None:
    inputs = logistic.Inputs.fit(toy().layout, read(toy(), "train"))
    batch = of_strangers(toy().requests(np.arange(3), 2), toy().layout)
    design = inputs.design(flatten(batch))
    assert design.sparse_NQ[:, 0].nnz == 0
    assert design.dense_NP.dtype == np.float32
    assert design.width == design.dense_NP.shape[1] + toy().layout.table_rows + 2 + 4 + 2 * 7
