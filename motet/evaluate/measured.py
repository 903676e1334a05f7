"""What models are worth in each cell: its metrics, and how far the named one would move had other users come.

R paired seeds, B resamples, n rows of a cell, U users of the table.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.evaluate.bootstrap import Auc, RelativeRmse, Statistic, resample
from motet.evaluate.verdict import standard_error
from motet.runtime import in_threads
from motet.schema import Task
from motet.scoring import metrics
from motet.scoring.metrics import Floats
from motet.scoring.order import ScoreOrder

_NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class CellRows:
    """The observed rows of one cell."""

    scenario: str
    task: Task
    base_rate: float  # train base rate, or train mean
    positives_valid: int
    labels_n: Floats
    user_n: NDArray[np.int32]  # positions in the table, 0..U-1
    joint_Rn: NDArray[np.floating]
    solo_Rn: NDArray[np.floating] | None  # None: no solo models, or none for this cell

    @property
    def binary(self) -> bool:
        return self.task.form == "binary"

    @property
    def positives(self) -> int | None:
        return int((self.labels_n > 0).sum()) if self.binary else None

    @cached_property
    def users(self) -> int:
        return int(np.count_nonzero(np.bincount(self.user_n)))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The named metric of both models with what the bootstrap says of it, and the joint model's other metrics."""

    value: float
    low: float
    high: float
    solo: float
    delta: float
    error: float
    others: Mapping[str, Any]  # floats, named as in a `Cell`


@dataclass(frozen=True, slots=True)
class _Seed:
    """One model of one seed: the named metric, the same as a function of the users' weights, other metrics."""

    value: float
    statistic: Statistic
    others: Mapping[str, float]


def measure(cells: Sequence[CellRows], *, users: int, resamples: int, seed: int) -> list[Measured]:
    """Every cell's metrics, delta and their spread, NaN with one user; all go through one bootstrap."""
    models = [(cell, p, joint) for cell in cells for joint in (True, False) for p in _predictions(cell, joint)]
    seeds = in_threads(lambda model: _seed(*model), models)
    samples = resample([each.statistic for each in seeds], users=users, resamples=resamples, seed=seed)
    told = iter(zip(seeds, samples, strict=True))
    return [
        _measured(cell, *([next(told) for _ in _predictions(cell, joint)] for joint in (True, False))) for cell in cells
    ]


def _predictions(cell: CellRows, joint: bool) -> NDArray[np.floating] | tuple[()]:
    return cell.joint_Rn if joint else () if cell.solo_Rn is None else cell.solo_Rn


def _seed(cell: CellRows, prediction_n: NDArray[np.floating], whole: bool) -> _Seed:
    """One prediction judged; other metrics only if the whole is wanted."""
    y, user, rate = cell.labels_n, cell.user_n, cell.base_rate
    if not cell.binary:
        value = metrics.relative_rmse(y, prediction_n, rate)
        others = {"ne": metrics.relative_mse(y, prediction_n, rate), "rmse": metrics.rmse(y, prediction_n)}
        return _Seed(value, RelativeRmse(y, prediction_n, user, mean=rate), others)
    order = ScoreOrder.of(y, prediction_n)
    value, statistic = order.auc(), Auc(order, user)
    if not whole:
        return _Seed(value, statistic, {})
    loss, background = metrics.log_loss(y, prediction_n), metrics.entropy(rate)
    others = {
        "auc": value,
        "gauc": order.auc_within(user),
        "log_loss": loss,
        "ne": loss / background if background > 0 else _NAN,
        "ece": order.ece(),
        "accuracy": metrics.accuracy(y, prediction_n),
    }
    return _Seed(value, statistic, others)


def _measured(cell: CellRows, joint: list[tuple[_Seed, Floats]], alone: list[tuple[_Seed, Floats]]) -> Measured:
    """Means over seeds; the error of the difference only where there is one."""
    value_R, value_RB = np.array([seed.value for seed, _ in joint]), np.stack([sample for _, sample in joint])
    low, high = _interval(value_RB.mean(0)) if cell.users > 1 else (_NAN, _NAN)
    solo = delta = error = _NAN
    if alone:
        solo_R, solo_RB = np.array([seed.value for seed, _ in alone]), np.stack([sample for _, sample in alone])
        solo, delta = float(solo_R.mean()), float((value_R - solo_R).mean())
        error = standard_error(value_R - solo_R, value_RB - solo_RB) if cell.users > 1 else _NAN
    names = joint[0][0].others
    others = {name: float(np.mean([seed.others[name] for seed, _ in joint])) for name in names}
    return Measured(
        value=float(value_R.mean()), low=low, high=high, solo=solo, delta=delta, error=error, others=others
    )  # fmt: skip


def _interval(value_B: Floats) -> tuple[float, float]:
    """The middle 95 % of the resamples in which the metric is defined."""
    defined = value_B[np.isfinite(value_B)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (_NAN, _NAN)
    return float(low), float(high)
