"""Bootstrap over users (Efron, 1979): how far a cell's metric would move had other users come.

Users, not rows, are drawn, because rows of one user are alike. A resample draws U users with replacement; a user
drawn w times counts w times. All statistics of a table see the same draws, so differences between models, seeds or
cells are paired. Exact weighted statistics, no linearisation. n rows of a cell, U users of the table, B resamples, b
resamples of a chunk, K bags.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from motet.scoring.metrics import Floats

FLOATS_AT_ONCE = 32_000_000  # bounds the largest array, [max(U, n), b]
CHUNK = 64  # resamples whose weights stay in the processor's cache


class Statistic(Protocol):
    """A metric of some rows as a function of the weights of the users."""

    rows: int

    def __call__(self, weights_Ub: torch.Tensor) -> Floats:
        """Its value in each resample, [b]; NaN where it is not defined."""
        ...


class Auc:
    """Weighted AUC with ties counting half. `user` holds the users' positions in the table, 0..U-1.

    Sorted once by score, the rows fall into alternating bags, negatives then positives, within which the order does
    not matter; a bag's weight is a sum of its users' weights, so a resample costs one sum over rows and one running
    sum over bags, and there are not many more bags than rows of the rarer class.
    """

    def __init__(self, labels: ArrayLike, scores: ArrayLike, user: ArrayLike) -> None:
        positive = np.asarray(labels) > 0
        _, place = np.unique(np.asarray(scores), return_inverse=True)
        order = np.lexsort((positive, place))
        positive, place = positive[order], place[order]
        self.rows = len(order)
        self._user = torch.from_numpy(np.asarray(user)[order].astype(np.int32))
        offsets, tied = _bags(positive, place)
        self._offsets = torch.from_numpy(offsets)
        self._below = torch.from_numpy(np.where(tied, np.float32(0.5), np.float32(0)))[:, None]

    def __call__(self, weights_Ub: torch.Tensor) -> Floats:
        """Σ_k P_k (N_≤k − tied_k N_k / 2) / (P N) over pairs k of bags with weights N_k and P_k."""
        if not self.rows:
            return np.full(weights_Ub.shape[1], np.nan)
        bags = torch.nn.functional.embedding_bag(self._user, weights_Ub, self._offsets, mode="sum")
        negatives, positives = bags[0::2], bags[1::2]
        below = negatives.cumsum(0).addcmul_(negatives, self._below, value=-1)
        wins = (below * positives).sum(0, dtype=torch.float64)
        pairs = negatives.sum(0, dtype=torch.float64) * positives.sum(0, dtype=torch.float64)
        return np.asarray((wins / pairs).numpy())


class RelativeRmse:
    """Weighted 1 − rmse / rmse of predicting `mean`; each user's squared errors are summed once."""

    def __init__(self, labels: ArrayLike, values: ArrayLike, user: ArrayLike, *, mean: float) -> None:
        y, v = np.asarray(labels, np.float64), np.asarray(values, np.float64)
        self._users, who = np.unique(np.asarray(user), return_inverse=True)
        errors_2u = np.stack([np.bincount(who, (y - v) ** 2), np.bincount(who, (y - mean) ** 2)])
        self.rows = len(y)
        self._errors_2u = torch.from_numpy(errors_2u.astype(np.float64))

    def __call__(self, weights_Ub: torch.Tensor) -> Floats:
        """1 − √(Σ_u w_u SE_u / Σ_u w_u SE_u of the mean)."""
        own, background = (self._errors_2u @ weights_Ub[torch.from_numpy(self._users)].double()).numpy()
        defined = background > 0
        return np.where(defined, 1 - np.sqrt(own / np.where(defined, background, 1)), np.nan)


def user_weights(users: int, resamples: int, seed: int, chunk: int = CHUNK) -> Iterator[torch.Tensor]:
    """How often each user is drawn, float32 [U, b], a chunk of resamples at a time; draws do not depend on chunks."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, chunk):
        b = min(chunk, resamples - start)
        drawn = rng.integers(0, users, size=(b, users)) * b + np.arange(b)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=users * b)
        yield torch.from_numpy(counts.astype(np.float32).reshape(users, b))


def resample(statistics: Sequence[Statistic], *, users: int, resamples: int = 2000, seed: int = 0) -> Floats:
    """Each statistic in each resample, [len(statistics), B], all under the same draws of users."""
    values = np.full((len(statistics), resamples), np.nan)
    if not statistics or not users:
        return values
    largest = max(users, *(statistic.rows for statistic in statistics))
    chunk = max(1, min(CHUNK, FLOATS_AT_ONCE // largest))
    with torch.inference_mode():
        for c, weights_Ub in enumerate(user_weights(users, resamples, seed, chunk)):
            for row, statistic in zip(values, statistics, strict=True):
                row[c * chunk : c * chunk + weights_Ub.shape[1]] = statistic(weights_Ub)
    return values


def _bags(positive: NDArray[np.bool_], place: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Starts of the alternating bags (negatives, positives, negatives …) [2K], and which pairs of bags are ties [K].

    Rows come by score, `place` counting the distinct ones, negatives first among equals. A new pair starts where a
    negative follows a positive, and at both ends of a tie: its positives stand above all earlier negatives but only
    half above its own.
    """
    mixed = ((np.bincount(place, positive) > 0) & (np.bincount(place, ~positive) > 0))[place]
    starts = np.ones(len(place), np.bool_)
    starts[1:] = positive[:-1] & ~positive[1:]
    starts[1:] |= (place[1:] != place[:-1]) & (mixed[1:] | mixed[:-1])
    begin = np.flatnonzero(starts)
    negatives = np.bincount(np.cumsum(starts) - 1, ~positive, len(begin)).astype(np.int64)
    return np.stack([begin, begin + negatives], 1).ravel().astype(np.int32), mixed[begin]
