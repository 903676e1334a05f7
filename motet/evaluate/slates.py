"""Ranking quality: full-catalogue slates per scenario and kind for a sample of users, of the model and of baselines.

A user's request is made at their first judged impression in the scenario (with a split by time: when the judged rows
begin, so that nothing later is known of anyone), in the context of that impression. Relevant is what the relevant task
happened on in the judged rows; nothing is sampled but users. What a candidate is: `requests`.

Where each user's last row in a scenario is judged, `held_out_ranking` asks at the time of every such row.
Shapes: U users or rows, B requests, C candidates, T tasks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from motet.batch import Batch, Ranker
from motet.data.dataset import Dataset
from motet.evaluate.kept import Kept, key_of
from motet.evaluate.plan import Evaluate
from motet.evaluate.requests import TOP, Requests, Score, rank
from motet.scoring.blend import Blend
from motet.scoring.metrics import Floats, Ints

_SEED = 2207  # of the users who are sampled
_FEWEST_USERS = 20
Entry = dict[str, Any]
_CHEAP_PAIRS = 1 << 22
"""Requests × candidates that baselines without features score at once."""


class Asked(NamedTuple):
    """Whose slates are judged by what: a scenario, a kind, a task."""

    s: int
    kind: str
    task: int


class Contender(Protocol):
    """What slates can be ordered by."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str: ...
    def score(self, blend: Blend, asked: Asked) -> Score:
        """What orders the candidates."""
        ...


@dataclass(frozen=True)
class Model:
    """A ranker, and how its logits [B, C, T] become what is blended: by scenario [B, 1] and user [B]."""

    name: str
    label: str
    ranker: Callable[[], Ranker]  # called only where its slates are not known already
    calibrated: Callable[[NDArray[np.float32], Ints, Ints], Floats]

    def score(self, blend: Blend, asked: Asked) -> Score:
        """Blended scores of items of that kind."""
        mask_T, ranker = blend.applicable(asked.kind), self.ranker()

        def blended(batch: Batch) -> Floats:
            logits_BCT, scenario_B1 = ranker.score(batch).logits_BCT.numpy(), batch.scenario_B.numpy()[:, None]
            return blend.score(self.calibrated(logits_BCT, scenario_B1, batch.user_B.numpy()), scenario_B1, mask_T)

        return blended


@dataclass(frozen=True)
class Counted:
    """The classical most popular items: how often the task happened on each in train, in that scenario.

    It has no probabilities and therefore stands in rankings only.
    """

    data: Dataset

    name = "popularity-counted"
    label = "Popularity, counted"

    def score(self, blend: Blend, asked: Asked) -> Score:
        """Counts, whatever the blend."""
        rows = self.data.rows("train", asked.s)
        taken = self.data.item_rows(rows[self.data.labels(rows)[:, asked.task] > 0])
        count_I = np.bincount(taken, minlength=len(self.data.items.kind_I))
        return lambda batch: count_I[batch.item_BC.numpy()].astype(np.float64)


