"""Which column of the log says when, where, in which request, at which place and with which probability."""

from collections.abc import Callable, Iterable

import polars as pl

from motet.data.infer.choice import Choice
from motet.data.infer.column import Column, Table, depends_on, is_calendar, seconds, share
from motet.data.infer.words import (
    ID,
    ITEM,
    KIND,
    ORDER,
    OUTCOME,
    POSITION,
    PROPENSITY,
    REQUEST,
    SCENARIO,
    SPENT,
    SPLIT,
    SURE_SCENARIO,
    TIME,
    any_means,
)

MOST_SCENARIOS = 50
_SPLIT_WORDS = {"train", "training", "valid", "val", "validation", "dev", "test"}
_FILLERS = frozenset({"type", "name", "group", "show", "display", "item", "list", "in", "the"}) | ID | KIND


def find_roles(log: Table, user: str, item: str) -> list[Choice]:
    """The lines of [columns] besides user, item and kind, in the schema's order; at most one column each."""
    free = [column for column in log.columns.values() if column.name not in {user, item} and not column.is_constant]
    found: dict[str, Choice] = {}
    searches: tuple[tuple[str, Callable[[list[Column]], tuple[Column, str] | None]], ...] = (
        ("split", _split),
        ("propensity", _propensity),
        ("time", lambda columns: _time(columns, log, user, item)),
        ("scenario", lambda columns: _scenario(columns, log, user)),
        ("request", lambda columns: _request(columns, log, user)),
        ("position", _position),
    )
    for role, search in searches:
        if answer := search(free):
            column, why = answer
            free.remove(column)
            found[role] = Choice(role=role, column=column.name, key=role, value=column.name, why=why)
    return [found[role] for role in ("time", "scenario", "request", "position", "propensity", "split") if role in found]


def find_kind(items: Table, item: str) -> Choice | None:
    """A column of the items table with 2 to 10 sorts of items: goods, content, …"""
    for column in items.columns.values():
        named = any_means(column.words, KIND) and all(word in KIND | ITEM for word in column.words)
        complete = column.sort == "text" and column.filled == column.rows and 2 <= column.distinct <= 10
        if named and complete and column.name != item:
            return Choice(role="kind", column=column.name, key="kind", value=column.name, why=_shares(column))
    return None


def _split(columns: list[Column]) -> tuple[Column, str] | None:
    for column in columns:
        if any_means(column.words, SPLIT) and column.sort == "text":
            values = set(column.values.drop_nulls().str.strip_chars().str.to_lowercase().unique())
            if values <= _SPLIT_WORDS and column.filled == column.rows:
                return column, f"says which rows are for what: {_shares(column)}"
    return None


def _propensity(columns: list[Column]) -> tuple[Column, str] | None:
    for column in columns:
        named = any_means(column.words, PROPENSITY)
        if named and column.sort in {"number", "flag"} and column.low >= 0 and 0 < column.high <= 1:
            return (
                column,
                f"its name, and values from {column.low:.3g} to {column.high:.3g}: the logging policy's chance",
            )
    return None


def _time(columns: list[Column], log: Table, user: str, item: str) -> tuple[Column, str] | None:
    """The time column with the most distinct values, else an order index; never an attribute or an outcome's time."""
    times: list[tuple[bool, int, Column, pl.Series]] = []
    for column in columns:
        named = any_means(column.words, TIME)
        stamps = seconds(column) if named or column.sort == "moment" else None
        if stamps is None or column.filled < 0.9 * column.rows or any_means(column.words, OUTCOME | SPENT):
            continue
        if depends_on(log.frame, user, column.name) or depends_on(log.frame, item, column.name):
            continue
        times.append((named, stamps.n_unique(), column, stamps))
    if times:
        _, _, column, stamps = max(times, key=lambda found: found[:2])
        return column, f"times from {_date(stamps.min())} to {_date(stamps.max())}"
    return _order(columns, log, user, item)


def _order(columns: list[Column], log: Table, user: str, item: str) -> tuple[Column, str] | None:
    for column in columns:
        named = any_means(column.words, TIME) and all(word in TIME | ORDER for word in column.words)
        if not (named or set(column.words) <= ORDER - POSITION) or not column.words or column.sort != "whole":
            continue
        if not is_calendar(column) and not depends_on(log.frame, item, column.name) and column.low >= 0:
            return column, f"an order from {column.low:g} to {column.high:g}, not a date"
    return None


def _scenario(columns: list[Column], log: Table, user: str) -> tuple[Column, str] | None:
    """The best-named column of 2 to 50 values; a user's own constant device is no scenario, a domain always is."""
    for word in SCENARIO:
        for column in columns:
            rest = [w for w in column.words if w != word]
            if word not in column.words or any(w not in _FILLERS for w in rest):
                continue
            if column.sort not in {"text", "whole", "flag"} or not 2 <= column.distinct <= MOST_SCENARIOS:
                continue
            if word in SURE_SCENARIO or not depends_on(log.frame, user, column.name):
                return column, f"{column.distinct} values: {_shares(column)}"
    return None


def _request(columns: list[Column], log: Table, user: str) -> tuple[Column, str] | None:
    for column in columns:
        named = any_means(column.words, REQUEST) and all(
            word in REQUEST | ID | {"page", "view"} for word in column.words
        )
        repeats = column.sort in {"whole", "text"} and column.distinct < 0.98 * column.rows
        if named and repeats and depends_on(log.frame, column.name, user):
            size = column.rows / max(column.distinct, 1)
            return column, f"{column.distinct:,} requests of one user each, {size:.3g} rows on average"
    return None


def _position(columns: list[Column]) -> tuple[Column, str] | None:
    for column in columns:
        named = any_means(column.words, POSITION) and all(word in POSITION | _FILLERS for word in column.words)
        if named and column.sort in {"whole", "flag"} and column.low >= 0 and column.distinct <= 1000:
            return column, f"the place in the list, {column.low:g} to {column.high:g}: for evaluation, no feature"
    return None


def _shares(column: Column) -> str:
    """The three commonest values with their shares."""
    counts = column.values.drop_nulls().cast(pl.String).value_counts(sort=True, name="rows")
    rows: Iterable[tuple[str, int]] = counts.head(3).iter_rows()
    shown = ", ".join(f"{value} {share(count / column.rows)}" for value, count in rows)
    return shown + (", …" if counts.height > 3 else "")


def _date(value: object) -> str:
    stamp = pl.from_epoch(pl.Series([float(value)]), time_unit="s") if isinstance(value, float) else None
    return str(stamp.cast(pl.Datetime("us")).dt.date()[0]) if stamp is not None else "?"
