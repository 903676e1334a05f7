"""Numeric features: standardised, logged, ranked or cut into buckets, with limits and moments fitted on train."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from motet.batch import UNKNOWN
from motet.data.arrays import Bools, Floats, Ids, Numbers
from motet.data.rows import Frame
from motet.data.vocab import FIRST_KEY
from motet.errors import InputError
from motet.schema import Feature

CLIP = 8.0
"""Standardised values beyond this many standard deviations are cut there."""
_KNOTS = 129
_BLOCK = 1 << 16
_SKEWED = 1.0  # skewness from which a non-negative number is logged


@dataclass(frozen=True, slots=True)
class Number:
    """z = clip((g(clip(x, low, high)) - mean) / std, ±8), 0 where x is missing.

    g is the identity, sign(x)·log(1 + |x|), or x's rank among train's values in 0 … 1 (interpolated between `knots`).
    """

    column: str
    log: bool
    knots: tuple[tuple[float, ...], tuple[float, ...]] | None  # values and their ranks
    low: float | None
    high: float | None
    mean: float
    std: float
    missing: bool  # a second number says where the value is missing

    @classmethod
    def fit(cls, column: str, feature: Feature, train_R: Floats, *, missing: bool, winsorise: float) -> "Number":
        """Fitted on train's values, nan where missing; a constant column has std 1, an empty one mean 0 as well."""
        values = train_R[~np.isnan(train_R)]
        low, high = _limits(values, winsorise)
        values = values if low is None else np.clip(values, low, high)
        log = feature.transform == "log" or (feature.transform == "auto" and _skewed(values))
        knots = _knots(values) if feature.transform == "quantile" and len(values) else None
        shaped = _shape(values, log, knots)
        mean, std = (float(shaped.mean()), float(shaped.std())) if len(shaped) else (0.0, 1.0)
        return cls(column, log, knots, low, high, mean, std if std > 1e-12 * max(1.0, abs(mean)) else 1.0, missing)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column, f"{self.column} missing") if self.missing else (self.column,)

    def apply(self, frame: Frame) -> Numbers:
        """[R, 1] standardised values, or [R, 2] with the missing indicator."""
        values = values_of(frame, self.column)
        absent = np.isnan(values)
        limited = values if self.low is None else np.clip(values, self.low, self.high)
        z = standardise(_shape(limited, self.log, self.knots), self.mean, self.std)
        return np.stack([z, absent.astype(np.float32)][: len(self.names)], axis=1)


@dataclass(frozen=True, slots=True)
class Buckets:
    """A number as a categorical field: bucket b holds edges[b - 1] <= x < edges[b]; a missing one is unknown."""

    column: str
    edges: tuple[float, ...]

    @classmethod
    def fit(cls, column: str, feature: Feature, train_R: Floats) -> "Buckets":
        """Edges at train's quantiles 1/n … (n - 1)/n; equal ones collapse, so there may be fewer buckets."""
        values = train_R[~np.isnan(train_R)]
        ranks = np.arange(1, feature.buckets) / feature.buckets
        return cls(column, tuple(np.unique(np.quantile(values, ranks)).tolist()) if len(values) else ())

    @property
    def name(self) -> str:
        return self.column

    @property
    def size(self) -> int:
        return len(self.edges) + 2

    @property
    def columns(self) -> int:
        return 1

    def indices(self, frame: Frame) -> Ids:
        """[R, 1] indices."""
        values = values_of(frame, self.column)
        bucket = FIRST_KEY + np.searchsorted(np.asarray(self.edges), values, side="right")
        return np.where(np.isnan(values), UNKNOWN, bucket).astype(np.int32)[:, None]


def values_of(frame: Frame, column: str) -> Floats:
    """A column as float64, nan where it is null, not finite or absent; text that is no number is an error."""
    if column not in frame.columns:
        return np.full(frame.height, np.nan)
    series = frame[column]
    if series.dtype.is_nested():
        raise InputError(f"column {column!r} holds lists, not numbers", fix='declare it "tags" or "vector"')
    numbers = series.cast(pl.Float64, strict=False)
    if numbers.null_count() > series.null_count():
        wrong = series.filter(numbers.is_null() & series.is_not_null())
        raise InputError(
            f"column {column!r} is numeric, but {len(wrong)} of its values are no numbers, such as {wrong[0]!r}",
            where=f"features.*.{column}",
            fix='declare it "categorical", or clean the column',
        )
    values = numbers.fill_null(np.nan).to_numpy(writable=True)
    values[~np.isfinite(values)] = np.nan
    return values


def standardise(values: Floats, mean: Floats | float, std: Floats | float) -> Numbers:
    """(x - mean) / std, cut at ±8, 0 where x is nan."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.clip((values - mean) / std, -CLIP, CLIP), nan=0.0).astype(np.float32)


def mean_and_std(column: Floats, train_N: Bools) -> tuple[float, float]:
    """Mean and std of train's values that are not nan; 0 and 1 without anything, std 1 when constant.

    The sums are numpy's to the last bit, but squares are made block by block, as pairwise summation comes to them.
    """
    count = int(np.count_nonzero(train_N))
    values = column[:count] if train_N[:count].all() else column[train_N]
    absent = np.isnan(values)
    values = values[~absent] if absent.any() else values
    if not len(values):
        return 0.0, 1.0
    mean = float(values.mean())
    std = float(np.sqrt(_squares(values, mean) / len(values)))
    return mean, std if std > 1e-9 else 1.0


def _squares(values: Floats, mean: float) -> np.float64:
    """Σ (x - mean)²."""
    if len(values) <= _BLOCK:
        apart = values - mean
        return np.float64(np.multiply(apart, apart, out=apart).sum())
    half = len(values) // 2
    half -= half % 8
    return _squares(values[:half], mean) + _squares(values[half:], mean)


def _limits(values: Floats, winsorise: float) -> tuple[float | None, float | None]:
    if winsorise <= 0 or not len(values):
        return None, None
    low, high = np.quantile(values, [winsorise, 1 - winsorise])
    return float(low), float(high)


def _skewed(values: Floats) -> bool:
    if not len(values) or values.min() < 0 or (std := values.std()) == 0:
        return False
    z = (values - values.mean()) / std
    return bool((z * z * z).mean() > _SKEWED)


def _knots(values: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Train's quantiles and their ranks, equal values sharing their mean rank."""
    ranks = np.linspace(0, 1, _KNOTS)
    points, inverse = np.unique(np.quantile(values, ranks, method="nearest"), return_inverse=True)
    shared = np.bincount(inverse, weights=ranks) / np.bincount(inverse)
    return tuple(points.tolist()), tuple(shared.tolist())


def _shape(values: Floats, log: bool, knots: tuple[tuple[float, ...], tuple[float, ...]] | None) -> Floats:
    if knots is not None:
        return np.where(np.isnan(values), np.nan, np.interp(values, *knots))
    shaped: Floats = np.sign(values) * np.log1p(np.abs(values)) if log else values
    return shaped


def missing_in(values: Floats) -> bool:
    """Whether any value is missing."""
    absent: Bools = np.isnan(values)
    return bool(absent.any())
