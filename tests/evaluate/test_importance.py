"""Permutation importance on a planted log: what decides is found, what says nothing is worth nothing."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from contracts.toy import Toy
from numpy.typing import NDArray

from motet.batch import Batch, CellOutput
from motet.data.dataset import Dataset
from motet.evaluate.importance import importance, sample
from motet.evaluate.judge import Judge
from motet.evaluate.plan import Evaluate

ALL = np.arange(4000)


class Planted(Toy):
    """Price decides whether people click and what stars they give; nothing else does. Nobody buys on mobile."""

    def __init__(self) -> None:
        super().__init__(rows=len(ALL), users=80)
        rng = np.random.default_rng(5)
        price_N = np.cos(self.item_N)
        click_N = rng.random(len(ALL)) < 1 / (1 + np.exp(-3 * price_N))
        buy_N = (rng.random(len(ALL)) < 0.3) & (self.scenario_N == 0)
        stars_N = 3 + price_N + rng.normal(0, 0.5, len(ALL))
        self.__dict__ |= self.relabelled(np.stack([click_N, buy_N, stars_N], 1)).__dict__

    def users(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.user_N[rows]


class ByPrice:
    """Knows how the log was made, and is also swayed by the hour, which says nothing."""

    name = "by price"

    def score(self, batch: Batch) -> CellOutput:
        price_BC = batch.item_numbers_BCN[..., 0]
        click_BC = 3 * price_BC + 0.5 * batch.context_numbers_BN[:, :1]
        return CellOutput(torch.stack([click_BC, click_BC, 3 + price_BC], -1))


def found(log: Planted | None = None, **settings: Any) -> Any:
    how = Evaluate(**{"importance_rows": 3000} | settings)
    judge = Judge(cast(Dataset, log or Planted()), how, ALL[:0], ALL)
    return importance(ByPrice(), judge, lambda logits, scenario, user: logits.astype(np.float64))


@pytest.fixture(scope="module")
def told() -> Any:
    return found(importance_repeats=2)


def of(entries: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (entry,) = [e for e in entries if all(e[key] == value for key, value in wanted.items())]
    return entry


def lost(told: Any, scenario: str, task: str, group: str) -> dict[str, Any]:
    """What one cell loses without one group."""
    return of(of(told["cells"], scenario=scenario, task=task)["losses"], group=group)


def test_what_decides_is_worth_much_and_what_says_nothing_about_nothing(told: Any) -> None:
    for scenario in ("desktop", "mobile"):
        value, price = (
            of(told["cells"], scenario=scenario, task="click")["value"],
            lost(told, scenario, "click", "price"),
        )
        assert value > 0.8
        assert value - price["loss"] == pytest.approx(0.5, abs=0.05)  # without it the model guesses
        assert price["low"] > 0.2
        hour = lost(told, scenario, "click", "hour")
        assert hour["loss"] == pytest.approx(0, abs=0.02)
        assert hour["low"] < 0 < hour["high"]


def test_what_the_model_does_not_read_is_worth_exactly_nothing(told: Any) -> None:
    unread = [e for e in told["macro"] if e["group"] not in {"price", "hour"}]
    assert {e["group"] for e in unread} >= {"user", "age", "item", "tags", "counts of user", "history"}
    assert all((e["loss"], e["low"], e["high"]) == (0, 0, 0) for e in unread)


def test_a_regression_loses_its_relative_rmse(told: Any) -> None:
    cell = of(told["cells"], scenario="desktop", task="stars")
    assert cell["metric"] == "relative_rmse"
    assert cell["value"] > 0.2
    assert lost(told, "desktop", "stars", "price")["low"] > 0.5  # worse than the mean: other rows' prices mislead


def test_a_cell_of_one_class_is_null(told: Any) -> None:
    buy = of(told["cells"], scenario="mobile", task="buy")
    assert (buy["value"], buy["losses"]) == (None, None)
    assert buy["rows"] == 1500


def test_where_no_cell_has_labels_enough_nothing_is_measured() -> None:
    few = found(importance_rows=15)
    assert (few["macro"], {cell["losses"] for cell in few["cells"]}) == ([], {None})
    assert len(few["cells"]) == 6


def test_macro_is_the_mean_of_the_large_cells_by_metric(told: Any) -> None:
    for metric, tasks, cells in (("auc", {"click", "buy"}, 3), ("relative_rmse", {"stars"}, 2)):
        macro = of(told["macro"], group="price", metric=metric)
        known = [e for e in told["cells"] if e["task"] in tasks and e["losses"]]
        losses = [of(e["losses"], group="price")["loss"] for e in known]
        assert macro["cells"] == cells
        assert macro["loss"] == pytest.approx(np.mean(losses))
        assert macro["low"] < macro["loss"] < macro["high"]


def test_a_regression_that_train_has_not_seen_is_null_and_no_part_of_the_macro() -> None:
    log = Planted()
    log.layout = replace(log.layout, base_rates=((0.5, 0.3, 3.0), (0.5, 0.0, np.nan)))
    unseen = found(log)
    assert of(unseen["cells"], scenario="mobile", task="stars")["losses"] is None
    macro = of(unseen["macro"], metric="relative_rmse", group="price")
    assert macro["cells"] == 1
    assert macro["loss"] == lost(unseen, "desktop", "stars", "price")["loss"]


def test_the_same_rows_and_shuffles_every_time_and_none_for_none(told: Any) -> None:
    assert found(importance_repeats=2) == told
    assert (told["rows"], told["repeats"]) == (3000, 2)
    assert found(importance_rows=0) is None


def test_scenarios_share_the_rows_and_small_ones_give_all_they_have() -> None:
    scenario_N = np.repeat([0, 1, 2], [1000, 10, 500])
    rows = sample(ALL[:1510], scenario_N, 300, np.random.default_rng(0))
    assert np.bincount(scenario_N[rows]).tolist() == [145, 10, 145]
    assert (np.diff(rows) > 0).all()
    assert len(sample(ALL[:1510], scenario_N, 5000, np.random.default_rng(0))) == 1510
    assert len(sample(ALL[:0], scenario_N[:0], 5000, np.random.default_rng(0))) == 0
