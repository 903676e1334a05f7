"""Bootstrap over users (Efron, 1979): how far a cell's metric would move had other users come.

Users, not rows, are drawn, because rows of one user are alike. A resample draws U users with replacement; a user
drawn w times counts w times. All statistics of a table see the same draws, so differences between models, seeds or
cells are paired. Exact weighted statistics, no linearisation. n rows of a cell, U users of the table, B resamples, b
resamples of a chunk, K pairs of bags, G groups of rows with equal scores.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from motet.runtime import in_threads
from motet.scoring.metrics import Floats, Ints
from motet.scoring.order import ScoreOrder, changes

FLOATS_AT_ONCE = 32_000_000  # bounds the weights of a chunk, [U, b]
CHUNK = 64  # resamples of a chunk, more where few users leave room:
CACHED = 1 << 18  # weights that stay in the processor's cache
SUMMED = 1 << 19  # sums of bags that do
ROWS = 64  # of a pair: a user is drawn 33 times with p < 1e-36, and whole numbers to 2,048 are exact in float16
PAIRS = 64  # of bags, folded before float32 would have to round
USERS = 1 << 16  # whose squared errors are weighted at once


class Statistic(Protocol):
    """A metric of some rows as a function of the weights of the users."""

    def __call__(self, weights_Ub: Tensor) -> Floats:
        """Its value in each resample, [b]; NaN where it is not defined."""
        ...


class Auc:
    """Weighted AUC with ties counting half. `user` holds the users' positions in the table, 0..U-1.

    Sorted once by score, the rows fall into alternating bags, negatives then positives, within which the order does
    not matter: a bag's weight is the sum of its users' weights. Of two adjacent stretches of rows

        wins = wins of the lower + wins of the upper + negatives of the lower · positives of the upper

    so bags are folded into pairs, fours, … A tie was counted as won; half of it is given back.
    """

    def __init__(self, order: ScoreOrder, user: ArrayLike) -> None:
        user_n = np.asarray(user)[order.row_N].astype(np.int32)
        self._bags, self._ties = _Bags(user_n, _pairs(order.positive_N)), _ties(order, user_n)

    def __call__(self, weights_Ub: Tensor) -> Floats:
        """Σ_k P_k (N_<k + N_k) − Σ_g P_g N_g / 2, over P · N."""
        resamples = weights_Ub.shape[1]
        wins, negatives, positives = torch.zeros(3, resamples, dtype=torch.float64)
        for bags_Kb in self._bags.sums(weights_Ub, 2 * PAIRS):
            lower, upper, won = _fold(*bags_Kb.view(-1, PAIRS, 2, resamples).unbind(2))
            below = lower.cumsum(0) - lower + negatives
            wins += won.sum(0) + (below * upper).sum(0)
            negatives, positives = negatives + lower.sum(0), positives + upper.sum(0)
        if len(self._ties):
            for bags_Gb in self._ties.sums(weights_Ub.float(), 2):
                lower, upper = bags_Gb.double().view(-1, 2, resamples).unbind(1)
                wins -= (lower * upper).sum(0) / 2
        return np.asarray((wins / (negatives * positives)).numpy())


class RelativeRmse:
    """Weighted 1 − rmse / rmse of predicting `mean`; each user's squared errors are summed once."""

    def __init__(self, labels: ArrayLike, values: ArrayLike, user: ArrayLike, *, mean: float) -> None:
        y, v = np.asarray(labels, np.float64), np.asarray(values, np.float64)
        users, who = np.unique(np.asarray(user), return_inverse=True)
        errors_2u = np.stack([np.bincount(who, (y - v) ** 2), np.bincount(who, (y - mean) ** 2)])
        self._users, self._errors_2u = torch.from_numpy(users), torch.from_numpy(errors_2u.astype(np.float64))

    def __call__(self, weights_Ub: Tensor) -> Floats:
        """1 − √(Σ_u w_u SE_u / Σ_u w_u SE_u of the mean)."""
        sums = torch.zeros(2, weights_Ub.shape[1], dtype=torch.float64)
        for at in range(0, len(self._users), USERS):
            chunk = slice(at, at + USERS)
            sums += self._errors_2u[:, chunk] @ weights_Ub[self._users[chunk]].double()
        own, background = sums.numpy()
        defined = background > 0
        return np.where(defined, 1 - np.sqrt(own / np.where(defined, background, 1)), np.nan)


