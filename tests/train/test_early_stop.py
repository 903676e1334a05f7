"""Early stopping: the same `ne` as the report's, cells that count, and patience by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from contracts.toy import toy

from motet.evaluate.cells import cell_table, macro
from motet.schema import Task
from motet.scoring.calibrate import Calibration
from motet.train.early_stop import EarlyStop, ValidCells

TASKS = (Task(name="click", label="c"), Task(name="stars", label="s", form="regression"))
LAYOUT = replace(
    toy().layout, tasks=TASKS, base_rates=((0.25, 3.0), (0.5, math.nan)), label_scales=(1.0, 1.0)
)  # fmt: skip


def log(rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scenarios and logits of two scenarios whose rates are not those of train."""
    rng = np.random.default_rng(0)
    scenario = rng.integers(2, size=rows)
    labels = np.stack([rng.random(rows) < 0.4, rng.normal(3.5, 1, rows)], 1).astype(np.float32)
    labels[::5, 0], labels[scenario == 1, 1] = np.nan, np.nan
    logits = np.stack([rng.normal(-0.5, 1, rows), rng.normal(3, 1, rows)], 1).astype(np.float32)
    return labels, scenario, logits


def test_the_ne_that_stops_training_is_the_ne_of_the_report() -> None:
    labels, scenario, logits = log()
    cells = ValidCells(LAYOUT, labels, scenario)
    predictions = Calibration.identity(2, ["binary", "regression"]).apply(logits, scenario)
    told = cell_table(scenarios=["desktop", "mobile"], tasks=TASKS, scenario_N=scenario, user_N=np.arange(len(labels)),
                      labels_NT=labels, joint_RNT=predictions[None], base_rates_ST=np.array(LAYOUT.base_rates),
                      positives_valid_ST=np.zeros((2, 2)), resamples=0)  # fmt: skip
    found = cells.ne_ST(logits)
    np.testing.assert_array_equal(found.ravel(), [cell.ne for cell in told])
    assert found[cells.counted_ST][[0, 2]].mean() == macro(told)["ne"]
    assert cells.macro(found) == found[cells.counted_ST].mean()


def test_saying_the_train_base_rate_is_one_only_where_the_rate_has_not_drifted() -> None:
    labels, scenario = np.zeros((200, 2), np.float32), np.zeros(200, np.int64)
    labels[:50, 0], labels[:, 1] = 1, np.nan
    logits = np.full((200, 2), math.log(0.25 / 0.75), np.float32)
    assert ValidCells(LAYOUT, labels, scenario).ne_ST(logits)[0, 0] == pytest.approx(1.0)
    labels[50:100, 0] = 1
    assert ValidCells(LAYOUT, labels, scenario).ne_ST(logits)[0, 0] > 1.2


def test_cells_count_from_fifty_of_both_and_all_of_them_when_none_has_as_many() -> None:
    labels, scenario = np.full((210, 2), np.nan, np.float32), np.repeat([0, 1], [200, 10])
    labels[:, 0] = 0
    labels[:50, 0] = labels[-5:, 0] = 1
    assert ValidCells(LAYOUT, labels, scenario).counted_ST.tolist() == [[True, False], [False, False]]
    labels[0, 0] = 0
    assert ValidCells(LAYOUT, labels, scenario).counted_ST.tolist() == [[True, False], [True, False]]


def test_without_any_label_there_is_nothing_to_judge_by_and_the_latest_is_the_best() -> None:
    cells = ValidCells(LAYOUT, np.full((9, 2), np.nan, np.float32), np.zeros(9, np.int64))
    assert cells.macro(cells.ne_ST(np.zeros((9, 2), np.float32))) is None
    stop = EarlyStop(patience=1)
    assert stop.update(None, 1)
    assert stop.update(None, 2)
    assert (stop.best_step, stop.done) == (2, False)


def test_early_stop_waits_for_patience() -> None:
    stop = EarlyStop(patience=2)
    assert stop.update(0.9, 10)
    assert not stop.update(0.95, 20)
    assert not stop.done
    assert stop.update(0.8, 30)
    assert not stop.update(0.81, 40)
    assert not stop.update(0.82, 50)
    assert stop.done
    assert (stop.best_step, stop.judged) == (30, 50)


def test_weights_that_are_no_numbers_are_never_the_best() -> None:
    labels, scenario, logits = log()
    cells = ValidCells(LAYOUT, labels, scenario)
    broken = cells.macro(cells.ne_ST(np.full_like(logits, np.nan)))
    assert broken is not None
    stop = EarlyStop(patience=2)
    assert not stop.update(broken, 10)
    assert stop.update(0.9, 20)
    assert not stop.update(broken, 30)
    assert stop.best_step == 20


def test_the_shares_of_rows_add_up_to_the_macro() -> None:
    labels, scenario, logits = log()
    cells = ValidCells(LAYOUT, labels, scenario)
    shares = cells.shares_N(logits)
    assert shares.sum() == pytest.approx(cells.macro(cells.ne_ST(logits)), rel=1e-6)
    assert (shares[np.isnan(labels).all(1)] == 0).all()
