"""A table kept on the disk column by column, so that it may be larger than memory.

A column of numbers is one plain file of values, text is kept as codes into its distinct values, and anything else
(lists, free text) is an Arrow file for each batch. A `Table` loads a column when it is asked for one and keeps none.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.data.coded import Coded
from motet.settings import write_json

HASH = "motet hash"
"""A column of hashes of whole rows: equal rows have equal ones."""

Rows = NDArray[np.uint32]
_NUMBERS: dict[type[pl.DataType], str] = {
    pl.Int8: "i1",
    pl.Int16: "i2",
    pl.Int32: "i4",
    pl.Int64: "i8",
    pl.UInt8: "u1",
    pl.UInt16: "u2",
    pl.UInt32: "u4",
    pl.UInt64: "u8",
    pl.Float32: "f4",
    pl.Float64: "f8",
    pl.Boolean: "?",
    pl.Date: "i4",
    pl.Datetime: "i8",
}
_TEXTS = {pl.String, pl.Categorical, pl.Enum}


@dataclass(frozen=True, slots=True)
class Column:
    """Where one column's rows are."""

    dtype: pl.DataType
    path: Path  # the start of its files' names
    values: pl.Series | None = None  # the distinct values of text

    @property
    def physical(self) -> str | None:
        """The type of the numbers in its file, None where it is kept as Arrow files."""
        return "u4" if self.values is not None else _NUMBERS.get(self.dtype.base_type())

    def load(self) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
        """(numbers, where they are missing) of a column that is kept as numbers."""
        numbers = np.fromfile(f"{self.path}.numbers", dtype=self.physical)
        missing = Path(f"{self.path}.missing")
        if not missing.exists():
            return numbers, None
        known = np.fromfile(missing, dtype=np.bool_)
        return numbers, np.concatenate([known, np.zeros(len(numbers) - len(known), np.bool_)])


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of `stored` rows, of which those of `taken` are the table, in that order (None: all)."""

    folder: Path
    stored: int
    parts: Mapping[str, Column]
    taken: Rows | None = None

    @property
    def columns(self) -> list[str]:
        return [name for name in self.parts if name != HASH]

    @property
    def height(self) -> int:
        return self.stored if self.taken is None else len(self.taken)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        return {name: self.parts[name].dtype for name in self.columns}

    def __getitem__(self, name: str) -> pl.Series:
        """One column, in memory."""
        column = self.parts[name]
        if column.values is not None:
            text = self.coded(name)
            return text.values.gather(text.codes).alias(name)
        if column.physical is None:
            batches = sorted(column.path.parent.glob(f"{column.path.name}.*.arrow"))
            series = pl.concat([pl.read_ipc(path).to_series() for path in batches]).alias(name)
            return series if self.taken is None else series.gather(self.taken)
        numbers, missing = column.load()
        if self.taken is not None:
            numbers, missing = numbers[self.taken], None if missing is None else missing[self.taken]
        series = pl.Series(name, numbers)
        if missing is not None:
            series = series.set(pl.Series(missing), None)
        return series if series.dtype == column.dtype else series.cast(column.dtype)

    def coded(self, name: str) -> Coded:
        """One column as codes into its distinct values."""
        column = self.parts[name]
        if column.values is None:
            return Coded.of(self[name])
        loaded, missing = column.load()
        codes = loaded.astype(np.uint32, copy=False)
        if missing is not None:
            codes[missing] = len(column.values)
        if self.taken is not None:
            codes = codes[self.taken]
        return Coded(codes, column.values.extend_constant(None, 1))

    def select(self, names: Iterable[str]) -> pl.DataFrame:
        """Some columns, in memory."""
        return pl.DataFrame([self[name] for name in names])

    def rows(self, places: NDArray[np.integer]) -> pl.DataFrame:
        """Every column of some rows, in memory."""
        return self.take(places).select(self.columns)

    def take(self, places: NDArray[np.integer]) -> "Table":
        """The rows at those places, in that order."""
        return replace(self, taken=places.astype(np.uint32) if self.taken is None else self.taken[places])

    def with_column(self, series: pl.Series) -> "Table":
        """With one column more, or another in place of one; rows that are not taken have no value in it."""
        if self.taken is not None:
            places = np.full(self.stored, len(series), dtype=np.uint32)
            places[self.taken] = np.arange(len(series), dtype=np.uint32)
            series = series.extend_constant(None, 1).gather(places)
        written = Writer(self.folder, prefix=_unused(self.folder)).append(series.to_frame()).table()
        return replace(self, parts={**self.parts, **written.parts})

    def with_coded(self, name: str, text: Coded) -> "Table":
        """With those texts in place of a column's values, while every stored row is taken."""
        path = self.folder / _unused(self.folder)
        text.codes.tofile(f"{path}.numbers")
        known = len(text.values) - 1
        if (missing := text.codes == known).any():
            missing.tofile(f"{path}.missing")
        return replace(self, parts={**self.parts, name: Column(pl.String(), path, text.values.head(known))})

    def save(self) -> None:
        """What `load` needs besides the columns."""
        for column in self.parts.values():
            if column.values is not None:
                column.values.alias("value").to_frame().write_ipc(f"{column.path}.values", compression="lz4")
        pl.DataFrame(schema={name: c.dtype for name, c in self.parts.items()}).write_ipc(self.folder / "types.arrow")
        if self.taken is not None:
            np.save(self.folder / "taken.npy", self.taken)
        files = {name: column.path.name for name, column in self.parts.items()}
        write_json(self.folder / "table.json", {"stored": self.stored, "files": files})

    @classmethod
    def load(cls, folder: Path) -> "Table":
        """The table that `save` saved."""
        plain = json.loads((folder / "table.json").read_text(encoding="utf-8"))
        types, parts = pl.read_ipc_schema(folder / "types.arrow"), {}
        for name, file in plain["files"].items():
            values = folder / f"{file}.values"
            parts[name] = Column(
                types[name], folder / file, pl.read_ipc(values).to_series() if values.exists() else None
            )
        taken = folder / "taken.npy"
        return cls(folder, plain["stored"], parts, np.load(taken) if taken.exists() else None)


