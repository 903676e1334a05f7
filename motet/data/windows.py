"""The last events before each request, gathered from histories that are stored once.

Shapes: B requests, L the longest history in the batch (at least 1), K packed id columns, T tasks, E stored events.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from motet.batch import PADDING, History


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """All events, each group's adjacent and in time order; event 0 is padding and zero."""

    item_E: Tensor
    scenario_E: Tensor
    action_ET: Tensor
    time_E: Tensor


@dataclass(frozen=True, slots=True)
class ItemTable:
    """Packed rows of all items."""

    ids_IK: Tensor
    numbers_IN: Tensor
    kind_I: Tensor


def gather_history(
    events: StoredEvents, items: ItemTable, start_B: Tensor, end_B: Tensor, time_B: Tensor, length: int
) -> History:
    """The last `length` events of positions start … end, oldest first, padding behind them."""
    length_B = torch.clamp(end_B - start_B, max=length)
    longest = max(int(length_B.max()) if len(length_B) else 0, 1)
    place_L = torch.arange(longest)
    mask_BL = place_L < length_B[:, None]
    at_BL = torch.where(mask_BL, (end_B - length_B)[:, None] + place_L, PADDING)
    age_BL = (time_B[:, None] - _pick(events.time_E, at_BL)).float().clamp_(min=0.0)
    return history_of(
        items,
        item_BL=_pick(events.item_E, at_BL).long(),
        scenario_BL=_pick(events.scenario_E, at_BL).long(),
        action_BLT=_pick(events.action_ET, at_BL),
        gap_BL=age_BL.log1p_().masked_fill_(~mask_BL, 0.0),
        length_B=length_B,
    )


def history_of(
    items: ItemTable, item_BL: Tensor, scenario_BL: Tensor, action_BLT: Tensor, gap_BL: Tensor, length_B: Tensor
) -> History:
    """A history with what the items table adds to it."""
    return History(
        item_BL=item_BL,
        item_ids_BLK=_pick(items.ids_IK, item_BL),
        kind_BL=_pick(items.kind_I, item_BL).long(),
        scenario_BL=scenario_BL,
        action_BLT=action_BLT,
        gap_BL=gap_BL,
        length_B=length_B,
    )


def _pick(table: Tensor, rows: Tensor) -> Tensor:
    """`table[rows]` for rows of any shape, by one index_select."""
    return table.index_select(0, rows.reshape(-1)).view(*rows.shape, *table.shape[1:])
