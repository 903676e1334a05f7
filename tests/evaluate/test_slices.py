"""Slices of hard rows: the right rows, and the metric of exactly those."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from motet.data.dataset import Dataset
from motet.evaluate.slices import slices
from motet.schema import Task


@dataclass
class Layout:
    tasks: tuple[Task, ...]
    base_rates: tuple[tuple[float, ...], ...] = ((0.3, 2.0), (0.3, 3.0), (0.3, float("nan")))


class Log:
    """Items 2 (six times), 3 (once) in train; item 4 is new, as is user 9. Users 7 and 8 are known."""

    layout = Layout((Task(name="click", label="c"), Task(name="stars", label="s", form="regression")))
    user = np.array([7, 7, 7, 7, 8, 8, 8, 7, 8, 9, 9, 7, 8])
    item = np.array([2, 2, 2, 2, 2, 2, 3, 2, 2, 4, 4, 3, 3])
    scenario = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
    label = np.array([[0, 1.0]] * 7 + [[0, 1], [1, 3], [0, np.nan], [1, np.nan], [1, 2], [1, 5]], np.float32)

    def rows(self, _: str) -> Any:
        return np.arange(7)

    def item_rows(self, rows: Any) -> Any:
        return self.item[rows]

    def users(self, rows: Any) -> Any:
        return self.user[rows]

    def scenarios(self, rows: Any) -> Any:
        return self.scenario[rows]

    def labels(self, rows: Any) -> Any:
        return self.label[rows]


ROWS = np.arange(7, 13)
CLICKS = np.array([0.1, 0.9, 0.8, 0.2, 0.5, 0.5])  # right on known items, the wrong way round on new ones
STARS = np.array([1.0, 3.0, 0.0, 0.0, 3.5, 3.5])


def found(log: Log | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    joint_RNT = np.stack([np.stack([CLICKS, STARS], -1), np.stack([1 - CLICKS, STARS], -1)])
    entries = slices(cast(Dataset, log or Log()), ROWS, joint_RNT)
    return {(entry["slice"], entry["task"]): entry for entry in entries}


def test_rows_of_each_slice() -> None:
    rows = {name: entry["rows"] for (name, task), entry in found().items() if task == "click"}
    assert rows == {"new items": 2, "rare items": 2, "known items": 2, "new users": 2, "known users": 4}


def test_values_are_means_over_seeds() -> None:
    assert found()["known items", "click"]["value"] == pytest.approx((1.0 + 0.0) / 2)
    assert found()["new items", "click"]["value"] == pytest.approx((0.0 + 1.0) / 2)


def test_one_class_or_no_label_is_null() -> None:
    assert found()["rare items", "click"]["value"] is None
    assert found()["new items", "stars"] == {
        "slice": "new items", "scenario": None, "task": "stars", "metric": "relative_rmse", "value": None, "rows": 0,
    }  # fmt: skip


def test_a_regression_is_judged_against_the_train_mean_of_each_rows_cell_as_cells_are() -> None:
    rare, known_users = found()["rare items", "stars"], found()["known users", "stars"]
    assert rare["value"] == pytest.approx(1 - np.sqrt((1.5**2 + 1.5**2) / (0 + 3**2)))  # labels 2 and 5, mean 2
    assert known_users["value"] == pytest.approx(1 - np.sqrt((1.5**2 + 1.5**2) / (1 + 0 + 0 + 3**2)))  # one row's is 3


def test_rows_of_a_cell_that_train_has_not_observed_are_left_out() -> None:
    log = Log()
    log.scenario = np.where(np.arange(13) == 12, 2, log.scenario)
    assert [found(log)["rare items", task]["rows"] for task in ("click", "stars")] == [2, 1]
