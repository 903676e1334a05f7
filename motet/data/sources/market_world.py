"""Who lives in the embedded market and what is on its shelves: the laws of taste, the users and the items.

Shape letters: U users, J items, K taste axes, P photo numbers.

The laws (which category, brand or age band means what) are the same for every seed and size; the seed decides who comes
and what is on offer. `market.py` states the whole generative model in formulas.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

VERSION = 1
AXES = ("maker", "place", "price", "pace", "company", "age")  # the K taste axes, each with a minus and a plus pole
K = len(AXES)

KINDS = ("goods", "content")
LANGUAGES = ("en", "zh")
AGE_BANDS = ("18-24", "25-34", "35-44", "45-59", "60+")
REGIONS = ("north", "east", "south", "west", "centre")
HOUSEHOLDS = ("single", "couple", "family", "shared")
TAGS = (
    ("handmade", "smart"),
    ("indoor", "outdoor"),
    ("budget", "premium"),
    ("calm", "lively"),
    ("solo", "family"),
    ("classic", "novel"),
)

# Mean taste vector of each category: minus pole to plus pole of the axes above.
GOODS = {
    "audio": (0.9, 0.0, 0.6, 0.7, -0.8, 0.5),
    "kitchen": (-0.5, -0.9, 0.3, -0.3, 0.7, -0.6),
    "camping": (0.0, 1.3, -0.3, 0.4, 0.6, 0.0),
    "fashion": (-0.5, 0.3, 0.9, 0.6, -0.7, 0.6),
    "toys": (0.0, -0.4, -0.7, 1.0, 1.2, 0.3),
    "books": (-0.8, -0.8, -0.5, -1.1, -0.6, -0.8),
    "beauty": (-0.4, -0.5, 0.8, -0.7, -0.7, 0.5),
    "fitness": (0.7, 0.7, 0.0, 1.1, -0.6, 0.2),
    "garden": (-0.9, 1.0, -0.5, -0.8, 0.5, -0.7),
    "gadgets": (1.3, -0.3, 0.2, 0.0, 0.0, 1.2),
}
CONTENT = {
    "recipes": (-0.9, -0.8, -0.4, -0.4, 0.8, -0.4),
    "travel": (-0.2, 1.2, 0.8, 0.4, -0.2, 0.4),
    "reviews": (1.2, -0.2, 0.3, -0.3, -0.6, 0.9),
    "music": (-0.2, 0.0, -0.3, 1.0, -0.7, 0.5),
    "parenting": (0.0, -0.5, -0.4, -0.6, 1.3, -0.5),
    "comedy": (0.0, -0.3, -0.8, 1.1, 0.4, 0.3),
    "finance": (0.7, -0.4, 0.9, -0.9, -0.5, -0.7),
    "sports": (0.2, 1.0, -0.3, 1.0, 0.3, -0.5),
}
CATEGORIES = (*GOODS, *CONTENT)
GOODS_BRANDS = (
    *("Alder", "Brightwell", "Cobalt", "Dunmore", "Everly", "Fenwick", "Galileo", "Harbour"),
    *("Isola", "Juniper", "Kestrel", "Lumen", "Marlow", "Norrland", "Orchid", "Pinewood"),
)
CONTENT_BRANDS = (
    *("Atlas Weekly", "Blue Kettle", "Cityline", "Daybreak"),
    *("Ember Studio", "Field Notes", "Globe Six", "Hearth"),
)
BRANDS = (*GOODS_BRANDS, *CONTENT_BRANDS)

CATEGORY_SCALE, BRAND_SCALE, RESIDUAL_SCALE = 0.95, 0.45, 0.30
TAG_NOISE, TAG_THRESHOLD = 0.25, 0.70
PHOTO_WIDTH, PHOTO_NOISE = 12, 0.6
QUALITY_RESIDUAL = 0.25
TASTE_VARIANCE = {"age": 0.31, "region": 0.05, "household": 0.25, "language": 0.06}  # what attributes tell
TASTE_RESIDUAL = 0.33  # variance of taste that only a user's history can show
READINESS_VARIANCE = 0.30  # of a user's general readiness to react
PRESENT_AT_START = 0.70  # share of users and items that are there on day 0; the others arrive evenly


@dataclass(frozen=True, kw_only=True)
class Laws:
    """What attributes mean. `taste` maps a user attribute to [levels, K]; quality parts have standard deviation 1."""

    taste: dict[str, Floats]
    readiness: Floats  # [ages]
    brand_vector: Floats  # [brands, K]
    brand_quality: Floats  # [brands]
    category_quality: Floats  # [categories]
    photo: Floats  # [K, P]


@dataclass(frozen=True, kw_only=True)
class Users:
    """Integer attributes index the tuples above. A `state` is (taste [K], readiness [1])."""

    age: Ints
    region: Ints
    household: Ints
    language: Ints
    joined: Ints  # day of arrival
    activity: Floats  # relative number of requests a day
    prior: Floats  # [U, K + 1]: mean of the state given the attributes
    state: Floats  # [U, K + 1]: the true state, seen by nobody

    @property
    def count(self) -> int:
        return len(self.age)


@dataclass(frozen=True, kw_only=True)
class Items:
    """Goods first, then content. Prices are in a currency's units and NaN for content."""

    kind: Ints
    category: Ints
    brand: Ints
    language: Ints
    listed: Ints  # day of arrival
    price: Floats
    tags: Bools  # [J, 2K]: minus and plus pole of each axis in turn
    photo: Floats  # [J, P]
    vector: Floats  # [J, K]: what tastes are matched with
    quality: Floats
    renown: Floats  # the shop's own rough guess of quality, which its logging policy follows

    @property
    def count(self) -> int:
        return len(self.kind)


