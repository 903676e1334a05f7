"""What a simulated world is made of: its scenarios, kinds and reactions, and how large it is.

Worlds are neighbours of the embedded market (`motet.data.sources.market`): its users and their taste live there, its
logging policy shows them items and its informed oracle follows what they do. They have other places, other kinds of
items and other reactions. For user u, item j, scenario s and reaction t, with signs and sizes as each world says:

    η_t = γ_t Σ_k m_s,k z_uk v_jk / √K + ρ_t r_u + b_t + q_t quality_j + l_t ±1[same language]
          − a_t π_s log(position) + e_t extra_uj

where `extra` is what a world adds: how well an item fits the spoken intent, or how many friends two people share.
Labels are Bernoulli(σ(η)), stars an ordered logit; a reaction after another one is seen only where that one happened.
"""

from dataclasses import dataclass

import numpy as np

from motet.data.sources.market_world import Bools, Ints
from motet.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Place:
    """A scenario."""

    name: str
    share: float  # of all impressions, about
    slate: tuple[int, int]  # length of the shortest and of the longest
    mix: tuple[float, ...]  # m: how much each axis of taste counts here
    bonus: tuple[float, ...]  # what the logging policy adds for each kind; −inf: it is not shown here
    attention: float = 0.5  # π: how fast it falls along a slate


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """What a user may do with an item, and the weights of the formula."""

    task: str
    label: str  # its column
    kinds: tuple[str, ...]
    base: float
    taste: float = 1.5
    readiness: float = 0.8
    quality: float = 0.7
    language: float = 0.3
    attention: float = 1.0
    extra: float = 0.0
    after: str = ""  # the task that it comes after
    delay: int = 0  # seconds until it is known
    stars: bool = False  # a rating in 1..5 instead of yes or no


@dataclass(frozen=True, kw_only=True)
class World:
    """T reactions to items of some kinds, seen at S places, perhaps asked for with one of I intents."""

    name: str
    number: int  # sets its random numbers apart from other worlds'
    kinds: tuple[str, ...]
    places: tuple[Place, ...]
    reactions: tuple[Reaction, ...]
    intents: tuple[str, ...] = ("",)

    @property
    def tasks(self) -> list[str]:
        return [reaction.task for reaction in self.reactions]

    def ancestors(self, t: int) -> list[int]:
        """What has to happen before reaction t can, first things first."""
        after = self.reactions[t].after
        if not after:
            return []
        parent = self.tasks.index(after)
        return [*self.ancestors(parent), parent]

    def known(self, kind_R: Ints) -> Bools:
        """Which reactions are possible on items of those kinds: [R, T]."""
        knows_NT = np.array([[kind in reaction.kinds for reaction in self.reactions] for kind in self.kinds])
        known_RT: Bools = knows_NT[kind_R]
        return known_RT


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many users and items there are, and about how many impressions they get in so many days."""

    users: int = 900
    items: int = 700
    impressions: int = 36_000
    days: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"users": 20, "items": 60, "impressions": 100, "days": 1, "seed": 0}
        for name, minimum in least.items():
            if (value := getattr(self, name)) < minimum:
                raise InputError(f"{value} is too small", where=f"Size.{name}", fix=f"at least {minimum}")

    def streams(self, world: World, count: int) -> list[np.random.Generator]:
        """Independent random numbers for each part of a world."""
        return [np.random.default_rng([world.number, self.seed, part]) for part in range(count)]
