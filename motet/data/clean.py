"""Cleaning: rules in a fixed order, each of which counts what it took away and can write it to a file.

Rows go that are exact duplicates, lack a key, lie in an unlisted scenario or at an impossible time, or belong to a bot.
Values become missing that are outside their label's range or are not finite. A user or item keeps its last row in its
own table. Nothing is dropped silently: every rule that found something gives a `Removal`.
"""

import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import field_validator

from motet.data.clock import DAY, is_order_index, moment
from motet.data.files import RawTables
from motet.data.labels import label_values
from motet.data.tables import times_of
from motet.errors import InputError
from motet.schema import Schema, Task
from motet.settings import atomic_file, settings

Effect = Literal["row removed", "value made missing", "kept"]
BAD_SHARE = 0.05
"""More than this share of a column's values being wrong means a wrong column or form, not dirt."""

ROW = "motet row"
"""The column that keeps each impression's place in its files, from 0."""


@settings
class Clean:
    """What cleaning does beyond the rules that always hold."""

    duplicates: bool = True  # remove exact duplicates (never where the order of the rows is their time)
    winsorise: float = 0.0  # numeric features are held between this train quantile and one minus it, by the transforms
    max_user_events_per_day: int = 0  # remove users who ever have more on one UTC day; 0 is off
    max_item_events_per_day: int = 0
    min_time: int | float | str | None = None  # earlier rows are removed
    max_time: int | float | str | None = None
    write_removed: bool = False  # write what each rule found as Parquet

    @field_validator("winsorise")
    @classmethod
    def _quantile(cls, value: float) -> float:
        if not 0 <= value < 0.5:
            raise ValueError("winsorise should be a quantile from 0 to below 0.5")
        return value


@dataclass(frozen=True)
class Removal:
    """What one rule found."""

    rule: str
    rows: int
    why: str
    example: str | None
    effect: Effect = "row removed"


@dataclass
class _Log:
    """Collects removals and, with a folder, writes the rows of each."""

    folder: Path | None
    removals: list[Removal] = field(default_factory=list)

    def record(self, rule: str, why: str, rows: pl.DataFrame, effect: Effect = "row removed") -> None:
        if rows.height == 0:
            return
        first = rows.row(0, named=True)
        shown = ", ".join(f"{name}={value}" for name, value in list(first.items())[:6] if name != ROW)
        example = f"row {first[ROW] + 1}: {shown}" if ROW in first else shown
        self.removals.append(Removal(rule, rows.height, why, example, effect))
        if self.folder is not None:
            name = re.sub(r"\W+", "_", rule.lower()).strip("_")
            with atomic_file(self.folder / f"{name}.parquet") as file:
                rows.rename({ROW: "row"} if ROW in rows.columns else {}).write_parquet(file)

    def drop(self, frame: pl.DataFrame, bad: pl.Series, rule: str, why: str) -> pl.DataFrame:
        """The frame without its bad rows."""
        if not bad.any():
            return frame
        self.record(rule, why, frame.filter(bad))
        return frame.filter(~bad)


def clean(
    tables: RawTables, schema: Schema, settings: Clean, removed_folder: Path | None = None
) -> tuple[RawTables, tuple[Removal, ...]]:
    """The tables without what no rule lets pass, and what each rule found; rows keep their order.

    In the result the time column holds float64 seconds (or the order index), numeric features hold numbers, and the
    impressions have a column more: `ROW`.
    """
    log = _Log(removed_folder if settings.write_removed else None)
    rows = tables.impressions.with_row_index(ROW)
    rows = _drop_duplicates(rows, schema, settings, log)
    rows = _drop_missing_keys(rows, schema, log)
    rows = _drop_unlisted_scenarios(rows, schema, log)
    rows = _drop_impossible_times(rows, schema, settings, log)
    rows = _hide_bad_labels(rows, schema, log)
    rows = _finite_numbers(rows, schema, "context", log)
    rows = _drop_bots(rows, schema, settings, log)
    users = _attributes(tables.users, schema, "user", log)
    items = _attributes(tables.items, schema, "item", log)
    rows, items = _drop_unlisted_kinds(rows, items, schema, log)
    _note_unknown(rows, users, schema.columns.user, "users", log)
    _note_unknown(rows, items, schema.columns.item, "items", log)
    if rows.height == 0:
        counts = "; ".join(f"{removal.rule}: {removal.rows}" for removal in log.removals)
        fix = "check the columns and settings that these rules read"
        raise InputError(f"cleaning removed every row ({counts})", where="impressions", fix=fix)
    return replace(tables, impressions=rows, users=users, items=items), tuple(log.removals)


