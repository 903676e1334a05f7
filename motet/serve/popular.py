"""The fallback: items by how often the relevant task of their kind happened on them in train, for each scenario.

It is what a service answers when the ranker is not free in time. It needs no network and is the same for everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motet.data.arrays import Ints, load_array, save_array
from motet.data.dataset import Dataset

FOLDER = "popular"


@dataclass(frozen=True, slots=True)
class Popular:
    """Rows of the items table of every (scenario, kind), the most popular first; ties in the order of the table."""

    items: Mapping[tuple[int, int], Ints]

    @classmethod
    def of(cls, data: Dataset, relevant: Sequence[int | None]) -> "Popular":
        """`relevant` is the task of each kind that counts; None: that an item was shown."""
        found, layout = {}, data.layout
        for s in range(len(layout.scenarios)):
            rows = data.rows("train", s)
            labels_NT, item_N = data.labels(rows), data.item_rows(rows)
            for k, task in enumerate(relevant):
                catalogue = data.catalogue(s, k)
                happened_N = np.ones(len(rows), np.bool_) if task is None else labels_NT[:, task] > 0
                count_I = np.bincount(item_N[happened_N], minlength=len(data.items.kind_I))
                found[s, k] = catalogue[np.argsort(-count_I[catalogue], kind="stable")]
        return cls(found)

    def first(self, scenario: int, kind: int, n: int, left_out: Ints, among: Ints | None = None) -> Ints:
        """The first `n` that are not left out; `among` are all that may be taken, those without a place last."""
        items = self.items[scenario, kind]
        if among is not None:
            items = np.concatenate([items[np.isin(items, among)], among[~np.isin(among, items)]])
        return items[~np.isin(items, left_out)][:n]

    def save(self, folder: Path) -> None:
        for (s, k), items in self.items.items():
            save_array(folder / FOLDER / f"{s}.{k}.npy", items.astype(np.int32))

    @classmethod
    def load(cls, folder: Path, data: Dataset) -> "Popular":
        found, layout = {}, data.layout
        for s in range(len(layout.scenarios)):
            for k in range(len(layout.kinds)):
                found[s, k] = np.array(load_array(folder / FOLDER / f"{s}.{k}.npy"), np.int64)
        return cls(found)
