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
from motet.evaluate.bootstrap import Auc, RelativeRmse, Statistic, resample
from motet.evaluate.verdict import FEWEST_USERS, VERDICTS, Judged, Verdict, judge, standard_error
from motet.schema import Task
from motet.scoring import metrics
from motet.scoring.cell_rows import cell_rows, enough_labels
from motet.scoring.metrics import Floats, Ints
from motet.scoring.order import ScoreOrder

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


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The observed rows of one cell."""

    scenario: str
    task: Task
    base_rate: float  # train base rate, or train mean
    positives_valid: int
    labels_n: Floats
    user_n: Ints  # positions in the table, 0..U-1
    joint_Rn: NDArray[np.floating]
    solo_Rn: NDArray[np.floating] | None  # None: no solo models, or none for this cell

    @property
    def binary(self) -> bool:
        return self.task.form == "binary"

    @property
    def positives(self) -> int | None:
        return int((self.labels_n > 0).sum()) if self.binary else None

    @property
    def users(self) -> int:
        return len(np.unique(self.user_n))

    def values(self, predictions_Rn: NDArray[np.floating]) -> Floats:
        """The cell's metric for each seed, [R]."""
        if self.binary:
            return np.array([metrics.auc(self.labels_n, p) for p in predictions_Rn])
        return np.array([metrics.relative_rmse(self.labels_n, v, self.base_rate) for v in predictions_Rn])

    def statistics(self, predictions_Rn: NDArray[np.floating]) -> list[Statistic]:
        """The same metric for each seed, as a function of the users' weights."""
        if self.binary:
            return [Auc(ScoreOrder.of(self.labels_n, p), self.user_n) for p in predictions_Rn]
        return [RelativeRmse(self.labels_n, v, self.user_n, mean=self.base_rate) for v in predictions_Rn]


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A cell's metric for both models, and what the bootstrap says of it."""

    value: float
    low: float
    high: float
    solo: float
    delta: float
    error: float


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
    labels, joint = np.asarray(labels_NT, np.float64), np.asarray(joint_RNT)
    solo = None if solo_RNT is None else np.asarray(solo_RNT)
    _check_shapes(labels, joint, solo)
    users, user = np.unique(np.asarray(user_N), return_inverse=True)
    rates, valid = np.asarray(base_rates_ST, np.float64), np.asarray(positives_valid_ST)
    cells = [
        _Rows(
            scenario=scenarios[s],
            task=tasks[t],
            base_rate=float(rates[s, t]),
            positives_valid=int(valid[s, t]),
            labels_n=labels[rows, t],
            user_n=user[rows],
            joint_Rn=_predictions(joint[:, rows, t], f"joint model, {scenarios[s]} × {tasks[t].name}"),
            solo_Rn=None if solo is None else _solo(solo[:, rows, t], f"solo model, {scenarios[s]} × {tasks[t].name}"),
        )
        for s, t, rows in cell_rows(scenarios, tasks, np.asarray(scenario_N), labels)
    ]
    measured = _measure(cells, users=len(users), resamples=resamples, seed=seed)
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


def _measure(cells: Sequence[_Rows], *, users: int, resamples: int, seed: int) -> list[_Measured]:
    """Every cell's metric, delta and their spread, NaN with one user; all go through one bootstrap."""
    statistics: list[Statistic] = []
    for cell in cells:
        statistics += cell.statistics(cell.joint_Rn)
        statistics += [] if cell.solo_Rn is None else cell.statistics(cell.solo_Rn)
    samples = iter(resample(statistics, users=users, resamples=resamples, seed=seed))
    measured = []
    for cell in cells:
        value_R, value_RB = cell.values(cell.joint_Rn), np.stack([next(samples) for _ in cell.joint_Rn])
        low, high = _interval(value_RB.mean(0)) if cell.users > 1 else (_NAN, _NAN)
        solo = delta = error = _NAN
        if cell.solo_Rn is not None:
            solo_R, solo_RB = cell.values(cell.solo_Rn), np.stack([next(samples) for _ in cell.solo_Rn])
            solo, delta = float(solo_R.mean()), float((value_R - solo_R).mean())
            error = standard_error(value_R - solo_R, value_RB - solo_RB) if cell.users > 1 else _NAN
        measured.append(_Measured(value=float(value_R.mean()), low=low, high=high, solo=solo, delta=delta, error=error))
    return measured


def _cell(rows: _Rows, measured: _Measured, judged: Judged | None) -> Cell:
    """The report's entry; the metrics beside the named one are computed here."""
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
    )
    cell = _with_probabilities(cell, rows) if rows.binary else _with_values(cell, rows)
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


def _with_probabilities(cell: Cell, rows: _Rows) -> Cell:
    y, rate, seeds = rows.labels_n, rows.base_rate, rows.joint_Rn
    return replace(
        cell,
        auc=cell.value,
        gauc=float(np.mean([metrics.gauc(y, p, rows.user_n) for p in seeds])),
        log_loss=float(np.mean([metrics.log_loss(y, p) for p in seeds])),
        ne=float(np.mean([metrics.ne(y, p, rate) for p in seeds])),
        ece=float(np.mean([metrics.ece(y, p) for p in seeds])),
        accuracy=float(np.mean([metrics.accuracy(y, p) for p in seeds])),
        majority=metrics.majority(y, rate),
    )


def _with_values(cell: Cell, rows: _Rows) -> Cell:
    y, rate, seeds = rows.labels_n, rows.base_rate, rows.joint_Rn
    return replace(
        cell,
        ne=float(np.mean([metrics.relative_mse(y, v, rate) for v in seeds])),
        rmse=float(np.mean([metrics.rmse(y, v) for v in seeds])),
    )


def _interval(value_B: Floats) -> tuple[float, float]:
    """The middle 95 % of the resamples in which the metric is defined."""
    defined = value_B[np.isfinite(value_B)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (_NAN, _NAN)
    return float(low), float(high)


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


def _check_shapes(labels_NT: Floats, joint_RNT: NDArray[np.generic], solo_RNT: NDArray[np.generic] | None) -> None:
    if joint_RNT.shape[1:] != labels_NT.shape or joint_RNT.ndim != 3 or not len(joint_RNT):
        fix = "give one prediction per seed, row and task"
        raise InputError(f"predictions [R, N, T] are {joint_RNT.shape}, labels [N, T] {labels_NT.shape}", fix=fix)
    if solo_RNT is not None and solo_RNT.shape != joint_RNT.shape:
        fix = "train solo models with the same seeds as the joint one"
        raise InputError(f"solo predictions are {solo_RNT.shape}, joint ones {joint_RNT.shape}", fix=fix)
