"""The tables a schema names, read and checked: keys as text, every column that the schema needs present.

Only the columns that the schema reads are kept (and, where the format allows, only they are read). The impressions are
streamed to the disk, the other tables are in memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from motet.data.clock import seconds_of
from motet.data.coded import Coded
from motet.data.files import RawTables, Scan, SourceFile, column_names, join_files, read_columns, refused, resolve
from motet.data.files import source_file as described
from motet.data.friends import with_friends
from motet.data.sources import READERS
from motet.data.store import Table, Writer
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import nearest

EDGE_COLUMNS = ("source", "relation", "target")
ALL = "all"
"""The one scenario of a log without a scenario column."""
BATCH_ROWS = 250_000


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of a schema; keys are text and missing keys null."""

    impressions: Table
    users: pl.DataFrame | None
    items: pl.DataFrame | None
    edges: pl.DataFrame | None
    files: tuple[SourceFile, ...]


def read_tables(schema: Schema, base: Path, folder: Path, *, batch_rows: int = BATCH_ROWS) -> Tables:
    """The schema's tables, from files relative to `base` or through its named reader; impressions go to `folder`."""
    if schema.tables.reader:
        tables = _through_reader(schema, base, folder, batch_rows)
    else:
        tables = _from_files(schema, base, folder, batch_rows)
    if tables.impressions.height == 0:
        raise InputError("the impressions table has no rows", where=_name(schema, "impressions"), fix="check the log")
    return replace(tables, items=with_friends(tables.items, tables.users, schema))


def times_of(impressions: Table, schema: Schema) -> npt.NDArray[np.float64]:
    """Seconds since the epoch of each row, nan where missing; the row's number where the schema has no time column."""
    if schema.columns.time is None:
        return np.arange(impressions.height, dtype=np.float64)
    return seconds_of(impressions[schema.columns.time], where="impressions").fill_null(float("nan")).to_numpy()


def scenario_of(impressions: Table, schema: Schema) -> Coded:
    """The scenario's name of each row: its column, or the only scenario where there is no column."""
    if schema.columns.scenario is not None:
        return impressions.coded(schema.columns.scenario)
    name = schema.scenarios[0].name if len(schema.scenarios) == 1 else ALL
    return Coded(np.zeros(impressions.height, np.uint32), pl.Series("scenario", [name, None], dtype=pl.String))


def _from_files(schema: Schema, base: Path, folder: Path, batch_rows: int) -> Tables:
    files: list[SourceFile] = []
    frames: dict[str, pl.DataFrame] = {}
    (_, keys, columns), *others = _needs(schema)
    impressions, sources = _streamed(schema, base, folder, keys, columns, batch_rows)
    files += sources
    for table, keys, columns in others:
        paths = getattr(schema.tables, table)
        if paths is None:
            _refuse_absent(schema, table)
            continue
        frame, names, sources = read_columns(paths, base, columns, keys)
        frames[table] = _checked(frame, names, keys, columns, _name(schema, table))
        files += sources
    return Tables(impressions, frames.get("users"), frames.get("items"), frames.get("edges"), tuple(files))


def _streamed(
    schema: Schema, base: Path, folder: Path, keys: Sequence[str], columns: Sequence[str], batch_rows: int
) -> tuple[Table, tuple[SourceFile, ...]]:
    """The impressions on the disk, and the files they came from, which are digested meanwhile."""
    paths, where = resolve(schema.tables.impressions, base), _name(schema, "impressions")
    _refuse_missing(columns, column_names(paths[0]), where)
    with ThreadPoolExecutor(1) as beside:
        sources = beside.map(lambda path: described(path, base), paths)
        try:
            table = _stored(schema, paths, folder, keys, columns, batch_rows, whole=False)
        except pl.exceptions.PolarsError:
            table = _stored(schema, paths, folder, keys, columns, batch_rows, whole=True)
        return _keyed(table, keys, where), tuple(sources)


def _stored(
    schema: Schema,
    paths: Sequence[Path],
    folder: Path,
    keys: Sequence[str],
    columns: Sequence[str],
    batch_rows: int,
    *,
    whole: bool,
) -> Table:
    """`whole`: every value of a CSV is looked at before its types are decided; then errors are the user's."""
    unpacked = folder / "unpacked"
    scans = [Scan.of(path, columns, keys, folder=unpacked, whole=whole) for path in paths]
    types = join_files([(scan.path, pl.DataFrame(schema=scan.frame.collect_schema())) for scan in scans]).schema
    writer = Writer(folder, free=_free(schema), hashed=True)
    for scan in scans:
        before = writer.rows
        try:
            for batch in scan.frame.collect_batches(chunk_size=batch_rows, maintain_order=True):
                writer.append(batch.select(columns).cast({name: types[name] for name in columns}))
        except pl.exceptions.PolarsError as error:
            if not whole and scan.layout is not None:
                raise
            raise refused(scan, error) from None
        scan.check(writer.rows - before)
    if not writer.rows:
        writer.append(pl.DataFrame(schema={name: types[name] for name in columns}))
    return writer.table()


