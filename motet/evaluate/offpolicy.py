"""What another order of logged slates would have been worth: a composite reward, discounted by place, off-policy.

    V = Σ_i v_i d(place_i) r_i  /  Σ_i v_i d(place_i),    d(k) = 1 / log2(1 + k)

over the rows i of all slates, each slate ordered anew. r_i adds up what happened on the row, task by task, each with
the caller's worth. v_i = 1 / propensity where the log has propensities: then what the old policy liked to show counts
no more than the rest (self-normalised inverse propensities, Swaminathan & Joachims, NeurIPS 2015), the largest weights
clipped; else v_i = 1. Only what was shown can be reordered: V compares orders, it promises no such reward.

Shapes: N rows, T tasks, U users, B resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.scoring.blend import Blend
from motet.scoring.metrics import Bools, Floats, Ints
from motet.settings import nearest

CLIP = 0.99
"""Weights are clipped at this quantile: a few tiny propensities would decide alone."""
RESAMPLES = 1000
_SEED = 2207  # of ties and resamples


@dataclass(frozen=True, eq=False)
class LoggedSlates:
    """Rows of slates of two items or more, by slate."""

    slate_N: Ints  # ascending, from 0
    user_N: Ints
    scenario_N: Ints
    reward_N: Floats
    weight_N: Floats
    values_NT: Floats  # what each task is predicted to come to
    applies_NT: Bools
    lots_N: Floats  # how equal scores are ordered

    @classmethod
    def of(
        cls, data: Dataset, rows: Ints, values_NT: Floats, blend: Blend, worth: Mapping[str, float]
    ) -> "LoggedSlates":
        """Rows of one request and kind are a slate; without requests in the log, those of one user, place and time."""
        im = data.impressions
        names = ("user", "scenario", "time") if im.request is None else ("user", "request")
        kind_N = data.items.kind_I.numpy()[im.item.numpy()[rows]]
        keys = np.stack([*(getattr(im, name).numpy()[rows].astype(np.float64) for name in names), kind_N])
        told = keys[1] >= 0 if im.request is not None else np.ones(len(rows), np.bool_)
        _, slate_N, size_S = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
        kept = np.flatnonzero(told & (size_S[slate_N] > 1))
        if not len(kept):
            fix = "name the column of requests in [columns], or tune the model instead"
            raise InputError("no slate of the log has two items", where=str(data.folder), fix=fix)
        order = kept[np.argsort(slate_N[kept], kind="stable")]
        applies_KT = np.stack([blend.applicable(kind) for kind in data.layout.kinds])
        weight_N = np.ones(len(order))
        if im.propensity is not None:
            propensity_N = im.propensity.numpy()[rows][order].astype(np.float64)
            weight_N = np.where(propensity_N > 0, 1 / np.maximum(propensity_N, 1e-12), np.nan)
            weight_N = np.nan_to_num(np.minimum(weight_N, np.nanquantile(weight_N, CLIP)), nan=0.0)
        return cls(
            slate_N=np.unique(slate_N[order], return_inverse=True)[1],
            user_N=np.unique(data.users(rows)[order], return_inverse=True)[1],
            scenario_N=data.scenarios(rows)[order],
            reward_N=reward(data, rows, worth)[order],
            weight_N=weight_N,
            values_NT=values_NT[order],
            applies_NT=applies_KT[kind_N[order]],
            lots_N=np.random.default_rng(_SEED).random(len(order)),
        )

    def only(self, chosen_N: Bools) -> "LoggedSlates":
        """Those rows; whole slates should be chosen."""
        parts: dict[str, Any] = {name: column[chosen_N] for name, column in vars(self).items()}
        for name in ("slate_N", "user_N"):
            parts[name] = np.unique(parts[name], return_inverse=True)[1]
        return LoggedSlates(**parts)

    def score(self, blend: Blend) -> Floats:
        """What orders the rows, the higher the better."""
        return blend.score(self.values_NT, self.scenario_N, self.applies_NT)

    def sums(self, score_N: Floats) -> tuple[Floats, Floats]:
        """Numerator and denominator of V by user, [U]."""
        order = np.lexsort((self.lots_N, -score_N, self.slate_N))
        start_N = np.searchsorted(self.slate_N, self.slate_N)
        place_N = np.empty(len(order), np.float64)
        place_N[order] = np.arange(len(order)) - start_N + 1
        discount_N = self.weight_N / np.log2(1 + place_N)
        users = int(self.user_N.max()) + 1
        gained_U = np.bincount(self.user_N, discount_N * self.reward_N, users).astype(np.float64)
        return gained_U, np.bincount(self.user_N, discount_N, users).astype(np.float64)

    def value(self, score_N: Floats) -> float:
        """V of slates in the order of those scores."""
        gained_U, places_U = self.sums(score_N)
        return float(gained_U.sum() / places_U.sum())

    def difference(self, score_N: Floats, other_N: Floats) -> tuple[float, float, float]:
        """V of one order less V of another, with its 95 % interval over users."""
        rng, sums = np.random.default_rng(_SEED), [self.sums(score_N), self.sums(other_N)]
        count_BU = rng.multinomial(len(sums[0][0]), np.full(len(sums[0][0]), 1 / len(sums[0][0])), RESAMPLES)
        (one_B, two_B) = ((count_BU @ gained_U) / (count_BU @ places_U) for gained_U, places_U in sums)
        low, high = np.quantile(one_B - two_B, [0.025, 0.975])
        return self.value(score_N) - self.value(other_N), float(low), float(high)


def reward(data: Dataset, rows: Ints, worth: Mapping[str, float]) -> Floats:
    """Σ_t worth_t label_t of rows, [N]; regressions in standard deviations from their mean, what is not observed 0."""
    names = [task.name for task in data.layout.tasks]
    for name in worth:
        if name not in names:
            raise InputError(f"unknown task {name!r}", where="--reward", fix=nearest(name, names))
    labels_NT = data.labels(rows).astype(np.float64)
    means_T = np.nanmean(np.array(data.layout.base_rates), 0)
    total_N: NDArray[np.float64] = np.zeros(len(rows))
    for t, task in enumerate(data.layout.tasks):
        if weight := worth.get(task.name, 0.0):
            label_N = labels_NT[:, t]
            if task.form == "regression":
                label_N = (label_N - means_T[t]) / (data.layout.label_scales[t] or 1.0)
            total_N += weight * np.nan_to_num(label_N, nan=0.0)
    return total_N
