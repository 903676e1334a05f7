"""Logits of many rows: a ranker over a data set in batches, side by side."""

from collections.abc import Callable
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from motet.batch import Ranker, Scorable
from motet.runtime import in_threads


def score_rows(
    ranker: Ranker,
    data: Scorable,
    rows: NDArray[np.int64],
    *,
    batch_size: int = 2048,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits [N, T] (values for regression) of those rows, in their order; `progress` gets rows done so far.

    As many batches at a time as torch has threads: they share nothing, and each stays in the cache of its core.
    """
    counting, done = Lock(), 0
    device = next(ranker.parameters()).device if isinstance(ranker, nn.Module) else torch.device("cpu")

    def score(some: slice) -> NDArray[np.float32]:
        nonlocal done
        batch = data.batch(rows[some]).to(device)
        logits_BT: NDArray[np.float32] = ranker.score(batch).logits_BCT[:, 0].float().cpu().numpy()
        if progress is not None:
            with counting:
                done += len(logits_BT)
                progress(done)
        return logits_BT

    learning = ranker if isinstance(ranker, nn.Module) and ranker.training else None
    if learning is not None:
        learning.eval()  # once for all threads
    try:
        parts = in_threads(score, (slice(start, start + batch_size) for start in range(0, len(rows), batch_size)))
    finally:
        if learning is not None:
            learning.train()
    return np.concatenate(parts) if parts else np.zeros((0, len(data.layout.tasks)), np.float32)
