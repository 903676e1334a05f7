"""Columns written one by one, or in pieces, are the array that numpy would have saved."""

from pathlib import Path

import numpy as np
import pytest

from motet.data import columns as module
from motet.data.arrays import load_array, save_array
from motet.data.columns import Columns, save_columns


@pytest.mark.parametrize("block", [3, 1 << 16])
def test_saved_columns_are_byte_for_byte_the_saved_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    array = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    columns = Columns.of(tmp_path / "columns", 10, 4, np.float32)
    for place in (2, 0, 3):
        columns.put(place, array[:, place])
    columns.put(1, array[6:, 1], start=6)
    columns.put(1, array[:6, 1])
    save_columns(tmp_path / "a.npy", columns, 10, np.float32)
    save_array(tmp_path / "b.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    save_columns(tmp_path / "c.npy", list(array.T), 10, np.float32, blank=2)
    np.testing.assert_array_equal(load_array(tmp_path / "c.npy"), np.concatenate([np.zeros((2, 4)), array]))


def test_no_columns_and_no_rows_are_arrays_too(tmp_path: Path) -> None:
    for rows, count in ((0, 2), (3, 0)):
        columns = Columns.of(tmp_path / "columns", rows, count, np.int32)
        save_columns(tmp_path / "a.npy", columns, rows, np.int32)
        assert load_array(tmp_path / "a.npy").shape == (rows, count)
