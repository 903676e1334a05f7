"""Popularity falls back from the item in the scenario to the item to the cell, and ranks all-positive data by count."""

import numpy as np
import torch
from contracts.toy import Toy, toy
from numpy.testing import assert_allclose, assert_array_equal

from motet.baselines.linear import logit
from motet.baselines.popularity import Popularity
from motet.scoring.metrics import auc


def item_labels(data: Toy, rate_I: np.ndarray, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """Labels that depend on the item only, the same for every task."""
    draw = np.random.default_rng(seed).random(len(data.item_N)) < rate_I[data.item_N]
    return np.repeat(draw[:, None].astype(float), 3, axis=1)


def test_an_unknown_item_gets_the_rate_of_the_cell() -> None:
    ranker = Popularity.fit(toy())
    batch = toy().requests(np.arange(6), 2)
    batch.item_BC[:] = 1
    rates = np.array(toy().layout.base_rates)[batch.scenario_B]
    expected = np.where([True, True, False], logit(rates), rates)
    assert_allclose(ranker.score(batch).logits_BCT[:, 0], expected, rtol=1e-5)


def test_it_is_the_same_for_everybody_in_a_scenario() -> None:
    batch = toy().requests(np.flatnonzero(toy().scenario_N == 0)[:2], 40)
    order = batch.item_BC.argsort(1)
    logits = Popularity.fit(toy()).score(batch).logits_BCT
    assert_array_equal(logits[0, order[0]], logits[1, order[1]])


def test_what_is_liked_stands_above_what_is_not() -> None:
    data = Toy(rows=4000)
    data = data.relabelled(item_labels(data, np.linspace(0.1, 0.9, 42)))
    rows = data.rows("test")
    scores = Popularity.fit(data).score(data.batch(rows)).logits_BCT[:, 0, 0]
    assert auc(data.labels_NT[rows, 0], scores) > 0.65


def test_an_item_liked_in_one_scenario_only_is_told_apart() -> None:
    data = Toy(rows=4000)
    liked = (data.item_N % 2 == data.scenario_N).astype(float)
    data = data.relabelled(np.repeat(liked[:, None], 3, axis=1))
    rows = data.rows("valid")
    scores = Popularity.fit(data).score(data.batch(rows)).logits_BCT[:, 0, 0]
    assert auc(data.labels_NT[rows, 0], scores) > 0.99


def test_all_positive_data_is_ranked_by_count() -> None:
    data = Toy()
    data.scenario_N = np.zeros_like(data.scenario_N)
    data = data.relabelled(np.ones_like(data.labels_NT))
    batch = data.requests(np.arange(1), 40)
    scores = Popularity.fit(data).score(batch).logits_BCT[0, :, 0]
    count = torch.from_numpy(np.bincount(data.item_N[data.rows("train")], minlength=42))[batch.item_BC[0]]
    assert (count[scores.argsort()].diff() >= 0).all()
    assert scores.unique().numel() == count.unique().numel()


def test_data_without_any_positive_is_scored_near_zero() -> None:
    data = toy().relabelled(np.where(toy().labels_NT > -1, 0.0, 0.0))
    logits = Popularity.fit(data).score(data.batch(data.rows("test"))).logits_BCT
    assert torch.isfinite(logits).all()
    assert (logits[..., 0].sigmoid() < 1e-3).all()