@cache
def laws() -> Laws:
    rng = np.random.default_rng([VERSION, 20260101])
    levels = {"age": len(AGE_BANDS), "region": len(REGIONS), "household": len(HOUSEHOLDS), "language": len(LANGUAGES)}
    return Laws(
        taste={name: _scaled(rng.normal(size=(levels[name], K)), share) for name, share in TASTE_VARIANCE.items()},
        readiness=_scaled(rng.normal(size=(len(AGE_BANDS), 1)), 0.06)[:, 0],
        brand_vector=_scaled(rng.normal(size=(len(BRANDS), K)), BRAND_SCALE**2),
        brand_quality=_scaled(rng.normal(size=(len(BRANDS), 1)), 0.40)[:, 0],
        category_quality=_scaled(rng.normal(size=(len(CATEGORIES), 1)), 0.35)[:, 0],
        photo=rng.normal(size=(K, PHOTO_WIDTH)) / np.sqrt(K),
    )


def _scaled(values: Floats, variance: float) -> Floats:
    """Columns with mean zero; the whole with the given variance."""
    centred = values - values.mean(axis=0)
    scaled: Floats = centred * np.sqrt(variance / np.mean(centred**2))
    return scaled


def draw_users(count: int, days: int, rng: np.random.Generator) -> Users:
    """state = prior(attributes) + normal residual, so the prior is exactly what the attributes tell."""
    law = laws()
    age = rng.choice(len(AGE_BANDS), count, p=[0.18, 0.27, 0.23, 0.20, 0.12])
    region = rng.choice(len(REGIONS), count, p=[0.15, 0.30, 0.25, 0.12, 0.18])
    household = rng.choice(len(HOUSEHOLDS), count, p=[0.28, 0.24, 0.33, 0.15])
    language = (rng.random(count) < 0.40 + 0.15 * (region == 1)).astype(np.int64)
    taste = law.taste["age"][age] + law.taste["region"][region]
    taste = taste + law.taste["household"][household] + law.taste["language"][language]
    prior = np.column_stack([taste, law.readiness[age]])
    return Users(
        age=age,
        region=region,
        household=household,
        language=language,
        joined=arrivals(count, days, rng),
        activity=np.exp(0.8 * rng.normal(size=count)),
        prior=prior,
        state=prior + np.sqrt(state_variance()) * rng.normal(size=(count, K + 1)),
    )


def state_variance() -> Floats:
    """[K + 1]: variance of a user's state around its prior."""
    return np.array([TASTE_RESIDUAL] * K + [READINESS_VARIANCE])


def draw_items(goods: int, content: int, days: int, rng: np.random.Generator) -> Items:
    """vector = category + brand + residual; price, tags and photo are noisy functions of the vector."""
    law, count = laws(), goods + content
    kind = np.repeat([0, 1], [goods, content])
    category = _by_kind(kind, len(GOODS), len(CONTENT), rng)
    brand = _by_kind(kind, len(GOODS_BRANDS), len(CONTENT_BRANDS), rng)
    means = np.array([*GOODS.values(), *CONTENT.values()])
    vector = CATEGORY_SCALE * means[category] + law.brand_vector[brand] + RESIDUAL_SCALE * rng.normal(size=(count, K))
    quality = law.brand_quality[brand] + law.category_quality[category] + QUALITY_RESIDUAL * rng.normal(size=count)
    noisy = vector + TAG_NOISE * rng.normal(size=(count, K))
    price = np.round(np.exp(3.2 + 0.7 * vector[:, AXES.index("price")] + 0.2 * rng.normal(size=count)), 2)
    return Items(
        kind=kind,
        category=category,
        brand=brand,
        language=(rng.random(count) < 0.45).astype(np.int64),
        listed=arrivals(count, days, rng),
        price=np.where(kind == 0, price, np.nan),
        tags=np.stack([noisy < -TAG_THRESHOLD, noisy > TAG_THRESHOLD], axis=2).reshape(count, 2 * K),
        photo=vector @ law.photo + PHOTO_NOISE * rng.normal(size=(count, PHOTO_WIDTH)),
        vector=vector,
        quality=quality,
        renown=quality + 0.6 * rng.normal(size=count),
    )


def _by_kind(kind: Ints, goods: int, content: int, rng: np.random.Generator) -> Ints:
    """An even draw from 0..goods − 1 for goods, and from the `content` numbers that follow for content."""
    drawn = (rng.random(len(kind)) * np.where(kind == 0, goods, content)).astype(np.int64)
    return np.where(kind == 0, drawn, goods + drawn)


def arrivals(count: int, days: int, rng: np.random.Generator) -> Ints:
    """Day of arrival: most are there on day 0, the rest come evenly over the days."""
    late = rng.integers(days, size=count)
    present: Bools = rng.random(count) < PRESENT_AT_START
    return np.where(present, 0, late)
