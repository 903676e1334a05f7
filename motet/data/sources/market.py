"""The embedded market: a simulated shop of any size, seeded, whose every probability is known.

What makes it a test of Motet: goods and content, seen on desktop, on mobile and by voice; five tasks from click to
stars; text in two languages that tells more than the categories do; new users and items; rare tasks that share their
taste with frequent ones (`TRANSFER_CELLS`), and one cell where two axes of taste turn round (`CONFLICT_CELL`). It was
frozen, as `VERSION`, before any model was tuned on it.

The generative model, for user u, item j, scenario s and reaction t (constants in `market_world` and `market_choice`):

    taste      z_u = A_age + A_region + A_household + A_language + ε,          ε ~ N(0, 0.33 I),  K = 6 axes
    readiness  r_u = a_age + ε
    item       v_j = category + brand + residual;   quality q_j = category + brand + residual
    observed   price, tags, photo, title and description are noisy functions of v_j and q_j
    exposure   items by a policy of renown, novelty and exploration, with its propensity        (`market_log`)
    reaction   η_t = [γ_t Σ_k m_s,t,k z_uk v_jk / √K + ρ_t r_u + b_s,t + quality, category, language, position, novelty,
               connection, sale and evening effects] / noise_s                                     (`market_choice`)
    labels     click, cart, like ~ Bernoulli(σ(η));  buy | click ~ Bernoulli(σ(η_buy)),  purchase = click and buy
    stars      clip(round(η_stars + 0.4 · Logistic), 1, 5), only where bought

Ratings and purchases are known two days after the impression. Two ceilings stand beside each row: `oracle_*`, the true
probability (the true mean of stars), and `informed_*`, the best that the observed history allows (`market_oracle`).
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl

from motet.data.sources.market_choice import (
    CART,
    CLICK,
    CONFLICT_AXES,
    CONFLICT_CELL,
    LIKE,
    STARS,
    TASKS,
    TRANSFER_CELLS,
    Reactions,
    logits,
    oracle,
    react,
)
from motet.data.sources.market_log import CONNECTIONS, DAY, SCENARIOS, Exposure, draw_exposure
from motet.data.sources.market_oracle import DELAY, informed
from motet.data.sources.market_text import describe
from motet.data.sources.market_world import (
    AGE_BANDS,
    BRANDS,
    CATEGORIES,
    HOUSEHOLDS,
    KINDS,
    LANGUAGES,
    REGIONS,
    TAGS,
    VERSION,
    Floats,
    Ints,
    Items,
    Users,
    draw_items,
    draw_users,
)
from motet.errors import InputError
from motet.settings import atomic_file

__all__ = [
    "CONFLICT_AXES",
    "CONFLICT_CELL",
    "SCENARIOS",
    "SNAPSHOT",
    "TASKS",
    "TRANSFER_CELLS",
    "VERSION",
    "Market",
    "Tables",
    "generate",
    "write",
]

SNAPSHOT = 1_767_225_600  # 2026-01-01 UTC, when the log is taken; it ends `DELAY` earlier


@dataclass(frozen=True, kw_only=True)
class Market:
    """Size and seed. `impressions` rows are spread over `days`; the catalogue has `goods` + `content` items."""

    users: int = 1_500
    goods: int = 500
    content: int = 400
    impressions: int = 60_000
    days: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"users": 1, "goods": 20, "content": 20, "impressions": 1, "days": 1, "seed": 0}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value < minimum:
                raise InputError(f"{value} is too small", where=f"Market.{name}", fix=f"at least {minimum}")


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The three tables as they are written, and the hidden truth behind them, which only tests and plots may read."""

    impressions: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    truth: "Truth"


@dataclass(frozen=True, kw_only=True)
class Truth:
    """`shown` and `reactions` have the rows of the impressions; users and items those of their tables."""

    users: Users
    items: Items
    shown: Exposure
    reactions: Reactions


