"""The context of a request: what is told of it, or what the log says of a row's request; the rest counts as missing.

A context column that differs between the rows of one request, such as the position or how long the item has been
listed, belongs to the item shown. Of a whole catalogue nobody knows it before the slate is made, so a request leaves it
out. The position is 1 for all: what is scored is each item as if it stood first, and no item gains by it.

Shapes: B requests, R rows, K packed ids, N numbers, X columns of either.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.batch import UNKNOWN
from motet.data.arrays import Bools
from motet.data.coded import Coded
from motet.data.features import CLOCK, CLOCK_NUMBERS, IdTransform, OwnerFeatures, Packed, clock_numbers
from motet.data.numbers import Buckets, Number
from motet.data.tags import Tags
from motet.errors import InputError
from motet.schema import Columns, Schema
from motet.settings import nearest

_KEPT = 256  # contexts of which the packed columns are kept
MOSTLY = 0.99
"""A column is a request's if it has one value in this share of the requests that have several rows."""


def pack(schema: Schema, features: OwnerFeatures, scenarios: list[str], at: float, told: Mapping[str, Any]) -> Packed:
    """Ids and numbers of requests in those scenarios at a time; an unknown column is an `InputError`.

    A value of `told` is for all requests or, as a list of as many, one for each.
    """
    columns, requests = schema.columns, len(scenarios)
    for name in told:
        _check_name(name, schema, where="context")
    given = dict(told)
    if columns.position in schema.features.of("context"):
        given.setdefault(str(columns.position), 1)
    frame = pl.DataFrame({CLOCK: np.full(requests, at)})
    values = [_column(name, value, requests) for name, value in given.items()]
    if columns.scenario is not None:
        values.append(pl.Series(columns.scenario, scenarios, dtype=pl.String))
    return features.apply(frame.with_columns(values))


class Contexts:
    """`pack` of requests; what does not depend on the time is packed once for all scenarios and what is told."""

    def __init__(self, schema: Schema, features: OwnerFeatures, scenarios: Sequence[str]) -> None:
        self._schema, self._features, self._scenarios = schema, features, list(scenarios)
        self._kept = lru_cache(maxsize=_KEPT)(self._all)

    def of(self, scenarios: NDArray[np.integer], at: float, told: Mapping[str, Any]) -> Packed:
        """Ids and numbers of requests in those scenarios (by index) at a time."""
        if not all(isinstance(value, str | int | float | None) for value in told.values()):
            return pack(self._schema, self._features, [self._scenarios[s] for s in scenarios], at, told)
        packed = self._kept(tuple((name, type(value), value) for name, value in told.items()))
        numbers_BN = packed.numbers_RN[scenarios]
        if self._features.clock:
            numbers_BN[:, -CLOCK_NUMBERS:] = clock_numbers(np.array([at]))
        return Packed(packed.ids_RK[scenarios], numbers_BN)

    def _all(self, told: tuple[tuple[str, type, Any], ...]) -> Packed:
        """Of a request in every scenario, at no time."""
        return pack(self._schema, self._features, self._scenarios, np.nan, {name: value for name, _, value in told})


def read(schema: Schema, features: OwnerFeatures, told: Mapping[str, str]) -> dict[str, Any]:
    """Context as a person writes it, {"hour": "18"}, as values for `pack`; nothing behind the name counts as missing.

    An `InputError` where no model reads the column, a number is none, or train does not know the value.
    """
    transforms = {t.column: t for t in (*features.numbers, *features.ids)}
    values: dict[str, Any] = {}
    for name, text in told.items():
        _check_name(name, schema, where="--context")
        if name not in transforms:
            form = schema.features.of("context")[name].form
            raise InputError(f"{name!r} is a {form}, which no model reads", where="--context", fix="leave it out")
        values[name] = _value(transforms[name], text) if text else None
    return values


