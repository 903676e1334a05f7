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
    tied_M: Ints  # places of the rows that share their score with others

    @classmethod
    def of(cls, labels: ArrayLike, scores: ArrayLike) -> "ScoreOrder":
        """Positive is a label above 0."""
        positive, score = np.asarray(labels) > 0, np.asarray(scores)
        row = np.argsort(score)
        score, positive = score[row], positive[row]
        first = changes(score)
        tied = shared(first)
        if len(tied):
            within = tied[_stable(np.cumsum(first)[tied] * 2 + positive[tied])[1]]
            row[tied], positive[tied] = row[within], positive[within]
        return cls(row, score, positive, first, tied)

    def auc(self, weights: ArrayLike | None = None) -> float:
        """Probability that a positive stands above a negative, ties counting half; NaN for one class."""
        positive, first, tied = self.positive_N, self.first_N, self.tied_M
        if weights is not None:
            weight_N = np.asarray(weights, np.float64)[self.row_N]
            positives, negatives = (_sums(weight_N * of_class, first) for of_class in (positive, ~positive))
            wins = (positives * (np.cumsum(negatives) - negatives / 2)).sum()
            pairs = positives.sum() * negatives.sum()
        else:
            wins = np.cumsum(~positive)[positive].sum() - _pairs(first[tied], positive[tied]).sum() / 2
            pairs = positive.sum() * (~positive).sum()
        return float(wins / pairs) if pairs > 0 else np.nan

    def auc_within(self, user_N: NDArray[np.integer]) -> float:
        """AUC within each user (a position), averaged by rows over the users with both classes; NaN without any."""
        group_N = np.cumsum(self.first_N, dtype=np.int32) * 2 + self.positive_N
        user, place = _stable(user_N[self.row_N])
        group = group_N[place]
        positive = group % 2 > 0
        owner = user[positive]
        rows_U = np.bincount(user)
        positives_U = np.bincount(owner, minlength=len(rows_U))
        negatives_U = rows_U - positives_U
        above_U = np.cumsum(negatives_U) - negatives_U  # of the users before
        wins_U = np.bincount(owner, np.cumsum(~positive)[positive], len(rows_U)) - positives_U * above_U
        if len(self.tied_M):
            first = changes(user) | changes(group // 2)
            tied = shared(first)
            begin = tied[first[tied]]
            wins_U = wins_U - np.bincount(user[begin], _pairs(first[tied], positive[tied]), len(rows_U)) / 2
        both = positives_U * negatives_U > 0
        if not both.any():
            return np.nan
        auc_U = wins_U[both] / (positives_U * negatives_U)[both]
        return float(np.average(auc_U, weights=rows_U[both]))

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


def changes(sorted_N: NDArray[np.generic]) -> Bools:
    """Where a value differs from the one before it; the first does."""
    changes_N = np.ones(len(sorted_N), np.bool_)
    np.not_equal(sorted_N[1:], sorted_N[:-1], out=changes_N[1:])
    return changes_N


def shared(first_N: Bools) -> Ints:
    """Places in groups of more than one row, from where groups begin."""
    alone_N = first_N.copy()
    alone_N[:-1] &= first_N[1:]
    return np.flatnonzero(~alone_N)


def _stable(keys_N: NDArray[np.integer]) -> tuple[NDArray[np.integer], Ints]:
    """Those integers sorted, and where they were, equal ones as they came (a radix sort)."""
    values, indices = torch.sort(torch.from_numpy(keys_N), stable=True)
    return values.numpy(), indices.numpy()


def _pairs(first_N: Bools, positive_N: Bools) -> Floats:
    """Positives · negatives of each group of rows."""
    positives = _sums(positive_N, first_N)
    return positives * (np.diff(np.flatnonzero(first_N), append=len(first_N)) - positives)


def _sums(values_N: NDArray[np.generic], first_N: Bools) -> Floats:
    """Sums over groups of rows."""
    if not len(first_N):
        return np.zeros(0)
    return np.asarray(np.add.reduceat(values_N, np.flatnonzero(first_N), dtype=np.float64))
