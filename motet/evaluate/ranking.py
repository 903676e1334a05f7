"""Quality of top-K lists over a whole catalogue: hits, coverage, diversity, novelty: a report's `ranking` entries.

U users, C candidates, K list positions, I catalogue items, D width; −1 marks an empty place of a list. What is
relevant to user u is `items[indptr[u]:indptr[u + 1]]`, as in a compressed sparse row matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motet.errors import InputError
from motet.scoring import metrics
from motet.scoring.metrics import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Of each of U users the candidates that reach the k-th best score, more than k of them where scores are equal."""

    users: int
    user_E: Ints  # ascending
    candidate_E: Ints
    score_E: NDArray[np.floating]

    @classmethod
    def of(cls, scores_UC: NDArray[np.floating], k: int, mask_UC: Bools | None = None) -> "Shortlist":
        """Only where `mask_UC` allows."""
        if np.isnan(scores_UC).any():
            raise InputError("some scores are NaN", where="top_k", fix="mask the candidates that have no score")
        U, C = scores_UC.shape
        if not (n := min(k, C)):
            return cls(U, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        allowed = np.ones((U, C), np.bool_) if mask_UC is None else mask_UC
        scores = np.where(allowed, scores_UC, -np.inf)
        kth_U1 = np.partition(scores, C - n, axis=1)[:, C - n, None]
        user, candidate = np.nonzero((scores >= kth_U1) & allowed)
        return cls(U, user, candidate, scores[user, candidate])

    def top(self, k: int, rng: np.random.Generator) -> Ints:
        """The k best candidates of each user, best first, equal scores in random order, [U, k].

        Ties are broken for each user anew, so that no item is favoured by its place in the catalogue. A user with fewer
        candidates has −1 in the empty places.
        """
        order = np.lexsort((rng.random(len(self.user_E)), -self.score_E, self.user_E))
        user, candidate = self.user_E[order], self.candidate_E[order]
        place = np.arange(len(user)) - np.searchsorted(user, np.arange(self.users))[user]
        taken = place < k
        result = np.full((self.users, k), -1, np.int64)
        result[user[taken], place[taken]] = candidate[taken]
        return result


def top_k(scores_UC: NDArray[np.floating], k: int, rng: np.random.Generator, mask_UC: Bools | None = None) -> Ints:
    """The k best candidates of each user at once, [U, k]."""
    return Shortlist.of(scores_UC, k, mask_UC).top(k, rng)


def ranking_metrics(
    top_UK: ArrayLike,
    indptr: ArrayLike,
    items: ArrayLike,
    *,
    catalogue_size: int,
    item_popularity: ArrayLike,
    item_vectors: NDArray[np.floating] | None = None,
    k: int = 10,
) -> dict[str, float | int | None]:
    """Means over users, with the keys of a report's `ranking` entry; null where nothing is defined.

    `ndcg`, `recall`, `precision`, `hit` and `mrr` are over the users to whom something is relevant (`users` counts
    them), the rest over all lists. `catalogue_size` is the scenario's catalogue, `item_popularity` [I] and
    `item_vectors` [I, D] are indexed like the lists.
    """
    top = _exactly(np.asarray(top_UK, np.int64), k)
    relevant_UK, count_U = hits(top, np.asarray(indptr, np.int64), np.asarray(items, np.int64))
    return {
        "users": int((count_U > 0).sum()),
        f"ndcg@{k}": _mean(metrics.ndcg_at(relevant_UK, count_U)),
        f"recall@{k}": _mean(metrics.recall_at(relevant_UK, count_U)),
        f"precision@{k}": _mean(metrics.precision_at(relevant_UK, count_U)),
        f"hit@{k}": _mean(metrics.hit_at(relevant_UK, count_U)),
        "mrr": _mean(metrics.mrr(relevant_UK, count_U)),
        f"coverage@{k}": _mean([metrics.coverage_at(top, catalogue_size)]),
        f"diversity@{k}": None if item_vectors is None else _mean(metrics.diversity_at(top, item_vectors)),
        f"novelty@{k}": _mean(metrics.novelty_at(top, item_popularity)),
    }


def hits(top_UK: Ints, indptr: Ints, items: Ints) -> tuple[Bools, Ints]:
    """Which places of each list are relevant, [U, K], and how many distinct items are relevant to each user, [U]."""
    users = len(top_UK)
    if len(indptr) != users + 1 or indptr[-1] != len(items):
        raise InputError(
            f"{users} lists, but relevant items of {len(indptr) - 1} users", fix="give each user one list and one row"
        )
    width = 1 + max(top_UK.max(initial=0), items.max(initial=0))
    relevant = np.unique(np.repeat(np.arange(users), np.diff(indptr)) * width + items)
    shown_UK = np.arange(users)[:, None] * width + top_UK
    return np.isin(shown_UK, relevant) & (top_UK >= 0), np.bincount(relevant // width, minlength=users)


def _exactly(top_UK: Ints, k: int) -> Ints:
    """The first k places; a shorter list gets empty ones, so that `precision` still divides by k."""
    missing = k - top_UK.shape[1]
    return top_UK[:, :k] if missing <= 0 else np.pad(top_UK, ((0, 0), (0, missing)), constant_values=-1)


def _mean(values: Floats | Sequence[float]) -> float | None:
    defined = np.asarray(values, np.float64)
    defined = defined[np.isfinite(defined)]
    return float(defined.mean()) if len(defined) else None
