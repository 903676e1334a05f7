"""What a world shows: requests, and the slates that the market's logging policy answers them with.

Shape letters: R impressions, Q requests, J items, S scenarios, I intents.

The policy knows nothing of the user: renown, novelty, how much of each kind a place takes, and how an item fits the
intent, by a softmax mixed with uniform exploration, as in `market_log`.
"""

from dataclasses import dataclass, fields

import numpy as np

from motet.data.sources.market_log import EXPLORATION, NOVELTY, RENOWN, Requests, draw_slates, draw_times
from motet.data.sources.market_world import Bools, Floats, Ints, Users
from motet.data.sources.worlds.stock import Stock
from motet.data.sources.worlds.world import Size, World

FIT = 1.2  # how much the policy minds that an item fits the intent


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One entry per impression, in time order; integers are indices."""

    request: Ints
    user: Ints
    item: Ints
    scenario: Ints
    intent: Ints
    position: Ints  # from 1
    seconds: Ints  # since the start

    @property
    def count(self) -> int:
        return len(self.user)

    def only(self, rows: Bools) -> "Shown":
        """Those rows; what stood lower in their slates moves up."""
        kept = {field.name: getattr(self, field.name)[rows] for field in fields(self)}
        _, first, of = np.unique(kept["request"], return_index=True, return_inverse=True)
        return Shown(**kept | {"position": np.arange(len(of)) - first[of] + 1})


def show(
    world: World, users: Users, stock: Stock, size: Size, rng: np.random.Generator, fit_IJ: Floats | None = None
) -> Shown:
    """Requests answered by slates, one impression per row; `fit_IJ` is how well items fit intents, about −1 to 1."""
    places, intents = world.places, len(world.intents)
    shortest, longest = np.array([place.slate for place in places]).T
    share = np.array([place.share for place in places]) / ((shortest + longest) / 2)
    scenario = rng.choice(len(places), size.impressions, p=share / share.sum())
    length = rng.integers(shortest[scenario], longest[scenario] + 1)
    count = int(np.searchsorted(length.cumsum(), size.impressions)) + 1
    user, seconds = draw_times(users, count, size.days, rng)
    intent = rng.integers(intents, size=count)
    order = np.argsort(seconds, kind="stable")
    scenario, length, user, seconds, intent = (
        values[order] for values in (scenario[:count], length[:count], user, seconds, intent)
    )
    fit = np.zeros((intents, stock.count)) if fit_IJ is None else fit_IJ
    asked = Requests(
        user=user, scenario=scenario * intents + intent, seconds=seconds, size=length, connection=np.zeros_like(user)
    )
    slate, _ = draw_slates(asked, _policy(world, stock, size.days, fit), rng)
    request, slot = np.nonzero(slate >= 0)
    return Shown(
        request=request,
        user=user[request],
        item=slate[request, slot],
        scenario=scenario[request],
        intent=intent[request],
        position=slot + 1,
        seconds=seconds[request],
    )


def _policy(world: World, stock: Stock, days: int, fit_IJ: Floats) -> Floats:
    """[days, S · I, J], each last row summing to 1; 0 before an item is listed and where its kind is not shown."""
    age_DJ = np.arange(days)[:, None] - stock.listed
    bonus_SJ = np.array([place.bonus for place in world.places])[:, stock.kind]
    logit_DJ = RENOWN * stock.renown + NOVELTY * np.exp(-np.maximum(age_DJ, 0) / 5)
    logit = logit_DJ[:, None, None] + bonus_SJ[None, :, None] + FIT * fit_IJ[None, None]
    there = (age_DJ >= 0)[:, None, None] & np.isfinite(bonus_SJ)[None, :, None] & np.ones_like(fit_IJ, np.bool_)
    weight = np.where(there, np.exp(logit), 0.0)
    mixed: Floats = (1 - EXPLORATION) * weight / weight.sum(-1, keepdims=True)
    mixed += EXPLORATION * there / there.sum(-1, keepdims=True)
    return mixed.reshape(days, -1, stock.count)
