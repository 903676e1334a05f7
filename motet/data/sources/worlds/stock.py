"""What is on offer in a world: items with their true vector and quality, and what is on record of them.

Shape letters: J items, K taste axes, M makers (brands, authors, providers), I intents.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from motet.data.sources.market import ids, named
from motet.data.sources.market_text import ADJECTIVES
from motet.data.sources.market_world import (
    CATEGORY_SCALE,
    LANGUAGES,
    RESIDUAL_SCALE,
    TAG_NOISE,
    TAG_THRESHOLD,
    TAGS,
    Floats,
    Ints,
    K,
    arrivals,
)

QUALITY_RESIDUAL, RENOWN_NOISE = 0.3, 0.6
Categories = Mapping[str, tuple[float, ...]]
"""The mean taste vector of each category."""


@dataclass(frozen=True, kw_only=True)
class Stock:
    """J items; `table` holds what a log's items table would."""

    key: pl.Series
    kind: Ints
    category: Ints  # of its kind
    language: Ints
    listed: Ints  # day of arrival
    vector: Floats  # [J, K]
    quality: Floats
    renown: Floats  # the logging policy's rough guess of quality
    table: pl.DataFrame

    @property
    def count(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, kw_only=True)
class Makers:
    """Who makes items: what all that one makes has in common."""

    vector: Floats  # [M, K]
    quality: Floats  # [M]


def draw_stock(
    kind: int,
    prefix: str,
    count: int,
    days: int,
    rng: np.random.Generator,
    *,
    categories: Categories,
    makers: Makers,
    names: tuple[str, ...],
    language: Ints | None = None,
) -> tuple[Stock, Ints]:
    """Items of one kind, and the maker of each: vector = category + maker + residual, quality = maker + residual."""
    means, maker = np.array(list(categories.values())), rng.integers(len(makers.quality), size=count)
    category = rng.integers(len(means), size=count)
    residual = RESIDUAL_SCALE * rng.normal(size=(count, K))
    quality = makers.quality[maker] + QUALITY_RESIDUAL * rng.normal(size=count)
    drawn = (rng.random(count) < 0.45).astype(np.int64)
    stock = shelve(
        kind, prefix, names[kind], rng,
        category=category, names=tuple(categories), listed=arrivals(count, days, rng),
        language=drawn if language is None else language[maker],
        vector=CATEGORY_SCALE * means[category] + makers.vector[maker] + residual, quality=quality,
    )  # fmt: skip
    return stock, maker


def shelve(
    kind: int,
    prefix: str,
    kind_name: str,
    rng: np.random.Generator,
    *,
    category: Ints,
    names: tuple[str, ...],
    listed: Ints,
    language: Ints,
    vector: Floats,
    quality: Floats,
) -> Stock:
    """Items with what every shelf records: category, language, tags and a title, as far as the vector tells them."""
    count = len(category)
    noisy = vector + TAG_NOISE * rng.normal(size=vector.shape)
    tags = np.stack([noisy < -TAG_THRESHOLD, noisy > TAG_THRESHOLD], axis=2).reshape(count, 2 * K)
    tag_names = [name for pair in TAGS for name in pair]
    attached = pl.concat_list(pl.when(name).then(pl.lit(name)) for name in tag_names).list.drop_nulls()
    strongest = np.abs(noisy).argmax(axis=1)
    pole = strongest * 2 + (np.take_along_axis(noisy, strongest[:, None], axis=1)[:, 0] > 0)
    adjectives = tuple(words[0] for axis in ADJECTIVES["en"] for words in axis)
    key = ids(prefix, np.arange(count), 4)
    table = pl.DataFrame(
        {
            "item_id": key,
            "kind": [kind_name] * count,
            "category": named(names, category),
            "language": named(LANGUAGES, language),
            "tags": pl.DataFrame(tags, schema=tag_names).select(attached).to_series(),
            "title": named(adjectives, pole) + " " + named(names, category),
        }
    )
    return Stock(
        key=key, kind=np.full(count, kind), category=category, language=language, listed=listed, vector=vector,
        quality=quality, renown=quality + RENOWN_NOISE * rng.normal(size=count), table=table,
    )  # fmt: skip


def together(*stocks: Stock) -> Stock:
    """All of them, one kind behind the other; what one kind's records lack is null."""
    arrays = ("kind", "category", "language", "listed", "vector", "quality", "renown")
    return Stock(
        key=pl.concat([stock.key for stock in stocks]),
        table=pl.concat([stock.table for stock in stocks], how="diagonal"),
        **{name: np.concatenate([getattr(stock, name) for stock in stocks]) for name in arrays},
    )
