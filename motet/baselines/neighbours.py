"""Which items are close to which, from who acted on both.

    sim(i, j) = Σ_{u ∈ U_i ∩ U_j} 1 / log(1 + |I_u|)  /  (|U_i| |U_j|)^p

U_i are the users with a positive event on item i in train, I_u the items of user u: a user of many items says less
about each pair (Breese, Heckerman & Kadie, UAI 1998). p = 1/2 is the cosine (Sarwar et al., WWW 2001; Linden et al.,
IEEE Internet Computing 2003); a smaller p favours popular items.

Shapes: I items, K neighbours, P pairs of user and item, E entries of the item × item matrix.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sparse  # type: ignore[import-untyped]
import torch
from torch import Tensor

from motet.baselines.matrix import Floats, Ints

NEIGHBOURS = 200
ITEMS_PER_USER = 200
"""Of a user with more positive items only the last count: pairs grow with the square."""
ITEMS_PER_PRODUCT = 2048


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Each item's closest others, the closest first; 0 and similarity 0 where there are fewer than K."""

    item_IK: Tensor  # int32
    similarity_IK: Tensor  # float32

    @classmethod
    def of(cls, user_E: Ints, item_E: Ints, power: float) -> Self:
        """From positive events, oldest first; repeated ones count once. Equally close items stand by index."""
        user_P, item_P = _last_of_each_user(user_E, item_E)
        weight_P = (1 / np.log1p(np.bincount(user_P)[user_P])).astype(np.float32)
        scale_I = np.maximum(np.bincount(item_P, minlength=1), 1).astype(np.float32) ** -power
        shape = (int(user_P.max(initial=0)) + 1, len(scale_I))
        seen_UI = sparse.csr_matrix((scale_I[item_P], (user_P, item_P)), shape=shape)
        told_IU = sparse.csr_matrix((weight_P * scale_I[item_P], (item_P, user_P)), shape=shape[::-1])
        starts = range(0, len(scale_I), ITEMS_PER_PRODUCT)
        parts = [_closest(told_IU[start : start + ITEMS_PER_PRODUCT] @ seen_UI, start) for start in starts]
        place_E, other_E, close_E = (np.concatenate(column) for column in zip(*parts, strict=True))
        rank_E = _rank_within(place_E)
        item_IK, similarity_IK = (np.zeros((len(scale_I), int(rank_E.max(initial=0)) + 1), t) for t in ("i4", "f4"))
        item_IK[place_E, rank_E], similarity_IK[place_E, rank_E] = other_E, close_E
        return cls(torch.from_numpy(item_IK), torch.from_numpy(similarity_IK))

    @property
    def items(self) -> int:
        """Item indices from here on are not known."""
        return len(self.item_IK)

    def score(self, item_BL: Tensor, weight_BL: Tensor) -> Tensor:
        """Σ_l weight_bl · sim(item_bl, j) for every known item j, [B, I]; 0 for padding."""
        known_BL = torch.where(item_BL < self.items, item_BL, 0)
        score_BI = torch.zeros(len(item_BL), self.items)
        added_BLK = self.similarity_IK[known_BL] * weight_BL[:, :, None]
        score_BI.scatter_add_(1, self.item_IK[known_BL].flatten(1).long(), added_BLK.flatten(1))
        score_BI[:, 0] = 0  # where missing neighbours fall
        return score_BI


def _last_of_each_user(user_E: Ints, item_E: Ints) -> tuple[Ints, Ints]:
    """Each pair once, at its last place; of each user the last 200."""
    width = int(item_E.max(initial=0)) + 1
    _, place_P = np.unique((user_E * width + item_E)[::-1], return_index=True)
    latest_first_P = len(user_E) - 1 - np.sort(place_P)
    kept = latest_first_P[_rank_within(user_E[latest_first_P]) < ITEMS_PER_USER]
    return user_E[kept], item_E[kept]


def _closest(product: Any, first: int) -> tuple[Ints, Ints, Floats]:
    """The largest 200 entries of each row off the diagonal: (item, other, similarity), by item, the closest first."""
    entries = product.tocoo()
    item_E, other_E, close_E = entries.row.astype(np.int64) + first, entries.col.astype(np.int64), entries.data
    apart = item_E != other_E
    item_E, other_E, close_E = item_E[apart], other_E[apart], close_E[apart]
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
