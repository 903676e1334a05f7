"""Gradient boosting, with either engine."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from contracts.toy import Toy, toy
from numpy.testing import assert_allclose

from motet.baselines import boosting
from motet.baselines.boosting import Boost, Boosting, Inputs
from motet.baselines.matrix import read
from motet.batch import Split
from motet.scoring.metrics import auc

ENGINES = [
    pytest.param("lightgbm", marks=pytest.mark.skipif(not find_spec("lightgbm"), reason="not installed")),
    "sklearn",
]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "Boost", lambda: Boost(leaves=(7,)))
    monkeypatch.setattr(boosting, "get_num_threads", lambda: 1)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine in use."""
    monkeypatch.setattr(boosting, "find_spec", lambda name: request.param == "lightgbm" or None)
    return str(request.param)


def crossed(rows: int = 1500) -> Toy:
    """Clicks depend on the product of a running number and the scenario, which no linear term tells."""
    data = Toy(rows=rows)
    hint = data.hint_UI[data.user_N, data.item_N] * np.where(data.scenario_N == 0, 1, -1)
    labels = data.labels_NT.copy()
    labels[:, 0], labels[:, 2] = hint > 0, hint
    return data.relabelled(labels)


def test_it_learns_what_no_linear_term_tells(engine: str) -> None:
    data = crossed()
    rows = data.rows("test")
    logits = Boosting.fit(data).score(data.batch(rows)).logits_BCT[:, 0].numpy()
    assert auc(data.labels_NT[rows, 0], logits[:, 0]) > 0.95
    assert np.mean((logits[:, 2] - data.labels_NT[rows, 2]) ** 2) < 0.2 * np.var(data.labels_NT[rows, 2])


def test_the_same_seed_gives_the_same_scores(engine: str) -> None:
    batch = toy().batch(toy().rows("test"))
    first, second = (Boosting.fit(toy(), seed=3).score(batch).logits_BCT for _ in range(2))
    assert_allclose(first, second, rtol=0, atol=0)


def test_a_task_of_one_class_or_without_labels_is_a_constant(engine: str) -> None:
    labels = toy().labels_NT.copy()
    labels[:, 0], labels[:, 2] = 1, np.nan
    data = toy().relabelled(labels)
    logits = Boosting.fit(data).score(data.batch(data.rows("test"))).logits_BCT[:, 0]
    assert (logits[:, 0].sigmoid() > 0.999).all()
    assert (logits[:, 2] == 0).all()
    assert logits[:, 1].std() > 0


def test_only_items_of_its_kinds_are_asked_about_a_task(engine: str) -> None:
    data, rows = toy(), toy().rows("test")
    everywhere = Boosting.fit(data).score(data.batch(rows)).logits_BCT[:, 0].numpy()
    tasks = tuple(replace(task, kinds=("goods",)) if task.name == "buy" else task for task in data.layout.tasks)
    data = data.relabelled(data.labels_NT)
    data.layout = replace(data.layout, tasks=tasks)
    logits, goods_N = Boosting.fit(data).score(data.batch(rows)).logits_BCT[:, 0].numpy(), data.item_N[rows] % 2 == 0
    assert_allclose(logits[:, [0, 2]], everywhere[:, [0, 2]], rtol=0, atol=0)
    assert_allclose(logits[goods_N, 1], everywhere[goods_N, 1], rtol=0, atol=0)
    assert np.unique(logits[~goods_N, 1]).size == 1


def test_it_can_be_fitted_without_a_valid_split(engine: str) -> None:
    class Unjudged(Toy):
        def rows(self, split: Split, scenario: int | None = None) -> np.ndarray:  # type: ignore[type-arg]
            return super().rows(split, scenario)[: 0 if split == "valid" else None]

    data = Unjudged()
    logits = Boosting.fit(data).score(data.batch(data.rows("test"))).logits_BCT
    assert torch.isfinite(logits).all()
    assert logits[..., 0].std() > 0


def test_it_stops_early_on_noise(engine: str) -> None:
    noise = (np.random.default_rng(2).random(toy().labels_NT.shape) < 0.5).astype(float)
    data = toy().relabelled(noise)
    logits = Boosting.fit(data).score(data.batch(data.rows("test"))).logits_BCT[:, 0, 0]
    assert logits.std() < 0.3


def test_small_fields_are_categories_and_large_ones_and_bags_are_left_out() -> None:
    fields = tuple(replace(f, size=300) if f.name == "item" else f for f in toy().layout.fields)
    inputs = Inputs.of(replace(toy().layout, fields=fields))
    assert inputs.columns == (0, 1, 6)  # user, age, scenario: not item, not the three columns of tags
    matrix = inputs.matrix(read(toy(), "valid"))
    assert inputs.categories == [0, 1, 2, 3, 4]
    assert matrix[:, inputs.categories].min() >= 0
    assert matrix[:, 3].max() <= 3  # age: unknown and three groups
