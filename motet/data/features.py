"""The fitted transforms of every feature: one frozen object, the same in prepare, evaluation and serving."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.batch import PADDING, Field
from motet.data.arrays import Floats, Ids, Numbers
from motet.data.numbers import Buckets, Number, missing_in, values_of
from motet.data.rows import FitRows, Frame
from motet.data.tags import Categorical, Tags
from motet.errors import InputError
from motet.schema import Feature, Owner, Schema
from motet.settings import nearest

CLOCK = "motet.time"
"""The column of seconds since 1970 that the clock numbers are made from."""
CLOCK_NAMES = ("hour sin", "hour cos", "weekday sin", "weekday cos")
CLOCK_NUMBERS = len(CLOCK_NAMES)
"""How many numbers the clock makes, the last of the context's."""
_DAY = 86_400.0
_BLOCK = 1 << 16

D = TypeVar("D", np.int32, np.float32)
IdTransform = Categorical | Buckets | Tags


@dataclass(frozen=True, slots=True)
class Packed:
    """Ids and numbers of R rows of one table."""

    ids_RK: Ids  # rows of the embedding table
    numbers_RN: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class OwnerFeatures:
    """The transforms of one table: its categorical fields from embedding row `first` on, then its numbers."""

    owner: Owner
    first: int
    ids: tuple[IdTransform, ...]
    numbers: tuple[Number, ...]
    clock: bool = False  # hour and weekday (UTC) as points on circles

    @property
    def offsets(self) -> tuple[int, ...]:
        return tuple(self.first + sum(t.size for t in self.ids[:i]) for i in range(len(self.ids)))

    @property
    def fields(self) -> tuple[Field, ...]:
        pairs = zip(self.ids, self.offsets, strict=True)
        return tuple(Field(t.name, self.owner, offset, t.size, t.columns) for t, offset in pairs)

    @property
    def number_names(self) -> tuple[str, ...]:
        names = tuple(name for number in self.numbers for name in number.names)
        return names + (CLOCK_NAMES if self.clock else ())

    def apply(self, frame: Frame) -> Packed:
        """Ids and numbers of a frame's rows; a column that the frame lacks counts as missing."""
        ids, numbers = list(self.id_columns(frame)), list(self.number_columns(frame))
        return Packed(_side_by_side(ids, frame.height, np.int32), _side_by_side(numbers, frame.height, np.float32))

    def id_columns(self, frame: Frame) -> Iterator[Ids]:
        """Ids of one field after the other, [R, its columns]."""
        for transform, offset in zip(self.ids, self.offsets, strict=True):
            yield _packed(transform.indices(frame), offset)

    def ids_of(self, keys: Sequence[str]) -> Ids:
        """The embedding rows of users or items by key, whether their table knows them or not."""
        frame = pl.DataFrame({self.ids[0].column: pl.Series(keys, dtype=pl.String)})
        return _packed(self.ids[0].indices(frame), self.offsets[0])[:, 0]

    def number_columns(self, frame: Frame) -> Iterator[Numbers]:
        """Numbers of one feature after the other, [R, its columns]."""
        for number in self.numbers:
            yield number.apply(frame)
        if self.clock:
            yield clock_numbers(values_of(frame, CLOCK))

    def table(self, frame: pl.DataFrame) -> Packed:
        """`apply` with two rows before it: padding, all zero, and unknown, whose every field is unknown."""
        packed = self.apply(frame)
        unknown = [id_ for field in self.fields for id_ in (field.offset, *[PADDING] * (field.columns - 1))]
        ids = np.array([unknown], dtype=np.int32).reshape(1, packed.ids_RK.shape[1])
        absent = [float(place) for number in self.numbers for place in range(len(number.names))]
        numbers = np.array([absent], dtype=np.float32).reshape(1, packed.numbers_RN.shape[1])
        return Packed(
            np.concatenate([np.zeros_like(ids), ids, packed.ids_RK]),
            np.concatenate([np.zeros_like(numbers), numbers, packed.numbers_RN]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSet:
    """The transforms of the three tables."""

    user: OwnerFeatures
    item: OwnerFeatures
    context: OwnerFeatures

    @property
    def fields(self) -> tuple[Field, ...]:
        return self.user.fields + self.item.fields + self.context.fields

    @property
    def table_rows(self) -> int:
        """Rows of the one embedding table, padding included."""
        return 1 + sum(field.size for field in self.fields)


def fit_features(
    schema: Schema,
    users: FitRows,
    items: FitRows,
    impressions: FitRows,
    *,
    scenarios: int,
    kinds: int,
    winsorise: float = 0.0,
) -> FeatureSet:
    """Transforms fitted on the rows that train impressions use; ids and tags are counted once per train impression.

    Fields: the user's id and features; the item's id, its kind if there is more than one, and features; the scenario
    if there is more than one, and the context's features.
    """
    columns = schema.columns
    first, fitted = 1, []
    tables: tuple[tuple[Owner, FitRows, list[tuple[str, str | None]]], ...] = (
        ("user", users, [(columns.user, columns.user)]),
        ("item", items, [(columns.item, columns.item), *([("kind", columns.kind)] if kinds > 1 else [])]),
        ("context", impressions, [("scenario", columns.scenario)] if scenarios > 1 else []),
    )
    for owner, rows, roles in tables:
        named = [(name, column) for name, column in roles if column is not None]
        fitted.append(_fit_owner(schema, owner, rows, named, first, winsorise))
        first += sum(field.size for field in fitted[-1].fields)
    return FeatureSet(*fitted)


def clock_numbers(seconds_N: Floats) -> Numbers:
    """sin and cos of the hour's and of the weekday's angle, UTC; zero where the time is missing. [N, 4]"""
    numbers: Numbers = np.empty((4, len(seconds_N)), np.float32)
    for start in range(0, len(seconds_N), _BLOCK):
        seconds = seconds_N[start : start + _BLOCK]
        day = 2 * np.pi * np.mod(seconds, _DAY) / _DAY
        week = 2 * np.pi * np.mod(np.floor(seconds / _DAY), 7) / 7
        for place, angles in enumerate((np.sin(day), np.cos(day), np.sin(week), np.cos(week))):
            numbers[place, start : start + _BLOCK] = np.nan_to_num(angles, nan=0.0)
    return numbers.T


def _fit_owner(
    schema: Schema, owner: Owner, rows: FitRows, roles: list[tuple[str, str]], first: int, winsorise: float
) -> OwnerFeatures:
    features = schema.features.of(owner)
    ids: list[IdTransform] = []
    numbers: list[Number] = []
    for name, column in roles:
        rare = 2 if column in (schema.columns.user, schema.columns.item) else 1
        feature = features.get(column, Feature(form="categorical", min_count=rare))
        ids.append(Categorical.fit(name, column, feature, rows))
    taken = {column for _, column in roles} | {schema.columns.scenario, schema.columns.kind}
    for column, feature in features.items():
        if column in taken:
            continue
        _require(column, rows.frame, owner)
        if feature.form == "categorical":
            ids.append(Categorical.fit(column, column, feature, rows))
        elif feature.form == "tags":
            ids.append(Tags.fit(column, feature, rows))
        elif feature.form == "numeric":
            values = values_of(rows.frame, column)
            missing, known = missing_in(values), values[rows.used_R]
            if feature.buckets > 1:
                ids.append(Buckets.fit(column, feature, known))
            else:
                numbers.append(Number.fit(column, feature, known, missing=missing, winsorise=winsorise))
    clock = owner == "context" and CLOCK in rows.frame.columns
    return OwnerFeatures(owner, first, tuple(ids), tuple(numbers), clock)


def _require(column: str, frame: Frame, owner: Owner) -> None:
    if column not in frame.columns:
        table = {"user": "users", "item": "items", "context": "impressions"}[owner]
        raise InputError(
            f"the {table} table has no column {column!r}",
            where=f"features.{owner}.{column}",
            fix=nearest(column, frame.columns),
        )


def _packed(indices_RK: Ids, offset: int) -> Ids:
    """Vocab indices as embedding rows: padding stays 0, unknown becomes the field's first row."""
    return np.where(indices_RK == PADDING, PADDING, indices_RK + np.int32(offset - 1)).astype(np.int32)


def _side_by_side(columns: list[NDArray[D]], rows: int, dtype: type[D]) -> NDArray[D]:
    """Columns joined; [rows, 0] when there is none."""
    return np.concatenate([np.zeros((rows, 0), dtype=dtype), *columns], axis=1)
