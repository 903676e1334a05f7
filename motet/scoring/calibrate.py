"""Calibration of each cell: logits into probabilities that can be believed, fitted on the valid split.

N rows, S scenarios, T tasks, G groups fitted at once (the scenarios of a task, or all its rows). A binary cell is a
Platt scaling (Platt, 1999), p = σ(a·z + b); a regression cell is linear, v = a·z + b. Both are monotone (a > 0), so
calibration changes no order within a cell, and shrunk toward the task's fit over all scenarios.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from motet.errors import InputError
from motet.schema import Form
from motet.scoring.metrics import Floats, Ints, equal_mass_bins
from motet.scoring.sampled import Sampled

SMALLEST_SLOPE = 1e-3
EVIDENCE = (
    100.0  # a cell with this many labels of its rarer class stands half for itself, half for the task's global fit
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Slope a and intercept b of every cell; `forms` says which tasks end in a sigmoid."""

    slopes_ST: Floats
    intercepts_ST: Floats
    forms: tuple[Form, ...]
    sampled: Sampled | None = None

    @classmethod
    def identity(cls, scenarios: int, forms: Sequence[Form]) -> "Calibration":
        """Logits straight into the sigmoid, regression values as they are."""
        shape = (scenarios, len(forms))
        return cls(slopes_ST=np.ones(shape), intercepts_ST=np.zeros(shape), forms=tuple(forms))

    def apply(self, values_NT: ArrayLike, scenario_N: ArrayLike) -> Floats:
        """Probabilities of binary tasks, values of regressions, [..., T]; `scenario_N` is an index, or one per row."""
        scenario = np.asarray(scenario_N, np.int64)
        line = self.slopes_ST[scenario] * np.asarray(values_NT, np.float64) + self.intercepts_ST[scenario]
        told = np.where([form == "binary" for form in self.forms], expit(line), line)
        return told if self.sampled is None else self.sampled.undone(told, scenario)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "slopes": self.slopes_ST.tolist(),
            "intercepts": self.intercepts_ST.tolist(),
            "forms": list(self.forms),
        } | ({} if self.sampled is None else self.sampled.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_dict`."""
        forms = tuple(data["forms"])
        slopes, intercepts = (
            np.asarray(data[key], np.float64).reshape(-1, len(forms)) for key in ("slopes", "intercepts")
        )
        if slopes.shape != intercepts.shape:
            raise InputError("calibration has unequal numbers of slopes and intercepts", fix="export the bundle again")
        sampled = Sampled.from_dict(data) if "kept" in data else None
        return cls(slopes_ST=slopes, intercepts_ST=intercepts, forms=forms, sampled=sampled)


def fit(
    values_NT: ArrayLike, labels_NT: ArrayLike, scenario_N: ArrayLike, *, scenarios: int, forms: Sequence[Form]
) -> Calibration:
    """Calibration from valid logits (regression: values) and labels; NaN where unobserved or not predicted.

    A cell's line is w·own + (1 − w)·global with w = n / (n + 100); n counts its rarer class (regression: its rows).
    The global line is the task's over all scenarios. A cell with one class or no rows takes the global line; a task
    with one class keeps the identity.
    """
    values, labels = np.asarray(values_NT, np.float64), np.asarray(labels_NT, np.float64)
    scenario = np.asarray(scenario_N, np.int64)
    result = Calibration.identity(scenarios, forms)
    for t, form in enumerate(forms):
        seen = np.isfinite(labels[:, t]) & np.isfinite(values[:, t])
        z, y, s = values[seen, t], labels[seen, t], scenario[seen]
        solve = _platt if form == "binary" else _least_squares
        whole, own = solve(z, y, np.zeros_like(s), 1), solve(z, y, s, scenarios)
        w_S = own.evidence / (own.evidence + EVIDENCE)
        if whole.evidence[0] > 0:
            result.slopes_ST[:, t] = w_S * own.slope + (1 - w_S) * whole.slope
            result.intercepts_ST[:, t] = w_S * own.intercept + (1 - w_S) * whole.intercept
    return result


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Calibrations for the very rows that they are fitted on: each user's is fitted without that user's fold."""

    folds: tuple[Calibration, ...]
    user_U: Ints  # ascending
    fold_U: Ints

    def apply(self, values: ArrayLike, scenario: ArrayLike, user_N: ArrayLike) -> Floats:
        """As `Calibration.apply` of values [N, ...], a scenario for each of N, and the users [N] that were fitted."""
        z, s = np.asarray(values), np.asarray(scenario)
        fold_N = self.fold_U[np.searchsorted(self.user_U, user_N)]
        result = np.empty(z.shape, np.float64)
        for fold, calibration in enumerate(self.folds):
            held = fold_N == fold
            result[held] = calibration.apply(z[held], s[held])
        return result


def cross_fit(
    values_NT: ArrayLike,
    labels_NT: ArrayLike,
    scenario_N: ArrayLike,
    user_N: ArrayLike,
    *,
    scenarios: int,
    forms: Sequence[Form],
    folds: int = 5,
    seed: int = 0,
) -> CrossFit:
    """A calibration for each fold of users, fitted on the rows of all other users."""
    values, labels, scenario = np.asarray(values_NT), np.asarray(labels_NT), np.asarray(scenario_N)
    users, user = np.unique(np.asarray(user_N), return_inverse=True)
    fold_U = np.random.default_rng(seed).permutation(len(users)) % folds
    others = (fold_U[user] != fold for fold in range(folds))
    fitted = (fit(values[n], labels[n], scenario[n], scenarios=scenarios, forms=forms) for n in others)
    return CrossFit(tuple(fitted), users, fold_U)


@dataclass(frozen=True, kw_only=True)
class CalibrationCurve:
    """Per bin of predicted probability: its mean, the observed rate, and the rows."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    rows: tuple[int, ...]


def calibration_curve(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> CalibrationCurve:
    """The reliability diagram on the bins of `ece`; a bin that ties left empty is left out."""
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    place = equal_mass_bins(p, bins)
    rows = np.bincount(place)
    rows, filled = rows[rows > 0], np.flatnonzero(rows)
    predicted, observed = (np.bincount(place, x)[filled] / rows for x in (p, y))
    return CalibrationCurve(
        predicted=tuple(predicted.tolist()), observed=tuple(observed.tolist()), rows=tuple(rows.tolist())
    )


@dataclass(frozen=True)
class _Lines:
    """The line a·z + b of each of G groups, and the labels that speak for it (0: none, the line means nothing)."""

    slope: Floats
    intercept: Floats
    evidence: Floats


def _platt(z: Floats, y: Floats, group: Ints, groups: int) -> _Lines:
    """Each group's Platt scaling, of slope 1 if all z are equal; its evidence is its rarer class.

    Platt's targets (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2) keep a separable group finite. Where the slope would fall below its
    bound, the optimum of this convex problem lies on the bound: only the level is fitted again.
    """
    count, positives = np.bincount(group, minlength=groups), np.bincount(group, y, groups)
    mean = _mean(z, group, count)
    target = np.where(y > 0, ((positives + 1) / (positives + 2))[group], (1 / (count - positives + 2))[group])
    centred = z - mean[group]
    varies = _varies(centred, mean, group, count)
    slope, level = _newton(centred, target, group, slope=np.where(varies, 0.0, 1.0), free=varies)
    flat = slope < SMALLEST_SLOPE
    if flat.any():
        slope, level = _newton(centred, target, group, slope=np.maximum(slope, SMALLEST_SLOPE), free=~flat & varies)
    return _Lines(slope, level - slope * mean, np.minimum(positives, count - positives))


def _newton(z: Floats, target: Floats, group: Ints, *, slope: Floats, free: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Slope (where free to move) and level that minimise each group's cross entropy, all groups at once.

    Newton's method; a step that does not lower a group's loss is taken back and shortened for that group.
    """
    level, step, now = np.zeros_like(slope), np.ones_like(slope), np.full_like(slope, np.inf)
    next_slope, next_level = slope, level
    for _ in range(100):
        line = next_slope[group] * z + next_level[group]
        then = _sums(group, np.logaddexp(0, line) - target * line, len(slope))
        better = then <= now
        gained = np.where(better, now - then, np.inf)
        slope, level = np.where(better, next_slope, slope), np.where(better, next_level, level)
        now, step = np.where(better, then, now), np.where(better, np.minimum(1, step * 2), step / 4)
        if np.all((gained <= 1e-12 * now) | (step < 1e-6)):
            break
        d_slope, d_level = _newton_step(z, target, group, slope, level, free)
        next_slope, next_level = slope - step * d_slope, level - step * d_level
    return slope, level


def _newton_step(
    z: Floats, target: Floats, group: Ints, slope: Floats, level: Floats, free: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """H⁻¹g of each group's cross entropy at its slope and level; 0 for an empty group."""
    p, groups = expit(slope[group] * z + level[group]), len(slope)
    g_a, g_b = _sums(group, (p - target) * z, groups), _sums(group, p - target, groups)
    h_aa, h_ab, h_bb = (_sums(group, p * (1 - p) * power, groups) for power in (z * z, z, np.ones_like(z)))
    g_a, h_aa, h_ab = np.where(free, g_a, 0), np.where(free, h_aa, 1), np.where(free, h_ab, 0)
    determinant = np.maximum(h_aa * h_bb - h_ab * h_ab, np.finfo(np.float64).tiny)
    return (h_bb * g_a - h_ab * g_b) / determinant, (h_aa * g_b - h_ab * g_a) / determinant


def _least_squares(z: Floats, y: Floats, group: Ints, groups: int) -> _Lines:
    """Each group's regression of y on z, of slope 1 if all z are equal; its evidence is its rows."""
    count = np.bincount(group, minlength=groups)
    mean, level = _mean(z, group, count), _mean(y, group, count)
    centred = z - mean[group]
    varies = _varies(centred, mean, group, count)
    spread, common = _sums(group, centred**2, len(count)), _sums(group, centred * y, len(count))
    slope = np.maximum(np.where(varies, common / np.where(varies, spread, 1), 1.0), SMALLEST_SLOPE)
    return _Lines(slope, level - slope * mean, count.astype(np.float64))


def _varies(centred: Floats, mean: Floats, group: Ints, count: Ints) -> NDArray[np.bool_]:
    """Whether a group's z differ by more than rounding."""
    return np.asarray(_sums(group, centred**2, len(count)) > 1e-12 * count * (1e-12 + mean**2))


def _mean(x: Floats, group: Ints, count: Ints) -> Floats:
    return np.asarray(np.bincount(group, x, len(count)) / np.maximum(count, 1))


def _sums(group: Ints, x: Floats, groups: int) -> Floats:
    return np.asarray(np.bincount(group, x, groups), np.float64)
