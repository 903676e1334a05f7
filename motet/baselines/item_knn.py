"""Item-based nearest neighbours: what is close to what this user lately acted on.

Two items are as close as the cosine of their users: sim(i, j) = |U_i ∩ U_j| / √(|U_i| |U_j|), U_i being the users with
a positive event on i in train (Sarwar et al., WWW 2001; Linden et al., IEEE Internet Computing 2003). A candidate's
raw score is Σ_h 0.7^age(h) sim(h, candidate) over the positive events of the history, the last of age 0. Each cell then
maps log(1 + raw) to a logit on valid by a monotone line (see `scoring.calibrate`), added to the cell's base rate.

Shapes: B requests, C candidates, L history, I items, K neighbours, T tasks.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sparse  # type: ignore[import-untyped]
import torch
from torch import Tensor

from motet.baselines.linear import Bools
from motet.baselines.matrix import Floats, Ints, Rows, batches, forms, output
from motet.baselines.rates import Links
from motet.batch import UNKNOWN, Batch, CellOutput, History
from motet.scoring.calibrate import Calibration
from motet.scoring.calibrate import fit as fit_calibration

DECAY = 0.7
NEIGHBOURS = 200
ITEMS_PER_USER = 200
"""Of a user with more positive items only the last count: pairs grow with the square."""
ITEMS_PER_PRODUCT = 2048
NUMBERS_PER_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class ItemKNN:
    """Nothing is tuned but the lines of the cells."""

    neighbour_IK: Tensor  # int32 items, 0 where there are fewer neighbours
    similarity_IK: Tensor  # float32
    links: Links
    lines: Calibration

    name = "item-knn"
    label = "Item k-nearest neighbours"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0) -> Self:
        """Co-occurrence from train, lines from valid; nothing is random."""
        links, S, all_forms = Links.of(data.layout), len(data.layout.scenarios), forms(data.layout)
        neighbour_IK, similarity_IK = _neighbours(*_last_of_each_user(*_positive_pairs(data, links)))
        model = cls(neighbour_IK, similarity_IK, links, Calibration.identity(S, all_forms))
        parts = [(model._values(b)[:, 0], _labels(b), b.scenario_B.numpy()) for b in batches(data, data.rows("valid"))]
        if not parts:
            return model
        values_NT, labels_NT, scenario_N = (np.concatenate(column) for column in zip(*parts, strict=True))
        lines = fit_calibration(values_NT, labels_NT, scenario_N, scenarios=S, forms=all_forms)
        return cls(neighbour_IK, similarity_IK, links, lines)

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
        """Σ_h 0.7^age(h) sim(h, candidate), [B, C]; 0 for items without positive users in train."""
        items, K = self.neighbour_IK.shape
        item_BL, weight_BL = self._events(batch.history)
        step = max(1, NUMBERS_PER_CHUNK // max(items, item_BL.shape[1] * K))
        chunks = [slice(start, start + step) for start in range(0, len(item_BL), step)]
        candidate_BC = _known(batch.item_BC.cpu(), items)
        dense = (self._dense(item_BL[chunk], weight_BL[chunk]).gather(1, candidate_BC[chunk]) for chunk in chunks)
        return torch.cat([torch.empty(0, candidate_BC.shape[1]), *dense])

    def _events(self, history: History) -> tuple[Tensor, Tensor]:
        """The items of the history and 0.7^age where the event was positive, else 0, [B, L]."""
        positive_BL = _happened(history).cpu()
        later_BL = positive_BL.flip(1).cumsum(1).flip(1) - 1
        weight_BL = torch.where(positive_BL, DECAY ** later_BL.clamp(min=0), 0.0)
        return _known(history.item_BL.cpu(), len(self.neighbour_IK)), weight_BL

    def _dense(self, item_bL: Tensor, weight_bL: Tensor) -> Tensor:
        """Each request's score of every item, [b, I]; what falls on item 0, the padding, is taken away."""
        score_bI = torch.zeros(len(item_bL), len(self.neighbour_IK))
        added = self.similarity_IK[item_bL] * weight_bL[:, :, None]
        score_bI.scatter_add_(1, self.neighbour_IK[item_bL].flatten(1).long(), added.flatten(1))
        score_bI[:, 0] = 0
        return score_bI


