"""Columns as codes into their distinct values: what depends on the value alone is worked out once for each of them."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from motet.data.arrays import Floats, Ints

Codes = NDArray[np.uint32]
_DENSE = 4  # whole numbers are their own codes while they span at most this many times the rows


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """[N] code of each row; value of each code, null's last. Some codes may not occur."""

    codes: Codes
    values: pl.Series

    @classmethod
    def of(cls, series: pl.Series) -> "Coded":
        dtype = series.dtype
        if dtype.is_integer() and series.null_count() < len(series):
            low, high = int(series.min()), int(series.max())  # type: ignore[arg-type]
            if high - low < _DENSE * len(series) + 1000:
                codes = (series.cast(pl.Int64) - low).cast(pl.UInt32)
                values = pl.Series(series.name, np.arange(low, high + 1), dtype=pl.Int64).cast(dtype)
                return cls.from_physical(codes, values)
        values = series.drop_nulls().unique()
        numbered = pl.DataFrame({"value": values, "code": pl.int_range(len(values), dtype=pl.UInt32, eager=True)})
        joined = series.alias("value").to_frame().join(numbered, on="value", how="left", maintain_order="left")
        return cls.from_physical(joined["code"], values)

    @classmethod
    def from_physical(cls, codes: pl.Series, values: pl.Series) -> "Coded":
        """Codes into values that do not hold null; a null code is null's."""
        filled = codes.fill_null(len(values)) if codes.null_count() else codes
        return cls(np.ascontiguousarray(filled.to_numpy(), dtype=np.uint32), values.extend_constant(None, 1))

    def where(self, kept_N: NDArray[np.bool_]) -> "Coded":
        return Coded(self.codes[kept_N], self.values)

    def mapped(self, values: pl.Series) -> "Coded":
        """With another value for each code; equal ones become one."""
        other = Coded.of(values)
        return Coded(other.codes[self.codes], other.values)

    def counts(self, weights: Floats | None = None) -> NDArray[np.float64]:
        """How many rows, or how much weight, each code has."""
        return np.bincount(self.codes, weights, minlength=len(self.values)).astype(np.float64)

    def occurring(self) -> Ints:
        """The codes that occur, in order of their first appearance."""
        first = np.full(len(self.values), len(self.codes), dtype=np.int64)
        first[self.codes[::-1]] = np.arange(len(self.codes) - 1, -1, -1)
        return np.argsort(first, kind="stable")[: int((first < len(self.codes)).sum())]