@dataclass(slots=True)
class Writer:
    """Takes a table batch by batch; text is coded, unless it is listed as `free`."""

    folder: Path
    free: frozenset[str] = frozenset()
    prefix: str = "c"
    hashed: bool = False
    rows: int = 0
    _columns: dict[str, "_ColumnWriter"] = field(default_factory=dict)

    def append(self, batch: pl.DataFrame) -> "Writer":
        """The next rows; every batch has the columns and types of the first."""
        if not self._columns:
            self.folder.mkdir(parents=True, exist_ok=True)
            types = {**batch.schema, HASH: pl.UInt64()} if self.hashed else dict(batch.schema)
            for place, (name, dtype) in enumerate(types.items()):
                at = self.folder / f"{self.prefix}.{place}"
                self._columns[name] = _ColumnWriter(at, dtype, coded=name not in self.free)
        batch = batch.with_columns(c.codes_of(name) for name, c in self._columns.items() if c.coded)
        if self.hashed:
            batch = batch.with_columns(batch.hash_rows(seed=4401).alias(HASH))
        for name, column in self._columns.items():
            column.append(batch[name], self.rows)
        self.rows += batch.height
        return self

    def table(self) -> Table:
        """What was written."""
        return Table(self.folder, self.rows, {name: column.close() for name, column in self._columns.items()})


class _ColumnWriter:
    def __init__(self, at: Path, dtype: pl.DataType, *, coded: bool) -> None:
        self.dtype, self.at, self.batches = dtype, at, 0
        self.coded = coded and dtype.base_type() in _TEXTS
        self.categories = pl.Categories.random()
        self._alive = pl.Series([], dtype=pl.Categorical(self.categories))  # categories live as long as a series
        plain = self.coded or dtype.base_type() in _NUMBERS
        self.file: IO[bytes] | None = Path(f"{at}.numbers").open("wb") if plain else None  # noqa: SIM115
        self.missing: IO[bytes] | None = None

    def codes_of(self, name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String).cast(pl.Categorical(self.categories)).to_physical()

    def append(self, series: pl.Series, before: int) -> None:
        if self.file is None:
            series.to_frame().write_ipc(f"{self.at}.{self.batches:05}.arrow", compression="lz4")
            self.batches += 1
            return
        physical = series.to_physical()
        if series.null_count():
            self.missing = self.missing or Path(f"{self.at}.missing").open("wb")  # noqa: SIM115
            self.missing.truncate(before)
            self.missing.seek(before)
            series.is_null().to_numpy().tofile(self.missing)
            physical = physical.fill_null(False if physical.dtype == pl.Boolean else 0)
        np.ascontiguousarray(physical.to_numpy()).tofile(self.file)

    def close(self) -> Column:
        for file in (self.file, self.missing):
            if file is not None:
                file.close()
        if not self.coded:
            return Column(self.dtype, self.at)
        return Column(pl.String(), self.at, self.categories.to_series())


def _unused(folder: Path) -> str:
    """A name that no file of the folder starts with."""
    return f"x{sum(1 for _ in folder.iterdir())}"
