"""The best items of many users by the product of their vectors, over a whole catalogue, exactly and in bounded memory.

Scores exist for a block of users and a block of items at a time, which the cache holds; of each block every user keeps
the best. They are sought in two steps: items fall into groups, and a list's items lie in the K groups of highest
maximum, as each group has an item that is no worse. Threads take blocks of users.

Shapes: U users, I items, D width, K places, G groups of items, E pairs that are left out; u and i of one block.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from motet import runtime
from motet.errors import InputError

USERS, ITEMS = 64, 1 << 16
"""Of a block: at most 16 megabytes of scores for each thread."""
GROUP = 16
"""Items of a group."""


@torch.no_grad()
def top_products(
    user_UD: Tensor, item_ID: Tensor, k: int, left_out_E: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """(item, score) of the k best items of each user, best first, [U, K] int64 and float; equal scores by item.

    `left_out_E` are (user, item) pairs that are in no list, in any order. A user with fewer items has −1 and −∞ in the
    empty places. Which of several items that reach exactly the last score stands in a list is not defined.
    """
    if not (user_UD.isfinite().all() and item_ID.isfinite().all()):
        raise InputError("some vectors are not finite", where="top_products", fix="leave those users and items out")
    none = torch.zeros(0, dtype=torch.int64)
    user_E, item_E = left_out_E or (none, none)
    order_E = user_E.argsort()
    user_E, item_E = user_E[order_E], item_E[order_E]

    @torch.no_grad()  # threads do not inherit it
    def best(start: int) -> tuple[Tensor, Tensor]:
        block_uD = user_UD[start : start + USERS]
        first, last = torch.searchsorted(user_E, torch.tensor([start, start + len(block_uD)])).tolist()
        return _best(block_uD, item_ID, k, user_E[first:last] - start, item_E[first:last])

    parts = runtime.in_threads(best, range(0, max(len(user_UD), 1), USERS))
    item_UK, score_UK = (torch.cat(part) for part in zip(*parts, strict=True))
    return item_UK, score_UK


def _best(user_uD: Tensor, item_ID: Tensor, k: int, user_E: Tensor, item_E: Tensor) -> tuple[Tensor, Tensor]:
    """The same of one block of users."""
    users = len(user_uD)
    score_uK = user_uD.new_full((users, k), -torch.inf)
    item_uK = torch.full((users, k), -1)
    for first, score_ui in _scores(user_uD, item_ID):
        here_E = (item_E >= first) & (item_E < first + score_ui.shape[1])
        score_ui[user_E[here_E], item_E[here_E] - first] = -torch.inf
        of_block_uk, at_uk = _largest(score_ui, k)
        score_uK, kept_uK = torch.cat([score_uK, of_block_uk], 1).topk(k)
        item_uK = torch.cat([item_uK, at_uk + first], 1).gather(1, kept_uK)
    item_uK, order_uK = item_uK.masked_fill(score_uK == -torch.inf, len(item_ID)).sort(1)
    score_uK, place_uK = score_uK.gather(1, order_uK).sort(dim=1, descending=True, stable=True)
    return item_uK.gather(1, place_uK).masked_fill(score_uK == -torch.inf, -1), score_uK


def _largest(score_ui: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest scores of each row, or all, in no order, and where they stand."""
    users, items = score_ui.shape
    groups = items // GROUP
    if groups <= k:
        return score_ui.topk(min(k, items), sorted=False)
    group_uk = score_ui[:, : groups * GROUP].view(users, GROUP, groups).amax(1).topk(k, sorted=False).indices
    at_ui = (group_uk[:, None] + torch.arange(GROUP)[:, None] * groups).flatten(1)
    rest_ui = torch.arange(groups * GROUP, items).expand(users, -1)
    at_ui = torch.cat([at_ui, rest_ui], 1)
    best_uk, kept_uk = score_ui.gather(1, at_ui).topk(k, sorted=False)
    return best_uk, at_ui.gather(1, kept_uk)


def _scores(user_uD: Tensor, item_ID: Tensor) -> Iterator[tuple[int, Tensor]]:
    """(first item, scores) of one block of items after the other, in the same memory."""
    memory = user_uD.new_empty(len(user_uD) * min(ITEMS, len(item_ID)))
    for first in range(0, len(item_ID), ITEMS):
        item_iD = item_ID[first : first + ITEMS]
        score_ui = memory[: len(user_uD) * len(item_iD)].view(len(user_uD), len(item_iD))
        yield first, torch.mm(user_uD, item_iD.t(), out=score_ui)
