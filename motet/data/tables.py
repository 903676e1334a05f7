"""The tables a schema names, read and checked: keys as text, every column that the schema needs present.

Only the columns that the schema reads are kept (and, where the format allows, only they are read).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from motet.data.clock import is_order_index, moment, seconds_of
from motet.data.files import RawTables, SourceFile, read_columns, read_frame
from motet.data.sources import READERS
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import nearest

__all__ = [
    "RawTables",
    "SourceFile",
    "is_order_index",
    "moment",
    "read_frame",
    "read_tables",
    "scenario_of",
    "seconds_of",
    "times_of",
]

EDGE_COLUMNS = ("source", "relation", "target")
ALL = "all"
"""The one scenario of a log without a scenario column."""


def read_tables(schema: Schema, base: Path) -> RawTables:
    """The schema's tables, from files relative to `base` or through its named reader."""
    tables = _through_reader(schema, base) if schema.tables.reader else _from_files(schema, base)
    if tables.impressions.height == 0:
        raise InputError("the impressions table has no rows", where=_name(schema, "impressions"), fix="check the log")
    return tables


def times_of(impressions: pl.DataFrame, schema: Schema) -> npt.NDArray[np.float64]:
    """Seconds since the epoch of each row, nan where missing; the row's number where the schema has no time column."""
    if schema.columns.time is None:
        return np.arange(impressions.height, dtype=np.float64)
    return seconds_of(impressions[schema.columns.time], where="impressions").fill_null(float("nan")).to_numpy()


def scenario_of(impressions: pl.DataFrame, schema: Schema) -> pl.Series:
    """The scenario's name of each row: its column, or the only scenario where there is no column."""
    if schema.columns.scenario is not None:
        return impressions[schema.columns.scenario]
    name = schema.scenarios[0].name if len(schema.scenarios) == 1 else ALL
    return pl.Series("scenario", [name], dtype=pl.String).new_from_index(0, impressions.height)


def _from_files(schema: Schema, base: Path) -> RawTables:
    files: list[SourceFile] = []
    frames: dict[str, pl.DataFrame] = {}
    for table, keys, columns in _needs(schema):
        paths = getattr(schema.tables, table)
        if paths is None:
            _refuse_absent(schema, table)
            continue
        frame, names, sources = read_columns(paths, base, columns, keys)
        frames[table] = _checked(frame, names, keys, columns, _name(schema, table))
        files += sources
    return RawTables(
        impressions=frames["impressions"],
        users=frames.get("users"),
        items=frames.get("items"),
        edges=frames.get("edges"),
        files=tuple(files),
    )


def _through_reader(schema: Schema, base: Path) -> RawTables:
    name = str(schema.tables.reader)
    if name not in READERS:
        raise InputError(f"no reader is called {name!r}", where="tables.reader", fix=nearest(name, list(READERS)))
    if not isinstance(schema.tables.impressions, str):
        raise InputError("a reader takes one folder", where="tables.impressions", fix='write impressions = "FOLDER"')
    read = READERS[name].read(base / schema.tables.impressions)
    checked: dict[str, pl.DataFrame | None] = {"users": None, "items": None, "edges": None}
    for table, keys, columns in _needs(schema):
        frame = getattr(read, table)
        if frame is None:
            _refuse_absent(schema, table)
            continue
        checked[table] = _checked(frame, frame.columns, keys, columns, f"{table} of reader {name}")
    impressions = checked.pop("impressions")
    assert impressions is not None
    return RawTables(impressions=impressions, files=read.files, **checked)


def _needs(schema: Schema) -> list[tuple[str, list[str], list[str]]]:
    """Each table with the columns that are keys and all columns that the schema reads from it."""
    roles = schema.columns
    scenario, kind = ([roles.scenario] if roles.scenario else []), ([roles.kind] if roles.kind else [])
    item_columns = [roles.item, *kind, *schema.features.of("item")]
    edges = list(EDGE_COLUMNS)
    return [
        ("impressions", [roles.user, roles.item, *scenario], schema.impression_columns()),
        ("users", [roles.user], list(dict.fromkeys([roles.user, *schema.features.of("user")]))),
        ("items", [roles.item, *kind], list(dict.fromkeys(item_columns))),
        ("edges", edges, edges),
    ]


def _refuse_absent(schema: Schema, table: str) -> None:
    """A table may be left out only when nothing of it is used."""
    owner = {"users": "user", "items": "item"}.get(table)
    features = list(getattr(schema.features, owner)) if owner else []
    if features:
        fix = f"add [tables] {table}, or move {features[0]!r} to [features.context] if it stands in the impressions"
        raise InputError(f"features.{owner} needs the {table} table", where=f"features.{owner}.{features[0]}", fix=fix)
    if table == "items" and schema.columns.kind:
        message = f"kind {schema.columns.kind!r} needs an items table"
        raise InputError(message, where="columns.kind", fix="add [tables] items, or leave columns.kind out")


def _checked(
    frame: pl.DataFrame, names: Sequence[str], keys: Iterable[str], columns: Sequence[str], where: str
) -> pl.DataFrame:
    for column in columns:
        if column not in names:
            raise InputError(f"there is no column {column!r}", where=where, fix=nearest(column, list(names)))
    return frame.select(columns).with_columns(_key(frame[name], where) for name in keys)


def _key(series: pl.Series, where: str) -> pl.Series:
    """A key as text, so that 7, 7.0 and "7" of different files are the same user; "" and nan are missing."""
    dtype = series.dtype
    if dtype.is_nested() or dtype.is_temporal() or dtype == pl.Binary:
        fix = "keys are numbers or text; name another column"
        raise InputError(f"column {series.name!r} holds {dtype}, which is no key", where=where, fix=fix)
    if dtype.is_float() or dtype.is_decimal():
        number = series.cast(pl.Float64).fill_nan(None)
        whole = number.cast(pl.Int64, strict=False)
        return (whole if bool((whole.cast(pl.Float64) == number).all()) else number).cast(pl.String)
    text = series.cast(pl.String)
    text = text.set(text == "", None)
    if bool(text.head(100).str.ends_with(".0").all()) and bool(text.str.contains(r"^-?\d+\.0$").all()):
        text = text.str.strip_suffix(".0")
    return text


def _name(schema: Schema, table: str) -> str:
    paths = getattr(schema.tables, table)
    return f"{table} ({paths if isinstance(paths, str) else ', '.join(paths)})"
