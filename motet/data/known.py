"""What was known of a key's combinations strictly before one moment, or each before its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Bools, Floats, Grouped, Ints, Numbers, dense_codes
from motet.data.before import exact, rounded

Key = tuple[str, ...]
Parts = Mapping[str, NDArray[np.integer]]
"""Part of a key ("user", "item", "scenario", "kind" or a categorical field) to its integer in each row."""


@dataclass(frozen=True, slots=True)
class Log:
    """The impressions in time order, with the labels as they became known: one array for each task."""

    time_N: Floats
    parts: Parts  # each [N]
    labels_TN: Sequence[Numbers]  # nan where never observed
    known_at_TN: Sequence[Floats]


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
    def of(cls, parts: Parts, key: Key, room: Mapping[str, int] | None = None) -> "Groups":
        """`room` says how far a part may go that the rows do not reach; without it those of the rows are all."""
        sizes = tuple(max(int(parts[part].max(initial=0)) + 1, (room or {}).get(part, 0)) for part in key)
        codes, groups = np.unique(dense_codes([parts[part] for part in key], sizes), return_inverse=True)
        return cls(key, sizes, codes, groups.astype(np.int64))

    def rows(self, parts: Parts) -> Ints:
        """Which combination each is, one behind the last if it never occurred; parts broadcast."""
        return self.places(self.codes(parts))

    def codes(self, parts: Parts) -> Ints:
        """One integer for each combination, -1 where a part is outside its size; parts broadcast."""
        return dense_codes([parts[part] for part in self.key], self.sizes)

    def places(self, code: Ints) -> Ints:
        """`rows` of codes."""
        place = np.searchsorted(self.codes_G, code)
        found = self.codes_G[np.minimum(place, len(self.codes_G) - 1)] == code if len(self.codes_G) else code < -1
        return np.where(found, place, len(self.codes_G))

    def table(self, log: Log, until: int, known_TN: Sequence[Bools]) -> "KnownTable":
        """What is known of each group, with a last row for combinations that never occurred."""
        rows = len(self.codes_G) + 1
        last = np.full(rows, np.nan)
        last[self.group_N[:until]] = log.time_N[:until]  # in time order, so that the latest stays
        observed, total = np.empty((rows, len(known_TN))), np.empty((rows, len(known_TN)))
        for task, (known_N, labels_N) in enumerate(zip(known_TN, log.labels_TN, strict=True)):
            observed[:, task] = np.bincount(self.group_N, weights=known_N, minlength=rows)
            labels = np.where(known_N, labels_N, 0.0).astype(np.float64)
            total[:, task] = np.bincount(self.group_N, weights=labels, minlength=rows)
        impressions = np.bincount(self.group_N[:until], minlength=rows).astype(np.float64)
        return KnownTable(self, Known(impressions, last, observed, total))

    def before(self, log: Log, parts: Parts, time_Q: Floats) -> Known:
        """What was known of combinations, each strictly before its own time; `parts` are [Q]."""
        rows, group_Q = len(self.codes_G) + 1, self.rows(parts)
        shown = Grouped.of(self.group_N, log.time_N, rows)
        start_Q, end_Q = shown.before(group_Q, time_Q)
        last_Q = np.where(end_Q > start_Q, shown.time_E[np.maximum(end_Q, 1) - 1], np.nan)
        observed, total = np.empty((len(time_Q), len(log.labels_TN))), np.empty((len(time_Q), len(log.labels_TN)))
        for task, (labels_N, known_N) in enumerate(zip(log.labels_TN, log.known_at_TN, strict=True)):
            told = np.flatnonzero(~np.isnan(labels_N))
            if (known_N[told] == log.time_N[told]).all():
                order, first_Q, stop_Q = shown.order_E, start_Q, end_Q
            else:
                later = Grouped.of(self.group_N[told], known_N[told], rows)
                order = told[later.order_E]
                first_Q, stop_Q = later.before(group_Q, time_Q)
            seen = ~np.isnan(labels_N[order])
            observed[:, task] = _sums(seen, first_Q, stop_Q)
            total[:, task] = _sums(rounded(labels_N[order], seen, exact(labels_N)), first_Q, stop_Q)
        return Known((end_Q - start_Q).astype(np.float64), last_Q, observed, total)


class Lookup(Protocol):
    """Tells what is known of combinations of one key's parts; parts broadcast."""

    def lookup(self, parts: Parts) -> Known: ...


@dataclass(frozen=True, slots=True)
class KnownTable:
    """What is known of each combination of one key's parts."""

    groups: Groups
    known: Known  # [G + 1]

    def lookup(self, parts: Parts) -> Known:
        row, k = self.groups.rows(parts), self.known
        return Known(k.impressions[row], k.last[row], k.observed[row], k.total[row])


def _sums(values_E: NDArray[np.generic], start_Q: Ints, stop_Q: Ints) -> Floats:
    running = np.zeros(len(values_E) + 1)
    np.cumsum(values_E, out=running[1:])
    return running[stop_Q] - running[start_Q]
