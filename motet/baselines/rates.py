"""Smoothed rates by key (an item, a user, an item in a scenario): how far a key's labels lie from what was expected.

With n_k labels of a key, their sum y_k, the sum e_k of what was expected of the same rows, a task's rate r and prior
strength m (the prior counts as m rows):

    binary:      effect_k = log (y_k + m r)/(e_k + m r) − log (n_k − y_k + m (1 − r))/(n_k − e_k + m (1 − r))
    regression:  effect_k = (y_k − e_k) / (n_k + m)

Where one rate is expected of all rows, the binary effect is exactly the log-odds of the smoothed rate minus those of
the expected one. An unseen key has effect 0. In all-positive data the effect is about log(1 + n_k/m): popularity.

Shapes: N rows, K keys, S scenarios, T tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from motet.baselines.linear import SMALLEST_RATE, logit, sigmoid
from motet.baselines.matrix import Floats, Ints
from motet.batch import Layout

STRENGTHS = (3.0, 10.0, 30.0, 100.0)


class Evidence(NamedTuple):
    """What is known of the key of each row: labels, their sum, the sum expected."""

    count_NT: Floats
    label_NT: Floats
    expected_NT: Floats

    def minus(self, other: "Evidence") -> "Evidence":
        """Without what `other` knows."""
        return Evidence(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Sums:
    """Evidence by key; the last row belongs to unseen keys and is zero."""

    keys_K: Ints  # sorted
    evidence: Evidence  # [K + 1, T]

    @classmethod
    def of(cls, key_N: Ints, labels_NT: Floats, expected_NT: Floats) -> "Sums":
        """Add up the observed labels of each key."""
        keys_K, place_N = np.unique(key_N, return_inverse=True)
        seen_NT = np.isfinite(labels_NT)
        parts = (seen_NT, np.where(seen_NT, labels_NT, 0), np.where(seen_NT, expected_NT, 0))
        return cls(keys_K, Evidence(*(_add_up(part, place_N, len(keys_K) + 1) for part in parts)))

    def at(self, key_N: Ints) -> Evidence:
        """The evidence of each row's key, [N, T]."""
        rows_N = _places(self.keys_K, key_N)
        return Evidence(*(part[rows_N] for part in self.evidence))


@dataclass(frozen=True, slots=True)
class Effects:
    """The effect of each key, worked out once; the last row belongs to unseen keys and is zero."""

    keys_K: Ints  # sorted
    effect_KT: Floats  # [K + 1, T]

    def at(self, key_N: Ints) -> Floats:
        """The effect of each row's key, [N, T]."""
        return self.effect_KT[_places(self.keys_K, key_N)]


@dataclass(frozen=True, slots=True)
class Links:
    """What is expected of each cell before anything is known of user or item, and how scores become rates."""

    base_ST: NDArray[np.float64]  # logit of the train rate, or the train mean
    binary_T: NDArray[np.bool_]
    scale_T: NDArray[np.float64]  # of a regression's label; 1 for binary
    prior_T: NDArray[np.float64]  # the mean rate of each task

    @classmethod
    def of(cls, layout: Layout) -> "Links":
        """From the train rates; a cell without labels takes its task's mean over cells, a task without any 0."""
        rates_ST = np.array(layout.base_rates, np.float64)
        known_ST = np.isfinite(rates_ST)
        mean_T = np.where(known_ST, rates_ST, 0).sum(0) / np.maximum(known_ST.sum(0), 1)
        binary_T = np.array([task.form == "binary" for task in layout.tasks])
        mean_T = np.where(binary_T & ~known_ST.any(0), 0.5, mean_T)
        filled_ST = np.where(known_ST, rates_ST, mean_T)
        base_ST = np.where(binary_T, logit(filled_ST), filled_ST)
        prior_T = np.clip(mean_T, SMALLEST_RATE, 1 - SMALLEST_RATE)
        return cls(base_ST, binary_T, np.array(layout.label_scales, np.float64), prior_T)

    def rates(self, scores_NT: Floats) -> Floats:
        """Probabilities of logits; a regression's value is its own expectation."""
        return np.where(self.binary_T, sigmoid(scores_NT), scores_NT)

    def effects(self, known: Evidence, strength: float | Sequence[float] | Floats) -> Floats:
        """Each row's effect of its key, [N, T]: the formula above; `strength` may differ by task."""
        n, y, e = known
        m = np.asarray(strength)
        hits, misses = m * self.prior_T, m * (1 - self.prior_T)
        with np.errstate(divide="ignore", invalid="ignore"):  # a regression's sums are no counts
            odds = np.log((y + hits) / (e + hits)) - np.log((n - y + misses) / (n - e + misses))
        return np.where(self.binary_T, odds, (y - e) / (n + m))

    def effects_of(self, sums: Sums, strength: float | Sequence[float] | Floats) -> Effects:
        """The same of every key."""
        return Effects(sums.keys_K, self.effects(sums.evidence, strength))


def _places(keys_K: Ints, key_N: Ints) -> Ints:
    """Where each key stands among the sorted ones; K, one behind the last, if it does not."""
    place_N = np.searchsorted(keys_K, key_N)
    return np.where(np.append(keys_K, -1)[place_N] == key_N, place_N, len(keys_K))


def _add_up(values_NT: Floats | NDArray[np.bool_], place_N: Ints, size: int) -> Floats:
    columns = [np.bincount(place_N, column, size) for column in values_NT.T]
    return np.stack(columns, axis=1).astype(np.float32)