@dataclass(frozen=True, slots=True)
class Common:
    """Which packed columns are of a request as a whole: those of the others count as missing in a ranking."""

    ids_K: Bools
    numbers_N: Bools

    @classmethod
    def of(
        cls, columns: Columns, features: OwnerFeatures, packed: Packed, keys_KR: tuple[NDArray[Any], ...]
    ) -> "Common":
        """From rows and the keys that make them rows of one request.

        The scenario and the clock always are, the position never is; where no request has several rows, all else is.
        """
        ids_K, numbers_N = (_one_value(values, keys_KR) for values in (packed.ids_RK, packed.numbers_RN))
        ids = _whole(ids_K, [(t.column, t.columns) for t in features.ids], columns)
        numbers = _whole(numbers_N, [(t.column, len(t.names)) for t in features.numbers], columns)
        return cls(ids, np.concatenate([numbers, np.ones(packed.numbers_RN.shape[1] - len(numbers), np.bool_)]))

    def of_rows(self, logged: Packed, missing: Packed) -> Packed:
        """What the log says of rows, where it is of their request."""
        return Packed(
            np.where(self.ids_K, logged.ids_RK, missing.ids_RK),
            np.where(self.numbers_N, logged.numbers_RN, missing.numbers_RN),
        )


def _one_value(values_RX: NDArray[Any], keys_KR: tuple[NDArray[Any], ...]) -> Bools:
    """Which columns have one value in nearly all groups of several rows; rows are grouped by equal keys."""
    order = np.lexsort(keys_KR)
    same_R = np.all([key[order][1:] == key[order][:-1] for key in keys_KR], axis=0)  # as the row before
    group_P = np.cumsum(~same_R)[same_R]
    if not len(group_P):
        return np.ones(values_RX.shape[1], np.bool_)
    differs_PX = values_RX[order[1:][same_R]] != values_RX[order[:-1][same_R]]
    several = len(np.unique(group_P))
    mixed_X = [len(np.unique(group_P[differs_P])) for differs_P in differs_PX.T]
    return np.array([mixed <= (1 - MOSTLY) * several for mixed in mixed_X], np.bool_)


def _whole(one_X: Bools, features: list[tuple[str, int]], columns: Columns) -> Bools:
    """By feature: a bag of tags or a number with its indicator is one thing."""
    parts, at = [np.ones(0, np.bool_)], 0
    for column, width in features:
        common = bool(one_X[at : at + width].all()) and column != columns.position
        parts.append(np.full(width, common or column == columns.scenario))
        at += width
    return np.concatenate(parts)


def _check_name(name: str, schema: Schema, *, where: str) -> None:
    known = [column for column in schema.features.of("context") if column != schema.columns.scenario]
    if name == schema.columns.scenario:
        fix = "ask for a scenario instead, as in --scenario NAME"
        raise InputError(f"{name!r} is the scenario", where=where, fix=fix)
    if name not in known:
        fix = nearest(name, known) if known else "[features.context] has no features"
        raise InputError(f"no context feature is called {name!r}", where=where, fix=fix)


def _value(transform: Number | IdTransform, text: str) -> Any:
    if isinstance(transform, Number | Buckets):
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            message = f"{transform.column!r} is a number, and {text!r} is none"
            raise InputError(message, where="--context", fix=f"write {transform.column}=0.5")
        return number
    keys = [text]
    if isinstance(transform, Tags):
        keys = [key.strip() for key in text.split(transform.separator or ",") if key.strip()]
    for key, index in zip(keys, transform.vocab.indices(Coded.of(pl.Series(keys, dtype=pl.String))), strict=True):
        if index == UNKNOWN:
            raise _not_known(transform.column, key, transform.vocab.keys.to_list())
    return keys if isinstance(transform, Tags) and transform.separator is None else text


def _not_known(column: str, key: str, known: list[str]) -> InputError:
    close = difflib.get_close_matches(key, known, n=1) or [name for name in known if name][:5]
    fix = f"known: {', '.join(map(repr, close))}; left out, it counts as missing"
    return InputError(f"{column!r} was never, or too rarely, {key!r} in train", where="--context", fix=fix)


def _column(name: str, value: Any, requests: int) -> pl.Series:
    """One value for all requests or, as a list of that length, one for each; a bag of tags is a list of lists."""
    values = value if isinstance(value, list | np.ndarray) and len(value) == requests else [value] * requests
    return pl.Series(name, values, strict=False)
