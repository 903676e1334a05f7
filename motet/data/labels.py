"""Labels of each task: their values, where they are observed, and from when on they are known.

A label counts as known from its `known_at` column, or from the impression's time plus the task's `delay`. A label that
is known only after `tables.snapshot` is unobserved: the log was extracted before its window closed. (The default
snapshot, the log's last time, is only a lower bound of when it was extracted, so it hides nothing.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from motet.condition import Both, Compare, Condition, Either, IsIn, IsNull, Not, Value, columns_of, parse_condition
from motet.data.arrays import Floats, Numbers
from motet.data.clock import moment, seconds_of
from motet.data.coded import Coded
from motet.data.store import Table
from motet.data.tables import scenario_of
from motet.errors import InputError
from motet.schema import Schema, Task

_TRUE, _FALSE = ("true", "yes", "t", "y"), ("false", "no", "f", "n")
_SIGNS = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


@dataclass(frozen=True, slots=True)
class Labels:
    """N impressions, T tasks in the schema's order: one array for each task."""

    values_TN: tuple[Numbers, ...]  # nan where unobserved
    known_at_TN: tuple[Floats, ...]  # seconds (or order steps), never before the impression


def labels_of(impressions: Table, schema: Schema, times_N: Floats, kinds: Coded | None) -> Labels:
    """Values and known-from times of every task; a task that is observed nowhere is an `InputError`.

    The known-from times of a task without delay are `times_N` itself.
    """
    scenarios = scenario_of(impressions, schema)
    snapshot = schema.tables.snapshot
    end = moment(snapshot, where="tables.snapshot") if snapshot is not None else np.inf
    values_TN, known_at_TN = [], []
    for task in schema.tasks:
        known_N = _known_at(impressions, task, times_N, end)
        seen_N = _observed(impressions, task, scenarios, kinds)
        seen_N &= known_N <= end
        given_N = _values(impressions, task)
        values_N = np.where(seen_N, given_N, np.nan).astype(np.float32)
        if np.isnan(values_N).all():
            raise _unobserved(task, labelled=not np.isnan(given_N).all())
        values_TN.append(values_N)
        known_at_TN.append(known_N)
    return Labels(tuple(values_TN), tuple(known_at_TN))


def label_values(series: pl.Series) -> pl.Series:
    """A label column as float64: true/false and yes/no are 1/0; missing, nan and what is no number are null."""
    dtype = series.dtype
    if dtype == pl.Boolean or dtype.is_numeric() or dtype == pl.Null:
        return series.cast(pl.Float64).fill_nan(None)
    if not isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return pl.Series(series.name, [None], dtype=pl.Float64).new_from_index(0, series.len())
    text = series.cast(pl.String).str.strip_chars().str.to_lowercase()
    words = text.replace_strict(
        [*_TRUE, *_FALSE], [1.0] * len(_TRUE) + [0.0] * len(_FALSE), default=None, return_dtype=pl.Float64
    )
    return text.cast(pl.Float64, strict=False).fill_nan(None).zip_with(words.is_null(), words)


def condition_expr(condition: Condition, columns: Mapping[str, pl.DataType], *, where: str = "condition") -> pl.Expr:
    """The condition as a boolean expression without nulls over a frame with these columns.

    A comparison with null (or nan) is false, so `not (a = 1)` holds where `a` is missing. A number is compared with a
    number or a boolean column, text with a text column or, as ISO time, with a time column; else an `InputError`.
    """
    match condition:
        case IsNull(column):
            return _column(column, columns, where).is_null()
        case Compare(column, operator, value):
            left, right = _sides(column, value, columns, where)
            compared: pl.Expr = getattr(left, _SIGNS[operator])(right)
            return compared.fill_null(False)
        case IsIn(column, values):
            sides = [_sides(column, value, columns, where) for value in values]
            return pl.any_horizontal((left == right).fill_null(False) for left, right in sides)
        case Not(term):
            return ~condition_expr(term, columns, where=where)
        case Both(first, second):
            return condition_expr(first, columns, where=where) & condition_expr(second, columns, where=where)
        case Either(first, second):
            return condition_expr(first, columns, where=where) | condition_expr(second, columns, where=where)


