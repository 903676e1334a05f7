"""Rows sorted by score, once for all that needs it: AUC, AUC within users, bins of equal mass, the bootstrap.

N rows, G groups of rows with equal scores, U users.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ScoreOrder:
    """Rows by ascending score, negatives before positives where scores are equal."""

    row_N: Ints
    score_N: NDArray[np.generic]  # of the rows in that order, as all that follows
    positive_N: Bools
    first_N: Bools  # a row with another score than the one before it

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> "ScoreOrder":
        """Positive is a label above 0."""
        positive, score = np.asarray(labels) > 0, np.asarray(scores)
        row = np.argsort(score)
        score, positive = score[row], positive[row]
        first = _changes(score)
        tied = np.flatnonzero(~(first & np.append(first[1:], True)))
        if len(tied):
            within = tied[_stable(np.cumsum(first)[tied] * 2 + positive[tied])]
            row[tied], positive[tied] = row[within], positive[within]
        return cls(row, score, positive, first)

    def auc(self, weights: ArrayLike | None = None) -> float:
        """Probability that a positive stands above a negative, ties counting half; NaN for one class."""
        weight = None if weights is None else np.asarray(weights, np.float64)[self.row_N]
        positives, negatives = _by_group(self.first_N, self.positive_N, weight)
        pairs = positives.sum() * negatives.sum()
        return float((positives * (np.cumsum(negatives) - negatives / 2)).sum() / pairs) if pairs > 0 else np.nan

    def auc_within(self, users: ArrayLike) -> float:
        """AUC within each user, averaged by rows over the users with both classes; NaN if there is none."""
        user, _ = positions(users)
        user = user[self.row_N]
        place = _stable(user)
        starts = _changes(user[place])
        group_N = np.cumsum(self.first_N)[place]
        first = starts | _changes(group_N)
        positives, negatives = _by_group(first, self.positive_N[place])
        begin = np.flatnonzero(starts[first])  # the first group of each user
        positives_U, negatives_U = (_sums(of_group, begin) for of_group in (positives, negatives))
        above = np.repeat(np.cumsum(negatives_U) - negatives_U, np.diff(begin, append=len(negatives)))
        wins_U = _sums(positives * (np.cumsum(negatives) - negatives / 2 - above), begin)
        both = positives_U * negatives_U > 0
        if not both.any():
            return np.nan
        positives_U, negatives_U = positives_U[both], negatives_U[both]
        auc_U = wins_U[both] / (positives_U * negatives_U)
        return float(np.average(auc_U, weights=positives_U + negatives_U))

    def ece(self, bins: int = 15) -> float:
        """Σ_b n_b/N |mean label − mean score| over equal-mass bins; NaN without rows."""
        gap_b = np.bincount(self.equal_mass_bins(bins), self.positive_N - self.score_N.astype(np.float64))
        return float(np.abs(gap_b).sum() / len(self.row_N)) if len(self.row_N) else np.nan

    def equal_mass_bins(self, bins: int) -> Ints:
        """The bin 0..bins-1 of each row in this order, bins holding nearly equally many; equal scores share a bin."""
        begin = np.flatnonzero(self.first_N)
        bin_G = begin * bins // max(len(self.row_N), 1)
        return np.repeat(bin_G, np.diff(begin, append=len(self.row_N)))


def positions(keys: ArrayLike) -> tuple[NDArray[np.int32], int]:
    """Each key's place among the different keys, ascending, and how many there are."""
    key = np.asarray(keys)
    if key.dtype.kind in "iu" and len(key) and key.min() >= 0 and key.max() <= 4 * len(key) + 1000:
        seen = np.bincount(key) > 0  # rows of a table: counting is faster than sorting
        return (np.cumsum(seen, dtype=np.int32) - 1)[key], int(seen.sum())
    different, place = np.unique(key, return_inverse=True)
    return place.astype(np.int32), len(different)


def _stable(keys_N: NDArray[np.integer]) -> Ints:
    """The order of those integers, equal ones as they came (a radix sort)."""
    return np.asarray(torch.sort(torch.from_numpy(keys_N), stable=True).indices.numpy())


def _changes(sorted_N: NDArray[np.generic]) -> Bools:
    """Where a value differs from the one before it; the first does."""
    changes = np.ones(len(sorted_N), np.bool_)
    np.not_equal(sorted_N[1:], sorted_N[:-1], out=changes[1:])
    return changes


def _by_group(first_N: Bools, positive_N: Bools, weight_N: Floats | None = None) -> tuple[Floats, Floats]:
    """Weights of positives and of negatives in each group of rows that begins with a first one."""
    begin = np.flatnonzero(first_N)
    if weight_N is None:
        positives = _sums(positive_N, begin)
        return positives, np.diff(begin, append=len(first_N)) - positives
    return _sums(weight_N * positive_N, begin), _sums(weight_N * ~positive_N, begin)


def _sums(values_N: NDArray[np.generic], begin_G: Ints) -> Floats:
    """Sums of the stretches that begin there."""
    if not len(begin_G):
        return np.zeros(0)
    return np.asarray(np.add.reduceat(values_N, begin_G, dtype=np.float64))
