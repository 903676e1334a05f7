"""What users of the embedded market do: the logit of every reaction, the labels drawn from it, and the oracle.

Shape letters: R impressions, S scenarios, T the five reactions below, K taste axes.

A reaction's logit is linear in the user's state (taste and readiness), which is what lets `market_oracle` follow it:

    η_t = x_t · state + o_t,    x_t = (γ_t m_s,t ⊙ v / √K,  ρ_t) / noise_s
    o_t = (b_s,t + q_t quality + c_t,category + l_t ±1[same language] − π_s,t log(position) + a_t exp(−age / 4)
           + connection + sale + evening) / noise_s
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from motet.data.sources.market_log import SCENARIOS, Exposure
from motet.data.sources.market_world import AXES, CATEGORIES, VERSION, Bools, Floats, Ints, Items, K, Users

REACTIONS = ("click", "cart", "buy", "like", "stars")  # buy is given click; stars are a rating in 1..5
CLICK, CART, BUY, LIKE, STARS = range(len(REACTIONS))
T = len(REACTIONS)
TASKS = ("click", "cart", "purchase", "like", "stars")  # purchase = click and buy

CONFLICT_CELL = ("voice", "click")
CONFLICT_AXES = (
    "pace",
    "age",
)  # by voice people click what is calm and classic, who elsewhere like it lively and novel
TRANSFER_CELLS = (("desktop", "purchase"), ("mobile", "purchase"), ("voice", "cart"), ("voice", "like"))

TASTE = np.array([1.5, 1.5, 1.3, 1.7, 0.9])  # γ
READINESS = np.array([0.9, 0.8, 0.5, 0.8, 0.3])  # ρ
MIX_DESKTOP = np.array([1.4, 0.8, 0.9, 1.0, 1.2, 0.5])
MIX_MOBILE = np.array([1.1, 1.0, 0.5, 1.4, 1.2, 0.6])  # and voice, but for the conflict
BASE = np.array(  # [S, T]
    [
        [-1.40, -3.75, -3.65, -2.95, 2.7],
        [-1.35, -3.70, -3.60, -2.85, 2.7],
        [-1.55, -4.05, -3.80, -3.15, 2.6],
    ]
)
NOISE = np.array([1.0, 1.1, 1.25])
QUALITY = np.array([0.70, 0.65, 0.70, 0.80, 0.70])
CATEGORY_SPREAD = np.array([0.0, 0.30, 0.40, 0.30, 0.15])
LANGUAGE = np.array([0.35, 0.25, 0.10, 0.45, 0.0])
POSITION = np.array([0.50, 0.60, 1.00])[:, None] * np.array([1.0, 0.6, 0.0, 0.5, 0.0])  # [S, T]
NEW = np.array([0.35, 0.2, 0.0, 0.2, 0.0])
CONNECTION = np.array([0.10, 0.05, -0.30])
SALE = np.array([0.15, 0.35, 0.50, 0.0, 0.0])
EVENING = np.array([[0.10, -0.15, -0.15, 0.0, 0.0], [0.30, 0.0, 0.0, 0.30, 0.0]])  # [kinds, T]
RATING_NOISE = 0.4


@dataclass(frozen=True, kw_only=True)
class Reactions:
    """Labels, NaN where a reaction cannot be seen; `buy` only after a click, `stars` only after buying."""

    label_RT: Floats

    @property
    def clicked(self) -> Bools:
        return np.equal(self.label_RT[:, CLICK], 1)

    @property
    def bought(self) -> Bools:
        return np.equal(self.label_RT[:, BUY], 1)


def sigmoid(logit: Floats) -> Floats:
    """1 / (1 + e^−x), without overflow at either end."""
    half: Floats = 0.5 * (1.0 + np.tanh(0.5 * logit))
    return half


@cache
def weights() -> tuple[Floats, Floats]:
    """Weight of taste ⊙ vector [S, T, K] and of readiness [S, T] in each logit, with the one planted conflict."""
    mix = np.stack([MIX_DESKTOP, MIX_MOBILE, MIX_MOBILE])[:, None, :].repeat(T, axis=1)
    scenario, reaction = SCENARIOS.index(CONFLICT_CELL[0]), REACTIONS.index(CONFLICT_CELL[1])
    mix[scenario, reaction, conflict_axes()] *= -1
    noise = _noise()
    return mix * TASTE[:, None] / np.sqrt(K) / noise[:, :, None], READINESS / noise


def conflict_axes() -> list[int]:
    return [AXES.index(axis) for axis in CONFLICT_AXES]


def _noise() -> Floats:
    """[S, T]: a noisier scenario flattens its probabilities; ratings are given later and elsewhere."""
    return np.where(np.arange(T) == STARS, 1.0, NOISE[:, None])


@cache
def _category_effect() -> Floats:
    """[categories, T]"""
    rng = np.random.default_rng([VERSION, 20260102])
    effect_CT: Floats = CATEGORY_SPREAD * rng.normal(size=(len(CATEGORIES), T))
    return effect_CT


def offsets(shown: Exposure, users: Users, items: Items) -> Floats:
    """o of the module's formula, the part of each logit that does not depend on the user's hidden state: [R, T]."""
    s, item = shown.scenario, shown.item
    same = np.where(users.language[shown.user] == items.language[item], 1.0, -1.0)
    total: Floats = (
        BASE[s] + _category_effect()[items.category[item]] + EVENING[items.kind[item]] * shown.evening[:, None]
    )
    total += QUALITY * items.quality[item, None] + LANGUAGE * same[:, None]
    total += NEW * np.exp(-shown.age / 4)[:, None] + SALE * shown.weekend[:, None]
    total -= POSITION[s] * np.log(shown.position)[:, None]
    total += CONNECTION[shown.connection, None] * (np.arange(T) != STARS)
    total /= _noise()[s]
    return total


def logits(shown: Exposure, users: Users, items: Items) -> Floats:
    """η of the module's formula at the true state: [R, T]."""
    weight_STK, readiness_ST = weights()
    state = users.state[shown.user]
    match_RK = state[:, :K] * items.vector[shown.item]
    logit_RT = offsets(shown, users, items) + readiness_ST[shown.scenario] * state[:, K:]
    for t in range(T):
        logit_RT[:, t] += np.einsum("rk,rk->r", weight_STK[shown.scenario, t], match_RK)
    return logit_RT


