"""Voice services that answer a spoken request: in the living room, in the car, in one's ears.

A request has a spoken intent, and services of some categories fit it better than others. The assistant reads out one
to three; a user completes what one offers, or asks again. In the car people like it calm and classic, who elsewhere
like it lively and novel.
"""

import numpy as np
import polars as pl

from motet.data.sources.market import named
from motet.data.sources.market_world import GOODS_BRANDS, Floats, draw_users, laws
from motet.data.sources.worlds.happens import Story, tables_of
from motet.data.sources.worlds.shown import show
from motet.data.sources.worlds.stock import Makers, draw_stock
from motet.data.sources.worlds.world import Place, Reaction, Size, World

SERVICES = {
    "playlist": (-0.2, 0.0, -0.3, 1.0, -0.7, 0.5),
    "radio": (-0.4, -0.2, -0.6, 0.2, 0.3, -0.9),
    "audiobook": (-0.6, -0.8, 0.2, -1.1, -0.6, -0.5),
    "quiz": (0.2, -0.3, -0.7, 1.0, 1.2, 0.4),
    "news": (0.6, 0.3, 0.4, -0.4, -0.5, -0.6),
    "weather": (0.3, 1.0, -0.4, -0.5, 0.2, -0.4),
    "recipe": (-0.9, -0.8, -0.4, -0.4, 0.8, -0.4),
    "timer": (0.9, -0.6, -0.8, 0.1, 0.0, 0.2),
    "route": (1.0, 1.1, 0.3, 0.3, -0.4, 0.7),
    "delivery": (0.3, -0.5, 0.9, 0.5, 0.6, 0.9),
}
FITTING = {  # categories that fit an intent; others do not
    "play something": ("playlist", "radio", "audiobook"),
    "entertain us": ("quiz", "radio", "playlist"),
    "what is new": ("news", "weather", "radio"),
    "help me cook": ("recipe", "timer", "delivery"),
    "get me there": ("route", "weather", "news"),
    "order dinner": ("delivery", "recipe", "route"),
}
FITS = (1.0, 0.6, 0.3)  # the first one best
MISFIT = -0.9
WORLD = World(
    name="voice",
    number=3,
    kinds=("service",),
    places=(
        Place(name="speaker", share=0.5, slate=(1, 3), mix=(1.1, 1.0, 0.6, 1.4, 1.3, 0.7), bonus=(0.0,), attention=0.8),
        Place(name="car", share=0.2, slate=(1, 1), mix=(1.1, 1.0, 0.6, -1.2, 0.9, -0.7), bonus=(0.0,)),
        Place(name="earbuds", share=0.3, slate=(1, 2), mix=(1.2, 0.8, 0.6, 1.3, 0.6, 1.0), bonus=(0.0,), attention=0.8),
    ),
    reactions=(
        Reaction(task="completion", label="completed", kinds=("service",), base=-0.6, language=0.5, extra=1.3),
        Reaction(
            task="reask", label="asked_again", kinds=("service",), base=-1.9, taste=-1.1, readiness=0.4, quality=-0.7,
            language=-0.5, attention=0.0, extra=-1.2,
        ),
    ),
    intents=tuple(FITTING),
)  # fmt: skip


def generate(size: Size) -> dict[str, pl.DataFrame]:
    """The tables of this world."""
    people, shelves, slates, choices = size.streams(WORLD, 4)
    users = draw_users(size.users, size.days, people)
    count = len(GOODS_BRANDS)
    providers = Makers(vector=laws().brand_vector[:count], quality=laws().brand_quality[:count])
    stock, provider = draw_stock(
        0, "s", size.items // 3, size.days, shelves, categories=SERVICES, makers=providers, names=WORLD.kinds
    )
    stock.table.insert_column(3, named(GOODS_BRANDS, provider).alias("provider"))
    fit_IJ = fits()[:, stock.category]
    shown = show(WORLD, users, stock, size, slates, fit_IJ)
    story = Story(world=WORLD, users=users, stock=stock, shown=shown, extra_R=fit_IJ[shown.intent, shown.item])
    return tables_of(story, size, choices, {"intent": named(WORLD.intents, shown.intent)})


def fits() -> Floats:
    """How well each category fits each intent: [intents, categories]."""
    names, found = list(SERVICES), np.full((len(FITTING), len(SERVICES)), MISFIT)
    for i, fitting in enumerate(FITTING.values()):
        found[i, [names.index(name) for name in fitting]] = FITS
    return found
