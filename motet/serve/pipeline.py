"""One request answered: retrieve (the whole catalogue, exactly), rank, blend, one slate per kind.

A user is known by key, or unknown, or described by an inline history; seen items are left out unless asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.scoring.blend import Blend
from motet.settings import nearest
from motet.train.run import Run


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
    at: float | None = None,
) -> list[Slate]:
    """Slates of `n` items (default: the scenario's slate size) for each kind (default: all).

    `history` stands for the user's own: events {"item", "scenario", task: value}, oldest first. An unknown user is
    answered from features of items and scenario alone.
    """
    data, layout = run.data, run.data.layout
    s = _index(scenario, [each.name for each in layout.scenarios], "scenario")
    chosen = [_index(kind, layout.kinds, "kind") for kind in (kinds or layout.kinds)]
    row = 1 if user is None else data.user_row(user)
    events = None if history is None else data.events_of(history)
    left_out = {data.item_row(item) for item in exclude}
    if not seen:
        left_out |= set((data.seen(row) if events is None else events.item).tolist())
    return [_slate(run, blend, row, s, k, n or layout.scenarios[s].slate_size, events, left_out, at) for k in chosen]


def _slate(
    run: Run, blend: Blend, row: int, s: int, k: int, n: int, events: Any, left_out: set[int], at: float | None
) -> Slate:
    data, layout = run.data, run.data.layout
    items = data.catalogue(s, kind=k)
    items = items[~np.isin(items, list(left_out))]
    mask_T = blend.applicable(layout.kinds[k])
    predictions_CT = run.predict(np.array([row]), s, items, at, history=events)[0]
    score_C = blend.score(predictions_CT, s, mask_T)
    best = np.argsort(-score_C, kind="stable")[:n]
    keys, texts = data.item_keys(items[best]), data.item_texts(items[best])
    places = [
        Recommended(key, float(score_C[c]), _named(layout, predictions_CT[c], mask_T), text)
        for c, key, text in zip(best, keys, texts, strict=True)
    ]
    return Slate(layout.scenarios[s].name, layout.kinds[k], row > 1 or events is not None, tuple(places))


def _named(layout: Any, values_T: Any, mask_T: Any) -> dict[str, float]:
    return {task.name: float(values_T[t]) for t, task in enumerate(layout.tasks) if mask_T[t]}


def _index(name: str, known: Sequence[str], what: str) -> int:
    if name not in known:
        raise InputError(f"unknown {what} {name!r}", where=f"--{what}", fix=nearest(name, list(known)))
    return list(known).index(name)


def popular_user(data: Dataset) -> str:
    """A user with a long history, to show recommendations for."""
    counts = np.bincount(data.users(data.rows("train")))
    return data.user_keys(np.array([int(counts[2:].argmax()) + 2]))[0]