def ranking(
    data: Dataset,
    rows: Ints,
    contenders: Sequence[Contender],
    blend: Blend,
    how: Evaluate,
    *,
    say: Callable[[float], None] = lambda share: None,
) -> list[list[Entry]]:
    """Of each contender one entry per scenario and kind that has a relevant task; none for no users.

    All get the same requests, candidates, relevant items, calibration and blend; nobody's figures depend on the others.
    """
    layout, found = data.layout, [list[Entry]() for _ in contenders]
    groups = [(s, k) for s in range(len(layout.scenarios)) for k in range(len(layout.kinds))]
    for done, (s, k) in enumerate(groups if how.ranking_users and contenders else []):
        say(done / len(groups))
        kind, task = layout.kinds[k], relevant_task(data, layout.kinds[k], how.relevant_task)
        if task is None:
            continue
        requests = _sampled(data, rows, s, k, task, how, how.ranking_pairs // len(groups))
        if requests is None:
            continue
        scores = [contender.score(blend, Asked(s, kind, task)) for contender in contenders]
        named = {"scenario": layout.scenarios[s].name, "kind": kind, "relevant_task": layout.tasks[task].name}
        for entries, figures in zip(found, rank(data, requests, scores), strict=True):
            entries.append(named | figures)
    return found


def kept_ranking(
    data: Dataset,
    rows: Ints,
    contenders: Sequence[tuple[str, Contender]],
    blend: Blend,
    how: Evaluate,
    kept: Kept,
    *,
    say: Callable[[float], None] = lambda share: None,
) -> list[list[Entry]]:
    """The `ranking` of contenders, each with a key that changes when its scores do; what is kept is not asked again."""
    keys = [key_of_slates(key, blend, how) for key, _ in contenders]
    known = {key: kept.figures(key) for key in keys}
    missing = {key: contender for key, (_, contender) in zip(keys, contenders, strict=True) if known[key] is None}
    for key, entries in zip(missing, ranking(data, rows, list(missing.values()), blend, how, say=say), strict=True):
        kept.write_figures(key, entries)
        known[key] = entries
    return [known[key] or [] for key in keys]


def key_of_slates(key: str, blend: Blend, how: Evaluate) -> str:
    """Under what the slates of a contender with that key are kept."""
    asked = how.split, how.ranking_users, how.ranking_pairs, how.relevant_task, blend
    return key_of(("evaluate", "scoring", "data"), key, *asked)


def relevant_task(data: Dataset, kind: str, chosen: dict[str, str]) -> int | None:
    """The task whose happening makes an item relevant: the chosen one, or the kind's first binary task."""
    for t, task in enumerate(data.layout.tasks):
        applies = task.form == "binary" and (not task.kinds or kind in task.kinds)
        if applies and chosen.get(kind, task.name) == task.name:
            return t
    return None


def _sampled(data: Dataset, rows: Ints, s: int, k: int, task: int, how: Evaluate, pairs: int) -> Requests | None:
    """One request for each of a sample of the users to whom something is relevant; None where nobody can be asked."""
    by_time = data.manifest["settings"]["split"]["by"] == "time"
    start, rows = float(data.times(rows).min(initial=np.inf)), rows[data.scenarios(rows) == s]
    users, first_U = np.unique(data.users(rows), return_index=True)
    row_U = rows[first_U]
    time_U = np.full(len(row_U), start) if by_time else data.times(row_U)
    relevant = rows[data.labels(rows)[:, task] > 0]
    relevant_E = np.searchsorted(users, data.users(relevant)), data.item_rows(relevant)
    asked = Requests.of(data, s, row_U, time_U, relevant_E, kind=k)
    able, size = np.unique(asked.relevant_E[0]), len(asked.item_C)
    if not len(able) or size < TOP:
        return None
    most = min(how.ranking_users, max(_FEWEST_USERS, pairs // size))
    return asked.only(np.sort(np.random.default_rng(_SEED).choice(able, min(most, len(able)), replace=False)))


def held_out_ranking(ranker: Ranker, data: Dataset, rows: Ints, s: int, *, task: int = 0) -> Entry:
    """A `ranking` entry of rows of one scenario, each of which is a request with one relevant item: its own.

    A row counts if its task happened and its item is a candidate; slates are ordered by the task's logit.
    """
    rows = rows[data.labels(rows)[:, task] > 0]
    asked = Requests.of(data, s, rows, data.times(rows), (np.arange(len(rows)), data.item_rows(rows)))
    scores: Score = lambda batch: ranker.score(batch).logits_BCT[..., task].numpy()  # noqa: E731
    (figures,) = rank(data, asked.only(np.unique(asked.relevant_E[0])), [scores], pairs=_CHEAP_PAIRS, profiles=False)
    return figures
