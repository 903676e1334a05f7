"""Requests that are judged: who asks when, among which items, what is relevant, and how well each ranker orders it.

Candidates of a request are the items of the scenario that had been shown there strictly before it, without those that
the user had been shown before and without the user, where users are items. An item first shown by the request itself is
none: that it is there would tell what is relevant. Where a time is a place in a user's own sequence (a split by
`leave_last_out`) it says nothing of others' items, and all of the scenario's are there from the start. Relevant are the
candidates on which the task happened.

Shapes: U requests, C candidates, K list positions, E (request, candidate) pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.batch import Batch
from motet.data.dataset import Dataset
from motet.data.features import Packed
from motet.evaluate.ranking import Shortlist, ranking_metrics
from motet.runtime import in_threads
from motet.scoring.metrics import Bools, Floats, Ints

TOP = 10
PAIRS = 1 << 14  # requests × candidates scored at once by a thread
CHUNKS = 16  # runs of requests of which something is kept at once
_SEED = 2207  # of ties
Score = Callable[[Batch], NDArray[np.floating[Any]]]
"""How a ranker orders the candidates of a batch: the higher the better, [U, C]."""


@dataclass(frozen=True, eq=False)
class Requests:
    """U requests in one scenario for the same items, in order of time; pairs are in order of the requests."""

    scenario: int
    item_C: Ints
    first_C: Floats  # when each item became available
    row_U: Ints  # the impression whose user and context a request has
    time_U: Floats
    seen_E: tuple[Ints, Ints]  # (request, candidate) that the user had been shown before, or is
    relevant_E: tuple[Ints, Ints]  # (request, candidate) on which the task happened, open ones only

    @classmethod
    def of(
        cls,
        data: Dataset,
        s: int,
        row_U: Ints,
        time_U: Floats,
        relevant_E: tuple[Ints, Ints],
        *,
        kind: int | None = None,
    ) -> "Requests":
        """Requests of those impressions' users at any time; `relevant_E` are (request, row of the items table)."""
        order_U = np.argsort(time_U, kind="stable")
        row_U, time_U, place_U = row_U[order_U], time_U[order_U], np.argsort(order_U)
        by_place = data.manifest["settings"]["split"]["by"] == "leave_last_out"
        item_C = data.catalogue(s, kind, before=None if by_place else float(time_U.max(initial=-np.inf)))
        first_C = np.full(len(item_C), -np.inf) if by_place else data.shown.first(s, item_C)
        seen_E = data.shown.to(data.users(row_U), time_U, s if data.events.scenarios else None)
        seen_E = _both(seen_E, data.oneself(data.users(row_U)))
        seen_E, relevant_E = _known(*seen_E, item_C), _known(place_U[relevant_E[0]], relevant_E[1], item_C)
        request_E, candidate_E = relevant_E
        open_E = first_C[candidate_E] < time_U[request_E]
        open_E &= ~np.isin(request_E * len(item_C) + candidate_E, seen_E[0] * len(item_C) + seen_E[1])
        return cls(s, item_C, first_C, row_U, time_U, seen_E, (request_E[open_E], candidate_E[open_E]))

    def only(self, chosen: Ints) -> "Requests":
        """Those requests, given in ascending order."""
        pairs = []
        for request_E, candidate_E in (self.seen_E, self.relevant_E):
            kept_E = np.isin(request_E, chosen)
            pairs.append((np.searchsorted(chosen, request_E[kept_E]), candidate_E[kept_E]))
        return replace(self, row_U=self.row_U[chosen], time_U=self.time_U[chosen], seen_E=pairs[0], relevant_E=pairs[1])

    def open_UC(self, chunk: slice) -> Bools:
        """Which items are candidates of which of those requests."""
        found_UC = self.first_C < self.time_U[chunk, None]
        request_E, candidate_E = self.seen_E
        start, stop = np.searchsorted(request_E, (chunk.start, chunk.stop))
        found_UC[request_E[start:stop] - chunk.start, candidate_E[start:stop]] = False
        return found_UC


def rank(
    data: Dataset, asked: Requests, scores: Sequence[Score], *, pairs: int = PAIRS, profiles: bool = True
) -> list[dict[str, Any]]:
    """The figures of each ranker's slates for the same requests, candidates and relevant items.

    Ties are broken at random with a fixed seed. Memory is bounded by `pairs`; without `profiles` there is no diversity.
    """
    users, item_C = data.users(asked.row_U), asked.item_C
    lots = [np.random.default_rng(_SEED) for _ in scores]
    top_MUK = np.full((len(scores), len(users), TOP), -1, np.int64)
    for chunk, lists in _shortlists(data, asked, scores, pairs):
        for m, shortlist in enumerate(lists):
            top_MUK[m, chunk] = shortlist.top(TOP, lots[m])
    request_E, candidate_E = asked.relevant_E
    indptr = np.searchsorted(request_E, np.arange(len(users) + 1))
    popularity = np.bincount(data.item_rows(data.rows("train", asked.scenario)), minlength=item_C.max(initial=0) + 1)
    common: dict[str, Any] = {
        "catalogue_size": len(item_C),
        "item_popularity": popularity[item_C],
        "item_vectors": data.item_profiles(item_C) if profiles else None,
        "k": TOP,
    }
    return [ranking_metrics(top_UK, indptr, candidate_E, **common) for top_UK in top_MUK]


def _shortlists(
    data: Dataset, asked: Requests, scores: Sequence[Score], pairs: int
) -> Iterator[tuple[slice, list[Shortlist]]]:
    """What may stand in each ranker's slates, of runs of requests in their order; every thread works on its own run."""
    context, users, items = data.logged_context(asked.row_U), data.users(asked.row_U), len(asked.item_C)

    def shortlists(chunk: slice) -> tuple[slice, list[Shortlist]]:
        scenarios, at = np.full(len(users[chunk]), asked.scenario), float(asked.time_U[chunk.start])
        told, parts = Packed(context.ids_RK[chunk], context.numbers_RN[chunk]), []
        for start in range(0, items, pairs):
            some = asked.item_C[start : start + pairs]
            batch = data.request(users[chunk], scenarios, some, time=at, context=told)
            parts.append([score(batch) for score in scores])
        open_UC = asked.open_UC(chunk)
        return chunk, [Shortlist.of(np.concatenate(found, 1), TOP, open_UC) for found in zip(*parts, strict=True)]

    chunks = _chunks(asked.time_U, max(1, pairs // max(items, 1)))
    while some := list(islice(chunks, CHUNKS)):
        yield from in_threads(shortlists, some)


def _both(some_E: tuple[Ints, Ints], others_E: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    return np.concatenate([some_E[0], others_E[0]]), np.concatenate([some_E[1], others_E[1]])


def _known(request_E: Ints, item_E: Ints, item_C: Ints) -> tuple[Ints, Ints]:
    """(request, place in the catalogue) of items that are in it, each once, by request."""
    place_E = np.searchsorted(item_C, item_E).clip(max=max(len(item_C) - 1, 0))
    known_E = item_C[place_E] == item_E if len(item_C) else np.zeros(len(item_E), np.bool_)
    pair_E = np.unique(request_E[known_E] * len(item_C) + place_E[known_E])
    return pair_E // max(len(item_C), 1), pair_E % max(len(item_C), 1)


def _chunks(time_U: Floats, most: int) -> Iterator[slice]:
    """Runs of equal times, no longer than `most`."""
    starts = np.flatnonzero(np.diff(time_U, prepend=np.nan) != 0).tolist()
    for start, stop in pairwise([*starts, len(time_U)]):
        yield from (slice(at, min(at + most, stop)) for at in range(start, stop, most))
