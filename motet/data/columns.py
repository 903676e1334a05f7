"""Packed tables made column by column on the disk, so that no more than a few columns are in memory at once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

D = TypeVar("D", np.int32, np.float32, np.float64)
_BLOCK = 1 << 16  # rows that are put side by side at a time


@dataclass(frozen=True, slots=True)
class Columns(Generic[D]):
    """K columns of N numbers in one file, each of them contiguous; written and read by column, also in slices."""

    path: Path
    rows: int
    count: int
    dtype: type[D]

    @classmethod
    def of(cls, path: Path, rows: int, count: int, dtype: type[D]) -> "Columns[D]":
        """A new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = cls(path, rows, count, dtype)
        with path.open("wb") as file:
            file.truncate(rows * count * np.dtype(dtype).itemsize)
        return columns

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> NDArray[D]:
        """One column, mapped: only what is looked at is read."""
        if not 0 <= place < self.count:
            raise IndexError(place)
        if not self.rows:
            return np.zeros(0, self.dtype)
        return np.memmap(self.path, self.dtype, "r", offset=self._offset(place, 0), shape=(self.rows,))

    def put(self, place: int, values: NDArray[D], start: int = 0) -> None:
        """Write a column, or a part of it from row `start` on."""
        data = np.ascontiguousarray(values, dtype=self.dtype).data.cast("B")
        handle, offset = os.open(self.path, os.O_WRONLY), self._offset(place, start)
        try:
            while data:
                written = os.pwrite(handle, data, offset)
                data, offset = data[written:], offset + written
        finally:
            os.close(handle)

    def _offset(self, place: int, row: int) -> int:
        return (place * self.rows + row) * np.dtype(self.dtype).itemsize


def save_columns(
    path: Path, columns: Sequence[NDArray[D]] | Columns[D], rows: int, dtype: type[D], *, blank: int = 0
) -> None:
    """Columns side by side as an [N, K] .npy file, flushed to the disk; `blank` rows of zeros before them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (blank + rows, len(columns))})
        file.write(np.zeros((blank, len(columns)), dtype).data)
        for start in range(0, rows, _BLOCK):
            size = min(_BLOCK, rows - start)
            block = np.empty((size, len(columns)), dtype)
            for place in range(len(columns)):
                block[:, place] = columns[place][start : start + size]
            file.write(block.data)
        file.flush()
        os.fsync(file.fileno())