def _drop_duplicates(rows: pl.DataFrame, schema: Schema, settings: Clean, log: _Log) -> pl.DataFrame:
    if not settings.duplicates or schema.columns.time is None:
        return rows
    columns = [name for name in rows.columns if name != ROW]
    kept = rows.unique(columns, keep="first", maintain_order=True)
    if kept.height == rows.height:
        return rows
    bad = ~rows[ROW].is_in(kept[ROW].implode())
    return log.drop(rows, bad, "duplicates", "equal to an earlier row in every column that the schema reads")


def _drop_missing_keys(rows: pl.DataFrame, schema: Schema, log: _Log) -> pl.DataFrame:
    for role in ("user", "item", "scenario"):
        column = getattr(schema.columns, role)
        if column is not None:
            rows = log.drop(rows, rows[column].is_null(), f"missing {role}", f"column {column!r} is empty")
    return rows


def _drop_unlisted_scenarios(rows: pl.DataFrame, schema: Schema, log: _Log) -> pl.DataFrame:
    column, names = schema.columns.scenario, [scenario.name for scenario in schema.scenarios]
    if column is None or not names:
        return rows
    return log.drop(rows, ~rows[column].is_in(names), "scenario not listed", f"[[scenarios]] lists {', '.join(names)}")


def _drop_impossible_times(rows: pl.DataFrame, schema: Schema, settings: Clean, log: _Log) -> pl.DataFrame:
    """Also turns the time column into seconds."""
    column = schema.columns.time
    if column is None:
        return rows
    seconds = pl.Series(column, times_of(rows, schema))
    rows = rows.with_columns(seconds)
    snapshot, limit = schema.tables.snapshot, None if is_order_index(seconds) else time.time() + DAY
    if snapshot is not None:
        limit = moment(snapshot, where="tables.snapshot")
    rows = log.drop(
        rows, ~seconds.is_finite() | (seconds < 0), "no time", "the time is missing, unreadable or negative"
    )
    if limit is not None:
        end = "the snapshot" if snapshot is not None else "now"
        rows = log.drop(rows, rows[column] > limit, "future time", f"the time lies after {end}")
    if settings.min_time is not None:
        first = moment(settings.min_time, where="clean.min_time")
        rows = log.drop(rows, rows[column] < first, "before min_time", f"the time lies before {settings.min_time}")
    if settings.max_time is not None:
        last = moment(settings.max_time, where="clean.max_time")
        rows = log.drop(rows, rows[column] > last, "after max_time", f"the time lies after {settings.max_time}")
    return rows


def _hide_bad_labels(rows: pl.DataFrame, schema: Schema, log: _Log) -> pl.DataFrame:
    for task in schema.tasks:
        if task.positive_when is None:
            rows = _hide_bad_label(rows, task, log)
    return rows


def _hide_bad_label(rows: pl.DataFrame, task: Task, log: _Log) -> pl.DataFrame:
    """A label out of range becomes unobserved; the row's other labels stay."""
    given, values = rows[task.label], label_values(rows[task.label])
    low, high = task.range
    inside = values.is_in([0.0, 1.0]) if task.form == "binary" else values.is_between(low, high) & values.is_finite()
    bad = _present(given) & ~inside.fill_null(False)
    if not bad.any():
        return rows
    wish = "0, 1, true or false" if task.form == "binary" else f"a number from {low:g} to {high:g}"
    _refuse_wrong_column(rows, task, given, bad, wish)
    log.record(f"label out of range: {task.name}", f"{task.label!r} should be {wish}", rows.filter(bad), _MISSING)
    return rows.with_columns(pl.when(~bad).then(pl.col(task.label)))


def _refuse_wrong_column(rows: pl.DataFrame, task: Task, given: pl.Series, bad: pl.Series, wish: str) -> None:
    share = int(bad.sum()) / max(int(_present(given).sum()), 1)
    if share <= BAD_SHARE:
        return
    wrong = given.filter(bad)
    values = ", ".join(repr(value) for value in wrong.unique(maintain_order=True).head(3).to_list())
    row = int(rows[ROW].filter(bad)[0]) + 1
    message = (
        f"label column {task.label!r} holds {values} (first in row {row}); {share:.0%} of its values are not {wish}"
    )
    fix = 'name another column, write form = "regression", correct low and high, or say when it is positive, as in '
    raise InputError(message, where=f"task {task.name!r}", fix=fix + f'positive_when = "{task.label} >= 4"')