def _column(name: str, columns: Mapping[str, pl.DataType], where: str) -> pl.Expr:
    if name not in columns:
        raise InputError(f"there is no column {name!r}", where=where, fix=f"columns: {', '.join(columns)}")
    return pl.col(name).fill_nan(None) if columns[name].is_float() else pl.col(name)


def _sides(column: str, value: Value, columns: Mapping[str, pl.DataType], where: str) -> tuple[pl.Expr, pl.Expr]:
    """Both sides of a comparison in one type."""
    left, dtype = _column(column, columns, where), columns[column]
    if isinstance(value, str):
        if dtype.is_temporal():
            return left.dt.epoch("us") / 1e6, pl.lit(moment(value, where=where))
        if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
            return left.cast(pl.String), pl.lit(value)
        fix = "leave the quotes out"
        raise InputError(
            f"column {column!r} holds {dtype}, but is compared with the text {value!r}", where=where, fix=fix
        )
    if dtype.is_numeric() or dtype in {pl.Boolean, pl.Null}:
        return left.cast(pl.Float64), pl.lit(float(value))
    shown = str(value).lower() if isinstance(value, bool) else f"{value:g}"
    message = f"column {column!r} holds {'text' if dtype == pl.String else dtype}, but is compared with {shown}"
    raise InputError(message, where=where, fix=f'write "{shown}" in quotes' if dtype == pl.String else "")


def _holds(impressions: Table, text: str, where: str) -> npt.NDArray[np.bool_]:
    condition = parse_condition(text)
    expression = condition_expr(condition, impressions.schema, where=where)
    found = impressions.select(sorted(columns_of(condition))).select(expression.alias("holds"))
    return found.to_series().to_numpy(writable=True)


def _values(impressions: Table, task: Task) -> Floats:
    """The label of every row, nan where its column is missing."""
    column = impressions[task.label]
    if task.positive_when is None:
        return label_values(column).fill_null(float("nan")).to_numpy()
    positive = _holds(impressions, task.positive_when, f"task {task.name!r}: positive_when").astype(np.float64)
    missing = column.is_null() | (column.is_nan() if column.dtype.is_float() else False)
    positive[missing.to_numpy()] = np.nan
    return positive


def _observed(impressions: Table, task: Task, scenarios: Coded, kinds: Coded | None) -> npt.NDArray[np.bool_]:
    """Where the schema lets the task be observed."""
    seen_N = np.ones(impressions.height, dtype=np.bool_)
    if task.observed_when is not None:
        seen_N &= _holds(impressions, task.observed_when, f"task {task.name!r}: observed_when")
    if task.scenarios:
        seen_N &= _among(scenarios, task.scenarios)
    if task.kinds:
        if kinds is None:
            fix = "name the items' kind column in [columns] kind, or leave the task's kinds out"
            raise InputError("the items have no kind", where=f"task {task.name!r}: kinds", fix=fix)
        seen_N &= _among(kinds, task.kinds)
    return seen_N


def _among(names: Coded, wanted: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Where the name is one of the wanted."""
    found: npt.NDArray[np.bool_] = names.values.is_in(list(wanted)).fill_null(False).to_numpy()[names.codes]
    return found


def _known_at(impressions: Table, task: Task, times_N: Floats, snapshot: float) -> Floats:
    """A missing `known_at` means: known when the log was extracted."""
    if task.known_at is None:
        return times_N + task.delay_seconds if task.delay_seconds else times_N
    given = seconds_of(impressions[task.known_at], where=f"task {task.name!r}: known_at")
    known_N = given.fill_null(float("nan")).to_numpy()
    ends = (np.nanmax(known_N, initial=-np.inf), np.nanmax(times_N, initial=-np.inf))
    last = snapshot if np.isfinite(snapshot) else max(ends)
    return np.maximum(np.where(np.isnan(known_N), last, known_N), times_N)


def _unobserved(task: Task, *, labelled: bool) -> InputError:
    where = f"task {task.name!r}"
    if not labelled:
        message = f"its label column {task.label!r} holds no value"
        return InputError(message, where=where, fix="name the column that holds the labels, or remove the task")
    limits = [name for name in ("observed_when", "scenarios", "kinds", "delay", "known_at") if getattr(task, name)]
    message = f"no label is observed: {' and '.join(limits)} leave no row"
    return InputError(message, where=where, fix="correct them (names are case sensitive), or remove the task")
