"""Rows that are no part of the log, ready to be scored: each with what the log knew strictly before its time.

They need the columns of user and item, that of the scenario where the log has one, and what else of the context is
known. Without a time they stand at the end of the log. Users, items and values that the log does not know are unknown;
their attributes are those of the prepared tables.

Shapes: N rows, B of them in a batch, K packed ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.batch import UNKNOWN, Batch, Layout
from motet.data.arrays import Bools, Floats, Ints, Numbers
from motet.data.clock import is_order_index, seconds_of
from motet.data.coded import Coded
from motet.data.dataset import Dataset
from motet.data.features import CLOCK, Packed
from motet.data.parts import key_parts
from motet.data.tables import as_key
from motet.data.vocab import FIRST_KEY, key_strings, row_numbers
from motet.data.windows import gather_history
from motet.errors import InputError
from motet.settings import nearest


@dataclass(frozen=True, slots=True, eq=False)
class GivenRows:
    """N rows that a ranker can score batch by batch."""

    data: Dataset
    user_N: Ints  # rows of the users table, 1 unknown
    item_N: Ints  # rows of the items table, 1 unknown; behind the table an unknown item whose id has a row
    scenario_N: Ints
    time_N: Floats
    user_ids_NK: NDArray[np.int32]
    item_ids_NK: NDArray[np.int32]
    context: Packed
    pair_numbers_NP: Numbers
    history_N: tuple[Ints, Ints]  # the first event each may see, one behind the last

    @property
    def layout(self) -> Layout:
        return self.data.layout

    @property
    def kind_N(self) -> Ints:
        """Index into layout.kinds of each row's item; 0 of an unknown one."""
        return self.data.items.kind_I.numpy()[_in_table(self.data, self.item_N)].astype(np.int64)

    @property
    def known_items_N(self) -> Bools:
        """Whose item the items table knows."""
        known_N: Bools = (self.item_N != UNKNOWN) & (self.item_N < len(self.data.items.ids_IK))
        return known_N

    def __len__(self) -> int:
        return len(self.user_N)

    def batch(self, rows: Ints | Tensor) -> Batch:
        """Those rows with one candidate each."""
        at = torch.as_tensor(rows, dtype=torch.int64)
        place, data = at.numpy(), self.data
        user_B, item_B = torch.from_numpy(self.user_N[place]), torch.from_numpy(self.item_N[place])
        known_B = torch.from_numpy(_in_table(data, self.item_N[place]))
        start_B, end_B = (torch.from_numpy(bound[place]) for bound in self.history_N)
        time_B, length = torch.from_numpy(self.time_N[place]), data.layout.history_length
        return Batch(
            user_B=user_B,
            scenario_B=torch.from_numpy(self.scenario_N[place]),
            user_ids_BK=torch.from_numpy(self.user_ids_NK[place]),
            user_numbers_BN=data.user_numbers_UN.index_select(0, user_B),
            context_ids_BK=torch.from_numpy(self.context.ids_RK[place]),
            context_numbers_BN=torch.from_numpy(self.context.numbers_RN[place]),
            item_BC=item_B[:, None],
            kind_BC=data.items.kind_I.index_select(0, known_B).long()[:, None],
            item_ids_BCK=torch.from_numpy(self.item_ids_NK[place])[:, None],
            item_numbers_BCN=data.items.numbers_IN.index_select(0, known_B)[:, None],
            pair_numbers_BCN=torch.from_numpy(self.pair_numbers_NP[place])[:, None],
            history=gather_history(data.stored_events, data.items, start_B, end_B, time_B, length),
        )


def columns_of(data: Dataset, names: Sequence[str], *, where: str) -> list[str]:
    """The columns that are read of rows with columns of those names; an `InputError` where a needed one lacks."""
    roles, found = data.schema.columns, set(names)
    needed = [roles.user, roles.item, *([roles.scenario] if roles.scenario else [])]
    for name in needed:
        if name not in found:
            raise InputError(f"there is no column {name!r}", where=where, fix=nearest(name, list(names)))
    return [*needed, *(name for name in _optional(data) if name in found and name not in needed)]


def missing_columns(data: Dataset, names: Sequence[str]) -> list[str]:
    """Columns of the context that rows with columns of those names do not tell; the position is 1 without one."""
    roles = data.schema.columns
    return [name for name in _optional(data) if name not in {*names, roles.position, roles.time, roles.scenario}]


