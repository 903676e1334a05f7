"""What was known strictly before each row, one key and one task at a time, for logs larger than memory.

Rows are walked in time order, chunk by chunk. Within a chunk the rows of a group (users, say) are brought together by a
sort, so that what came before a row in its chunk is a difference of two places of one running sum; what came in earlier
chunks is kept per group. All sums are exact (labels are rounded to a binary fraction, see `exact`), so that neither the
size of the chunks nor the order of summing changes a bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motet.data.arrays import Bools, Floats, Ints, Numbers

CHUNK = 1 << 18
"""Rows that are sorted at a time: what is done to them stays in the processor's caches."""

Small = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows start … start + n in order of group, then time."""

    start: int
    order_N: Small  # places in the chunk
    place_N: Small  # which of the chunk's groups each ordered row is of
    group_G: Ints
    first_G: Ints  # the first ordered row of each group
    before_N: Small | None  # ordered row from which on rows of the group are not earlier; None: the row itself

    @property
    def slice(self) -> slice:
        return slice(self.start, self.start + len(self.order_N))

    def until(self) -> NDArray[np.integer]:
        """The ordered row before which a row's past in the chunk ends."""
        return np.arange(len(self.order_N)) if self.before_N is None else self.before_N


def chunks_of(group_N: Ints, time_N: Floats) -> Iterator[Chunk]:
    """Consecutive chunks; rows of equal time are never in two, so that they do not see each other."""
    start = 0
    while start < len(time_N):
        stop = min(start + CHUNK, len(time_N))
        if stop < len(time_N):
            stop = int(np.searchsorted(time_N, time_N[stop - 1], side="right"))
        yield _chunk(group_N[start:stop], time_N[start:stop], start)
        start = stop


def _chunk(group_N: Ints, time_N: Floats, start: int) -> Chunk:
    size = len(group_N)
    bits = np.uint64(size.bit_length())
    packed = (group_N.astype(np.uint64) << bits) | np.arange(size, dtype=np.uint64)
    packed.sort()
    order_N = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.uint32)
    ordered = packed >> bits
    new = np.empty(size, np.bool_)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    first_G = np.flatnonzero(new)
    place_N = (np.cumsum(new, dtype=np.uint32) - np.uint32(1)).astype(np.uint32)
    time = time_N[order_N]
    later = new.copy()
    later[1:] |= time[1:] != time[:-1]
    before_N = None
    if not later.all():
        before_N = np.maximum.accumulate(np.where(later, np.arange(size, dtype=np.uint32), np.uint32(0)))
    return Chunk(start, order_N, place_N, ordered[first_G].astype(np.int64), first_G, before_N)


def impressions_before(chunk: Chunk, time_N: Floats, count_G: Floats, last_G: Floats) -> tuple[Floats, Floats]:
    """(how many rows of the group came before, when the last of them, nan without one); the state moves on."""
    until, size = chunk.until(), len(chunk.order_N)
    seen = (count_G[chunk.group_G] - chunk.first_G)[chunk.place_N] + until
    time = time_N[chunk.slice][chunk.order_N]
    inside = until > chunk.first_G[chunk.place_N]
    last = np.where(inside, time[np.maximum(until, 1) - 1], last_G[chunk.group_G][chunk.place_N])
    ends = np.append(chunk.first_G[1:], size)
    count_G[chunk.group_G] += ends - chunk.first_G
    last_G[chunk.group_G] = time[ends - 1]
    return _in_rows(chunk, seen), _in_rows(chunk, last)


