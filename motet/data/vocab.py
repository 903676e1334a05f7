"""Vocabs: external keys to internal indices, fitted on train only. 0 is padding, 1 unknown, 2 … the keys.

Behind the keys may come buckets, which all keys without a row of their own share by a hash, new ones too.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from motet.batch import UNKNOWN
from motet.data.arrays import Floats, Ids, Ints
from motet.data.coded import Coded
from motet.data.hashing import buckets_of

FIRST_KEY = UNKNOWN + 1
"""The index of the first key of a vocab, and the row of the first known user or item."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocab:
    """Keys with how often train saw them, the commonest first (ties by key); rarer ones than `min_count` are none.

    A key that is none is unknown, or in a bucket if there are any; a missing one, "", is never in a bucket.
    """

    keys: pl.Series  # String
    counts: Ints  # [keys] train rows when they were admitted
    buckets: int = 0

    @classmethod
    def fit(cls, keys: Coded, weights: Floats | None = None, *, min_count: int = 1, buckets: int = 0) -> "Vocab":
        """The vocab of train's keys; `weights` counts each row that often. A null is the key "" (missing)."""
        counted = (
            pl.DataFrame({"key": key_strings(keys.values), "count": keys.counts(weights)})
            .group_by("key")
            .agg(pl.col("count").sum())
            .filter(pl.col("count") >= max(min_count, 1))
            .sort("count", "key", descending=[True, False])
        )
        return cls(counted["key"], counted["count"].to_numpy().astype(np.int64), buckets)

    def extended(self, other: "Vocab") -> "Vocab":
        """These keys where they are, those of the other that are new behind them."""
        new = ~other.keys.is_in(self.keys.implode())
        counts = np.concatenate([self.counts, other.counts[new.to_numpy()]])
        return Vocab(pl.concat([self.keys, other.keys.filter(new)]), counts, self.buckets)

    @property
    def size(self) -> int:
        """Table rows it needs: one for unknown, one for each key, the buckets; padding is shared and not counted."""
        return 1 + len(self.keys) + self.buckets

    def indices(self, keys: Coded) -> Ids:
        """The index of each key; that of its bucket, or 1 without buckets, where it is not in the vocab."""
        values = key_strings(keys.values)
        indices = places_of(values, self.keys)
        if self.buckets:
            shared = (indices == UNKNOWN) & (values != "").to_numpy()
            hashed = buckets_of(values.filter(pl.Series(shared)), self.buckets)
            indices[shared] = FIRST_KEY + len(self.keys) + hashed
        return indices[keys.codes]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"key": self.keys, "count": self.counts}).write_parquet(path)

    @classmethod
    def load(cls, path: Path, buckets: int = 0) -> "Vocab":
        frame = pl.read_parquet(path)
        return cls(frame["key"], frame["count"].to_numpy(), buckets)


def row_numbers(keys: Coded, known: pl.Series) -> Ids:
    """2 + the position of each key in `known`, 1 where it does not occur."""
    return places_of(keys.values, known)[keys.codes]


def places_of(values: pl.Series, known: pl.Series) -> Ids:
    """`row_numbers` of values."""
    table = pl.DataFrame({"key": known, "index": np.arange(FIRST_KEY, FIRST_KEY + len(known), dtype=np.int32)})
    joined = values.alias("key").to_frame().join(table, on="key", how="left", maintain_order="left")
    return joined["index"].fill_null(UNKNOWN).to_numpy().astype(np.int32)


def key_strings(keys: pl.Series) -> pl.Series:
    """Keys as strings, the same for the same value whatever its type: 3 and 3.0 are "3", a null is ""."""
    if keys.dtype.is_float():
        text = pl.when(keys == keys.floor()).then(keys.cast(pl.Int64, strict=False).cast(pl.String))
        return pl.select(text.otherwise(keys.cast(pl.String)).fill_null("")).to_series()
    return keys.cast(pl.String).fill_null("")
