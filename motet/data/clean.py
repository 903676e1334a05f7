"""Cleaning: rules in a fixed order, each of which counts what it took away and can write it to a file.

Rows go that are exact duplicates, lack a key, lie in an unlisted scenario or at an impossible time, or belong to a bot.
Values become missing that are outside their label's range or are not finite. A user or item keeps its last row in its
own table. Nothing is dropped silently: every rule that found something gives a `Removal`.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import field_validator

from motet.data.clock import DAY, is_order_index, moment
from motet.data.labels import label_values
from motet.data.removals import MISSING, Log, Removal, stored_at
from motet.data.store import HASH, Table
from motet.data.tables import Tables, times_of
from motet.errors import InputError
from motet.schema import Owner, Schema, Task
from motet.settings import settings

BAD_SHARE = 0.05
"""More than this share of a column's values being wrong means a wrong column or form, not dirt."""
_COMPARED = 200_000  # rows of equal hash that are compared at a time


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


def clean(
    tables: Tables, schema: Schema, settings: Clean, removed_folder: Path | None = None
) -> tuple[Tables, tuple[Removal, ...]]:
    """The tables without what no rule lets pass, and what each rule found; rows keep their order.

    In the result the time column holds float64 seconds (or the order index), and numeric features hold numbers.
    """
    log = Log(removed_folder if settings.write_removed else None)
    rows = tables.impressions
    rows = _drop_duplicates(rows, schema, settings, log)
    rows = _drop_missing_keys(rows, schema, log)
    rows = _drop_unlisted_scenarios(rows, schema, log)
    rows = _drop_impossible_times(rows, schema, settings, log)
    rows = _hide_bad_labels(rows, schema, log)
    for column in _numeric(schema, "context"):
        values = _finite(rows, column, "context", log)
        rows = rows if values is None else rows.with_column(values)
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


def _drop_duplicates(rows: Table, schema: Schema, settings: Clean, log: Log) -> Table:
    """Only rows whose hashes meet again are compared."""
    if not settings.duplicates or schema.columns.time is None:
        return rows
    hashes = rows[HASH].to_numpy()
    ordered = np.sort(hashes)
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    bad = np.zeros(rows.height, dtype=np.bool_)
    if len(again):
        places = np.flatnonzero(again[np.minimum(np.searchsorted(again, hashes), len(again) - 1)] == hashes)
        places = places[np.argsort(hashes[places], kind="stable")]
        for some in np.array_split(places, _cuts(hashes[places])):
            alike = rows.rows(some).with_columns(pl.Series(HASH, some))
            kept = alike.unique(rows.columns, keep="first", maintain_order=True)[HASH]
            bad[some] = True
            bad[kept.to_numpy()] = False
    why = "equal to an earlier row in every column that the schema reads"
    return log.drop(rows, pl.Series(bad), "duplicates", why)