def _positive_pairs(data: Rows, links: Links) -> tuple[Ints, Ints]:
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


def _happened(history: History) -> Tensor:
    """Where a positive event stands, [B, L]: a binary task happened, or a regression label was above train's mean."""
    return (history.action_BLT > 0).any(-1) & history.mask_BL


def _acted(batch: Batch, links: Links) -> Bools:
    """The rows that are such an event themselves, [B]."""
    labels_BT = _labels(batch)
    usual_BT = np.where(links.binary_T, 0.5, links.base_ST[batch.scenario_B.numpy()])
    return np.asarray((np.nan_to_num(labels_BT, nan=-np.inf) > usual_BT).any(1))


def _labels(batch: Batch) -> Floats:
    """The labels of rows, [B, T]."""
    assert batch.labels_BCT is not None, "rows to fit on carry labels"
    return batch.labels_BCT[:, 0].numpy()


def _last_of_each_user(user_E: Ints, item_E: Ints) -> tuple[Ints, Ints]:
    """Each pair once, at its last place; of each user the last 200."""
    width = int(item_E.max(initial=0)) + 1
    _, last_P = np.unique((user_E * width + item_E)[::-1], return_index=True)
    last_P = np.sort(last_P)  # places counted from the end: the latest first
    user_P, item_P = user_E[::-1][last_P], item_E[::-1][last_P]
    kept = _rank_within(user_P) < ITEMS_PER_USER
    return user_P[kept], item_P[kept]


def _neighbours(user_P: Ints, item_P: Ints) -> tuple[Tensor, Tensor]:
    """Each item's closest others and how close, [I, K]; equally close ones by index."""
    shape = (int(user_P.max(initial=0)) + 1, int(item_P.max(initial=0)) + 1)
    weight_P = 1 / np.sqrt(np.bincount(item_P))[item_P]
    users_UI = sparse.csr_matrix((weight_P.astype(np.float32), (user_P, item_P)), shape=shape)
    users_IU = users_UI.T.tocsr()
    parts = [_closest(users_IU[i : i + ITEMS_PER_PRODUCT] @ users_UI, i) for i in range(0, shape[1], ITEMS_PER_PRODUCT)]
    item_E, other_E, close_E = (np.concatenate(column) for column in zip(*parts, strict=True))
    rank_E = _rank_within(item_E)
    table = (shape[1], int(rank_E.max(initial=0)) + 1)
    neighbour_IK, similarity_IK = torch.zeros(table, dtype=torch.int32), torch.zeros(table)
    neighbour_IK[item_E, rank_E] = torch.from_numpy(other_E.astype(np.int32))
    similarity_IK[item_E, rank_E] = torch.from_numpy(close_E)
    return neighbour_IK, similarity_IK


def _closest(product: Any, first: int) -> tuple[Ints, Ints, Floats]:
    """The 200 largest entries of each row off the diagonal: (item, other, similarity), by item, the closest first."""
    entries = product.tocoo()
    item_E, other_E, close_E = entries.row.astype(np.int64) + first, entries.col.astype(np.int64), entries.data
    off = item_E != other_E
    item_E, other_E, close_E = item_E[off], other_E[off], close_E[off]
    order = np.lexsort((other_E, -close_E, item_E))
    order = order[_rank_within(item_E[order]) < NEIGHBOURS]
    return item_E[order], other_E[order], close_E[order]


def _rank_within(group_E: Ints) -> Ints:
    """How many earlier entries belong to the same group."""
    order = np.argsort(group_E, kind="stable")
    ordered = group_E[order]
    rank_E = np.empty(len(order), np.int64)
    rank_E[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return rank_E


def _known(item: Tensor, items: int) -> Tensor:
    """Item indices, 0 for those that train does not know."""
    return torch.where(item < items, item, 0)
