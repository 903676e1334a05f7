"""Categorical columns and bags of tags as vocab indices."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from motet.batch import PADDING, UNKNOWN
from motet.data.arrays import Floats, Ids
from motet.data.vocab import Vocab, key_strings
from motet.errors import InputError
from motet.schema import Feature

SEPARATORS = ("|", ";", ",", " ")
MOST_TAGS = 24


@dataclass(frozen=True, slots=True, eq=False)
class Categorical:
    """One key per row; a null is a key of its own when train saw it often enough."""

    name: str
    column: str
    vocab: Vocab

    @classmethod
    def fit(cls, name: str, column: str, feature: Feature, train: pl.DataFrame, weights: Floats) -> "Categorical":
        _refuse_lists(train, column)
        return cls(name, column, Vocab.fit(column_of(train, column), weights, min_count=feature.min_count))

    @property
    def size(self) -> int:
        return self.vocab.size

    @property
    def columns(self) -> int:
        return 1

    def indices(self, frame: pl.DataFrame) -> Ids:
        """[R, 1] indices."""
        return self.vocab.indices(column_of(frame, self.column))[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class Tags:
    """A bag of tags per row: a list column, or text cut at `separator`.

    Known tags fill the row's columns in their order, each once, padding after them; tags beyond the width are left
    out. A row whose tags are all unknown holds one unknown, a row without tags only padding.
    """

    name: str
    column: str
    separator: str | None
    width: int
    vocab: Vocab

    @classmethod
    def fit(cls, column: str, feature: Feature, train: pl.DataFrame, weights: Floats) -> "Tags":
        """Width: the 99.9 % quantile of train's bag sizes, 2 … 24."""
        separator = feature.separator or _separator(column_of(train, column))
        tags = _explode(train, column, separator)
        vocab = Vocab.fit(tags["tag"], weights[tags["row"].to_numpy()], min_count=feature.min_count)
        sizes = np.bincount(tags["row"].to_numpy(), minlength=max(train.height, 1))
        width = int(np.clip(np.ceil(np.quantile(sizes, 0.999)), 2, MOST_TAGS))
        return cls(column, column, separator, width, vocab)

    @property
    def size(self) -> int:
        return self.vocab.size

    @property
    def columns(self) -> int:
        return self.width

    def indices(self, frame: pl.DataFrame) -> Ids:
        """[R, width] indices, 0 where the bag has ended."""
        tags = _explode(frame, self.column, self.separator)
        tags = tags.with_columns(index=pl.Series(self.vocab.indices(tags["tag"]), dtype=pl.Int32))
        bags: Ids = np.full((frame.height, self.width), PADDING, dtype=np.int32)
        bags[tags["row"].unique().to_numpy(), 0] = UNKNOWN
        known = tags.filter(pl.col("index") != UNKNOWN).with_columns(place=pl.int_range(pl.len()).over("row"))
        known = known.filter(pl.col("place") < self.width)
        bags[known["row"].to_numpy(), known["place"].to_numpy()] = known["index"].to_numpy()
        return bags


def column_of(frame: pl.DataFrame, column: str) -> pl.Series:
    """The column, or as many nulls where the frame does not have it."""
    return frame[column] if column in frame.columns else pl.Series(column, [None] * frame.height, dtype=pl.String)


def _refuse_lists(frame: pl.DataFrame, column: str) -> None:
    if column_of(frame, column).dtype.is_nested():
        raise InputError(f"column {column!r} is categorical, but holds lists", fix='declare it "tags" or "vector"')


def _separator(values: pl.Series) -> str | None:
    """The first of | ; , and blank that at least one value in a hundred contains."""
    if values.dtype.is_nested():
        return None
    text = values.drop_nulls().cast(pl.String)
    for separator in SEPARATORS:
        if len(text) and (text.str.contains(separator, literal=True).mean() or 0.0) >= 0.01:  # type: ignore[operator]
            return separator
    return None


def _explode(frame: pl.DataFrame, column: str, separator: str | None) -> pl.DataFrame:
    """One row per (row, tag), in order, without empty tags and repetitions."""
    values = column_of(frame, column)
    if not values.dtype.is_nested():
        values = values.cast(pl.String)
        values = values.str.split(separator) if separator else pl.select(pl.concat_list(values)).to_series()
    rows = pl.DataFrame({"row": np.arange(frame.height), "tag": values}).explode("tag")
    rows = rows.with_columns(tag=key_strings(rows["tag"]).str.strip_chars())
    return rows.filter(pl.col("tag") != "").unique(["row", "tag"], maintain_order=True)