def user_weights(users: int, resamples: int, seed: int, chunk: int = CHUNK) -> Iterator[Tensor]:
    """How often each user is drawn, float16 [U, b], a chunk of resamples at a time; draws do not depend on chunks."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, chunk):
        counts_bU = np.empty((min(chunk, resamples - start), users), np.int16)
        for count_U in counts_bU:
            count_U[:] = np.bincount(rng.integers(0, users, users, np.int32), minlength=users)
        yield torch.from_numpy(counts_bU).T.contiguous().half()


def resample(statistics: Sequence[Statistic], *, users: int, resamples: int = 2000, seed: int = 0) -> Floats:
    """Each statistic in each resample, [len(statistics), B], all under the same draws of users."""
    if not statistics or not users:
        return np.full((len(statistics), resamples), np.nan)
    chunk = max(1, min(max(CHUNK, CACHED // users), FLOATS_AT_ONCE // users))

    @torch.inference_mode()
    def each(weights_Ub: Tensor) -> Floats:
        return np.stack([statistic(weights_Ub) for statistic in statistics])

    chunks = in_threads(each, user_weights(users, resamples, seed, chunk))
    return np.concatenate([np.empty((len(statistics), 0)), *chunks], 1)


class _Bags:
    """Stretches of rows, and how to sum the weights of their users."""

    def __init__(self, user_n: NDArray[np.int32], begin: Ints) -> None:
        self._user, self._begin = torch.from_numpy(user_n), torch.from_numpy(np.append(begin, len(user_n)).astype("i4"))

    def __len__(self) -> int:
        return len(self._begin) - 1

    def sums(self, weights_Ub: Tensor, multiple: int) -> Iterator[Tensor]:
        """Float32 [k, b] of some bags after the other, k a multiple of that, with empty bags at the end."""
        step = max(SUMMED // weights_Ub.shape[1] // multiple, 1) * multiple
        for at in range(0, len(self), step):
            begin = self._begin[at : at + step + 1]
            first, last = begin[0], begin[-1]
            empty = last.expand(-(len(begin) - 1) % multiple)
            offsets = torch.cat([begin[:-1], empty]) - first
            user = self._user[first:last]
            yield torch.nn.functional.embedding_bag(user, weights_Ub, offsets, mode="sum").float()


def _fold(lower_xKb: Tensor, upper_xKb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Negatives, positives and wins of K adjacent pairs of bags, K a power of two, as float64."""
    wins = (lower_xKb * upper_xKb).sum(1)
    while lower_xKb.shape[1] > 1:
        wins += (lower_xKb[:, 0::2] * upper_xKb[:, 1::2]).sum(1)
        lower_xKb, upper_xKb = (x[:, 0::2] + x[:, 1::2] for x in (lower_xKb, upper_xKb))
    return lower_xKb[:, 0].double(), upper_xKb[:, 0].double(), wins.double()


def _pairs(positive_n: NDArray[np.bool_]) -> Ints:
    """Where the alternating bags begin (negatives, positives, negatives …), [2K]; a pair has at most ROWS rows."""
    begin = np.flatnonzero(
        np.concatenate([np.ones(min(len(positive_n), 1), np.bool_), positive_n[:-1] & ~positive_n[1:]])
    )
    pieces = -(-np.diff(begin, append=len(positive_n)) // ROWS)
    piece = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = np.repeat(begin, pieces) + piece * ROWS
    negatives = np.add.reduceat(~positive_n, begin, dtype=np.int64) if len(begin) else begin
    return np.stack([begin, begin + negatives], 1).ravel()


def _ties(order: ScoreOrder, user_n: NDArray[np.int32]) -> _Bags:
    """The same of groups of rows with equal scores and both classes, a pair of bags for each."""
    positive, group = order.positive_N[order.tied_M], np.cumsum(order.first_N[order.tied_M]) - 1
    positives, rows = np.bincount(group, positive), np.bincount(group)
    mixed = ((positives > 0) & (positives < rows))[group]
    return _Bags(user_n[order.tied_M[mixed]], np.flatnonzero(changes(group[mixed] * 2 + positive[mixed])))