@dataclass(slots=True)
class Told:
    """The labels of one task as they become known, and what each group has told so far."""

    label_N: Numbers  # nan where never observed
    scale: float  # what labels are rounded to is a whole number divided by this
    visible_N: Ints | None  # the first row that may know a row's label; None: the first of a later time
    by_visible: Small | None  # rows with a label in the order in which they become visible
    observed_G: Floats
    total_G: Floats

    @classmethod
    def of(cls, label_N: Numbers, known_N: Floats, time_N: Floats, groups: int) -> "Told":
        visible_N = by_visible = None
        if known_N is not time_N:
            seen = np.flatnonzero(~np.isnan(label_N))
            if (known_N[seen] != time_N[seen]).any():
                visible = np.searchsorted(time_N, known_N[seen], side="right")
                order = np.argsort(visible, kind="stable")
                visible_N, by_visible = visible[order], seen[order].astype(np.uint32)
        return cls(label_N, exact(label_N), visible_N, by_visible, np.zeros(groups), np.zeros(groups))

    def before(self, chunk: Chunk, group_N: Ints) -> tuple[Floats, Floats]:
        """(observed, total) of the labels of each row's group that were known before; the state moves on."""
        return self._at_once(chunk) if self.visible_N is None else self._later(chunk, group_N)

    def _at_once(self, chunk: Chunk) -> tuple[Floats, Floats]:
        label = self.label_N[chunk.slice][chunk.order_N]
        seen = ~np.isnan(label)
        until = chunk.until()
        ends = np.append(chunk.first_G[1:], len(label))
        if seen.all():
            observed = (self.observed_G[chunk.group_G] - chunk.first_G)[chunk.place_N] + until
            self.observed_G[chunk.group_G] += ends - chunk.first_G
        else:
            observed = self._sums(chunk, seen, self.observed_G, until, ends)
        total = self._sums(chunk, rounded(label, seen, self.scale), self.total_G, until, ends)
        return _in_rows(chunk, observed), _in_rows(chunk, total)

    def _sums(
        self, chunk: Chunk, values: NDArray[np.generic], state_G: Floats, until: NDArray[np.integer], ends: Ints
    ) -> Floats:
        running = np.zeros(len(values) + 1)
        np.cumsum(values, out=running[1:])
        start = running[chunk.first_G]
        sums: Floats = (state_G[chunk.group_G] - start)[chunk.place_N] + running[until]
        state_G[chunk.group_G] += running[ends] - start
        return sums

    def _later(self, chunk: Chunk, group_N: Ints) -> tuple[Floats, Floats]:
        """Labels and rows in one order: by group, then by place in time, a label before the row that may know it."""
        assert self.visible_N is not None
        assert self.by_visible is not None
        rows = chunk.slice
        low, high = np.searchsorted(self.visible_N, [rows.start, rows.stop])
        told, visible = self.by_visible[low:high], self.visible_N[low:high] - rows.start
        size = rows.stop - rows.start
        bits = (2 * size + 1).bit_length()
        labels_key = (group_N[told] << bits) | (2 * visible)
        rows_key = (group_N[rows] << bits) | (2 * np.arange(size) + 1)
        keys = np.concatenate([labels_key, rows_key])
        order = np.argsort(keys, kind="stable")
        group = keys[order] >> bits
        first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        sizes = np.diff(np.append(first, len(keys)))
        is_row = order >= len(told)
        label = self.label_N[told]
        values = (np.ones(len(told)), rounded(label, np.ones(len(told), np.bool_), self.scale))
        found = []
        for value, state_G in zip(values, (self.observed_G, self.total_G), strict=True):
            running = np.cumsum(np.concatenate([value, np.zeros(size)])[order])
            start = np.where(first > 0, running[first - 1], 0.0)
            sums = np.repeat(state_G[group[first]] - start, sizes) + running
            here = np.empty(size)
            here[order[is_row] - len(told)] = sums[is_row]
            state_G[group[first]] += running[first + sizes - 1] - start
            found.append(here)
        return found[0], found[1]


def exact(label_N: Numbers) -> float:
    """A power of two: labels rounded to whole numbers divided by it have exact sums in any order.

    Their size decides: 2^51 / Σ|label|, so that a label moves by no more than rounding a sum of all of them would.
    """
    total = float(np.nansum(np.abs(label_N), dtype=np.float64))
    if total == 0 or not ((label_N == np.rint(label_N)) | np.isnan(label_N)).all():
        return 1.0 if total == 0 else float(2.0 ** (51 - np.ceil(np.log2(total))))
    return 1.0


def rounded(label: Numbers, seen: Bools, scale: float) -> Floats:
    """Labels as they are summed, 0 where none is seen; `scale` is that of all labels of the task (see `exact`)."""
    values = np.where(seen, label, 0.0).astype(np.float64)
    return values if scale == 1 else np.rint(values * scale) / scale


def _in_rows(chunk: Chunk, ordered: NDArray[np.generic]) -> Floats:
    rows = np.empty(len(ordered))
    rows[chunk.order_N] = ordered
    return rows