def _cuts(ordered: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where to cut an ordered array into pieces that are compared at once, never between equal values."""
    wanted = ordered[_COMPARED::_COMPARED]
    return np.unique(np.searchsorted(ordered, wanted))


def _drop_missing_keys(rows: Table, schema: Schema, log: Log) -> Table:
    for role in ("user", "item", "scenario"):
        column = getattr(schema.columns, role)
        if column is not None:
            rows = log.drop(rows, _null(rows, column), f"missing {role}", f"column {column!r} is empty")
    return rows


def _drop_unlisted_scenarios(rows: Table, schema: Schema, log: Log) -> Table:
    column, names = schema.columns.scenario, [scenario.name for scenario in schema.scenarios]
    if column is None or not names:
        return rows
    return log.drop(
        rows, _unlisted(rows, column, names), "scenario not listed", f"[[scenarios]] lists {', '.join(names)}"
    )


def _drop_impossible_times(rows: Table, schema: Schema, settings: Clean, log: Log) -> Table:
    """Also turns the time column into seconds."""
    column = schema.columns.time
    if column is None:
        return rows
    seconds = pl.Series(column, times_of(rows, schema))
    rows = rows.with_column(seconds)
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


def _hide_bad_labels(rows: Table, schema: Schema, log: Log) -> Table:
    for task in schema.tasks:
        if task.positive_when is None:
            rows = _hide_bad_label(rows, task, log)
    return rows


def _hide_bad_label(rows: Table, task: Task, log: Log) -> Table:
    """A label out of range becomes unobserved; the row's other labels stay."""
    given = rows[task.label]
    values, (low, high) = label_values(given), task.range
    inside = values.is_in([0.0, 1.0]) if task.form == "binary" else values.is_between(low, high) & values.is_finite()
    bad = _present(given) & ~inside.fill_null(False)
    if not bad.any():
        return rows
    wish = "0, 1, true or false" if task.form == "binary" else f"a number from {low:g} to {high:g}"
    _refuse_wrong_column(rows, task, given, bad, wish)
    log.record(f"label out of range: {task.name}", f"{task.label!r} should be {wish}", rows, bad, MISSING)
    return rows.with_column(given.to_frame().select(pl.when(~bad).then(pl.col(task.label))).to_series())


def _refuse_wrong_column(rows: Table, task: Task, given: pl.Series, bad: pl.Series, wish: str) -> None:
    share = int(bad.sum()) / max(int(_present(given).sum()), 1)
    if share <= BAD_SHARE:
        return
    wrong = given.filter(bad)
    values = ", ".join(repr(value) for value in wrong.unique(maintain_order=True).head(3).to_list())
    row = int(stored_at(rows, np.flatnonzero(bad.to_numpy())[:1])[0]) + 1
    message = (
        f"label column {task.label!r} holds {values} (first in row {row}); {share:.0%} of its values are not {wish}"
    )
    fix = 'name another column, write form = "regression", correct low and high, or say when it is positive, as in '
    raise InputError(message, where=f"task {task.name!r}", fix=fix + f'positive_when = "{task.label} >= 4"')


def _attributes(
    table: pl.DataFrame | None, schema: Schema, owner: Literal["user", "item"], log: Log
) -> pl.DataFrame | None:
    """A users or items table with one row per key, the last, and finite numbers."""
    if table is None:
        return None
    key, name = getattr(schema.columns, owner), f"{owner}s"
    why = f"column {key!r} of the {name} table is empty"
    table = log.drop_listed(table, table[key].is_null(), f"{name} without a key", why)
    later = ~table[key].reverse().is_first_distinct().reverse()
    why = f"a later row of the {name} table has the same {key!r}"
    table = log.drop_listed(table, later, f"{name} listed twice", why)
    for column in _numeric(schema, owner):
        values = _finite(table, column, owner, log)
        table = table if values is None else table.with_columns(values)
    return table


def _numeric(schema: Schema, owner: Owner) -> list[str]:
    return [name for name, feature in schema.features.of(owner).items() if feature.form == "numeric"]


def _finite(table: pl.DataFrame | Table, column: str, owner: Owner, log: Log) -> pl.Series | None:
    """A numeric feature without what is nan, infinite or no number; None if it may stay as it is."""
    given = table[column]
    numbers = _numbers(given, owner)
    bad = _present(given, nan=True) & ~numbers.is_finite().fill_null(False)
    if not bad.any() and given.dtype != pl.String:
        return None
    log.record(f"number not finite: {column}", "nan, infinite or no number", table, bad, MISSING)
    return numbers.zip_with(~bad, pl.Series([None], dtype=pl.Float64)).alias(column)


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


def _drop_bots(rows: Table, schema: Schema, settings: Clean, log: Log) -> Table:
    for role, limit in (("user", settings.max_user_events_per_day), ("item", settings.max_item_events_per_day)):
        if not limit:
            continue
        times = None if schema.columns.time is None else rows[schema.columns.time]
        if times is None or is_order_index(times):
            message, fix = "a limit per day needs times, not an order index", f"leave max_{role}_events_per_day at 0"
            raise InputError(message, where=f"clean.max_{role}_events_per_day", fix=fix)
        keys = rows.coded(getattr(schema.columns, role))
        per_day = pl.DataFrame({"key": keys.codes, "day": times}).group_by("key", pl.col("day").floordiv(DAY)).len("n")
        over = np.zeros(len(keys.values), dtype=np.bool_)
        over[per_day.filter(pl.col("n") > limit)["key"].to_numpy()] = True
        why = f"a {role} of over {limit} events on a day"
        rows = log.drop(rows, pl.Series(over[keys.codes]), f"{role} rate", why)
    return rows


def _drop_unlisted_kinds(
    rows: Table, items: pl.DataFrame | None, schema: Schema, log: Log
) -> tuple[Table, pl.DataFrame | None]:
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
    rows = log.drop(
        rows, _holds(rows, key, lambda keys: keys.is_in(gone.implode())), "impression of an item without a kind", why
    )
    return rows, log.drop_listed(items, bad, "item without a kind", why)


def _note_unknown(rows: Table, table: pl.DataFrame | None, key: str, name: str, log: Log) -> None:
    if table is not None:
        unknown = _holds(rows, key, lambda keys: ~keys.is_in(table[key].implode()).fill_null(False))
        why = f"no row in the {name} table: its features are missing"
        log.record(f"not in {name}", why, rows, unknown, "kept")


def _holds(rows: Table, column: str, condition: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Where a column's value fulfils a condition, which is asked once per distinct value."""
    keys = rows.coded(column)
    return pl.Series(condition(keys.values).fill_null(False).to_numpy()[keys.codes])


def _null(rows: Table, column: str) -> pl.Series:
    return _holds(rows, column, lambda values: values.is_null())


def _unlisted(rows: Table, column: str, names: list[str]) -> pl.Series:
    return _holds(rows, column, lambda values: ~values.is_in(names))
