"""The keys of users or items of a prepared folder, and the texts that stand beside them."""

from bisect import bisect_left
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from motet.batch import UNKNOWN
from motet.data.arrays import Ints
from motet.data.coded import Coded
from motet.data.vocab import FIRST_KEY, row_numbers


class Keys:
    """One table's keys; row 2 of the packed table is the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def row(self, key: str) -> int:
        """The row of a key, 1 if it is unknown."""
        return self._rows.get(key, UNKNOWN)

    def rows(self, keys: pl.Series) -> Ints:
        """The row of each of many keys (text), 1 where it is unknown."""
        return row_numbers(Coded.of(keys), self._frame["key"]).astype(np.int64)

    def all(self) -> list[str]:
        """Every key, that of row 2 first."""
        return list(self._rows)

    def near(self, key: str, count: int = 200) -> list[str]:
        """Keys that stand about where that one would stand among all in order: those it may be a misspelling of."""
        place = bisect_left(self._ordered, key)
        return self._ordered[max(place - count // 2, 0) : place + count // 2]

    def keys(self, rows: Ints) -> list[str]:
        """The keys of known rows (from 2 on)."""
        return self._texts("key", rows)

    def texts(self, rows: Ints) -> list[str] | list[None]:
        """The first text feature of known rows, "" where it is missing; None if the table has no text feature."""
        columns = [name for name in self._frame.columns if name != "key"]
        return self._texts(columns[0], rows) if columns else [None] * len(rows)

    def _texts(self, column: str, rows: Ints) -> list[str]:
        texts: list[str] = self._frame[column].gather(rows - FIRST_KEY).to_list()
        return texts

    @cached_property
    def _frame(self) -> pl.DataFrame:
        return pl.read_parquet(self.path).with_columns(pl.all().cast(pl.String).fill_null(""))

    @cached_property
    def _ordered(self) -> list[str]:
        return sorted(self._rows)

    @cached_property
    def _rows(self) -> dict[str, int]:
        keys = self._frame["key"].to_list()
        return dict(zip(keys, range(FIRST_KEY, FIRST_KEY + len(keys)), strict=True))
