"""Logits of many rows: a ranker over a data set in batches."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from motet.batch import Ranker, Scorable


def score_rows(
    ranker: Ranker,
    data: Scorable,
    rows: NDArray[np.int64],
    *,
    batch_size: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits [N, T] (values for regression) of those rows, in their order; `progress` gets rows done so far."""
    parts = []
    for start in range(0, len(rows), batch_size):
        parts.append(ranker.score(data.batch(rows[start : start + batch_size])).logits_BCT[:, 0].float().cpu())
        if progress is not None:
            progress(min(start + batch_size, len(rows)))
    return torch.cat(parts).numpy() if parts else np.zeros((0, len(data.layout.tasks)), np.float32)