def react(logit_RT: Floats, kind: Ints, rng: np.random.Generator) -> Reactions:
    """Draw the labels. A rating is its logit plus logistic noise, rounded and held in 1..5 (an ordered logit)."""
    uniform = np.clip(rng.random(logit_RT.shape), 1e-12, 1 - 1e-12)
    label = (uniform < sigmoid(logit_RT)).astype(np.float64)
    latent = logit_RT[:, STARS] + RATING_NOISE * np.log(uniform[:, STARS] / (1 - uniform[:, STARS]))
    label[:, STARS] = np.clip(np.round(latent), 1, 5)
    goods = kind == 0
    label[~goods, CART] = np.nan
    label[goods, LIKE] = np.nan
    label[~(goods & (label[:, CLICK] == 1)), BUY] = np.nan
    label[label[:, BUY] != 1, STARS] = np.nan
    return Reactions(label_RT=label)


def mean_stars(centre: Floats, shrink: Floats | float = 1.0) -> Floats:
    """Mean of the ordered logit: 1 + Σ_{k=1..4} σ(shrink · (centre − k − ½) / noise)."""
    above: Floats = sigmoid(shrink * (centre - 1.5) / RATING_NOISE)
    for threshold in (2.5, 3.5, 4.5):
        above = above + sigmoid(shrink * (centre - threshold) / RATING_NOISE)
    return 1.0 + above


def oracle(logit_RT: Floats, kind: Ints) -> dict[str, Floats]:
    """The true probability of each task, and the true mean of stars; NaN where the kind does not know the task."""
    p = sigmoid(logit_RT)
    values = (p[:, CLICK], p[:, CART], p[:, CLICK] * p[:, BUY], p[:, LIKE], mean_stars(logit_RT[:, STARS]))
    return masked_by_kind(dict(zip(TASKS, values, strict=True)), kind)


def masked_by_kind(values: dict[str, Floats], kind: Ints) -> dict[str, Floats]:
    known = {"click": kind >= 0, "cart": kind == 0, "purchase": kind == 0, "like": kind == 1, "stars": kind == 0}
    return {task: np.where(known[task], value, np.nan) for task, value in values.items()}
