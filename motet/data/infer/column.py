"""What the values of a column say: their sort, how many there are, how many differ, and how they depend on others."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from motet.data.arrays import Numbers
from motet.data.clock import is_order_index, seconds_of
from motet.data.infer.words import words
from motet.data.labels import label_values
from motet.errors import InputError

Sort = Literal["flag", "whole", "number", "text", "moment", "list", "other"]
_LOOKS_LIKE_DATE = r"^\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a table; `low` and `high` only where the values are numbers."""

    name: str
    words: tuple[str, ...]
    values: pl.Series
    sort: Sort  # flag: bool, 0/1, yes/no; whole: integers, also as floats; moment: dates; other: null, struct, bytes
    rows: int
    filled: int
    distinct: int  # without null; 0 for lists and others
    low: float = float("nan")
    high: float = float("nan")

    @property
    def is_constant(self) -> bool:
        return self.filled == 0 or (self.distinct == 1 and self.sort not in {"list", "other"})

    @property
    def is_key_like(self) -> bool:
        """Nearly every row has its own value."""
        return self.sort in {"whole", "text"} and self.rows > 1 and self.distinct > 0.95 * self.filled > 0

    def labels(self) -> Numbers:
        """The values as labels, NaN where missing; a flag's are 0 and 1."""
        return label_values(self.values).fill_null(float("nan")).to_numpy().astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table of one or several files with the same columns."""

    paths: tuple[Path, ...]
    frame: pl.DataFrame
    columns: dict[str, Column]

    @property
    def name(self) -> str:
        return ", ".join(path.name for path in self.paths)

    @property
    def rows(self) -> int:
        return self.frame.height


def describe(frame: pl.DataFrame) -> dict[str, Column]:
    """Every column by name, in the table's order."""
    return {name: _column(name, frame[name]) for name in frame.columns}


def _column(name: str, values: pl.Series) -> Column:
    if values.dtype.is_decimal():
        values = values.cast(pl.Float64)
    if values.dtype.is_float():
        values = values.fill_nan(None)
    elif isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    filled = values.len() - values.null_count()
    sort = _sort(values) if filled else "other"
    distinct = values.drop_nulls().n_unique() if sort not in {"list", "other"} else 0
    if sort in {"flag", "whole", "number"} and values.dtype.is_numeric():
        finite = values.cast(pl.Float64).filter(values.cast(pl.Float64).is_finite())
        low, high = finite.min(), finite.max()
        if isinstance(low, float) and isinstance(high, float):
            return Column(name, words(name), values, sort, values.len(), filled, distinct, low, high)
    return Column(name, words(name), values, sort, values.len(), filled, distinct)


def _sort(values: pl.Series) -> Sort:
    dtype = values.dtype
    if dtype == pl.Boolean:
        return "flag"
    if dtype.is_integer() or dtype.is_float():
        known = values.drop_nulls()
        if bool(known.cast(pl.Float64).is_in([0.0, 1.0]).all()):
            return "flag"
        whole = dtype.is_integer() or bool((known.is_finite() & (known == known.floor())).all())
        return "whole" if whole else "number"
    if dtype == pl.String:
        known = values.drop_nulls().unique()
        says = label_values(known) if len(known) <= 8 else pl.Series([None], dtype=pl.Float64)
        return "flag" if bool(says.is_in([0.0, 1.0]).fill_null(False).all()) else "text"
    if isinstance(dtype, pl.List | pl.Array):
        return "list"
    return "moment" if dtype == pl.Date or dtype == pl.Datetime else "other"


def seconds(column: Column) -> pl.Series | None:
    """The column as seconds since 1970 where its values are times, whatever its name; None for anything else."""
    if column.sort == "text":
        head = column.values.drop_nulls().head(1000)
        if not bool(head.str.contains(_LOOKS_LIKE_DATE).all()):
            return None
    elif column.sort not in {"moment", "whole", "number"} or (column.sort != "moment" and not is_epoch(column)):
        return None
    try:
        found = seconds_of(column.values, where=column.name)
    except InputError:
        return None
    return None if is_order_index(found) else found


def is_epoch(column: Column) -> bool:
    """Numbers that lie between 1980 and 2080 as seconds, milli-, micro- or nanoseconds."""
    return any(3.2e8 * unit <= column.low and column.high <= 3.5e9 * unit for unit in (1.0, 1e3, 1e6, 1e9))


def is_calendar(column: Column) -> bool:
    """Whole numbers such as 20240131."""
    if column.sort != "whole" or not (column.low >= 19_000_101 and column.high <= 21_001_231):
        return False
    day, month = column.values.cast(pl.Int64) % 100, column.values.cast(pl.Int64) // 100 % 100
    return bool((day.is_between(1, 31) & month.is_between(1, 12)).drop_nulls().all())


def depends_on(frame: pl.DataFrame, key: str, column: str) -> bool:
    """Whether the column's value is the same in (nearly) all rows of a key: an attribute of that key.

    Surplus pairs (key, value) must be at most a twentieth of the keys and a fifth of what they would be by chance, with
    the column shuffled. Says no without evidence: fewer than 5 surplus pairs by chance.
    """
    if frame[column].dtype.is_nested():
        return False
    shuffled = frame[column].shuffle(seed=1).alias("shuffled")
    pairs = frame.select(keys=key, values=column).with_columns(shuffled)
    counts = pairs.select(
        pl.col("keys").n_unique().alias("keys"),
        pl.struct("keys", "values").n_unique().alias("pairs"),
        pl.struct("keys", "shuffled").n_unique().alias("chance"),
    ).row(0)
    keys, surplus, chance = counts[0], counts[1] - counts[0], counts[2] - counts[0]
    return bool(chance >= 5 and surplus <= min(0.2 * chance, 0.05 * keys))


def number(value: float) -> str:
    """A number for a comment: `1,990,000`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def share(part: float) -> str:
    """A share for a comment: `4.2 %`."""
    return f"{100 * part:.3g} %"


def snake(name: str) -> str:
    """A task's name from a column's: lower-case words without a leading `is`."""
    parts = [part for part in words(name) if part != "is"] or list(words(name))
    return "_".join(parts) or re.sub(r"\s+", "_", name.strip()) or "label"


def names(columns: Iterable[str], most: int = 12) -> str:
    """The first column names for a message."""
    shown = list(columns)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
