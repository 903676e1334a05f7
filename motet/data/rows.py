"""Rows of one table, in memory or on the disk, as features are fitted on them and applied to them."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from motet.data.arrays import Bools, Floats
from motet.data.coded import Coded
from motet.data.store import Table

Frame = pl.DataFrame | Table


def column_of(frame: Frame, column: str) -> pl.Series:
    """The column, or as many nulls where the frame does not have it."""
    return frame[column] if column in frame.columns else pl.Series(column, [None] * frame.height, dtype=pl.String)


def coded_column(frame: Frame, column: str) -> Coded:
    """The column as codes into its distinct values; of lists every row is a value of its own."""
    if isinstance(frame, Table) and column in frame.columns and not frame.schema[column].is_nested():
        return frame.coded(column)
    series = column_of(frame, column)
    if series.dtype.is_nested():
        return Coded(np.arange(len(series), dtype=np.uint32), series.extend_constant(None, 1))
    return Coded.of(series)


@dataclass(frozen=True, slots=True)
class FitRows:
    """One table to fit on, and how many train impressions each row stands for (or whether it is one)."""

    frame: Frame
    train_R: Floats | Bools

    @property
    def used_R(self) -> Bools:
        return self.train_R > 0

    @property
    def weights(self) -> Floats | None:
        """Of the used rows; None where each counts once."""
        return None if self.train_R.dtype == np.bool_ else self.train_R[self.used_R].astype(np.float64)

    def coded(self, column: str) -> Coded:
        """The used rows of a column."""
        return coded_column(self.frame, column).where(self.used_R)
