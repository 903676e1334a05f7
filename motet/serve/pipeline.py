"""One request answered: retrieve (the whole catalogue, exactly, or what the request names), rank, blend, one slate per
kind.

A user is known by key, or unknown, or described by an inline history; seen items are left out unless asked for.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.batch import UNKNOWN, Layout
from motet.data.arrays import Ints
from motet.data.dataset import Dataset
from motet.data.live import Live, Past
from motet.errors import InputError
from motet.scoring.blend import Blend
from motet.settings import nearest
from motet.train.run import Run

CANDIDATES = 1 << 15
"""Candidates scored at once: their numbers fit memory, and the request itself is little beside them."""

Catalogue = Callable[[int, int], Ints]
"""Items of a scenario and kind."""


@dataclass(frozen=True)
class Recommended:
    """One place of a slate: what each task predicts, and the blended score that put it there."""

    item: str
    score: float
    predictions: dict[str, float]  # tasks that apply to the item's kind: a probability, or a value
    text: str | None


@dataclass(frozen=True)
class Slate:
    """The ordered answer for one kind."""

    scenario: str
    kind: str
    known_user: bool
    items: tuple[Recommended, ...]


@dataclass(frozen=True)
class _Request:
    """What the slates of one request share."""

    past: Past
    key: str | None  # the user's
    scenario: int
    candidates: Ints | None  # rows of the items table; None: the catalogue
    left_out: Ints
    context: Mapping[str, Any]


def recommend(
    run: Run,
    blend: Blend,
    *,
    user: str | None,
    scenario: str,
    kinds: Sequence[str] = (),
    n: int | None = None,
    history: Sequence[Mapping[str, Any]] | None = None,
    seen: bool = False,
    exclude: Sequence[str] = (),
    context: Mapping[str, str] | None = None,
    at: float | None = None,
    candidates: Sequence[str] | None = None,
    live: Live | None = None,
    say: Callable[[float], None] = lambda share: None,
) -> list[Slate]:
    """Slates of `n` items (default: the scenario's slate size) for each kind (default: all that tasks apply to).

    `history` stands for the user's own: events {"item", "scenario", task: value}, oldest first. An unknown user is
    answered from features of items and scenario alone. What `context` leaves out counts as missing, but the position:
    it is 1 for all, for the slate only decides it. `candidates` are all that is ranked, seen or not. `live` is what has
    happened since the log. `say` is told the share that is done.
    """
    data, layout = run.data, run.data.layout
    s = scenario_index(layout, scenario)
    past = _past(data, user, at) if live is None else live.past(user, s, at)
    if history is not None:
        past = past.as_told(data.events_of(history))
    given = None if candidates is None else candidate_rows(data, candidates)
    left_out = np.array([known_item(data, item) for item in exclude], np.int64)
    if not seen and given is None:
        left_out = np.union1d(left_out, past.seen)
    left_out = np.union1d(left_out, data.oneself(np.array([past.row]))[1])
    request = _Request(past, user, s, given, left_out, data.read_context(context or {}))
    size, chosen = n or layout.scenarios[s].slate_size, chosen_kinds(layout, blend, s, kinds, kinds_of(data, given))
    catalogue = (live or data).catalogue
    return [
        _slate(run, blend, request, k, size, catalogue, part(say, done, len(chosen))) for done, k in enumerate(chosen)
    ]


def part(say: Callable[[float], None], done: int, total: int) -> Callable[[float], None]:
    """Tells the share of the whole from that of the part behind the first `done` of `total`."""
    return lambda share: say((done + share) / total)


def popular_user(data: Dataset) -> str:
    """A user with a long history, to show recommendations for."""
    counts = np.bincount(data.users(data.rows("train")))
    return data.user_keys(np.array([int(counts[2:].argmax()) + 2]))[0]


def candidate_rows(data: Dataset, candidates: Sequence[str]) -> Ints:
    """Rows of the items table, each once."""
    return np.array(list(dict.fromkeys(known_item(data, item, where="candidates") for item in candidates)), np.int64)


def _past(data: Dataset, user: str | None, at: float | None) -> Past:
    """As the log knows it."""
    row = UNKNOWN if user is None else data.user_row(user)
    return Past(row, data.seen(row), at)


def _slate(
    run: Run, blend: Blend, request: _Request, k: int, n: int, catalogue: Catalogue, say: Callable[[float], None]
) -> Slate:
    data, layout, s, past = run.data, run.data.layout, request.scenario, request.past
    if request.candidates is None:
        items = catalogue(s, k)
    else:
        items = request.candidates[data.items.kind_I.numpy()[request.candidates] == k]
    items = items[~np.isin(items, request.left_out)]
    mask_T = blend.applicable(layout.kinds[k])
    predictions_CT = run.predict(
        np.array([past.row]), s, items, past.at, chunk=CANDIDATES, say=say, context=request.context,
        keys=[request.key], **past.request(),
    )[0]  # fmt: skip
    score_C = blend.score(predictions_CT, s, mask_T)
    best = np.argsort(-score_C, kind="stable")[:n]
    keys, texts = data.item_keys(items[best]), data.item_texts(items[best])
    places = [
        Recommended(key, float(score_C[c]), _named(layout, predictions_CT[c], mask_T), text)
        for c, key, text in zip(best, keys, texts, strict=True)
    ]
    return Slate(layout.scenarios[s].name, layout.kinds[k], past.known, tuple(places))


def _named(layout: Layout, values_T: NDArray[np.float64], mask_T: NDArray[np.bool_]) -> dict[str, float]:
    return {task.name: float(values_T[t]) for t, task in enumerate(layout.tasks) if mask_T[t]}


def kinds_of(data: Dataset, items: Ints | None) -> set[int] | None:
    """The kinds of given candidates."""
    return None if items is None else set(data.items.kind_I.numpy()[items].tolist())


def chosen_kinds(
    layout: Layout, blend: Blend, s: int, names: Sequence[str], among: set[int] | None = None
) -> list[int]:
    """The asked kinds, else those of the candidates, else all of whose items anything is predicted that has a weight.

    `among` are the candidates' kinds.
    """
    weights_T = np.array(blend.weights[s])
    ranked = [bool(weights_T[blend.applicable(kind)].any()) for kind in layout.kinds]
    chosen = [_index(kind, layout.kinds, "kind") for kind in names]
    chosen = chosen or sorted(among or ()) or [k for k, weighed in enumerate(ranked) if weighed]
    for k in chosen or [0]:
        if not ranked[k]:
            message = f"nothing to rank kind {layout.kinds[k]!r} by: no task that applies to it has a weight"
            raise InputError(message, where="blend weights", fix="give one of its tasks a weight, or ask other kinds")
    return chosen


def _index(name: str, known: Sequence[str], what: str) -> int:
    if name not in known:
        raise InputError(f"unknown {what} {name!r}", where=f"--{what}", fix=nearest(name, list(known)))
    return list(known).index(name)


def scenario_index(layout: Layout, name: str) -> int:
    """The scenario of that name; an unknown one is an `InputError`."""
    return _index(name, [scenario.name for scenario in layout.scenarios], "scenario")


def known_item(data: Dataset, key: str, *, where: str = "--exclude") -> int:
    """The row of an item's key; an unknown one is an `InputError` with the nearest."""
    row = data.item_row(key)
    if row != UNKNOWN:
        return row
    close = difflib.get_close_matches(key, data.item_names.near(key), n=1)
    fix = f"did you mean {close[0]!r}?" if close else f"items are known by column {data.schema.columns.item!r}"
    raise InputError(f"unknown item {key!r}", where=where, fix=fix)
