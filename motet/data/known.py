"""What was known of a key's combinations strictly before a time: before each row of the log, or before one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Bools, Floats, Grouped, Ints, Numbers, dense_codes, segment_sums

Key = tuple[str, ...]
Parts = Mapping[str, NDArray[np.integer]]
"""Part of a key ("user", "item", "scenario", "kind" or a categorical field) to its integer in each row."""


@dataclass(frozen=True, slots=True)
class Log:
    """The impressions in time order, with the labels as they became known."""

    time_N: Floats
    parts: Parts  # each [N]
    labels_NT: Numbers  # nan where never observed
    known_at_NT: Floats


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one key; the shapes are those of its parts, broadcast."""

    impressions: Floats
    last: Floats  # time of the last impression, nan without one
    observed: Floats  # [..., T]
    total: Floats  # [..., T]


@dataclass(frozen=True, slots=True)
class Groups:
    """The combinations of a key's parts that occur, and which one each row of the log has."""

    key: Key
    sizes: tuple[int, ...]
    codes_G: Ints  # ascending
    group_N: Ints

    @classmethod
    def of(cls, parts: Parts, key: Key) -> "Groups":
        sizes = tuple(int(parts[part].max(initial=0)) + 1 for part in key)
        codes, groups = np.unique(dense_codes([parts[part] for part in key], sizes), return_inverse=True)
        return cls(key, sizes, codes, groups.astype(np.int64))

    def table(self, log: Log, until: int, known_NT: Bools, labels_NT: Floats) -> "KnownTable":
        """What is known of each group, with a last row for combinations that never occurred."""
        rows = len(self.codes_G) + 1
        last = np.full(rows, np.nan)
        last[self.group_N[:until]] = log.time_N[:until]  # in time order, so that the latest stays
        observed, total = np.empty((rows, labels_NT.shape[1])), np.empty((rows, labels_NT.shape[1]))
        for task in range(labels_NT.shape[1]):
            observed[:, task] = np.bincount(self.group_N, weights=known_NT[:, task], minlength=rows)
            total[:, task] = np.bincount(self.group_N, weights=labels_NT[:, task], minlength=rows)
        impressions = np.bincount(self.group_N[:until], minlength=rows).astype(np.float64)
        return KnownTable(self.key, self.sizes, self.codes_G, Known(impressions, last, observed, total))


@dataclass(frozen=True, slots=True)
class KnownTable:
    """What is known of each combination of one key's parts."""

    key: Key
    sizes: tuple[int, ...]
    codes_G: Ints
    known: Known  # [G + 1]

    def lookup(self, parts: Parts) -> Known:
        code = dense_codes([parts[part] for part in self.key], self.sizes)
        place = np.searchsorted(self.codes_G, code)
        found = self.codes_G[np.minimum(place, len(self.codes_G) - 1)] == code if len(self.codes_G) else code < -1
        row = np.where(found, place, len(self.codes_G))
        k = self.known
        return Known(k.impressions[row], k.last[row], k.observed[row], k.total[row])


def known_before(log: Log, key: Key) -> Known:
    """What was known of each row's key strictly before the row."""
    groups = Groups.of(log.parts, key)
    shown = Grouped.of(groups.group_N, log.time_N, len(groups.codes_G))
    order = shown.order_E  # rows are asked in the order they are stored: neighbours share memory
    group, time = groups.group_N[order], log.time_N[order]
    start, end = shown.before(group, time)
    impressions, last = np.empty(len(order)), np.empty(len(order))
    impressions[order] = end - start
    last[order] = np.where(end > start, shown.time_E[np.maximum(end - 1, 0)], np.nan)
    observed, total = np.empty(log.labels_NT.shape), np.empty(log.labels_NT.shape)
    for task in range(log.labels_NT.shape[1]):
        labels, known_at = log.labels_NT[:, task], log.known_at_NT[:, task]
        seen = ~np.isnan(labels)
        if (known_at == log.time_N)[seen].all():
            values = np.stack([seen, np.where(seen, labels, 0.0)], axis=1).astype(np.float64)[order]
            sums = segment_sums(values, start, end)
        else:
            told = Grouped.of(groups.group_N[seen], known_at[seen], len(groups.codes_G))
            values = np.stack([np.ones(int(seen.sum())), labels[seen]], axis=1).astype(np.float64)[told.order_E]
            sums = segment_sums(values, *told.before(group, time))
        observed[order, task], total[order, task] = sums.T
    return Known(impressions, last, observed, total)
