"""Arrays in files and as-of lookups in them: how many of a group's events lie strictly before a time."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Floats = NDArray[np.float64]
Numbers = NDArray[np.float32]
Bools = NDArray[np.bool_]


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    """`array` as a contiguous .npy file, flushed to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def load_array(path: Path) -> NDArray[np.generic]:
    """The file memory-mapped copy-on-write: torch wants writable memory, and the file is never changed."""
    mapped: NDArray[np.generic] = np.load(path, mmap_mode="c", allow_pickle=False)
    return mapped if mapped.size else np.array(mapped)


def bisect_before(sorted_E: Floats, start_N: Ints, stop_N: Ints, at_N: Floats) -> Ints:
    """For each n the first position in start … stop whose value is not below `at`: a binary search in segments.

    `sorted_E` ascends inside every segment [start, stop). Takes log2(longest segment) vectorised steps.
    """
    low, high = start_N.astype(np.int64), stop_N.astype(np.int64)
    longest = int((high - low).max(initial=0))
    for _ in range(longest.bit_length()):
        middle = (low + high) >> 1
        open_ = low < high
        below = open_ & (sorted_E[np.minimum(middle, len(sorted_E) - 1)] < at_N)
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    return low


@dataclass(frozen=True, slots=True)
class Grouped:
    """Events sorted by group, then time, then their given order."""

    order_E: Ints  # positions in the given arrays
    offsets: Ints  # [groups + 1] group g owns sorted positions offsets[g] … offsets[g + 1]
    time_E: Floats  # sorted

    @classmethod
    def of(cls, group_E: NDArray[np.integer], time_E: Floats, groups: int) -> "Grouped":
        by_time = np.argsort(time_E, kind="stable") if np.any(np.diff(time_E) < 0) else np.arange(len(time_E))
        order = by_time[np.argsort(group_E[by_time], kind="stable")]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(group_E, minlength=groups))]).astype(np.int64)
        return cls(order, offsets, time_E[order])

    def before(self, group_N: NDArray[np.integer], time_N: Floats) -> tuple[Ints, Ints]:
        """(start, end): the sorted positions of the group's events strictly before each time."""
        start, stop = self.offsets[group_N], self.offsets[group_N + 1]
        return start, bisect_before(self.time_E, start, stop, time_N)


def ordered_by(group_E: Ints, groups: int) -> NDArray[np.uint32]:
    """The positions in order of group; those of one group keep their order."""
    bits = len(group_E).bit_length()
    if groups.bit_length() + bits > 64:
        return np.argsort(group_E, kind="stable").astype(np.uint32)
    packed = (group_E.astype(np.uint64) << np.uint64(bits)) | np.arange(len(group_E), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64((1 << bits) - 1)
    return packed.astype(np.uint32)


def dense_codes(parts: Iterable[NDArray[np.integer]], sizes: Iterable[int]) -> Ints:
    """One integer per combination of parts (mixed radix), -1 where a part is outside its size; parts broadcast."""
    code: Ints = np.zeros((), dtype=np.int64)
    valid: Bools = np.ones((), dtype=np.bool_)
    for part, size in zip(parts, sizes, strict=True):
        code = code * size + part
        valid = valid & (part >= 0) & (part < size)
    return np.where(valid, code, -1)
