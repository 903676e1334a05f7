"""What the embedded market shows: requests, and the slates its logging policy answers them with.

Shape letters: R impressions, Q requests, J items, S scenarios.

The policy knows nothing about the user. On a given day it prefers items of renown and new items, by a softmax mixed
with uniform exploration over the items listed by then, and fills a slate from the top, drawing without replacement:

    π_d,s(j) = (1 − ε) softmax_j(θ · renown_j + ν · exp(−age_j,d / 5) + kind bonus_s) + ε / listed items
    propensity of j at position p = π(j) / (1 − Σ_{earlier in this slate} π)
"""

from dataclasses import dataclass

import numpy as np

from motet.data.sources.market_world import Bools, Floats, Ints, Items, Users

SCENARIOS = ("desktop", "mobile", "voice")
S = len(SCENARIOS)
CONNECTIONS = ("wired", "wifi", "cellular")
CONNECTION_SHARE = np.array([[0.60, 0.40, 0.00], [0.00, 0.60, 0.40], [0.00, 0.90, 0.10]])  # [S, connections]
ROW_SHARE = np.array([0.45, 0.40, 0.15])  # share of impressions by scenario
SLATE_SIZE = np.array([10, 6, 3])  # voice reads out one to three
MEAN_SLATE = np.array([10.0, 6.0, 2.0])
CONTENT_BONUS = np.array([-0.15, 0.15, 0.10])
RENOWN, NOVELTY, EXPLORATION = 0.7, 1.0, 0.15
DAY = 86_400
HOUR_WEIGHT = np.array([1, 1, 1, 1, 1, 2, 4, 6, 7, 7, 7, 8, 9, 8, 7, 7, 7, 8, 9, 11, 12, 11, 7, 3])


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """One entry per impression, in time order; integers index users, items, `SCENARIOS` and `CONNECTIONS`."""

    request: Ints
    user: Ints
    item: Ints
    scenario: Ints
    position: Ints  # from 1
    seconds: Ints  # since the start of the market
    age: Ints  # days since the item was listed
    connection: Ints
    propensity: Floats

    @property
    def count(self) -> int:
        return len(self.user)

    @property
    def weekend(self) -> Bools:
        """The sale runs on days 5 and 6 of each week."""
        return self.seconds // DAY % 7 >= 5

    @property
    def evening(self) -> Bools:
        return self.seconds % DAY // 3600 >= 18


@dataclass(frozen=True, kw_only=True)
class Requests:
    """One entry per request, in time order."""

    user: Ints
    scenario: Ints
    seconds: Ints
    size: Ints
    connection: Ints


def draw_requests(users: Users, rows: int, days: int, rng: np.random.Generator) -> Requests:
    """As many requests as fill `rows` impressions; the last slate drawn is cut to fit."""
    share = ROW_SHARE / MEAN_SLATE
    scenario = rng.choice(S, rows, p=share / share.sum())  # more than enough: a request has at least one row
    size = np.where(scenario == SCENARIOS.index("voice"), rng.integers(1, 4, size=rows), SLATE_SIZE[scenario])
    total = np.cumsum(size)
    count = int(np.searchsorted(total, rows)) + 1
    scenario, size = scenario[:count], size[:count]
    size[-1] -= total[count - 1] - rows
    user, seconds = draw_times(users, count, days, rng)
    connection = (rng.random(count)[:, None] > CONNECTION_SHARE[scenario].cumsum(axis=1)[:, :-1]).sum(axis=1)
    order = np.argsort(seconds, kind="stable")
    return Requests(
        user=user[order],
        scenario=scenario[order],
        seconds=seconds[order],
        size=size[order],
        connection=connection[order],
    )


def draw_times(users: Users, count: int, days: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Who asks, and when: active users more often, everybody from the day of arrival on, mostly in the evening."""
    weight = users.activity * (days - users.joined)
    user = rng.choice(users.count, count, p=weight / weight.sum())
    day = users.joined[user] + (rng.random(count) * (days - users.joined[user])).astype(np.int64)
    hour = rng.choice(24, count, p=HOUR_WEIGHT / HOUR_WEIGHT.sum())
    return user, day * DAY + hour * 3600 + rng.integers(3600, size=count)


def policy(items: Items, days: int) -> Floats:
    """π of the module's first formula: [days, S, J], each last row summing to 1; 0 before an item is listed."""
    age = np.arange(days)[:, None] - items.listed
    logit = RENOWN * items.renown + NOVELTY * np.exp(-np.maximum(age, 0) / 5)
    logit_DSJ = logit[:, None, :] + CONTENT_BONUS[:, None] * (items.kind == 1)
    listed_DSJ = np.broadcast_to((age >= 0)[:, None, :], logit_DSJ.shape)
    weight = np.where(listed_DSJ, np.exp(logit_DSJ), 0.0)
    preferred = weight / weight.sum(axis=2, keepdims=True)
    mixed: Floats = (1 - EXPLORATION) * preferred + EXPLORATION * listed_DSJ / listed_DSJ.sum(axis=2, keepdims=True)
    return mixed


def draw_exposure(users: Users, items: Items, rows: int, days: int, rng: np.random.Generator) -> Exposure:
    """Requests answered by slates, laid out as one impression per row."""
    requests = draw_requests(users, rows, days, rng)
    slate, propensity = draw_slates(requests, policy(items, days), rng)
    request, slot = np.nonzero(slate >= 0)  # row-major: by request, then by position
    item = slate[request, slot]
    seconds = requests.seconds[request]
    return Exposure(
        request=request,
        user=requests.user[request],
        item=item,
        scenario=requests.scenario[request],
        position=slot + 1,
        seconds=seconds,
        age=seconds // DAY - items.listed[item],
        connection=requests.connection[request],
        propensity=propensity[request, slot],
    )


def draw_slates(requests: Requests, policy_DSJ: Floats, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """[Q, longest slate] items (−1 past a slate's end) and their propensities; what is in a slate already is redrawn.

    All cumulative policies stand end to end, each shifted by its number, so that one binary search serves all requests.
    """
    days, scenarios, count = policy_DSJ.shape
    flat = policy_DSJ.reshape(days * scenarios, count)
    cumulative = flat.cumsum(axis=1)
    cumulative = (cumulative / cumulative[:, -1:] + np.arange(days * scenarios)[:, None]).ravel()
    cell = requests.seconds // DAY * scenarios + requests.scenario
    slate = np.full((len(cell), int(requests.size.max())), -1, dtype=np.int64)
    propensity = np.zeros(slate.shape)
    left = np.ones(len(cell))
    for slot in range(slate.shape[1]):
        waiting = np.flatnonzero(requests.size > slot)
        while len(waiting):
            drawn = np.searchsorted(cumulative, cell[waiting] + rng.random(len(waiting)), side="right")
            drawn = np.minimum(drawn - cell[waiting] * count, count - 1)
            fresh = (slate[waiting, :slot] != drawn[:, None]).all(axis=1) & (flat[cell[waiting], drawn] > 0)
            chosen = waiting[fresh]
            slate[chosen, slot] = drawn[fresh]
            propensity[chosen, slot] = flat[cell[chosen], drawn[fresh]] / left[chosen]
            left[chosen] -= flat[cell[chosen], drawn[fresh]]
            waiting = waiting[~fresh]
    return slate, propensity
