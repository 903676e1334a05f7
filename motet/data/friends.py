"""Users as items: the kinds that live in the users table, whose candidates are other users.

Each user is an item of that kind under the user's own key. Item features that have the name and the form of a user
feature are the user's, the others are missing. Nobody is a candidate of a request of their own.
"""

import numpy as np
import polars as pl

from motet.data.arrays import Bools, Ints
from motet.data.keys import Keys
from motet.data.vocab import FIRST_KEY
from motet.errors import InputError
from motet.schema import Schema


def friend_kinds(schema: Schema) -> list[str]:
    """The kinds that live in the users table."""
    return [kind.name for kind in schema.kinds if kind.table == "users"]


def with_friends(items: pl.DataFrame | None, users: pl.DataFrame | None, schema: Schema) -> pl.DataFrame | None:
    """The items with every user behind them; as they are where no kind lives in the users table."""
    kinds = friend_kinds(schema)
    if not kinds:
        return items
    columns, name = schema.columns, kinds[0]
    if len(kinds) > 1:
        message, fix = f"kinds {kinds[0]!r} and {kinds[1]!r} both live in the users table", "keep one of them"
        raise InputError(message, where="kinds", fix=fix)
    if users is None or items is None or columns.kind is None:
        message = f"kind {name!r} lives in the users table"
        fix = "add [tables] users and items, and name the items' kind column in [columns] kind"
        raise InputError(message, where="kinds", fix=fix)
    both = items[columns.item].drop_nulls().is_in(users[columns.user].drop_nulls().implode())
    if both.any():
        key = items[columns.item].drop_nulls().filter(both)[0]
        fix = "write the keys of users and items so that they differ, as u17 and i17"
        raise InputError(f"{key!r} is the key of an item and of a user", where=f"kind {name!r}", fix=fix)
    features, others = schema.features.of("user"), schema.features.of("item")
    shared = [column for column in others if column in features and others[column].form == features[column].form]
    own = [column for column in shared if column not in {columns.item, columns.kind}]
    friends = users.select(
        pl.col(columns.user).alias(columns.item), pl.lit(name).alias(columns.kind), *(pl.col(c) for c in own)
    )
    return pl.concat([items, friends], how="diagonal_relaxed")


def own_items(users: Keys, items: Keys, of_friends_I: Bools) -> Ints:
    """The row of the items table that each row of the users table is, 0 where it is none. [U]"""
    rows_U = items.rows(pl.Series(users.all(), dtype=pl.String))
    none = np.zeros(FIRST_KEY, np.int64)
    return np.concatenate([none, np.where((rows_U >= FIRST_KEY) & of_friends_I[rows_U], rows_U, 0)])
