"""What was known of a key's combinations strictly before one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Bools, Floats, Ints, Numbers, dense_codes

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
    def of(cls, parts: Parts, key: Key) -> "Groups":
        sizes = tuple(int(parts[part].max(initial=0)) + 1 for part in key)
        codes, groups = np.unique(dense_codes([parts[part] for part in key], sizes), return_inverse=True)
        return cls(key, sizes, codes, groups.astype(np.int64))

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
