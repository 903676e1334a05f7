"""Ranking quality: full-catalogue slates per scenario and kind for a sample of users, history masked.

A user's request is made at the time of their first judged impression in the scenario (of all of them, when the split is
by time): nothing later is known of anyone. Items that the user has been shown before are no candidates. Relevant are
the candidates on which the relevant task then happened. Nothing is sampled but users.

Where each user's last row in a scenario is judged, `held_out_ranking` asks any ranker at the time of every such row.
Shapes: U users or rows, C candidates, K list positions.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.batch import Ranker
from motet.data.dataset import Dataset
from motet.evaluate.plan import Evaluate
from motet.evaluate.ranking import ranking_metrics, top_k
from motet.scoring.blend import Blend
from motet.train.run import Run

TOP = 10
_SEED = 2207  # of the users who are sampled, and of ties
_SCORES = 1 << 22  # at once, of requests × candidates
Ints = NDArray[np.int64]


def ranking(
    run: Run, rows: Ints, blend: Blend, how: Evaluate, *, say: Callable[[float], None] = lambda share: None
) -> list[dict[str, Any]]:
    """The report's `ranking`: one entry per scenario and kind that has a relevant task; none for no users."""
    data, layout, entries = run.data, run.data.layout, []
    if not how.ranking_users:
        return []
    groups = [(s, k) for s in range(len(layout.scenarios)) for k in range(len(layout.kinds))]
    for done, (s, k) in enumerate(groups):
        say(done / len(groups))
        kind, task = layout.kinds[k], relevant_task(data, layout.kinds[k], how.relevant_task)
        if task is None:
            continue
        entry = _entry(run, rows[data.scenarios(rows) == s], s, k, task, blend, how, how.ranking_pairs // len(groups))
        if entry is not None:
            named = {"scenario": layout.scenarios[s].name, "kind": kind, "relevant_task": layout.tasks[task].name}
            entries.append(named | entry)
    return entries


def relevant_task(data: Dataset, kind: str, chosen: dict[str, str]) -> int | None:
    """The task whose happening makes an item relevant: the chosen one, or the kind's first binary task."""
    for t, task in enumerate(data.layout.tasks):
        applies = task.form == "binary" and (not task.kinds or kind in task.kinds)
        if applies and chosen.get(kind, task.name) == task.name:
            return t
    return None


def _entry(
    run: Run, rows: Ints, s: int, k: int, task: int, blend: Blend, how: Evaluate, pairs: int
) -> dict[str, Any] | None:
    data, rng = run.data, np.random.default_rng(_SEED)
    catalogue = data.catalogue(s, kind=k)
    rows = rows[np.isin(data.item_rows(rows), catalogue)]
    relevant = rows[data.labels(rows)[:, task] > 0]
    users = np.unique(data.users(relevant))
    if not len(users) or len(catalogue) < TOP:
        return None
    most = min(how.ranking_users, max(20, pairs // len(catalogue)))
    users = np.sort(rng.choice(users, min(most, len(users)), replace=False))
    scores, seen = np.empty((len(users), len(catalogue)), np.float32), np.zeros((len(users), len(catalogue)), bool)
    for u, user in enumerate(users):
        at = data.request_time(int(user), rows)
        scores[u] = score_catalogue(run, blend, int(user), s, k, catalogue, at)
        seen[u] = np.isin(catalogue, data.seen(int(user), before=at))
    top_UK = top_k(scores, TOP, rng, ~seen)
    relevant_UC = np.array([np.isin(catalogue, data.item_rows(relevant[data.users(relevant) == u])) for u in users])
    wanted = [np.flatnonzero(relevant_C) for relevant_C in relevant_UC & ~seen]
    popularity = np.bincount(data.item_rows(data.rows("train", s)), minlength=catalogue.max() + 1)[catalogue]
    return ranking_metrics(
        top_UK, np.cumsum([0, *(len(w) for w in wanted)]), np.concatenate(wanted),
        catalogue_size=len(catalogue), item_popularity=popularity, item_vectors=data.item_profiles(catalogue), k=TOP,
    )  # fmt: skip


def score_catalogue(run: Run, blend: Blend, user: int, s: int, k: int, items: Ints, at: float) -> NDArray[np.float64]:
    """Blended scores of items of one kind for one user, scenario and time."""
    mask_T = blend.applicable(run.data.layout.kinds[k])
    return blend.score(run.predict(np.array([user]), s, items, at)[0], s, mask_T)


def held_out_ranking(ranker: Ranker, data: Dataset, rows: Ints, s: int, *, task: int = 0) -> dict[str, Any]:
    """A `ranking` entry of rows of one scenario, each of which is a request with one relevant item: its own.

    Candidates are the scenario's whole catalogue but what the stored history of the request holds, all of it and not
    only the events that a ranker sees. A row counts if its task happened and its item is a candidate. Ties are broken
    at random with a fixed seed, context counts as missing, memory is bounded.
    """
    catalogue, rng = data.catalogue(s), np.random.default_rng(_SEED)
    rows = rows[data.labels(rows)[:, task] > 0]
    rows = rows[np.argsort(data.times(rows), kind="stable")]
    top_UK, counts_U = np.full((len(rows), TOP), -1, np.int64), np.zeros(len(rows), np.bool_)
    own_U = np.searchsorted(catalogue, data.item_rows(rows))
    for chunk in _requests(data.times(rows), max(1, _SCORES // len(catalogue))):
        users, at = data.users(rows[chunk]), float(data.times(rows[chunk])[0])
        batch = data.request(users, np.full(len(users), s), catalogue, time=at)
        open_UC = ~_in_history(data, users, s, at, catalogue)
        top_UK[chunk] = top_k(ranker.score(batch).logits_BCT[..., task].numpy(), TOP, rng, open_UC)
        counts_U[chunk] = open_UC[np.arange(len(users)), own_U[chunk]]
    popularity = np.bincount(data.item_rows(data.rows("train", s)), minlength=catalogue.max() + 1)[catalogue]
    return ranking_metrics(
        top_UK, np.cumsum([0, *counts_U]), own_U[counts_U],
        catalogue_size=len(catalogue), item_popularity=popularity, k=TOP,
    )  # fmt: skip


def _requests(time_U: NDArray[np.float64], most: int) -> Iterator[slice]:
    """Runs of equal times, no longer than `most`."""
    starts = np.flatnonzero(np.diff(time_U, prepend=np.nan) != 0).tolist()
    for start, stop in pairwise([*starts, len(time_U)]):
        yield from (slice(at, min(at + most, stop)) for at in range(start, stop, most))


def _in_history(data: Dataset, users: Ints, s: int, at: float, catalogue: Ints) -> NDArray[np.bool_]:
    """Candidates among the events that requests at that time know of, [U, C]."""
    start_U, stop_U = data.events.before(users, np.full(len(users), s), np.full(len(users), at))
    count_U = stop_U - start_U
    user_E = np.repeat(np.arange(len(users)), count_U)
    item_E = data.events.item_E[np.arange(count_U.sum()) + np.repeat(start_U - np.cumsum(count_U) + count_U, count_U)]
    place_E = np.searchsorted(catalogue, item_E).clip(max=len(catalogue) - 1)
    known_E = catalogue[place_E] == item_E
    found_UC = np.zeros((len(users), len(catalogue)), np.bool_)
    found_UC[user_E[known_E], place_E[known_E]] = True
    return found_UC
