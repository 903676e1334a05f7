"""Slates of many users at once, into one Parquet file: for mail, caches and offline tests.

Every slate is the one that `pipeline` gives for the same user, scenario and kind: all items of the catalogue are ranked
by the full ranker. Blocks of users are scored side by side and written one after the other.

Shapes: U users, C candidates, K places, T tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from motet.data.arrays import Floats, Ints
from motet.data.dataset import Dataset
from motet.data.vocab import FIRST_KEY
from motet.runtime import in_threads
from motet.scoring.blend import Blend
from motet.serve.parts import Parts, check_output
from motet.serve.pipeline import chosen_kinds, known_item, scenario_index
from motet.train.run import Run, fingerprint_of

USERS = 1 << 10
"""Users of a part."""
PAIRS = 1 << 14
"""Users × candidates scored at once by a thread."""
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Asked:
    """What the slates have in common."""

    scenarios: tuple[str, ...] = ()  # none: all
    kinds: tuple[str, ...] = ()  # none: all that tasks apply to
    n: int | None = None  # None: the scenario's slate size
    seen: bool = False  # items that a user has been shown stay
    exclude: tuple[str, ...] = ()
    context: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Written:
    """How many slates were written."""

    users: int
    slates: int
    rows: int


def slates_to(
    output: Path,
    run: Run,
    blend: Blend,
    users: Ints,
    asked: Asked,
    *,
    force: bool = False,
    say: Say = lambda what, share: None,
) -> Written:
    """One row per place: user, scenario, kind, place (from 1), item, score, and what each task predicts.

    `users` are rows of the users table. A task that does not apply to the item's kind is null.
    """
    check_output(output, force=force)
    lists = _lists(run, blend, asked)
    work = [fingerprint_of(run.folder), users.tolist(), vars(asked), blend.to_dict(), USERS]
    found = list[dict[str, Any]]()
    with Parts(output, work) as parts:
        for number, start in enumerate(range(0, len(users), USERS)):
            say("scoring the catalogue", start / len(users))
            block, facts = users[start : start + USERS], parts.facts(number)
            if facts is None:
                frame = pl.concat([_slates(run, blend, block, one) for one in lists])
                facts = parts.put(number, frame, {"slates": len(block) * len(lists), "rows": frame.height})
            found.append(facts)
    return Written(len(users), *(sum(facts[name] for facts in found) for name in ("slates", "rows")))


@dataclass(frozen=True, eq=False)
class _List:
    """The slates of one scenario and kind."""

    scenario: int
    kind: int
    n: int
    item_C: Ints
    seen: bool
    context: Mapping[str, Any]


def _lists(run: Run, blend: Blend, asked: Asked) -> list[_List]:
    data, layout = run.data, run.data.layout
    names = asked.scenarios or tuple(scenario.name for scenario in layout.scenarios)
    left_out = np.array([known_item(data, item) for item in asked.exclude], np.int64)
    context, lists = data.read_context(dict(asked.context)), []
    for name in names:
        s = scenario_index(layout, name)
        for k in chosen_kinds(layout, blend, s, asked.kinds):
            item_C = data.catalogue(s, kind=k)
            n = asked.n or layout.scenarios[s].slate_size
            lists.append(_List(s, k, n, item_C[~np.isin(item_C, left_out)], asked.seen, context))
    return lists


def _slates(run: Run, blend: Blend, users: Ints, one: _List) -> pl.DataFrame:
    """The block's slates, user after user."""
    size = max(1, PAIRS // max(len(one.item_C), 1))
    some = [users[start : start + size] for start in range(0, len(users), size)]
    return pl.concat(in_threads(lambda few: _ranked(run, blend, few, one), some))


def _ranked(run: Run, blend: Blend, users: Ints, one: _List) -> pl.DataFrame:
    data, layout, s, item_C = run.data, run.data.layout, one.scenario, one.item_C
    mask_T = blend.applicable(layout.kinds[one.kind])
    values_UCT = run.predict(users, s, item_C, chunk=PAIRS, context=one.context)
    score_UC = blend.score(values_UCT, s, mask_T)
    for request_E, item_E in _left_out(data, users, seen=one.seen) if len(item_C) else []:
        place_E = np.searchsorted(item_C, item_E).clip(max=len(item_C) - 1)
        here_E = item_C[place_E] == item_E
        score_UC[request_E[here_E], place_E[here_E]] = -np.inf
    best_UK = np.argsort(-score_UC, axis=1, kind="stable")[:, : one.n]
    best_score_UK = np.take_along_axis(score_UC, best_UK, 1)
    user_E, place_E = np.nonzero(best_score_UK > -np.inf)
    best_E = best_UK[user_E, place_E]
    values_ET = values_UCT[user_E, best_E]
    return pl.DataFrame(
        {
            data.schema.columns.user: np.array(data.user_keys(users), object)[user_E].tolist(),
            "scenario": [layout.scenarios[s].name] * len(user_E),
            "kind": [layout.kinds[one.kind]] * len(user_E),
            "place": (place_E + 1).astype(np.int32),
            data.schema.columns.item: data.item_keys(item_C[best_E]),
            "score": _float(best_score_UK[user_E, place_E]),
            **{
                task.name: pl.Series(_float(values_ET[:, t]) if mask_T[t] else [None] * len(user_E), dtype=pl.Float32)
                for t, task in enumerate(layout.tasks)
            },
        },
        schema_overrides={"score": pl.Float32},
    )


def _left_out(data: Dataset, users: Ints, *, seen: bool) -> list[tuple[Ints, Ints]]:
    """(request, item) of what nobody is to get: oneself, and what one has been shown."""
    own = data.oneself(users)
    return [own] if seen else [own, data.shown.to(users, np.full(len(users), np.inf))]


def _float(values: Floats) -> Any:
    return values.astype(np.float32)


def all_users(run: Run) -> Ints:
    """Every user of the log."""
    return np.arange(FIRST_KEY, len(run.data.user_ids_UK), dtype=np.int64)


def rows_of(run: Run, keys: Sequence[str]) -> Ints:
    """Those users; ones who are not in the log are left out, as all of them would get the same slate."""
    rows = run.data.user_names.rows(pl.Series(keys, dtype=pl.String))
    known: Ints = np.unique(rows[rows >= FIRST_KEY])
    return known