def _attributes(
    table: pl.DataFrame | None, schema: Schema, owner: Literal["user", "item"], log: _Log
) -> pl.DataFrame | None:
    """A users or items table with one row per key, the last, and finite numbers."""
    if table is None:
        return None
    key, name = getattr(schema.columns, owner), f"{owner}s"
    table = log.drop(
        table, table[key].is_null(), f"{name} without a key", f"column {key!r} of the {name} table is empty"
    )
    later = ~table[key].reverse().is_first_distinct().reverse()
    table = log.drop(table, later, f"{name} listed twice", f"a later row of the {name} table has the same {key!r}")
    return _finite_numbers(table, schema, owner, log)


def _finite_numbers(
    table: pl.DataFrame, schema: Schema, owner: Literal["user", "item", "context"], log: _Log
) -> pl.DataFrame:
    """Numeric features as numbers; what is nan, infinite or no number becomes missing."""
    for name, feature in schema.features.of(owner).items():
        if feature.form == "numeric":
            numbers = _numbers(table[name], owner)
            bad = _present(table[name], nan=True) & ~numbers.is_finite().fill_null(False)
            if bad.any():
                log.record(f"number not finite: {name}", "nan, infinite or no number", table.filter(bad), _MISSING)
            if bad.any() or table[name].dtype == pl.String:
                table = table.with_columns(numbers.zip_with(~bad, pl.Series([None], dtype=pl.Float64)).alias(name))
    return table


def _numbers(column: pl.Series, owner: str) -> pl.Series:
    where, fix = f"features.{owner}.{column.name}", 'declare it "categorical", "tags" or "text"'
    dtype = column.dtype
    if dtype.is_numeric() or dtype in {pl.Boolean, pl.Null}:
        return column.cast(pl.Float64)
    if dtype != pl.String:
        raise InputError(f"column {column.name!r} is declared numeric but holds {dtype}", where=where, fix=fix)
    numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    wrong = column.filter(_present(column) & numbers.is_null())
    if wrong.len() > BAD_SHARE * int(_present(column).sum()):
        raise InputError(f"column {column.name!r} is declared numeric but holds {wrong[0]!r}", where=where, fix=fix)
    return numbers


def _present(column: pl.Series, *, nan: bool = False) -> pl.Series:
    """Where a value stands; nan counts as one only if asked, empty text never."""
    present = column.is_not_null()
    if column.dtype.is_float() and not nan:
        present &= column.is_not_nan()
    return present & (column.str.strip_chars() != "").fill_null(False) if column.dtype == pl.String else present


def _drop_bots(rows: pl.DataFrame, schema: Schema, settings: Clean, log: _Log) -> pl.DataFrame:
    for role, limit in (("user", settings.max_user_events_per_day), ("item", settings.max_item_events_per_day)):
        if not limit:
            continue
        if schema.columns.time is None or is_order_index(rows[schema.columns.time]):
            message, fix = "a limit per day needs times, not an order index", f"leave max_{role}_events_per_day at 0"
            raise InputError(message, where=f"clean.max_{role}_events_per_day", fix=fix)
        key = getattr(schema.columns, role)
        per_day = rows.group_by(key, pl.col(schema.columns.time).floordiv(DAY)).len("events")
        over = per_day.filter(pl.col("events") > limit)[key]
        rows = log.drop(
            rows, rows[key].is_in(over.implode()), f"{role} rate", f"a {role} of over {limit} events on a day"
        )
    return rows


def _drop_unlisted_kinds(
    rows: pl.DataFrame, items: pl.DataFrame | None, schema: Schema, log: _Log
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Items without a kind, or of one that [[kinds]] does not list, and their impressions."""
    column, key = schema.columns.kind, schema.columns.item
    if items is None or column is None:
        return rows, items
    names = [kind.name for kind in schema.kinds]
    bad = items[column].is_null() if not names else ~items[column].is_in(names).fill_null(False)
    if not bad.any():
        return rows, items
    why = f"column {column!r} is empty" + (f" or not one of {', '.join(names)}" if names else "")
    gone = items.filter(bad)[key]
    rows = log.drop(rows, rows[key].is_in(gone.implode()), "impression of an item without a kind", why)
    return rows, log.drop(items, bad, "item without a kind", why)


def _note_unknown(rows: pl.DataFrame, table: pl.DataFrame | None, key: str, name: str, log: _Log) -> None:
    if table is not None:
        unknown = rows.join(table, on=key, how="anti", maintain_order="left")
        log.record(f"not in {name}", f"no row in the {name} table: its features are missing", unknown, "kept")


_MISSING: Effect = "value made missing"
