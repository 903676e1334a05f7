"""A shop with goods, content and reviews, seen at home, in the app and on the pages of products.

A review is of one of the goods: it has its category, brand and nearly its vector, and a quality of its own. Goods have
a photo: 12 numbers that are a noisy function of the true vector.
"""

import numpy as np
import polars as pl

from motet.data.sources.market_oracle import DELAY
from motet.data.sources.market_world import (
    AXES,
    CONTENT,
    CONTENT_BRANDS,
    GOODS,
    GOODS_BRANDS,
    PHOTO_NOISE,
    PHOTO_WIDTH,
    K,
    arrivals,
    draw_users,
    laws,
)
from motet.data.sources.worlds.happens import Story, tables_of
from motet.data.sources.worlds.shown import show
from motet.data.sources.worlds.stock import Makers, Stock, draw_stock, shelve, together
from motet.data.sources.worlds.world import Place, Reaction, Size, World

NEVER = -np.inf
WORLD = World(
    name="ecommerce",
    number=1,
    kinds=("goods", "content", "review"),
    places=(
        Place(name="home", share=0.4, slate=(6, 8), mix=(1.4, 0.8, 0.9, 1.0, 1.2, 0.5), bonus=(0.0, 0.0, -0.7)),
        Place(name="app", share=0.35, slate=(4, 6), mix=(1.1, 1.0, 0.5, 1.4, 1.2, 0.6), bonus=(0.0, 0.2, -0.7)),
        Place(name="product", share=0.25, slate=(4, 6), mix=(1.2, 0.9, 1.2, 0.8, 1.0, 0.8), bonus=(0.0, NEVER, 0.6)),
    ),
    reactions=(
        Reaction(task="click", label="clicked", kinds=("goods", "content"), base=-1.3, readiness=0.9),
        Reaction(task="cart", label="carted", kinds=("goods",), base=-2.5, quality=0.65),
        Reaction(
            task="purchase", label="bought", kinds=("goods",), base=-1.6, attention=0.0, after="click", delay=DELAY
        ),
        Reaction(task="helpful", label="helped", kinds=("review",), base=-1.9, taste=1.2, quality=1.0),
        Reaction(
            task="stars", label="rating", kinds=("goods",), base=2.3, taste=1.4, readiness=0.3, language=0.0,
            attention=0.0, after="purchase", delay=DELAY, stars=True,
        ),
    ),
)  # fmt: skip


def generate(size: Size) -> dict[str, pl.DataFrame]:
    """The tables of this world."""
    people, shelves, slates, choices = size.streams(WORLD, 4)
    users = draw_users(size.users, size.days, people)
    goods, brands = size.items * 4 // 10, slice(0, len(GOODS_BRANDS))
    stock = _goods(goods, size.days, brands, shelves)
    others = draw_stock(
        1, "c", size.items * 2 // 10, size.days, shelves,
        categories=CONTENT, makers=_brands(slice(brands.stop, None)), names=WORLD.kinds,
    )  # fmt: skip
    content = others[0]
    content.table.insert_column(3, pl.Series("brand", CONTENT_BRANDS).gather(others[1]))
    everything = together(stock, content, _reviews(stock, size.items - goods - content.count, size.days, shelves))
    shown = show(WORLD, users, everything, size, slates)
    story = Story(world=WORLD, users=users, stock=everything, shown=shown, extra_R=np.zeros(shown.count))
    return tables_of(story, size, choices, {})


def _brands(chosen: slice) -> Makers:
    return Makers(vector=laws().brand_vector[chosen], quality=laws().brand_quality[chosen])


def _goods(count: int, days: int, brands: slice, rng: np.random.Generator) -> Stock:
    stock, brand = draw_stock(0, "g", count, days, rng, categories=GOODS, makers=_brands(brands), names=WORLD.kinds)
    price = np.exp(3.2 + 0.7 * stock.vector[:, AXES.index("price")] + 0.2 * rng.normal(size=count))
    photo = stock.vector @ laws().photo + PHOTO_NOISE * rng.normal(size=(count, PHOTO_WIDTH))
    stock.table.insert_column(3, pl.Series("brand", GOODS_BRANDS).gather(brand))
    stock.table.insert_column(4, pl.Series("price", np.round(price, 2)))
    stock.table.insert_column(5, pl.Series("photo", photo.astype(np.float32)).arr.to_list())
    return stock


def _reviews(goods: Stock, count: int, days: int, rng: np.random.Generator) -> Stock:
    """Each of one of the goods, never before it; good ones are longer."""
    about, quality = rng.integers(goods.count, size=count), 0.7 * rng.normal(size=count)
    stock = shelve(
        2, "v", WORLD.kinds[2], rng,
        category=goods.category[about], names=tuple(GOODS),
        listed=np.maximum(goods.listed[about], arrivals(count, days, rng)),
        language=(rng.random(count) < 0.45).astype(np.int64),
        vector=goods.vector[about] + 0.4 * rng.normal(size=(count, K)), quality=quality,
    )  # fmt: skip
    words = np.exp(4.2 + 0.6 * quality + 0.3 * rng.normal(size=count)).astype(np.int64)
    stock.table.insert_column(3, goods.table["brand"].gather(about))
    stock.table.insert_column(4, goods.key.gather(about).alias("about"))
    stock.table.insert_column(5, pl.Series("words", words))
    return stock
