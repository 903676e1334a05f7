"""The informed oracle of the embedded market: the best prediction that the observed history allows.

Shape letters: R impressions, N impressions handled at once, U users, D = K + 1 numbers of a user's state, T reactions.

It knows the laws, every item's true vector and quality and all parameters, but of a user only what the log shows: the
attributes, which give a Gaussian prior N(prior, Σ) over the state, and the labels known strictly before the impression.
Each label moves the belief N(m, P) by assumed-density filtering (Spiegelhalter & Lauritzen 1990; Minka 2001): with the
logit x·state + o, its mean μ and variance s² = x·P·x, MacKay's (1992) approximation gives

    P(y = 1) = p = σ(κ μ),  κ = (1 + π s² / 8)^−½,    α = κ (y − p),  w = κ² p (1 − p)
    m ← m + P x α,          P ← P − (P x)(P x)ᵀ w,    where α and −w are the derivatives of log P(y) by μ

A rating moves it by the Kalman step of its logit: α = (y − μ) / (s² + σ²), w = 1 / (s² + σ²), σ² its noise's variance.
Within one impression the reactions depend on each other through the uncertain state, so buying is predicted after
supposing a click, and stars after supposing click and purchase: only there can they be seen. Purchase and stars are
observed once their delay has passed; the others at once, but never within the same second, hence not within a slate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from motet.data.sources.market_choice import (
    BUY,
    CART,
    CLICK,
    LIKE,
    RATING_NOISE,
    STARS,
    TASKS,
    Reactions,
    T,
    masked_by_kind,
    mean_stars,
    offsets,
    sigmoid,
    weights,
)
from motet.data.sources.market_log import DAY, Exposure
from motet.data.sources.market_world import Bools, Floats, Ints, Items, K, Users, state_variance

DELAY = 2 * DAY
RATING_VARIANCE = RATING_NOISE**2 * np.pi**2 / 3 + 1 / 12  # logistic noise, and rounding


@dataclass(frozen=True, kw_only=True)
class _Observed:
    """The labels in the order in which they become known, by user: which row, which reaction."""

    row: Ints
    reaction: Ints
    number: Ints  # of the label within its user, from 0
    before_R: Ints  # how many labels of its user are known strictly before each impression


def informed(shown: Exposure, reactions: Reactions, users: Users, items: Items) -> dict[str, Floats]:
    """Posterior predictive probability of each task (mean of stars) per impression; NaN where its kind lacks it."""
    rules = Rules(
        offset_RT=offsets(shown, users, items),
        features=partial(_features, shown, items),
        predict=predict,
        delay_T=np.where(np.isin(np.arange(T), (BUY, STARS)), DELAY, 0),
        rated_T=np.arange(T) == STARS,
    )
    prediction_RT = follow(shown.user, shown.seconds, reactions.label_RT, users, rules)
    return masked_by_kind(dict(zip(TASKS, prediction_RT.T, strict=True)), items.kind[shown.item])


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is known of how reactions come about: all but the states of users."""

    offset_RT: Floats  # o of each logit
    features: Callable[..., Floats]  # x of the logits of rows, [N, T, D], or of one reaction each, [N, D]
    predict: Callable[[Floats, Floats], Floats]  # from mean [N, T] and covariance [N, T, T] of the logits, [N, T]
    delay_T: Ints  # seconds until a label is known
    rated_T: Bools  # which are ratings


def follow(user_R: Ints, seconds_R: Ints, label_RT: Floats, users: Users, rules: Rules) -> Floats:
    """What each impression predicts by the labels that were known strictly before it: [R, T].

    The loop runs over the number of labels a user has shown, for all users at once.
    """
    observed, offset_RT = _observe(user_R, seconds_R, label_RT, rules.delay_T), rules.offset_RT
    mean_UD = users.prior.copy()
    covariance_UDD = np.broadcast_to(np.diag(state_variance()), (users.count, K + 1, K + 1)).copy()
    prediction_RT = np.empty(label_RT.shape)
    predict_order, predict_start = _by_number(observed.before_R)
    update_order, update_start = _by_number(observed.number)
    for n in range(len(predict_start) - 1):
        rows = predict_order[predict_start[n] : predict_start[n + 1]]
        if len(rows):
            x_NTD = rules.features(rows)
            u = user_R[rows]
            mean_NT = np.einsum("ntd,nd->nt", x_NTD, mean_UD[u]) + offset_RT[rows]
            prediction_RT[rows] = rules.predict(mean_NT, (x_NTD @ covariance_UDD[u]) @ x_NTD.transpose(0, 2, 1))
        if n + 1 < len(update_start):
            labels = update_order[update_start[n] : update_start[n + 1]]
            rows, t = observed.row[labels], observed.reaction[labels]
            x_ND = rules.features(rows, t)
            o, y = offset_RT[rows, t], label_RT[rows, t]
            _update(mean_UD, covariance_UDD, user_R[rows], x_ND, o, y, rated=rules.rated_T[t])
    return prediction_RT