def generate(market: Market) -> Tables:
    """The tables of a market: the same for the same configuration, independent of any global random state."""
    people, shelves, words, slates, choices = (np.random.default_rng([VERSION, market.seed, part]) for part in range(5))
    users = draw_users(market.users, market.days, people)
    items = draw_items(market.goods, market.content, market.days, shelves)
    shown = draw_exposure(users, items, market.impressions, market.days, slates)
    logit_RT, kind = logits(shown, users, items), items.kind[shown.item]
    truth = Truth(users=users, items=items, shown=shown, reactions=react(logit_RT, kind, choices))
    ceilings = {"informed": informed(shown, truth.reactions, users, items), "oracle": oracle(logit_RT, kind)}
    start = SNAPSHOT - DELAY - market.days * DAY
    item_ids = _item_ids(market)
    return Tables(
        impressions=_impressions_table(truth, item_ids, start, ceilings),
        users=users_table(users, start),
        items=_items_table(items, item_ids, start).hstack(describe(items, words)),
        truth=truth,
    )


def write(market: Market, folder: Path) -> Path:
    """Write the three tables and their `motet.toml`, each atomically and the schema last; answers its path."""
    tables = generate(market)
    for name, frame in (("impressions", tables.impressions), ("users", tables.users), ("items", tables.items)):
        with atomic_file(folder / f"{name}.parquet") as file:
            frame.write_parquet(file)
    with atomic_file(folder / "motet.toml") as file:
        file.write(files("motet.data.sources").joinpath("market.toml").read_bytes())
    return folder / "motet.toml"


def _impressions_table(
    truth: Truth, item_ids: pl.Series, start: int, ceilings: dict[str, dict[str, Floats]]
) -> pl.DataFrame:
    shown, label_RT = truth.shown, truth.reactions.label_RT
    goods = truth.items.kind[shown.item] == 0
    labels = {
        "clicked": label_RT[:, CLICK],
        "carted": label_RT[:, CART],
        "bought": np.where(goods, truth.reactions.bought, np.nan),
        "liked": label_RT[:, LIKE],
    }
    predictions = {f"{name}_{task}": ceiling[task] for name, ceiling in ceilings.items() for task in TASKS}
    return pl.DataFrame(
        {
            "request_id": ids("r", shown.request, 7),
            "user_id": ids("u", shown.user, 5),
            "item_id": item_ids.gather(shown.item),
            "time": start + shown.seconds,
            "surface": named(SCENARIOS, shown.scenario),
            "position": shown.position.astype(np.int32),
            "propensity": shown.propensity,
            "connection": named(CONNECTIONS, shown.connection),
            "campaign": named(("none", "weekend sale"), shown.weekend.astype(np.int64)),
            "days_listed": shown.age.astype(np.int32),
            **{name: pl.Series(values, nan_to_null=True).cast(pl.Int8) for name, values in labels.items()},
            "rating": pl.Series(label_RT[:, STARS], nan_to_null=True),
            **{name: pl.Series(values, nan_to_null=True) for name, values in predictions.items()},
        }
    )


def users_table(users: Users, start: int) -> pl.DataFrame:
    """What is on record of users."""
    return pl.DataFrame(
        {
            "user_id": ids("u", np.arange(users.count), 5),
            "age_band": named(AGE_BANDS, users.age),
            "region": named(REGIONS, users.region),
            "household": named(HOUSEHOLDS, users.household),
            "language": named(LANGUAGES, users.language),
            "joined": start + users.joined * DAY,
        }
    )


def _items_table(items: Items, item_ids: pl.Series, start: int) -> pl.DataFrame:
    names = [name for pair in TAGS for name in pair]
    attached = pl.concat_list(pl.when(name).then(pl.lit(name)) for name in names).list.drop_nulls()
    return pl.DataFrame(
        {
            "item_id": item_ids,
            "kind": named(KINDS, items.kind),
            "category": named(CATEGORIES, items.category),
            "brand": named(BRANDS, items.brand),
            "language": named(LANGUAGES, items.language),
            "listed": start + items.listed * DAY,
            "price": pl.Series(items.price, nan_to_null=True),
            "tags": pl.DataFrame(items.tags, schema=names).select(attached).to_series(),
            "photo": pl.Series(items.photo.astype(np.float32)).arr.to_list(),
        }
    )


def _item_ids(market: Market) -> pl.Series:
    goods = ids("g", np.arange(market.goods), 4)
    return goods.append(ids("c", np.arange(market.content), 4))


def ids(prefix: str, number: Ints, digits: int) -> pl.Series:
    """Keys such as u00042."""
    return prefix + pl.Series(number).cast(pl.String).str.zfill(digits)


def named(names: tuple[str, ...], index: Ints) -> pl.Series:
    """The name of each index."""
    return pl.Series(list(names)).gather(index)
