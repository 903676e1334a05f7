"""The matrix of cells: each (scenario, task) measured on its own rows, with an interval, against its solo model.

N rows, S scenarios, T tasks, R paired seeds, B resamples, n rows of a cell. Predictions are calibrated probabilities
(binary) or values (regression). Every number of a cell is the mean over seeds of that number, so that one lucky seed
cannot speak for the model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motet.errors import InputError
from motet.evaluate.measured import CellRows, Measured, measure
from motet.evaluate.verdict import FEWEST_USERS, VERDICTS, Judged, Verdict, judge
from motet.schema import Task
from motet.scoring import metrics
from motet.scoring.cell_rows import cell_rows, enough_labels
from motet.scoring.order import positions

Metric = Literal["auc", "relative_rmse"]
_NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry of a report's `cells`, in its order. NaN or None: does not apply, or not defined on these rows.

    `value` is the named `metric` (higher is better) with its 95 % bootstrap interval; `solo` is the solo model's,
    `delta` = value − solo with the simultaneous interval of the table. `ne` of a regression is its squared error
    relative to the train mean's.
    """

    scenario: str
    task: str
    kind: str | None  # of the items that the task is about, if it is about one kind only
    metric: Metric
    value: float
    low: float
    high: float
    rows: int
    users: int
    positives: int | None
    positives_valid: int | None
    auc: float = _NAN
    gauc: float = _NAN
    log_loss: float = _NAN
    ne: float = _NAN
    ece: float = _NAN
    accuracy: float = _NAN
    majority: float = _NAN
    rmse: float = _NAN
    solo: float = _NAN
    delta: float = _NAN
    delta_low: float = _NAN
    delta_high: float = _NAN
    p_holm: float = _NAN
    verdict: Verdict | None = None  # None: there were no solo models to compare with

    def to_dict(self) -> dict[str, str | int | float | None]:
        """The entry as JSON has it: NaN is null."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in given.items()}


def cell_table(
    *,
    scenarios: Sequence[str],
    tasks: Sequence[Task],
    scenario_N: ArrayLike,
    user_N: ArrayLike,
    labels_NT: ArrayLike,
    joint_RNT: ArrayLike,
    solo_RNT: ArrayLike | None = None,
    base_rates_ST: ArrayLike,
    positives_valid_ST: ArrayLike,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Cell]:
    """All cells, scenario by scenario, of the tasks that a scenario offers; a cell without observed rows has nulls.

    Labels are NaN where unobserved. Solo predictions are paired with the joint model's by seed, and NaN in a whole
    cell that has no solo model. `base_rates_ST` are the train split's rates (binary) or means (regression). With 0
    resamples there is no bootstrap: no intervals, and with solo models every cell is `unclear`.
    """
    labels, joint = np.asarray(labels_NT), np.asarray(joint_RNT)
    solo = None if solo_RNT is None else np.asarray(solo_RNT)
    _check_shapes(labels, joint, solo)
    user, users = positions(user_N)
    rates, valid = np.asarray(base_rates_ST, np.float64), np.asarray(positives_valid_ST)
    cells = [
        CellRows(
            scenario=scenarios[s],
            task=tasks[t],
            base_rate=float(rates[s, t]),
            positives_valid=int(valid[s, t]),
            labels_n=labels[rows, t].astype(np.float64),
            user_n=user[rows],
            joint_Rn=_predictions(joint[:, rows, t], f"joint model, {scenarios[s]} × {tasks[t].name}"),
            solo_Rn=None if solo is None else _solo(solo[:, rows, t], f"solo model, {scenarios[s]} × {tasks[t].name}"),
        )
        for s, t, rows in cell_rows(scenarios, tasks, np.asarray(scenario_N), labels)
    ]
    measured = measure(cells, users=users, resamples=resamples, seed=seed)
    judged: Sequence[Judged | None] = [None] * len(cells)
    if solo is not None:
        large = [cell.users >= FEWEST_USERS and enough_labels(len(cell.labels_n), cell.positives) for cell in cells]
        judged = judge([m.delta for m in measured], [m.error for m in measured], large)
    return [_cell(rows, m, j) for rows, m, j in zip(cells, measured, judged, strict=True)]


def macro(cells: Sequence[Cell]) -> dict[str, float | None]:
    """Unweighted means over the cells with ≥ 50 positives and negatives (rmse: regression cells with ≥ 50 rows)."""
    counted = [cell for cell in cells if enough_labels(cell.rows, cell.positives)]
    binary, regression = ([c for c in counted if c.metric == name] for name in ("auc", "relative_rmse"))
    means = {name: _mean([getattr(cell, name) for cell in binary]) for name in ("auc", "gauc", "log_loss", "ne", "ece")}
    return {**means, "rmse": _mean([cell.rmse for cell in regression])}


def verdict_counts(cells: Sequence[Cell]) -> dict[Verdict, int]:
    """How many cells have which verdict."""
    return {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in VERDICTS}


def _cell(rows: CellRows, measured: Measured, judged: Judged | None) -> Cell:
    """The report's entry."""
    cell = Cell(
        scenario=rows.scenario,
        task=rows.task.name,
        kind=rows.task.kinds[0] if len(rows.task.kinds) == 1 else None,
        metric="auc" if rows.binary else "relative_rmse",
        value=measured.value,
        low=measured.low,
        high=measured.high,
        rows=len(rows.labels_n),
        users=rows.users,
        positives=rows.positives,
        positives_valid=rows.positives_valid if rows.binary else None,
        majority=metrics.majority(rows.labels_n, rows.base_rate) if rows.binary else _NAN,
        **measured.others,
    )
    if judged is None:
        return cell
    return replace(
        cell,
        solo=measured.solo,
        delta=judged.delta,
        delta_low=judged.low,
        delta_high=judged.high,
        p_holm=judged.p_holm,
        verdict=judged.verdict,
    )


def _mean(values: Sequence[float]) -> float | None:
    defined = [value for value in values if math.isfinite(value)]
    return sum(defined) / len(defined) if defined else None


def _solo(predictions_Rn: NDArray[np.floating], whose: str) -> NDArray[np.floating] | None:
    return None if np.isnan(predictions_Rn).all() else _predictions(predictions_Rn, whose)


def _predictions(predictions_Rn: NDArray[np.floating], whose: str) -> NDArray[np.floating]:
    if bad := int((~np.isfinite(predictions_Rn)).sum()):
        fix = "look for a diverged loss in metrics.jsonl; lower the learning rate"
        raise InputError(f"{bad} of {predictions_Rn.size} predictions are not finite", where=whose, fix=fix)
    return predictions_Rn


def _check_shapes(
    labels_NT: NDArray[np.generic], joint_RNT: NDArray[np.generic], solo_RNT: NDArray[np.generic] | None
) -> None:
    if joint_RNT.shape[1:] != labels_NT.shape or joint_RNT.ndim != 3 or not len(joint_RNT):
        fix = "give one prediction per seed, row and task"
        raise InputError(f"predictions [R, N, T] are {joint_RNT.shape}, labels [N, T] {labels_NT.shape}", fix=fix)
    if solo_RNT is not None and solo_RNT.shape != joint_RNT.shape:
        fix = "train solo models with the same seeds as the joint one"
        raise InputError(f"solo predictions are {solo_RNT.shape}, joint ones {joint_RNT.shape}", fix=fix)