def _free(schema: Schema) -> frozenset[str]:
    """Columns whose text differs from row to row: times, free text and vectors."""
    roles, features = schema.columns, schema.features.of("context")
    keys = {roles.user, roles.item, roles.scenario, roles.split, roles.request}
    texts = {name for name, feature in features.items() if feature.form in {"text", "vector"}}
    times = {roles.time, *(task.known_at for task in schema.tasks)}
    return frozenset(name for name in (texts | times) - keys if name is not None)


def _slices(frame: pl.DataFrame, batch_rows: int) -> Iterator[pl.DataFrame]:
    yield from frame.iter_slices(batch_rows) if frame.height else [frame]


def _through_reader(schema: Schema, base: Path, folder: Path, batch_rows: int) -> Tables:
    name = str(schema.tables.reader)
    if name not in READERS:
        raise InputError(f"no reader is called {name!r}", where="tables.reader", fix=nearest(name, list(READERS)))
    if not isinstance(schema.tables.impressions, str):
        raise InputError("a reader takes one folder", where="tables.impressions", fix='write impressions = "FOLDER"')
    read: RawTables = READERS[name].read(base / schema.tables.impressions)
    (_, keys, columns), *others = _needs(schema)
    where = f"impressions of reader {name}"
    _refuse_missing(columns, read.impressions.columns, where)
    writer = Writer(folder, free=_free(schema), hashed=True)
    for batch in _slices(read.impressions.select(columns), batch_rows):
        writer.append(batch)
    checked: dict[str, pl.DataFrame | None] = {"users": None, "items": None, "edges": None}
    for table, keys_, columns in others:
        frame = getattr(read, table)
        if frame is None:
            _refuse_absent(schema, table)
            continue
        checked[table] = _checked(frame, frame.columns, keys_, columns, f"{table} of reader {name}")
    return Tables(impressions=_keyed(writer.table(), keys, where), files=read.files, **checked)


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
    """A table may be left out only when nothing of it is used; the key itself stands in the impressions."""
    owner = {"users": "user", "items": "item"}.get(table)
    key = {"users": schema.columns.user, "items": schema.columns.item}.get(table)
    features = [name for name in getattr(schema.features, owner) if name != key] if owner else []
    if features:
        fix = f"add [tables] {table}, or move {features[0]!r} to [features.context] if it stands in the impressions"
        raise InputError(f"features.{owner} needs the {table} table", where=f"features.{owner}.{features[0]}", fix=fix)
    if table == "items" and schema.columns.kind:
        message = f"kind {schema.columns.kind!r} needs an items table"
        raise InputError(message, where="columns.kind", fix="add [tables] items, or leave columns.kind out")


def _checked(
    frame: pl.DataFrame, names: Sequence[str], keys: Iterable[str], columns: Sequence[str], where: str
) -> pl.DataFrame:
    _refuse_missing(columns, names, where)
    return frame.select(columns).with_columns(as_key(frame[name], where) for name in keys)


def _refuse_missing(columns: Sequence[str], names: Sequence[str], where: str) -> None:
    for column in columns:
        if column not in names:
            raise InputError(f"there is no column {column!r}", where=where, fix=nearest(column, list(names)))


def _keyed(table: Table, keys: Iterable[str], where: str) -> Table:
    """The table with its keys as text."""
    for name in keys:
        dtype = table.schema[name]
        _refuse_no_key(name, dtype, where)
        found = table.coded(name)
        text = as_key(found.values, where)
        if dtype != pl.String or not text.equals(found.values):
            table = table.with_coded(name, found.mapped(text))
    return table


def as_key(series: pl.Series, where: str) -> pl.Series:
    """A key as text, so that 7, 7.0 and "7" of different files are the same user; "" and nan are missing."""
    dtype = series.dtype
    _refuse_no_key(series.name, dtype, where)
    if dtype.is_float() or dtype.is_decimal():
        number = series.cast(pl.Float64).fill_nan(None)
        whole = number.cast(pl.Int64, strict=False)
        return (whole if bool((whole.cast(pl.Float64) == number).all()) else number).cast(pl.String)
    text = series.cast(pl.String)
    text = text.set(text == "", None)
    if bool(text.head(100).str.ends_with(".0").all()) and bool(text.str.contains(r"^-?\d+\.0$").all()):
        text = text.str.strip_suffix(".0")
    return text


def _refuse_no_key(name: str, dtype: pl.DataType, where: str) -> None:
    if dtype.is_nested() or dtype.is_temporal() or dtype == pl.Binary:
        fix = "keys are numbers or text; name another column"
        raise InputError(f"column {name!r} holds {dtype}, which is no key", where=where, fix=fix)


def _name(schema: Schema, table: str) -> str:
    paths = getattr(schema.tables, table)
    return f"{table} ({paths if isinstance(paths, str) else ', '.join(paths)})"
