"""How well one column alone predicts a label: what does it too well came into being with the label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from motet.data.arrays import Ints

SUSPICIOUS = 0.9
"""Above this AUC a single impression-level column is taken for an outcome."""
EVIDENCE_ROWS = 200_000
_SEED = 4401
_PRIOR = 10.0  # rows of the base rate that a value's own rate is smoothed with


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """A column as the places of its values among the distinct ones, ready for any label.

    Numbers are in their order, missing ones lowest; other values are only told apart.
    """

    place_R: Ints
    is_number: bool

    @classmethod
    def of(cls, values: pl.Series) -> "Suspect":
        if values.dtype.is_numeric() or values.dtype.is_temporal():
            numbers = values.to_physical().cast(pl.Float64).fill_nan(None).fill_null(float("-inf"))
            return cls(np.unique(numbers.to_numpy(), return_inverse=True)[1], is_number=True)
        place = values.cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)
        return cls(place, is_number=False)

    def auc(self, labels: npt.NDArray[np.float64]) -> float:
        """AUC against binary labels (nan: unobserved); nan if a class is absent."""
        rows = evidence(np.flatnonzero(~np.isnan(labels)))
        place, positive = self.place_R[rows], labels[rows] > 0
        if self.is_number:
            found = _auc(place, positive, None)
            return max(found, 1 - found)
        return self._told_by_the_other_half(place, positive)

    def _told_by_the_other_half(self, place: Ints, positive: npt.NDArray[np.bool_]) -> float:
        """Each value is scored by its smoothed label rate in the other half of the rows, drawn at random."""
        size = int(place.max(initial=0)) + 1
        half = np.random.default_rng(_SEED).integers(0, 2, len(place))
        scores = np.empty(2 * size)
        for part in (0, 1):
            other = half != part
            rows = np.bincount(place[other], minlength=size)
            hits = np.bincount(place[other], positive[other], minlength=size)
            base = positive[other].mean() if other.any() else 0.0
            scores[part * size : (part + 1) * size] = (hits + _PRIOR * base) / (rows + _PRIOR)
        return _auc(half * size + place, positive, scores)


def single_column_auc(values: pl.Series, labels: npt.NDArray[np.float64]) -> float:
    """AUC of the column against binary labels (NaN: unobserved); NaN if a class is absent.

    Numbers are taken as they are, in the better direction, missing ones lowest. Any other value is scored by its
    smoothed label rate in the other half of the rows, drawn at random, so that rare values cannot look predictive by
    chance. At most 200,000 rows, drawn at random too, are looked at.
    """
    return Suspect.of(values).auc(labels)


def evidence(rows: Ints) -> Ints:
    """At most 200,000 of the rows, drawn at random, in order: even steps could fall on the period of slates."""
    if len(rows) <= EVIDENCE_ROWS:
        return rows
    return np.sort(np.random.default_rng(_SEED).choice(rows, EVIDENCE_ROWS, replace=False))


def _auc(place: Ints, positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64] | None) -> float:
    """AUC of rows whose scores are those of their places; None: the places themselves."""
    rows = np.bincount(place, minlength=0 if scores is None else len(scores))
    positives = np.bincount(place[positive], minlength=len(rows)).astype(np.float64)
    negatives = rows - positives
    if scores is not None:
        _, same = np.unique(scores, return_inverse=True)
        positives, negatives = (np.bincount(same, count).astype(np.float64) for count in (positives, negatives))
    pairs = positives.sum() * negatives.sum()
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / pairs) if pairs > 0 else np.nan
