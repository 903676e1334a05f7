"""Popularity: an item's smoothed train rate in the scenario, the same for everybody.

logit = base rate of the cell + effect of the item over all scenarios + effect of the item in this scenario beyond that
(see `rates`). An item unknown in the scenario falls back to its global effect, an unknown item to the cell's rate.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from motet.baselines.linear import best_setting, losses
from motet.baselines.matrix import Flat, Floats, Ints, forms, read, score_flat
from motet.baselines.rates import STRENGTHS, Effects, Links, Sums
from motet.batch import Batch, CellOutput, Rows


@dataclass(frozen=True, slots=True)
class Popularity:
    """Tuned: the prior's strength in rows, per task, on valid."""

    links: Links
    items: Effects
    cells: Effects  # of items in scenarios

    name = "popularity"
    label = "Popularity"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0) -> Self:
        """Count train; nothing is random."""
        layout = data.layout
        train, valid = read(data, "train", features=False), read(data, "valid", features=False)
        links, strengths = Links.of(layout), np.array(STRENGTHS)
        tried = [cls._count(links, train, np.full(len(layout.tasks), strength)) for strength in STRENGTHS]
        best_T = best_setting([losses(model._scores(valid), valid.labels_NT, forms(layout)) for model in tried])
        return cls._count(links, train, strengths[best_T])

    @classmethod
    def _count(cls, links: Links, train: Flat, strength_T: Floats) -> Self:
        base_NT = links.base_ST[train.scenario_N]
        items = links.effects_of(Sums.of(train.item_N, train.labels_NT, links.rates(base_NT)), strength_T)
        known_NT = base_NT + items.at(train.item_N)
        cells = Sums.of(_cell_key(train, links), train.labels_NT, links.rates(known_NT))
        return cls(links, items, links.effects_of(cells, strength_T))

    def score(self, batch: Batch) -> CellOutput:
        """Logits and values of every candidate."""
        return score_flat(batch, self._scores, features=False)

    def _scores(self, flat: Flat) -> Floats:
        base_NT = self.links.base_ST[flat.scenario_N]
        return base_NT + self.items.at(flat.item_N) + self.cells.at(_cell_key(flat, self.links))


def _cell_key(flat: Flat, links: Links) -> Ints:
    return flat.item_N * len(links.base_ST) + flat.scenario_N
