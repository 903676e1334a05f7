"""A social network with posts and people, seen in a feed, as stories and on a page of people to follow.

A post is by one of the users and has much of its author's taste. A person is followed the sooner the more alike two
people are, the more charm the other has and the more friends both share; friendships, too, come of likeness. Nobody is
shown oneself, one's own posts or a friend.
"""

import numpy as np
import polars as pl

from motet.data.sources.market import ids
from motet.data.sources.market_world import CONTENT, Bools, Floats, K, Users, draw_users
from motet.data.sources.worlds.happens import Story, tables_of
from motet.data.sources.worlds.shown import show
from motet.data.sources.worlds.stock import RENOWN_NOISE, Makers, Stock, draw_stock, together
from motet.data.sources.worlds.world import Place, Reaction, Size, World

NEVER = -np.inf
FRIENDS = 18  # of a person, about
WORLD = World(
    name="social",
    number=2,
    kinds=("post", "friend"),
    places=(
        Place(name="feed", share=0.5, slate=(6, 8), mix=(1.1, 1.0, 0.5, 1.4, 1.2, 0.6), bonus=(0.3, -1.2)),
        Place(name="stories", share=0.2, slate=(3, 5), mix=(0.8, 0.9, 0.5, 1.6, 1.0, 1.2), bonus=(0.0, NEVER)),
        Place(name="people", share=0.3, slate=(4, 6), mix=(1.0, 1.1, 0.6, 1.1, 1.3, 0.8), bonus=(NEVER, 0.0)),
    ),
    reactions=(
        Reaction(task="open", label="opened", kinds=("post", "friend"), base=-0.8, readiness=0.9, extra=0.3),
        Reaction(task="like", label="liked", kinds=("post",), base=-1.9, quality=0.8, language=0.45),
        Reaction(task="share", label="shared", kinds=("post",), base=-3.6, language=0.45),
        Reaction(task="follow", label="followed", kinds=("friend",), base=-1.4, attention=0.3, extra=0.8, after="open"),
    ),
)


def generate(size: Size) -> dict[str, pl.DataFrame]:
    """The tables of this world; people are in the users table only."""
    people, shelves, slates, choices = size.streams(WORLD, 4)
    users = draw_users(size.users, size.days, people)
    charm = 0.6 * people.normal(size=users.count)
    friends_UU = _friendships(users, people)
    by_authors = Makers(vector=0.6 * users.state[:, :K], quality=0.7 * charm)
    posts, author = draw_stock(
        0, "p", size.items, size.days, shelves,
        categories=CONTENT, makers=by_authors, names=WORLD.kinds, language=users.language,
    )  # fmt: skip
    stock = together(posts, _people(users, charm, shelves))
    shown = show(WORLD, users, stock, size, slates)
    other = np.concatenate([author, np.arange(users.count)])  # who stands behind each item
    of_person = stock.kind[shown.item] == 1
    known = (other[shown.item] == shown.user) | (of_person & friends_UU[shown.user, other[shown.item]])
    shown, of_person = shown.only(~known), of_person[~known]
    common = (friends_UU.astype(np.float32) @ friends_UU.astype(np.float32))[shown.user, other[shown.item]]
    story = Story(world=WORLD, users=users, stock=stock, shown=shown, extra_R=of_person * np.log1p(common))
    in_common = pl.Series(np.where(of_person, common, np.nan), nan_to_null=True)
    tables = tables_of(story, size, choices, {"common_friends": in_common})
    followers = pl.Series("followers", np.exp(4 + charm + 0.4 * people.normal(size=users.count)).astype(np.int64))
    of_users = tables["users"].with_columns(followers)
    of_authors = of_users.select("age_band", "region", "household", "followers")[author]
    one, two = np.nonzero(np.triu(friends_UU))
    edges = {"source": ids("u", one, 5), "relation": ["friend"] * len(one), "target": ids("u", two, 5)}
    return tables | {
        "users": of_users, "items": posts.table.hstack(of_authors), "edges": pl.DataFrame(edges)
    }  # fmt: skip


def _people(users: Users, charm: Floats, rng: np.random.Generator) -> Stock:
    """Users as what other users may like."""
    return Stock(
        key=ids("u", np.arange(users.count), 5),
        kind=np.ones(users.count, np.int64),
        category=np.zeros(users.count, np.int64),
        language=users.language,
        listed=users.joined,
        vector=0.9 * users.state[:, :K],
        quality=charm,
        renown=charm + RENOWN_NOISE * rng.normal(size=users.count),
        table=pl.DataFrame(),
    )


def _friendships(users: Users, rng: np.random.Generator) -> Bools:
    """Who is whose friend at the start: pairs alike in taste, about `FRIENDS` a person. [U, U]"""
    taste = users.state[:, :K]
    likeness = np.exp(1.5 * (taste @ taste.T) / K)
    np.fill_diagonal(likeness, 0.0)
    chance = np.minimum(likeness * FRIENDS / likeness.sum(axis=1).mean(), 1.0)
    drawn = np.triu(rng.random(chance.shape) < chance, 1)
    friends_UU: Bools = drawn | drawn.T
    return friends_UU
