"""What cleaning takes away, counted rule by rule and, if wished, written to files."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.data.store import Table
from motet.settings import atomic_file

Effect = Literal["row removed", "value made missing", "kept"]
_REMOVED: Effect = "row removed"
MISSING: Effect = "value made missing"


@dataclass(frozen=True)
class Removal:
    """What one rule found."""

    rule: str
    rows: int
    why: str
    example: str | None
    effect: Effect = "row removed"


@dataclass
class Log:
    """Collects removals and, with a folder, writes the rows of each."""

    folder: Path | None
    removals: list[Removal] = field(default_factory=list)

    def record(
        self, rule: str, why: str, rows: pl.DataFrame | Table, bad: pl.Series, effect: Effect = _REMOVED
    ) -> None:
        """Note the bad ones among the rows, if there are any."""
        places = np.flatnonzero(bad.to_numpy())
        if not len(places):
            return
        first = _some(rows, places[:1]).row(0, named=True)
        shown = ", ".join(f"{name}={value}" for name, value in list(first.items())[:6])
        example = f"row {stored_at(rows, places[:1])[0] + 1}: {shown}" if isinstance(rows, Table) else shown
        self.removals.append(Removal(rule, len(places), why, example, effect))
        if self.folder is not None:
            found = _some(rows, places)
            if isinstance(rows, Table):
                found.insert_column(0, pl.Series("row", stored_at(rows, places), dtype=pl.UInt32))
            name = re.sub(r"\W+", "_", rule.lower()).strip("_")
            with atomic_file(self.folder / f"{name}.parquet") as file:
                found.write_parquet(file)

    def drop(self, rows: Table, bad: pl.Series, rule: str, why: str) -> Table:
        """The rows without the bad ones."""
        if not bad.any():
            return rows
        self.record(rule, why, rows, bad)
        return rows.take(np.flatnonzero(~bad.to_numpy()))

    def drop_listed(self, table: pl.DataFrame, bad: pl.Series, rule: str, why: str) -> pl.DataFrame:
        """The users or items without the bad ones."""
        self.record(rule, why, table, bad)
        return table.filter(~bad) if bad.any() else table


def _some(rows: pl.DataFrame | Table, places: NDArray[np.integer]) -> pl.DataFrame:
    return rows.rows(places) if isinstance(rows, Table) else rows[places]


def stored_at(rows: Table, places: NDArray[np.integer]) -> NDArray[np.integer]:
    """Where those rows stand in the files that were read, from 0."""
    return places if rows.taken is None else rows.taken[places]
