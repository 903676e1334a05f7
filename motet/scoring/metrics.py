"""Metrics as pure functions of arrays: probabilities against labels, and top-K lists against what was relevant.

N rows, U users, K list positions, I catalogue items, D width. Labels of binary tasks are 0 or 1, with no NaN: rows
whose label is unobserved are left out by the caller. A metric that is not defined on its input (no rows, one class)
is NaN, never a guess. Ranking metrics are per user, [U], so that they can be averaged, bootstrapped or sliced; NaN
where a user has nothing relevant.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motet.scoring.order import ScoreOrder, positions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SMALLEST = 1e-7  # probabilities are clipped to [SMALLEST, 1 - SMALLEST] under a logarithm: the step of a float32 near 1


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Probability that a positive scores above a negative, ties counting half (Mann–Whitney), of weighted rows."""
    return ScoreOrder.of(labels, scores).auc(weights)


def gauc(labels: ArrayLike, scores: ArrayLike, users: ArrayLike) -> float:
    """AUC within each user, averaged by impressions over the users with both classes (Zhu et al., KDD 2017).

    Insensitive to how active or how generous a user is: only the order within a user counts. NaN if no user has both
    classes.
    """
    return ScoreOrder.of(labels, scores).auc_within(positions(users)[0])


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of −y ln p − (1 − y) ln(1 − p), in nats."""
    y, p = np.asarray(labels, np.float64), np.clip(np.asarray(probabilities, np.float64), SMALLEST, 1 - SMALLEST)
    return -float(np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))) if len(y) else np.nan


def entropy(rate: float) -> float:
    """−p ln p − (1 − p) ln(1 − p), in nats; 0 at 0 and 1."""
    return float(-rate * np.log(rate) - (1 - rate) * np.log1p(-rate)) if 0 < rate < 1 else 0.0


def ne(labels: ArrayLike, probabilities: ArrayLike, base_rate: float) -> float:
    """Normalised entropy (He et al., ADKDD 2014): log loss / entropy of the base rate; lower is better.

    Below 1 beats knowing the rate alone. `base_rate` is the train split's, so that a drifting rate costs. NaN if the
    base rate is 0, 1 or unknown.
    """
    background = entropy(base_rate)
    return log_loss(labels, probabilities) / background if background > 0 else np.nan


def equal_mass_bins(values: ArrayLike, bins: int) -> Ints:
    """The bin 0..bins-1 of each value, bins holding nearly equally many rows.

    Equal values share a bin (a constant prediction fills one), so the result does not depend on the order of the rows.
    """
    order = ScoreOrder.of(np.zeros(len(np.asarray(values))), values)
    bin_N = np.empty(len(order.row_N), np.int64)
    bin_N[order.row_N] = order.equal_mass_bins(bins)
    return bin_N


def ece(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error (Nixon et al., 2019): Σ_b n_b/N |mean label − mean probability|, equal-mass bins."""
    return ScoreOrder.of(labels, probabilities).ece(bins)


