"""Batches as flat arrays: one row per candidate, which is what simple models are fitted on and asked about.

Shapes: B requests, C candidates, N = B·C rows, K packed id columns, F numbers, T tasks, S scenarios.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from motet.batch import Batch, CellOutput, Layout, Rows, Split
from motet.schema import Form

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

ROWS_PER_BATCH = 16_384
ROWS_PER_CHUNK = 65_536
ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Flat:
    """N candidates, each with all that is known of it but the history."""

    user_N: Ints
    item_N: Ints
    scenario_N: Ints
    kind_N: Ints
    ids_NK: NDArray[np.int32]  # in the order of `layout.fields`: user, item, context
    numbers_NF: NDArray[np.float32]  # in the order of `number_names`
    labels_NT: NDArray[np.float32]  # nan where unobserved; no columns when the batch has no labels


def number_names(layout: Layout) -> tuple[str, ...]:
    """What the columns of `Flat.numbers_NF` are called."""
    return (*layout.user_numbers, *layout.item_numbers, *layout.context_numbers, *layout.pair_numbers)


def forms(layout: Layout) -> list[Form]:
    """The form of each task."""
    return [task.form for task in layout.tasks]


def flatten(batch: Batch, requests: slice = ALL, *, features: bool = True) -> Flat:
    """Every candidate of those requests as one row, request by request; without `features`, no ids and numbers."""
    ids = [batch.user_ids_BK, batch.item_ids_BCK, batch.context_ids_BK]
    numbers = [batch.user_numbers_BN, batch.item_numbers_BCN, batch.context_numbers_BN, batch.pair_numbers_BCN]
    keys = [batch.user_B, batch.item_BC, batch.scenario_B, batch.kind_BC]
    labels = [] if batch.labels_BCT is None else [batch.labels_BCT]
    shape = batch.item_BC[requests].shape
    keys_N4 = _flat([key[requests, ..., None] for key in keys], shape, np.int64)
    return Flat(
        user_N=keys_N4[:, 0],
        item_N=keys_N4[:, 1],
        scenario_N=keys_N4[:, 2],
        kind_N=keys_N4[:, 3],
        ids_NK=_flat([part[requests] for part in ids if features], shape, np.int32),
        numbers_NF=_flat([part[requests] for part in numbers if features], shape, np.float32),
        labels_NT=_flat([part[requests] for part in labels], shape, np.float32),
    )


def read(data: Rows, split: Split, *, features: bool = True, limit: int | None = None, seed: int = 0) -> Flat:
    """A whole split, or a uniform sample of `limit` of its rows in their order."""
    rows = data.rows(split)
    if limit is not None and len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    parts = [flatten(batch, features=features) for batch in batches(data, rows)]
    if not parts:
        return _no_rows(data.layout, features)
    return Flat(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Flat)))


def batches(data: Rows, rows: Ints) -> Iterator[Batch]:
    """Those rows, in batches of bounded memory."""
    for start in range(0, len(rows), ROWS_PER_BATCH):
        yield data.batch(rows[start : start + ROWS_PER_BATCH])


def score_flat(batch: Batch, predict: Callable[[Flat], Floats], *, features: bool = True) -> CellOutput:
    """What `predict` says of each row, [N, T], in the batch's shape [B, C, T]; in chunks of bounded memory."""
    B, C = batch.item_BC.shape
    step = max(1, ROWS_PER_CHUNK // max(C, 1))
    chunks = [slice(start, start + step) for start in range(0, max(B, 1), step)]
    scores_NT = np.concatenate([predict(flatten(batch, chunk, features=features)) for chunk in chunks])
    return output(scores_NT.reshape(B, C, scores_NT.shape[-1]), batch)


def output(scores_BCT: Floats, batch: Batch) -> CellOutput:
    """Those scores as the answer to a batch, on its device."""
    return CellOutput(torch.from_numpy(scores_BCT.astype(np.float32)).to(batch.item_BC.device))


def _flat(parts: list[Tensor], shape: torch.Size, dtype: type[Any]) -> NDArray[Any]:
    """[B, X] and [B, C, X] side by side as [N, ΣX]."""
    rows = shape[0] * shape[1]
    deep = [part[:, None] if part.dim() == 2 else part for part in parts]
    wide = [part.expand(*shape, -1).reshape(rows, part.shape[-1]) for part in deep]
    return np.concatenate([np.empty((rows, 0), dtype), *(part.cpu().numpy() for part in wide)], axis=1, dtype=dtype)


def _no_rows(layout: Layout, features: bool) -> Flat:
    none = np.empty(0, np.int64)
    ids = sum(field.columns for field in layout.fields) if features else 0
    numbers = len(number_names(layout)) if features else 0
    labels_NT = np.empty((0, len(layout.tasks)), np.float32)
    return Flat(none, none, none, none, np.empty((0, ids), np.int32), np.empty((0, numbers), np.float32), labels_NT)
