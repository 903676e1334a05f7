"""How well one column alone predicts a label: what does it too well came into being with the label."""

import numpy as np
import numpy.typing as npt
import polars as pl

from motet.data.arrays import Ints
from motet.scoring.metrics import auc

SUSPICIOUS = 0.9
"""Above this AUC a single impression-level column is taken for an outcome."""
EVIDENCE_ROWS = 200_000
_SEED = 4401
_PRIOR = 10.0  # rows of the base rate that a value's own rate is smoothed with


def single_column_auc(values: pl.Series, labels: npt.NDArray[np.float64]) -> float:
    """AUC of the column against binary labels (NaN: unobserved); NaN if a class is absent.

    Numbers are taken as they are, in the better direction, missing ones lowest. Any other value is scored by its
    smoothed label rate in the other half of the rows, drawn at random, so that rare values cannot look predictive by
    chance. At most 200,000 rows, drawn at random too, are looked at.
    """
    rows = evidence(np.flatnonzero(~np.isnan(labels)))
    labels, values = labels[rows], values[rows]
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        found = auc(labels, _numbers(values))
        return max(found, 1 - found)
    return auc(labels, _rates(values, labels))


def evidence(rows: Ints) -> Ints:
    """At most 200,000 of the rows, drawn at random, in order: even steps could fall on the period of slates."""
    if len(rows) <= EVIDENCE_ROWS:
        return rows
    return np.sort(np.random.default_rng(_SEED).choice(rows, EVIDENCE_ROWS, replace=False))


def _numbers(values: pl.Series) -> npt.NDArray[np.float64]:
    return values.to_physical().cast(pl.Float64).fill_nan(None).fill_null(float("-inf")).to_numpy()


def _rates(values: pl.Series, labels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each row's smoothed label rate of its value in the other half."""
    if not len(labels):
        return labels
    code = values.cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)
    half, scores = np.random.default_rng(_SEED).integers(0, 2, len(labels)), np.empty(len(labels))
    for part in (0, 1):
        other = half != part
        rows = np.bincount(code[other], minlength=code.max() + 1)
        hits = np.bincount(code[other], labels[other], minlength=code.max() + 1)
        base = labels[other].mean() if other.any() else 0.0
        scores[half == part] = ((hits + _PRIOR * base) / (rows + _PRIOR))[code[half == part]]
    return scores
