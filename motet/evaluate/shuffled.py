"""What a model reads, in groups that a person knows, and rows whose values of one group are those of other rows.

A candidate that has the id or a feature of another item is no row of the items table any more. It gets a number beyond
the table, one for each pair of items, so that equal numbers still mean equal ids.

Shapes: B rows, N rows, K packed id columns, C candidates (1).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.batch import Batch, Layout, Scorable
from motet.data.features import CLOCK_NAMES

HISTORY, COUNTS = "history", "counts"
_IDS = {"user": "user_ids_BK", "item": "item_ids_BCK", "context": "context_ids_BK"}
_NUMBERS = {"user": "user_numbers_BN", "item": "item_numbers_BCN", "context": "context_numbers_BN"}
_PAIRS = "pair_numbers_BCN"
_ROW = 32
"""Bits of a row of the items table in the number of a mixed item."""


@dataclass(frozen=True, slots=True)
class Group:
    """Inputs that stand or fall together: a feature, the counts of one key, the history."""

    name: str
    of: str  # user, item, context, counts or history
    columns: tuple[tuple[str, int], ...]  # a tensor of the batch and a place on its last axis
    whole: tuple[str, ...] = ()  # parts of the batch that are its own altogether


def groups(layout: Layout) -> list[Group]:
    """All groups, in the order of the layout; the scenario is none, because rows of one scenario share it."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for of, name, tensor, place in _columns(layout):
        found.setdefault((of, name), []).append((tensor, place))
    found.pop(("context", "scenario"), None)
    found[HISTORY, HISTORY] = []
    whole = {(HISTORY, HISTORY): ("history",), ("item", "kind"): ("kind_BC",)}
    whole |= {("user", field.name): ("user_B",) for field in layout.of("user")[:1]}  # the first is the id
    names = [name for _, name in found]
    return [
        Group(name if names.count(name) == 1 else f"{name} ({of})", of, tuple(columns), whole.get((of, name), ()))
        for (of, name), columns in found.items()
    ]


def feature_of(name: str, names: tuple[str, ...]) -> str:
    """The feature that a number belongs to: the value and its indicator are one, as are sine and cosine."""
    if name in CLOCK_NAMES:
        return f"{name.rpartition(' ')[0]} (UTC)"
    stem = name.removesuffix(" missing")
    return stem if stem in names else name


def _columns(layout: Layout) -> Iterator[tuple[str, str, str, int]]:
    """Whose, the group's name, the tensor and the place of every packed column."""
    for owner in ("user", "item", "context"):
        place = 0
        for field in layout.of(owner):
            for column in range(field.columns):
                yield owner, field.name, _IDS[owner], place + column
            place += field.columns
        names = getattr(layout, f"{owner}_numbers")
        for place, name in enumerate(names):
            yield owner, feature_of(name, names), _NUMBERS[owner], place
    for place, name in enumerate(layout.pair_numbers):
        yield COUNTS, f"counts of {name.partition(': ')[0]}", _PAIRS, place


def exchange(own: Batch, other: Batch, group: Group) -> Batch:
    """The batch with that group's values of another one of as many rows."""
    changed = {name: getattr(other, name) for name in group.whole}
    for name in dict.fromkeys(tensor for tensor, _ in group.columns):
        places = [place for tensor, place in group.columns if tensor == name]
        changed[name] = getattr(own, name).clone()
        changed[name][..., places] = getattr(other, name)[..., places]
    if (ids_BCK := changed.get(_IDS["item"])) is not None:
        differs_BC = (ids_BCK != own.item_ids_BCK).any(-1)
        changed["item_BC"] = torch.where(differs_BC, _mixed(own.item_BC, other.item_BC), own.item_BC)
    return replace(own, **changed)


def _mixed(own_BC: Tensor, other_BC: Tensor) -> Tensor:
    return own_BC + (other_BC + 1 << _ROW)


@dataclass(frozen=True, slots=True)
class Shuffled:
    """N rows of a data set, numbered from 0; each has one group's values of another row."""

    data: Scorable
    rows: NDArray[np.int64]
    others: NDArray[np.int64]
    group: Group

    @property
    def layout(self) -> Layout:
        return self.data.layout

    def batch(self, rows: NDArray[np.int64] | Tensor) -> Batch:
        """Those of the N, with one candidate each."""
        at = np.asarray(rows)
        return exchange(self.data.batch(self.rows[at]), self.data.batch(self.others[at]), self.group)


def within(scenario_N: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random permutation of N places that keeps each in its scenario."""
    to_N = np.argsort(scenario_N, kind="stable")
    from_N = np.lexsort((rng.random(len(scenario_N)), scenario_N))
    permuted_N = np.empty_like(to_N)
    permuted_N[to_N] = from_N
    return permuted_N
