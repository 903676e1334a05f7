"""A request as a batch: B users in their scenarios × C shared items, with what was known at its time.

Shapes: B requests, C candidates, L events, K packed ids, T tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motet.batch import UNKNOWN, Batch, History, Layout
from motet.data.arrays import Ints
from motet.data.context import Contexts
from motet.data.features import FeatureSet, Packed
from motet.data.history import Events
from motet.data.inline import STEP, InlineHistory
from motet.data.parts import key_parts
from motet.data.running import RunningState
from motet.data.windows import ItemTable, StoredEvents, gather_history, history_of


@dataclass(frozen=True, slots=True)
class RequestTables:
    """The tables that a request is answered from."""

    layout: Layout
    features: FeatureSet
    contexts: Contexts
    user_ids_UK: Tensor
    user_numbers_UN: Tensor
    items: ItemTable
    events: Events
    stored: StoredEvents


def build_request(
    tables: RequestTables,
    state: RunningState,
    users: Ints,
    scenarios: Ints,
    items: Ints,
    history: InlineHistory | None,
    context: Mapping[str, Any] | Packed,
    keys: Sequence[str | None] | None = None,
    counted: Ints | None = None,
) -> Batch:
    """The batch of a request at the time of `state`; item tensors are views shared by the requests.

    `keys` are the users' own: by it one whom the users table does not know still has the row of an id that train knew,
    or of its bucket. `counted` is who they are in `state`, where that also counts users whom the table does not know.
    """
    user_B, scenario_B, item_C = (torch.as_tensor(np.asarray(rows, np.int64)) for rows in (users, scenarios, items))
    requests, candidates = len(user_B), len(item_C)
    packed = context if isinstance(context, Packed) else tables.contexts.of(scenarios, state.as_of, context)
    user_ids_BK, item_ids_CK = _user_ids(tables, user_B, keys), tables.items.ids_IK.index_select(0, item_C)
    kind_C = tables.items.kind_I.index_select(0, item_C).long()
    one_scenario = len(np.unique(scenarios)) == 1  # what is known of items in it is looked up once for all requests
    roles = {
        "user": (user_B.numpy() if counted is None else counted)[:, None],
        "item": item_C.numpy()[None],
        "scenario": scenario_B.numpy()[: 1 if one_scenario else requests, None],
        "kind": kind_C.numpy()[None],
    }
    ids = {"user": user_ids_BK.numpy()[:, None], "item": item_ids_CK.numpy()[None], "context": packed.ids_RK[:, None]}
    pairs = state.columns(key_parts(state.fit.settings.keys, tables.layout.fields, roles, ids))
    return Batch(
        user_B=user_B,
        scenario_B=scenario_B,
        user_ids_BK=user_ids_BK,
        user_numbers_BN=tables.user_numbers_UN.index_select(0, user_B),
        context_ids_BK=torch.from_numpy(packed.ids_RK),
        context_numbers_BN=torch.from_numpy(packed.numbers_RN),
        item_BC=item_C.expand(requests, candidates),
        kind_BC=kind_C.expand(requests, candidates),
        item_ids_BCK=item_ids_CK.expand(requests, *item_ids_CK.shape),
        item_numbers_BCN=tables.items.numbers_IN.index_select(0, item_C).expand(requests, candidates, -1),
        pair_numbers_BCN=torch.from_numpy(pairs),
        history=_history(tables, user_B, scenario_B, state.as_of, history),
    )


def _user_ids(tables: RequestTables, user_B: Tensor, keys: Sequence[str | None] | None) -> Tensor:
    ids_BK = tables.user_ids_UK.index_select(0, user_B)
    unknown = [b for b in torch.nonzero(user_B == UNKNOWN)[:, 0].tolist() if keys is not None and keys[b] is not None]
    if unknown:
        assert keys is not None
        ids_BK[unknown, 0] = torch.from_numpy(tables.features.user.ids_of([str(keys[b]) for b in unknown]))
    return ids_BK


def _history(
    tables: RequestTables, user_B: Tensor, scenario_B: Tensor, at: float, events: InlineHistory | None
) -> History:
    """What came with the request, else what is stored of each user."""
    if events is None:
        return _stored(tables, user_B, scenario_B, at)
    return _inline(tables, scenario_B, at, events)


def _stored(tables: RequestTables, user_B: Tensor, scenario_B: Tensor, at: float) -> History:
    time_B = torch.full((len(user_B),), at, dtype=torch.float64)
    start, end = tables.events.before(user_B.numpy(), scenario_B.numpy(), time_B.numpy())
    return gather_history(
        tables.stored,
        tables.items,
        torch.from_numpy(start),
        torch.from_numpy(end),
        time_B,
        tables.layout.history_length,
    )


def _inline(tables: RequestTables, scenario_B: Tensor, at: float, events: InlineHistory) -> History:
    """The same events for every request; those without a scenario happened in the request's."""
    requests, length = len(scenario_B), len(events.item)
    step = STEP if tables.features.context.clock else 1.0
    gap_L = torch.from_numpy(np.log1p(events.ages(at, step=step))).float()
    scenario_L = torch.from_numpy(events.scenario)
    if not length:
        return _stored(tables, torch.ones_like(scenario_B), scenario_B, -np.inf)
    found = history_of(
        tables.items,
        torch.from_numpy(events.item).expand(requests, length),
        torch.where(scenario_L < 0, scenario_B[:, None], scenario_L),
        torch.from_numpy(events.action_LT).expand(requests, -1, -1),
        gap_L.expand(requests, length),
        torch.full((requests,), length),
    )
    return _with_unknown(tables, found, events)


def _with_unknown(tables: RequestTables, found: History, events: InlineHistory) -> History:
    """Events of items that the items table does not know, but whose id has a row, or its bucket.

    Each such id stands as an item of its own, behind the rows of the items table: equal items have equal ids.
    """
    unknown = np.flatnonzero(events.item == UNKNOWN)
    if not len(unknown) or not tables.layout.of("item"):
        return found
    ids = torch.from_numpy(tables.features.item.ids_of([events.keys[place] for place in unknown]))
    known = ids != tables.layout.of("item")[0].offset
    places, ids = torch.from_numpy(unknown)[known], ids[known]
    item_BL, item_ids_BLK = found.item_BL.clone(), found.item_ids_BLK.clone()
    item_BL[:, places] = len(tables.items.ids_IK) + ids.long()
    item_ids_BLK[:, places, 0] = ids
    return replace(found, item_BL=item_BL, item_ids_BLK=item_ids_BLK)
