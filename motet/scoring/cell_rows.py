"""Which rows are a cell's, and whether a cell has enough labels to be counted: one rule for training and reports.

N rows, S scenarios, T tasks, n rows of a cell.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from motet.schema import Task
from motet.scoring.metrics import Ints

FEWEST_OF_A_CLASS = 50
"""Positives, and negatives, of a cell that counts; of a regression cell, rows."""


def enough_labels(rows: int, positives: int | None) -> bool:
    """≥ 50 positives and negatives, or without positives (regression) rows: what a macro average asks of a cell."""
    return (rows if positives is None else min(positives, rows - positives)) >= FEWEST_OF_A_CLASS


def cell_rows(
    scenarios: Sequence[str], tasks: Sequence[Task], scenario_N: Ints, labels_NT: NDArray[np.floating]
) -> Iterator[tuple[int, int, Ints]]:
    """Scenario, task and observed rows [n] of each cell, scenario by scenario, of the tasks a scenario offers."""
    order = np.argsort(scenario_N, kind="stable")
    bounds = np.searchsorted(scenario_N[order], np.arange(len(scenarios) + 1))
    for s, name in enumerate(scenarios):
        rows = order[bounds[s] : bounds[s + 1]]
        for t, task in enumerate(tasks):
            if not task.scenarios or name in task.scenarios:
                yield s, t, rows[np.isfinite(labels_NT[rows, t])]