def given_rows(data: Dataset, frame: pl.DataFrame, *, where: str, first: int = 0, at: float | None = None) -> GivenRows:
    """The frame's rows, in its order; `first` is how many came before them, for messages.

    Rows without a time stand at `at`, by default at the end of the log. An unknown scenario, or a time that is none,
    is an `InputError`.
    """
    roles, layout = data.schema.columns, data.layout
    users, items = (as_key(frame[name], where) for name in (roles.user, roles.item))
    user_N = data.user_names.rows(users)
    item_N = data.item_names.rows(items)
    scenario_N = _scenarios(data, frame, where, first)
    time_N = _times(data, frame, where, first, at)
    user_ids_NK, item_ids_NK = data.user_ids_UK.numpy()[user_N], data.items.ids_IK.numpy()[item_N]
    _own_ids(data, "user", user_N, users, user_ids_NK)
    _own_ids(data, "item", item_N, items, item_ids_NK)
    context = data.features.context.apply(_told(data, frame, time_N))
    kind_N = data.items.kind_I.numpy()[item_N].astype(np.int64)
    parts = key_parts(
        data.running.fit.settings.keys, layout.fields,
        {"user": user_N, "item": item_N, "scenario": scenario_N, "kind": kind_N},
        {"user": user_ids_NK, "item": item_ids_NK, "context": context.ids_RK},
    )  # fmt: skip
    return GivenRows(
        data=data,
        user_N=user_N,
        item_N=_apart(data, item_N, item_ids_NK),
        scenario_N=scenario_N,
        time_N=time_N,
        user_ids_NK=user_ids_NK,
        item_ids_NK=item_ids_NK,
        context=context,
        pair_numbers_NP=data.running.before(parts, time_N),
        history_N=data.events.before(user_N, scenario_N, time_N),
    )


def _optional(data: Dataset) -> list[str]:
    """The time and the context's features."""
    roles, context = data.schema.columns, data.features.context
    return [*([roles.time] if roles.time else []), *(t.column for t in (*context.ids, *context.numbers))]


def _told(data: Dataset, frame: pl.DataFrame, time_N: Floats) -> pl.DataFrame:
    """The columns that the context is made of: without a position it is 1 for all, as of a request."""
    position = data.schema.columns.position
    told = frame.with_columns(pl.Series(CLOCK, time_N))
    if position is not None and position not in frame.columns:
        told = told.with_columns(pl.lit(1).alias(position))
    return told


def _scenarios(data: Dataset, frame: pl.DataFrame, where: str, first: int) -> Ints:
    names, column = [scenario.name for scenario in data.layout.scenarios], data.schema.columns.scenario
    if column is None:
        return np.zeros(frame.height, np.int64)
    found = row_numbers(Coded.of(as_key(frame[column], where)), pl.Series(names)).astype(np.int64)
    if len(unknown := np.flatnonzero(found < FIRST_KEY)):
        row = int(unknown[0])
        message = f"row {first + row + 1} has the unknown scenario {frame[column][row]!r} in column {column!r}"
        raise InputError(message, where=where, fix=nearest(str(frame[column][row]), names))
    return found - FIRST_KEY


def _times(data: Dataset, frame: pl.DataFrame, where: str, first: int, at: float | None) -> Floats:
    column = data.schema.columns.time
    if column is None or column not in frame.columns:
        return np.full(frame.height, data.end if at is None else at)
    seconds = seconds_of(frame[column], where=where)
    time_N = seconds.fill_null(float("nan")).to_numpy()
    if len(bad := np.flatnonzero(~np.isfinite(time_N))):
        row = int(bad[0])
        message = f"row {first + row + 1} has {frame[column][row]!r} in column {column!r}, which is no time"
        raise InputError(message, where=where, fix="correct it, or leave the column out: then rows stand at the end")
    if data.features.context.clock and is_order_index(seconds):
        fix = "give times in the spelling of the log"
        raise InputError(f"column {column!r} holds small numbers, where the log has times", where=where, fix=fix)
    return cast(Floats, time_N.astype(np.float64))


def _own_ids(data: Dataset, owner: str, rows_N: Ints, keys: pl.Series, ids_NK: NDArray[np.int32]) -> None:
    """Who is no row of the tables may still be an id that train knew, or in a bucket."""
    unknown = np.flatnonzero(rows_N == UNKNOWN)
    if len(unknown):
        texts = key_strings(keys.gather(unknown)).to_list()
        ids_NK[unknown, 0] = getattr(data.features, owner).ids_of(texts)


def _apart(data: Dataset, item_N: Ints, ids_NK: NDArray[np.int32]) -> Ints:
    """Unknown items with another id than the unknown one's stand behind the table, each id as an item of its own."""
    own = (item_N == UNKNOWN) & (ids_NK[:, 0] != data.items.ids_IK.numpy()[UNKNOWN, 0])
    return np.where(own, len(data.items.ids_IK) + ids_NK[:, 0].astype(np.int64), item_N)


def _in_table(data: Dataset, item_N: Ints) -> Ints:
    return np.where(item_N < len(data.items.ids_IK), item_N, UNKNOWN)
