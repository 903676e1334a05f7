"""Frames as tables on the disk, and back."""

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from motet.data.store import Table, Writer
from motet.data.tables import Tables

_WORK, _numbers = TemporaryDirectory(prefix="motet-stored-"), count()


def stored(frame: pl.DataFrame, **options: Any) -> Table:
    """The frame as a table in a folder that goes when the tests end."""
    return Writer(Path(_WORK.name) / str(next(_numbers)), hashed=True, **options).append(frame).table()


def unstored(table: Table) -> pl.DataFrame:
    """Every column of the table."""
    return table.select(table.columns)


def tables_of(
    impressions: pl.DataFrame, users: pl.DataFrame | None = None, items: pl.DataFrame | None = None
) -> Tables:
    return Tables(stored(impressions), users, items, None, ())