def predict(mean_NT: Floats, covariance_NTT: Floats) -> Floats:
    """Predictions in the order of `TASKS` from the joint Gaussian of an impression's logits: [N, T]."""
    variance = np.diagonal(covariance_NTT, axis1=1, axis2=2)
    kappa = kappa_of(variance)
    p = sigmoid(kappa * mean_NT)
    alpha, w = kappa[:, CLICK] * (1 - p[:, CLICK]), kappa[:, CLICK] ** 2 * p[:, CLICK] * (1 - p[:, CLICK])
    buy_click, stars_click, stars_buy = (
        covariance_NTT[:, a, b] for a, b in ((BUY, CLICK), (STARS, CLICK), (STARS, BUY))
    )
    buy_variance = variance[:, BUY] - buy_click**2 * w
    stars_variance = variance[:, STARS] - stars_click**2 * w
    stars_buy = stars_buy - stars_click * buy_click * w
    buy_kappa = kappa_of(buy_variance)
    p_buy = sigmoid(buy_kappa * (mean_NT[:, BUY] + buy_click * alpha))
    stars = mean_NT[:, STARS] + stars_click * alpha + stars_buy * buy_kappa * (1 - p_buy)
    stars_variance = stars_variance - stars_buy**2 * buy_kappa**2 * p_buy * (1 - p_buy)
    stars_kappa = kappa_of(stars_variance / RATING_NOISE**2)
    return np.stack([p[:, CLICK], p[:, CART], p[:, CLICK] * p_buy, p[:, LIKE], mean_stars(stars, stars_kappa)], axis=1)


def _update(
    mean_UD: Floats, covariance_UDD: Floats, user: Ints, x_ND: Floats, offset: Floats, label: Floats, *, rated: Bools
) -> None:
    """Move the beliefs of `user` (each at most once) by one label each, in place."""
    covariance = covariance_UDD[user]
    gain = np.einsum("nde,ne->nd", covariance, x_ND)
    mean = np.einsum("nd,nd->n", x_ND, mean_UD[user]) + offset
    variance = np.einsum("nd,nd->n", x_ND, gain)
    kappa = kappa_of(variance)
    p = sigmoid(kappa * mean)
    alpha = np.where(rated, (label - mean) / (variance + RATING_VARIANCE), kappa * (label - p))
    w = np.where(rated, 1 / (variance + RATING_VARIANCE), kappa**2 * p * (1 - p))
    mean_UD[user] += gain * alpha[:, None]
    covariance_UDD[user] = covariance - (gain * w[:, None])[:, :, None] * gain[:, None, :]


def kappa_of(variance: Floats) -> Floats:
    """MacKay's factor of a logit with that variance."""
    shrink: Floats = 1 / np.sqrt(1 + np.pi / 8 * variance)
    return shrink


def _features(shown: Exposure, items: Items, rows: Ints, reaction: Ints | None = None) -> Floats:
    """x of each row's logits: [N, T, D], or [N, D] for one reaction each."""
    weight_STK, readiness_ST = weights()
    index = shown.scenario[rows] if reaction is None else (shown.scenario[rows], reaction)
    vector = items.vector[shown.item[rows]]
    taste = weight_STK[index] * (vector[:, None] if reaction is None else vector)
    return np.concatenate([taste, readiness_ST[index][..., None]], axis=-1)


def _observe(user_R: Ints, seconds_R: Ints, label_RT: Floats, delay_T: Ints) -> _Observed:
    row, reaction = np.nonzero(~np.isnan(label_RT))
    known_at = seconds_R[row] + delay_T[reaction]
    span = int(known_at.max()) + 1
    order = np.lexsort((row, known_at, user_R[row]))
    row, reaction = row[order], reaction[order]
    key = user_R[row] * span + known_at[order]  # increasing: users one after another, each in the order of time
    first = np.searchsorted(key, np.arange(int(user_R.max()) + 1) * span)
    return _Observed(
        row=row,
        reaction=reaction,
        number=np.arange(len(row)) - first[user_R[row]],
        before_R=np.searchsorted(key, user_R * span + seconds_R) - first[user_R],
    )


def _by_number(number: Ints) -> tuple[Ints, Ints]:
    """Positions sorted by number, and where each number starts among them."""
    return np.argsort(number, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(number))])
