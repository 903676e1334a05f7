"""Early stopping on the macro `ne` of valid: the mean over cells of loss / loss of the base rate.

Shapes: N rows, S scenarios, T tasks.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from motet.schema import Task

MIN_POSITIVES = 50
"""Cells with fewer positives (or negatives, or rows of a regression) in valid are too noisy to stop on."""


@dataclass(frozen=True)
class CellLoss:
    """Sums per cell, from which `ne` follows."""

    ne_ST: NDArray[np.float64]  # nan where nothing is observed
    counted_ST: NDArray[np.bool_]  # enough positives and negatives

    @property
    def macro(self) -> float:
        """Mean over the counted cells; over every observed cell when none counts."""
        chosen = self.counted_ST if self.counted_ST.any() else ~np.isnan(self.ne_ST)
        return float(self.ne_ST[chosen].mean()) if chosen.any() else float("nan")


def cell_loss(
    tasks: tuple[Task, ...],
    scenarios: int,
    logits_NT: NDArray[np.float32],
    labels_NT: NDArray[np.float32],
    scenario_N: NDArray[np.int64],
) -> CellLoss:
    """`ne` of each cell against the base rate of these very rows."""
    shape = (scenarios, len(tasks))
    ne_ST, counted_ST = np.full(shape, np.nan), np.zeros(shape, bool)
    for t, task in enumerate(tasks):
        observed = ~np.isnan(labels_NT[:, t])
        z, y, s = (
            logits_NT[observed, t].astype(np.float64),
            labels_NT[observed, t].astype(np.float64),
            scenario_N[observed],
        )
        loss = np.logaddexp(0, z) - y * z if task.form == "binary" else (z - y) ** 2
        rows, total, positives = (np.bincount(s, w, minlength=scenarios) for w in (None, loss, y))
        if task.form == "binary":
            rate = positives / np.maximum(rows, 1)
            inside = np.clip(rate, 1e-12, 1 - 1e-12)
            unit = -inside * np.log(inside) - (1 - inside) * np.log1p(-inside)
            counted = (positives >= MIN_POSITIVES) & (rows - positives >= MIN_POSITIVES)
            valid = (rate > 0) & (rate < 1)
        else:
            mean = positives / np.maximum(rows, 1)
            unit = np.bincount(s, (y - mean[s]) ** 2, minlength=scenarios) / np.maximum(rows, 1)
            counted, valid = (rows >= MIN_POSITIVES) & (unit > 0), unit > 0
        ne_ST[valid, t] = total[valid] / rows[valid] / unit[valid]
        counted_ST[:, t] = counted
    return CellLoss(ne_ST, counted_ST)


@dataclass
class EarlyStop:
    """Keeps the best macro `ne` and says when `patience` evaluations in a row were no better."""

    patience: int
    best: float = float("inf")
    best_step: int = -1
    waited: int = field(default=0)

    def update(self, macro: float, step: int) -> bool:
        """True when this is the best so far; a macro of nan (nothing to judge by) always is."""
        if np.isnan(macro) or macro < self.best - 1e-5:
            self.best, self.best_step, self.waited = (self.best if np.isnan(macro) else macro), step, 0
            return True
        self.waited += 1
        return False

    @property
    def done(self) -> bool:
        return self.waited >= self.patience