def accuracy(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> float:
    """Share of rows on the right side of the threshold (a probability equal to it says positive)."""
    y, p = np.asarray(labels) > 0, np.asarray(probabilities)
    return float(np.mean(y == (p >= threshold))) if len(y) else np.nan


def majority(labels: ArrayLike, base_rate: float) -> float:
    """Accuracy of always saying the train split's commoner class: what `accuracy` has to beat."""
    y = np.asarray(labels) > 0
    return float(np.mean(y == (base_rate >= 0.5))) if len(y) and np.isfinite(base_rate) else np.nan


def rmse(labels: ArrayLike, values: ArrayLike) -> float:
    """Root of the mean squared error, in the label's unit."""
    y, v = np.asarray(labels, np.float64), np.asarray(values, np.float64)
    return float(np.sqrt(np.mean((y - v) ** 2))) if len(y) else np.nan


def relative_mse(labels: ArrayLike, values: ArrayLike, mean: ArrayLike) -> float:
    """Squared error / squared error of predicting `mean`, the train split's (or one per row): a regression's `ne`.

    NaN if the mean is unknown or makes no error.
    """
    y, v = np.asarray(labels, np.float64), np.asarray(values, np.float64)
    background = float(np.sum((y - np.asarray(mean)) ** 2))
    return float(np.sum((y - v) ** 2)) / background if background > 0 else np.nan


def relative_rmse(labels: ArrayLike, values: ArrayLike, mean: ArrayLike) -> float:
    """1 − rmse / rmse of predicting `mean`: 1 is perfect, 0 no better than the train split's mean; higher is better."""
    return float(1 - np.sqrt(relative_mse(labels, values, mean)))


def ndcg_at(relevant_UK: Bools, relevant_count_U: Ints) -> Floats:
    """Σ_k rel_k / log2(k + 1) over the same sum of the best possible list, k = 1..K (Järvelin & Kekäläinen, 2002)."""
    discount_K = 1 / np.log2(np.arange(2, relevant_UK.shape[1] + 2))
    best = np.concatenate([[np.nan], np.cumsum(discount_K)])
    return np.asarray((relevant_UK @ discount_K) / best[np.minimum(relevant_count_U, relevant_UK.shape[1])])


def recall_at(relevant_UK: Bools, relevant_count_U: Ints) -> Floats:
    """Hits in the list / relevant items of the user, also when these are more than K."""
    return np.asarray(relevant_UK.sum(1) / _or_nan(relevant_count_U))


def precision_at(relevant_UK: Bools, relevant_count_U: Ints) -> Floats:
    """Hits in the list / K, also when fewer than K items are relevant or a list is short."""
    return _where_relevant(relevant_UK.mean(1), relevant_count_U)


def hit_at(relevant_UK: Bools, relevant_count_U: Ints) -> Floats:
    """1 if the list holds anything relevant, else 0."""
    return _where_relevant(relevant_UK.any(1), relevant_count_U)


def mrr(relevant_UK: Bools, relevant_count_U: Ints) -> Floats:
    """1 / rank of the first hit, 0 without one within K."""
    return _where_relevant(relevant_UK.any(1) / (relevant_UK.argmax(1) + 1), relevant_count_U)


def coverage_at(top_UK: Ints, catalogue_size: int) -> float:
    """Share of the catalogue that stands in at least one list; −1 marks an empty place."""
    return len(np.unique(top_UK[top_UK >= 0])) / catalogue_size if catalogue_size else np.nan


def diversity_at(top_UK: Ints, vectors_ID: NDArray[np.floating]) -> Floats:
    """Mean cosine distance over the pairs of items within each list (Ziegler et al., WWW 2005), in [0, 2].

    With unit vectors v the mean similarity of n items is (|Σv|² − n) / (n² − n): no pair is visited. Empty places and
    items with a zero vector are left out; NaN for a list of fewer than two others.
    """
    norm_I = np.linalg.norm(vectors_ID, axis=1)
    unit_ID = vectors_ID / np.where(norm_I > 0, norm_I, 1)[:, None]
    told_UK = (top_UK >= 0) & (norm_I[top_UK] > 0)
    total_UD = np.zeros((len(top_UK), vectors_ID.shape[1]))
    for k in range(top_UK.shape[1]):  # one [U, D] at a time: [U, K, D] may not fit
        total_UD += np.where(told_UK[:, k, None], unit_ID[top_UK[:, k]], 0)
    n_U = told_UK.sum(1)
    return np.asarray(1 - ((total_UD**2).sum(1) - n_U) / _or_nan(n_U * (n_U - 1)))


def novelty_at(top_UK: Ints, popularity_I: ArrayLike) -> Floats:
    """Mean −log2 P(item) within each list, in bits (Vargas & Castells, RecSys 2011).

    Popularity counts impressions or users; P = (count + 1) / (Σ count + I): the added one keeps a never-seen item
    finite. NaN for an empty list.
    """
    count_I = np.asarray(popularity_I, np.float64)
    surprise_I = -np.log2((count_I + 1) / (count_I.sum() + len(count_I)))
    shown_UK = top_UK >= 0
    return np.asarray(np.where(shown_UK, surprise_I[top_UK], 0).sum(1) / _or_nan(shown_UK.sum(1)))


def _or_nan(count_U: NDArray[np.integer]) -> Floats:
    return np.where(count_U > 0, count_U, np.nan)


def _where_relevant(value_U: ArrayLike, relevant_count_U: Ints) -> Floats:
    return np.where(relevant_count_U > 0, np.asarray(value_U, np.float64), np.nan)
