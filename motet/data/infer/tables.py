"""Which file is which table: the log of impressions, its users, items and edges."""

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from motet.data.files import join_files, read_frame
from motet.data.infer.choice import Choice
from motet.data.infer.column import Table, describe, names
from motet.data.infer.words import ID, ITEM, USER, any_means, names_key, words
from motet.data.tables import EDGE_COLUMNS
from motet.errors import InputError

Say = Callable[[str, float], None]
"""Told what is being done and the share of it that is done, 0 … 1."""
_HEADS = frozenset({"source", "src", "from", "head", "follower", "start"})
_TAILS = frozenset({"target", "dst", "to", "tail", "followee", "friend", "end"})
_ONE_ROW = 0.95  # share of distinct keys from which on a table is believed to have one row per key
_COMMON = 0.5  # share of side keys that should occur in the log before a key of another name is believed


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The tables by role, the keys of the log, and what was decided on the way."""

    impressions: Table
    users: Table | None
    items: Table | None
    user: str
    item: str
    choices: tuple[Choice, ...]  # the lines of [tables]
    keys: tuple[Choice, ...]  # user and item of [columns]


def read_tables(files: Sequence[Path], base: Path, say: Say = lambda what, share: None) -> list[Table]:
    """Every file read; files with the same columns are one table. Largest first."""
    if not files:
        raise InputError("no file given", fix="name your tables, as in `motet init log.csv users.csv items.csv`")
    groups: dict[frozenset[str], list[tuple[Path, pl.DataFrame]]] = {}
    for done, path in enumerate(files):
        say("reading the tables", done / len(files))
        frame = read_frame(_literal(path), base)
        groups.setdefault(frozenset(frame.columns), []).append((path, frame))
    tables = []
    for done, parts in enumerate(groups.values()):
        say("looking at their columns", done / len(groups))
        paths, frame = tuple(path for path, _ in parts), join_files(parts)
        if frame.height == 0:
            where = ", ".join(map(str, paths))
            raise InputError("the table has no rows", where=where, fix="give a file with rows, or leave it out")
        tables.append(Table(paths, frame, describe(frame)))
    return sorted(tables, key=lambda table: -table.rows)


def find_tables(tables: Sequence[Table], base: Path) -> Found:
    """The log is the largest table that names users and items; a side table has one row per user or per item."""
    keyed = [(table, *_keys(table, tables)) for table in tables]
    logs = [(table, user, item) for table, user, item in keyed if user and item]
    if not logs:
        raise _no_log(keyed)
    impressions, user, item = logs[0]
    sides: dict[str, Table] = {}
    choices = [_table_choice("impressions", impressions, base, _log_reason(impressions, user, item))]
    choices += [_side(table, impressions, user, item, sides, base) for table in tables if table is not impressions]
    keys = (_key_choice("user", impressions, user), _key_choice("item", impressions, item))
    return Found(impressions, sides.get("users"), sides.get("items"), user, item, tuple(choices), keys)


def path_text(path: Path, base: Path) -> str:
    """The path as the `motet.toml` in `base` would write it."""
    whole, root = Path(os.path.abspath(base / path)), Path(os.path.abspath(base))
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else whole.as_posix()


def _literal(path: Path) -> str:
    return os.path.abspath(path) if path.is_file() else str(path)


def _keys(table: Table, tables: Sequence[Table]) -> tuple[str | None, str | None]:
    return tuple(_key(table, tables, side, vocabulary) for side, vocabulary in (("user", USER), ("item", ITEM)))  # type: ignore[return-value]


def _key(table: Table, tables: Sequence[Table], side: str, vocabulary: frozenset[str]) -> str | None:
    """The column that names users or items: by its name, else by being the key of a file called users or items."""
    usable = [
        c for c in table.columns.values() if c.sort in {"whole", "text"} or (c.sort == "flag" and "id" in c.words)
    ]
    scored = [(names_key(column.words, vocabulary), column.distinct, column.name) for column in usable]
    if (best := max(scored, default=(0, 0, "")))[0] > 0:
        return best[2]
    for other in tables:
        if other is table or not any_means([w for path in other.paths for w in words(path.stem)], vocabulary):
            continue
        for column in usable:
            twin = other.columns.get(column.name)
            if twin is not None and twin.distinct == other.rows and not column.is_key_like:
                return column.name
    return None


def _no_log(keyed: Sequence[tuple[Table, str | None, str | None]]) -> InputError:
    table, user, _ = keyed[0]
    columns = names(table.columns)
    if not user and not any(other for _, other, _ in keyed):
        fix = f"rename the column that names the user to `user_id`; the columns are {columns}"
        return InputError("no user column found", where=table.name, fix=fix)
    if any(other for _, _, other in keyed):
        files = ", ".join(each.name for each, _, _ in keyed)
        fix = "add the log: a table with a row for each time a user was shown an item, with both their ids"
        return InputError("no table names both users and items", where=files, fix=fix)
    unique = user and table.columns[user].distinct == table.rows
    what = "is a users table; a log of impressions is needed too" if unique else "no item column found"
    fix = f"rename the column that names the item to `item_id`; the columns are {columns}"
    return InputError(what, where=table.name, fix="add the log with users and items" if unique else fix)


def _log_reason(table: Table, user: str, item: str) -> str:
    many = f"{len(table.paths)} files with the same columns; " if len(table.paths) > 1 else ""
    return f"{many}{table.rows:,} rows that name both users ({user}) and items ({item})"


def _table_choice(key: str, table: Table, base: Path, why: str) -> Choice:
    paths = tuple(path_text(path, base) for path in table.paths)
    value = paths[0] if len(paths) == 1 else paths
    return Choice(role=f"{key} table", column=table.name, key=key, value=value, why=why)


def _key_choice(role: str, log: Table, name: str) -> Choice:
    column, vocabulary = log.columns[name], USER if role == "user" else ITEM
    named = "by its name" if names_key(column.words, vocabulary) else f"the key of the {role}s table"
    why = f"{named}; {column.distinct:,} {role}s, {log.rows / max(column.distinct, 1):.3g} rows each"
    return Choice(role=role, column=name, key=role, value=name, why=why)


def _side(table: Table, log: Table, user: str, item: str, sides: dict[str, Table], base: Path) -> Choice:
    """The line of one more table; takes its place in `sides` where it can be used."""
    if edges := _edges(table, base):
        return edges
    path = path_text(table.paths[0], base)
    for role, key in (("users", user), ("items", item)):
        if role in sides:
            continue
        column = table.columns.get(key)
        if column is not None and column.distinct >= _ONE_ROW * table.rows:
            again = table.rows - column.distinct
            repeated = f", {again:,} are repeated or empty: the last one counts" if again else ""
            choice = _side_choice(role, table, base, f"one row per {key}: {column.distinct:,}{repeated}")
            if choice.active:
                sides[role] = table
            return choice
        if column is None and (own := _renamed(table, log, key, role)):
            why = f"its key {own!r} is the log's {key!r}: rename it to {key!r} in the file to use this table"
            return _unused(f"{role} table", table, role, path, why)
    repeats = next((key for key in (user, item) if key in table.columns), None)
    why = f"{repeats} repeats in it" if repeats else "it shares no key with the log"
    if repeats and table.columns[repeats].distinct >= _ONE_ROW * table.rows:
        why = "another table of this key is used: join both into one file"
    return _unused("table", table, None, path, why)


def _unused(role: str, table: Table, key: str | None, value: str, why: str) -> Choice:
    return Choice(role=role, column=table.name, key=key, value=value, why=why, warning=True, active=False)


def _edges(table: Table, base: Path) -> Choice | None:
    if set(EDGE_COLUMNS) <= set(table.columns):
        return _table_choice("edges", table, base, f"{table.rows:,} edges: source, relation, target")
    own = [column.words for column in table.columns.values()]
    ends = [any(set(each) & vocabulary for each in own) for vocabulary in (_HEADS, _TAILS)]
    if not all(ends) or table.frame.width > 4:
        return None
    why = "looks like edges: rename its columns to source, relation and target to use it"
    return _unused("edges table", table, "edges", path_text(table.paths[0], base), why)


def _renamed(table: Table, log: Table, key: str, role: str) -> str | None:
    """A key of another name, `id` or the like, whose values are those of the log's key."""
    vocabulary = USER if role == "users" else ITEM
    known = log.frame[key].cast(pl.String).unique()
    for column in table.columns.values():
        named = names_key(column.words, vocabulary) or set(column.words) <= ID
        if column.sort in {"whole", "text"} and named and column.distinct == table.rows:
            common = float(column.values.cast(pl.String).is_in(known.implode()).sum()) / table.rows
            if common >= _COMMON:
                return column.name
    return None


def _side_choice(role: str, table: Table, base: Path, why: str) -> Choice:
    """A side table is one path: several files need a pattern that matches just them."""
    if len(table.paths) == 1:
        return _table_choice(role, table, base, why)
    paths = [path_text(path, base) for path in table.paths]
    start = _common(paths)
    pattern = f"{start}*{_common([path[len(start) :][::-1] for path in paths])[::-1]}"
    if set(glob.glob(pattern, root_dir=base)) == set(paths):
        return Choice(role=f"{role} table", column=table.name, key=role, value=pattern, why=why)
    why = f"{len(paths)} files: write one file, or a pattern that matches just them"
    return _unused(f"{role} table", table, role, pattern, why)


def _common(texts: Sequence[str]) -> str:
    """The characters that all texts start with."""
    first, last = min(texts), max(texts)
    same = next((place for place, sign in enumerate(first) if last[place] != sign), len(first))
    return first[:same]
