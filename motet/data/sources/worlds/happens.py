"""What users of a world do with what they are shown, and the tables that are left of it.

Shape letters: R impressions, N some of them, T reactions, K taste axes, D = K + 1 numbers of a user's state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from motet.data.sources.market import SNAPSHOT, ids, named, users_table
from motet.data.sources.market_choice import RATING_NOISE, mean_stars, sigmoid
from motet.data.sources.market_log import DAY
from motet.data.sources.market_oracle import DELAY, Rules, follow, kappa_of
from motet.data.sources.market_world import Bools, Floats, Ints, K, Users
from motet.data.sources.worlds.shown import Shown
from motet.data.sources.worlds.stock import Stock
from motet.data.sources.worlds.world import Size, World


@dataclass(frozen=True, kw_only=True)
class Story:
    """Everything that is true of a world before anybody reacts."""

    world: World
    users: Users
    stock: Stock
    shown: Shown
    extra_R: Floats  # of the formula in `world`

    def weights(self) -> tuple[Floats, Floats]:
        """Of taste ⊙ vector, [S, T, K], and of readiness, [T]."""
        mix_SK = np.array([place.mix for place in self.world.places])
        taste_T, readiness_T = np.array([(r.taste, r.readiness) for r in self.world.reactions]).T
        return mix_SK[:, None] * taste_T[:, None] / np.sqrt(K), readiness_T

    def offsets(self) -> Floats:
        """All of each logit but what depends on the user's hidden state: [R, T]."""
        shown, stock = self.shown, self.stock
        base, quality, language, attention, extra = np.array(
            [(r.base, r.quality, r.language, r.attention, r.extra) for r in self.world.reactions]
        ).T
        same_R = np.where(self.users.language[shown.user] == stock.language[shown.item], 1.0, -1.0)
        lost_R = np.array([p.attention for p in self.world.places])[shown.scenario] * np.log(shown.position)
        total: Floats = base + np.outer(stock.quality[shown.item], quality) + np.outer(same_R, language)
        return total - np.outer(lost_R, attention) + np.outer(self.extra_R, extra)

    def features(self, rows: Ints, reaction: Ints | None = None) -> Floats:
        """x of the logits of those rows, [N, T, D], or of one reaction each, [N, D]: logit = x · state + offset."""
        weight_STK, readiness_T = self.weights()
        at, vector_NK = self.shown.scenario[rows], self.stock.vector[self.shown.item[rows]]
        if reaction is None:
            taste = weight_STK[at] * vector_NK[:, None]
            ready = np.broadcast_to(readiness_T[:, None], (*taste.shape[:2], 1))
        else:
            taste, ready = weight_STK[at, reaction] * vector_NK, readiness_T[reaction][:, None]
        return np.concatenate([taste, ready], axis=-1)

    def logits(self) -> Floats:
        """At the true state: [R, T]."""
        x_RTD, state_RD = self.features(np.arange(self.shown.count)), self.users.state[self.shown.user]
        total: Floats = np.einsum("rtd,rd->rt", x_RTD, state_RD) + self.offsets()
        return total

    def react(self, rng: np.random.Generator) -> Floats:
        """Labels, nan where a reaction cannot be seen: on another kind, or without what comes before it. [R, T]"""
        logit_RT, world = self.logits(), self.world
        uniform = np.clip(rng.random(logit_RT.shape), 1e-12, 1 - 1e-12)
        rating = np.clip(np.round(logit_RT + RATING_NOISE * np.log(uniform / (1 - uniform))), 1, 5)
        stars_T = np.array([reaction.stars for reaction in world.reactions])
        label_RT = np.where(stars_T, rating, uniform < sigmoid(logit_RT))
        possible_RT = world.known(self.stock.kind[self.shown.item])
        for t in range(len(stars_T)):
            for parent in world.ancestors(t)[-1:]:
                possible_RT[:, t] &= (label_RT[:, parent] == 1) & possible_RT[:, parent]
        return np.where(possible_RT, label_RT, np.nan)

    def oracle(self) -> Floats:
        """The true probability of every reaction on all impressions, the true mean of stars. [R, T]"""
        return predict(self.world, self.logits(), np.zeros((self.shown.count, *[len(self.world.reactions)] * 2)))

    def informed(self, label_RT: Floats) -> Floats:
        """The best that the observed history allows, by the market's filter. [R, T]"""
        reactions = self.world.reactions
        rules = Rules(
            offset_RT=self.offsets(),
            features=self.features,
            predict=partial(predict, self.world),
            delay_T=np.array([reaction.delay for reaction in reactions]),
            rated_T=np.array([reaction.stars for reaction in reactions]),
        )
        return follow(self.shown.user, self.shown.seconds, label_RT, self.users, rules)


def predict(world: World, mean_NT: Floats, covariance_NTT: Floats) -> Floats:
    """From the joint Gaussian of logits: each reaction's probability, after supposing what it comes after. [N, T]"""
    found = np.empty_like(mean_NT)
    for t, reaction in enumerate(world.reactions):
        mean, covariance, before = mean_NT, covariance_NTT, np.ones(len(mean_NT))
        for a in world.ancestors(t):
            kappa = kappa_of(covariance[:, a, a])
            p, along = sigmoid(kappa * mean[:, a]), covariance[:, a]
            shrink = kappa**2 * p * (1 - p)
            mean = mean + along * (kappa * (1 - p))[:, None]
            covariance = covariance - along[:, :, None] * along[:, None] * shrink[:, None, None]
            before = before * p
        if reaction.stars:
            found[:, t] = mean_stars(mean[:, t], kappa_of(covariance[:, t, t] / RATING_NOISE**2))
        else:
            found[:, t] = before * sigmoid(kappa_of(covariance[:, t, t]) * mean[:, t])
    return found


def tables_of(
    story: Story, size: Size, rng: np.random.Generator, context: Mapping[str, pl.Series]
) -> dict[str, pl.DataFrame]:
    """Impressions with labels and both ceilings, users and items; `context` is what a world records besides."""
    shown, world, label_RT = story.shown, story.world, story.react(rng)
    start = SNAPSHOT - DELAY - size.days * DAY
    known_RT = world.known(story.stock.kind[shown.item])
    ceilings = {"informed": story.informed(label_RT), "oracle": story.oracle()}
    labels = {
        reaction.label: _where(known_RT[:, t], label_RT[:, t] if reaction.stars else label_RT[:, t] == 1)
        for t, reaction in enumerate(world.reactions)
    }
    predicted = {
        f"{name}_{task}": _where(known_RT[:, t], value_RT[:, t])
        for name, value_RT in ceilings.items()
        for t, task in enumerate(world.tasks)
    }
    impressions = pl.DataFrame(
        {
            "request_id": ids("r", shown.request, 7),
            "user_id": ids("u", shown.user, 5),
            "item_id": story.stock.key.gather(shown.item),
            "time": start + shown.seconds,
            "surface": named(tuple(place.name for place in world.places), shown.scenario),
            "position": shown.position.astype(np.int32),
            **context,
            **labels,
            **predicted,
        }
    )
    return {"impressions": impressions, "users": users_table(story.users, start), "items": story.stock.table}


def _where(known_R: Bools, values_R: Floats | Bools) -> pl.Series:
    """The values, whole ones as integers, null where they are not known."""
    found = pl.Series(np.where(known_R, values_R, np.nan), nan_to_null=True)
    return found if values_R.dtype != np.bool_ else found.cast(pl.Int8)
