"""Item-based nearest neighbours: what is close to what this user lately acted on.

A candidate's raw score is Σ_h 0.7^age(h) sim(h, candidate) over the positive events of the history, the last of age 0;
`neighbours` defines sim. Each cell then maps log(1 + raw) to a logit on valid by a monotone line (see
`scoring.calibrate`) on top of the cell's base rate, so that it stands in the same table as the others.

Shapes: B requests, C candidates, L history, I items, T tasks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from motet.baselines.linear import Bools
from motet.baselines.matrix import Floats, Ints, batches, forms, output
from motet.baselines.neighbours import Neighbours
from motet.baselines.rates import Links
from motet.batch import UNKNOWN, Batch, CellOutput, History, Rows
from motet.scoring.calibrate import Calibration
from motet.scoring.calibrate import fit as fit_calibration

DECAY = 0.7
POWERS = (0.5, 0.4, 0.3, 0.2)
JUDGED_ROWS = 4_096
NUMBERS_PER_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class ItemKNN:
    """Tuned on valid: the power p of popularity, by reciprocal rank among all items; the lines of the cells."""

    neighbours: Neighbours
    links: Links
    lines: Calibration

    name = "item-knn"
    label = "Item k-nearest neighbours"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0) -> Self:
        """Count pairs in train; `seed` draws the valid rows that judge p."""
        links, S, all_forms = Links.of(data.layout), len(data.layout.scenarios), forms(data.layout)
        flat_lines = Calibration.identity(S, all_forms)
        events, rows = _positive_events(data, links), data.rows("valid")
        judged = np.random.default_rng(seed).permutation(rows)[:JUDGED_ROWS]
        tried = [cls(Neighbours.of(*events, power), links, flat_lines) for power in POWERS]
        model = max(tried, key=lambda one: one._reciprocal_rank(data, judged))
        parts = [(model._values(b)[:, 0], _labels(b), b.scenario_B.numpy()) for b in batches(data, rows)]
        if not parts:
            return model
        values_NT, labels_NT, scenario_N = (np.concatenate(column) for column in zip(*parts, strict=True))
        lines = fit_calibration(values_NT, labels_NT, scenario_N, scenarios=S, forms=all_forms)
        return cls(model.neighbours, links, lines)

    def score(self, batch: Batch) -> CellOutput:
        """Logits and values of every candidate."""
        scenario_B1 = batch.scenario_B.cpu().numpy()[:, None]
        lines = self.lines
        return output(lines.slopes_ST[scenario_B1] * self._values(batch) + lines.intercepts_ST[scenario_B1], batch)

    def _values(self, batch: Batch) -> Floats:
        """log(1 + raw) on top of the cell's base rate, [B, C, T]: before the lines."""
        raw_BC1 = self.raw_scores(batch).numpy()[:, :, None]
        base_B1T = self.links.base_ST[batch.scenario_B.cpu().numpy()][:, None]
        return np.asarray(base_B1T + np.log1p(raw_BC1) * self.links.scale_T)

    def raw_scores(self, batch: Batch) -> Tensor:
        """Σ_h 0.7^age(h) sim(h, candidate), [B, C]; 0 for items without a positive event in train."""
        item_BC = batch.item_BC.cpu()
        known_BC = torch.where(item_BC < self.neighbours.items, item_BC, 0)
        scores = (score_bI.gather(1, known_BC[chunk]) for chunk, score_bI in self._all_items(batch.history))
        return torch.cat([torch.empty(0, known_BC.shape[1]), *scores])

    def _all_items(self, history: History) -> Iterator[tuple[slice, Tensor]]:
        """The raw scores of every item, [b, I], for chunks of requests of bounded memory."""
        item_BL, weight_BL = history.item_BL.cpu(), _weights(history)
        K = self.neighbours.item_IK.shape[1]
        step = max(1, NUMBERS_PER_CHUNK // max(self.neighbours.items, item_BL.shape[1] * K))
        for start in range(0, len(item_BL), step):
            chunk = slice(start, start + step)
            yield chunk, self.neighbours.score(item_BL[chunk], weight_BL[chunk])

    def _reciprocal_rank(self, data: Rows, rows: Ints) -> float:
        """Mean of 1 / rank among all items of the item of each positive row, ties sharing their middle rank."""
        total = 0.0
        for batch in batches(data, rows):
            item_B, acted_B = batch.item_BC[:, 0], torch.from_numpy(_acted(batch, self.links))
            asked_B = acted_B & (item_B < self.neighbours.items)
            for chunk, score_bI in self._all_items(batch.history):
                asked_b = asked_B[chunk]
                own_b1 = score_bI[asked_b].gather(1, item_B[chunk][asked_b, None])
                above_b, equal_b = ((score_bI[asked_b] > own_b1).sum(1), (score_bI[asked_b] == own_b1).sum(1))
                total += float((1 / (above_b + (equal_b + 1) / 2)).sum())
        return total / max(len(rows), 1)


def _positive_events(data: Rows, links: Links) -> tuple[Ints, Ints]:
    """Users and items of train's positive events: each row's own and, of a user's first row, what its history holds.

    Only what train rows know is counted. Unknown users are nobody in particular and left out.
    """
    met = np.empty(0, np.int64)
    user_parts, item_parts = [met], [met]
    for batch in batches(data, data.rows("train")):
        user_B, item_B = batch.user_B.numpy(), batch.item_BC[:, 0].numpy()
        user_U, first_U = np.unique(user_B, return_index=True)
        first_U = first_U[~np.isin(user_U, met)]
        met = np.union1d(met, user_U)
        before_UL, own_B = _happened(batch.history)[first_U].numpy(), _acted(batch, links)
        user_parts += [np.repeat(user_B[first_U], before_UL.sum(1)), user_B[own_B]]
        item_parts += [batch.history.item_BL[first_U].numpy()[before_UL], item_B[own_B]]
    user_E, item_E = np.concatenate(user_parts), np.concatenate(item_parts)
    known_E = (user_E > UNKNOWN) & (item_E > UNKNOWN)
    return user_E[known_E], item_E[known_E]


def _weights(history: History) -> Tensor:
    """0.7^age of each positive event, its age being the number of later ones, else 0, [B, L]."""
    positive_BL = _happened(history).cpu()
    age_BL = positive_BL.flip(1).cumsum(1).flip(1) - 1
    return torch.where(positive_BL, DECAY ** age_BL.clamp(min=0), 0.0)


def _happened(history: History) -> Tensor:
    """Where a positive event stands, [B, L]: a binary task happened, or a regression label was above train's mean."""
    return (history.action_BLT > 0).any(-1) & history.mask_BL


def _acted(batch: Batch, links: Links) -> Bools:
    """The rows that are such an event themselves, [B]."""
    usual_BT = np.where(links.binary_T, 0.5, links.base_ST[batch.scenario_B.numpy()])
    return np.asarray((np.nan_to_num(_labels(batch), nan=-np.inf) > usual_BT).any(1))


def _labels(batch: Batch) -> Floats:
    """The labels of rows, [B, T]."""
    assert batch.labels_BCT is not None, "rows to fit on carry labels"
    return batch.labels_BCT[:, 0].numpy()
