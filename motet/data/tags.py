"""Categorical columns and bags of tags as vocab indices."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from motet.batch import PADDING, UNKNOWN
from motet.data.arrays import Ids
from motet.data.coded import Coded
from motet.data.rows import FitRows, Frame, coded_column
from motet.data.vocab import Vocab, key_strings
from motet.errors import InputError
from motet.schema import Feature

SEPARATORS = ("|", ";", ",", " ")
MOST_TAGS = 24
_AT_ONCE = 500_000  # bags that are taken apart at a time


@dataclass(frozen=True, slots=True, eq=False)
class Categorical:
    """One key per row; a null is a key of its own when train saw it often enough."""

    name: str
    column: str
    vocab: Vocab

    @classmethod
    def fit(cls, name: str, column: str, feature: Feature, rows: FitRows) -> "Categorical":
        keys = rows.coded(column)
        if keys.values.dtype.is_nested():
            message = f"column {column!r} is categorical, but holds lists"
            raise InputError(message, fix='declare it "tags" or "vector"')
        vocab = Vocab.fit(keys, rows.weights, min_count=feature.min_count, buckets=feature.buckets)
        return cls(name, column, vocab)

    @property
    def size(self) -> int:
        return self.vocab.size

    @property
    def columns(self) -> int:
        return 1

    def indices(self, frame: Frame) -> Ids:
        """[R, 1] indices."""
        return self.vocab.indices(coded_column(frame, self.column))[:, None]


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
    def fit(cls, column: str, feature: Feature, rows: FitRows) -> "Tags":
        """Width: the 99.9 % quantile of train's bag sizes, 2 … 24."""
        bags, weights = rows.coded(column), rows.weights
        separator = feature.separator or _separator(bags)
        tags = _explode(bags.values, separator)
        place, weight_V = tags["row"].to_numpy(), bags.counts(weights)
        admitted = {"min_count": feature.min_count, "buckets": feature.buckets}
        vocab = Vocab.fit(Coded.of(tags["tag"]), weight_V[place], **admitted)
        sizes = np.bincount(place, minlength=len(bags.values))[bags.codes] if len(bags.codes) else np.zeros(1)
        width = int(np.clip(np.ceil(np.quantile(sizes, 0.999)), 2, MOST_TAGS))
        return cls(column, column, separator, width, vocab)

    @property
    def size(self) -> int:
        return self.vocab.size

    @property
    def columns(self) -> int:
        return self.width

    def indices(self, frame: Frame) -> Ids:
        """[R, width] indices, 0 where the bag has ended."""
        bags = coded_column(frame, self.column)
        pieces = [self._bags(values) for values in bags.values.to_frame().iter_slices(_AT_ONCE)]
        found: Ids = np.concatenate(pieces)[bags.codes]
        return found

    def _bags(self, values: pl.DataFrame) -> Ids:
        tags = _explode(values.to_series(), self.separator)
        tags = tags.with_columns(index=pl.Series(self.vocab.indices(Coded.of(tags["tag"])), dtype=pl.Int32))
        bags: Ids = np.full((values.height, self.width), PADDING, dtype=np.int32)
        bags[tags["row"].unique().to_numpy(), 0] = UNKNOWN
        known = tags.filter(pl.col("index") != UNKNOWN).with_columns(place=pl.int_range(pl.len()).over("row"))
        known = known.filter(pl.col("place") < self.width)
        bags[known["row"].to_numpy(), known["place"].to_numpy()] = known["index"].to_numpy()
        return bags


def _separator(bags: Coded) -> str | None:
    """The first of | ; , and blank that at least one value in a hundred contains."""
    if bags.values.dtype.is_nested():
        return None
    counts, text = bags.counts(), bags.values.cast(pl.String)
    given = counts[:-1].sum()
    for separator in SEPARATORS:
        holds = text.str.contains(separator, literal=True).fill_null(False).to_numpy()
        if given and counts[holds].sum() / given >= 0.01:
            return separator
    return None


def _explode(values: pl.Series, separator: str | None) -> pl.DataFrame:
    """One row per (row, tag), in order, without empty tags and repetitions."""
    if not values.dtype.is_nested():
        values = values.cast(pl.String)
        values = values.str.split(separator) if separator else pl.select(pl.concat_list(values)).to_series()
    rows = pl.DataFrame({"row": np.arange(len(values)), "tag": values}).explode("tag")
    rows = rows.with_columns(tag=key_strings(rows["tag"]).str.strip_chars())
    return rows.filter(pl.col("tag") != "").unique(["row", "tag"], maintain_order=True)
