"""Quality where it is hard: new items, new users and rare items, per task over all scenarios."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.data.dataset import Dataset
from motet.scoring import metrics
from motet.scoring.metrics import Floats

RARE = 5
"""An item with fewer impressions in train than this is rare."""


def slices(data: Dataset, rows: NDArray[np.int64], joint_RNT: Floats) -> list[dict[str, Any]]:
    """The report's `slices`: AUC or relative RMSE, mean over seeds; null where a slice has one class or no rows.

    A regression is judged against the train mean of each row's cell, as cells are; rows of a cell that train has not
    observed are left out.
    """
    train = data.rows("train")
    items, users = (
        np.bincount(of(train), minlength=of(rows).max(initial=0) + 1) for of in (data.item_rows, data.users)
    )
    seen_N, known_N = items[data.item_rows(rows)], users[data.users(rows)]
    members = {
        "new items": seen_N == 0,
        "rare items": (seen_N > 0) & (seen_N < RARE),
        "known items": seen_N >= RARE,
        "new users": known_N == 0,
        "known users": known_N > 0,
    }
    labels, found = data.labels(rows), []
    mean_NT = np.array(data.layout.base_rates)[data.scenarios(rows)]
    for name, member_N in members.items():
        for t, task in enumerate(data.layout.tasks):
            binary = task.form == "binary"
            metric = "auc" if binary else "relative_rmse"
            chosen = member_N & ~np.isnan(labels[:, t]) & (binary | ~np.isnan(mean_NT[:, t]))
            y_n, mean_n = labels[chosen, t], mean_NT[chosen, t]
            seeds = [joint_NT[chosen, t] for joint_NT in joint_RNT]
            values = [metrics.auc(y_n, p) if binary else metrics.relative_rmse(y_n, p, mean_n) for p in seeds]
            value = float(np.mean(values)) if chosen.any() else float("nan")
            found.append({"slice": name, "scenario": None, "task": task.name, "metric": metric,
                          "value": None if np.isnan(value) else value, "rows": int(chosen.sum())})  # fmt: skip
    return found
