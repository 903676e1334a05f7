"""Early stopping on the macro `ne` of valid: the mean over cells of the `ne` that a report shows, before calibration.

Shapes: N rows, S scenarios, T tasks, n rows of a cell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motet.batch import Layout
from motet.scoring import metrics
from motet.scoring.calibrate import Calibration
from motet.scoring.cell_rows import cell_rows, enough_labels
from motet.scoring.metrics import Bools, Floats, Ints


class ValidCells:
    """The cells of valid, found once and judged at every evaluation.

    The macro is over the cells with enough labels, regressions included, or over every cell with an `ne` when none has
    enough. The train line of the learning curve is the mean over the same cells.
    """

    def __init__(self, layout: Layout, labels_NT: NDArray[np.float32], scenario_N: Ints) -> None:
        self.layout, self.labels_NT, self.scenario_N = layout, labels_NT, scenario_N
        self.shape = len(layout.scenarios), len(layout.tasks)
        self.rows = list(cell_rows([s.name for s in layout.scenarios], layout.tasks, scenario_N, labels_NT))
        defined_ST = np.isfinite(self._by_cell(np.array(layout.base_rates)[scenario_N]))
        enough_ST = np.zeros(self.shape, np.bool_)
        for s, t, rows_n in self.rows:
            positives = int((labels_NT[rows_n, t] > 0).sum()) if layout.tasks[t].form == "binary" else None
            enough_ST[s, t] = enough_labels(len(rows_n), positives)
        self.counted_ST: Bools = defined_ST & enough_ST if (defined_ST & enough_ST).any() else defined_ST

    def ne_ST(self, logits_NT: NDArray[np.float32]) -> Floats:
        """`ne` of every cell by the train base rates; NaN where it is not defined, as without a label."""
        as_they_are = Calibration.identity(self.shape[0], [task.form for task in self.layout.tasks])
        return self._by_cell(as_they_are.apply(logits_NT, self.scenario_N))

    def macro(self, ne_ST: Floats) -> float | None:
        """Mean over the counted cells; None without any: there is nothing to judge by."""
        return float(ne_ST[self.counted_ST].mean()) if self.counted_ST.any() else None

    def shares_N(self, logits_NT: NDArray[np.float32]) -> Floats:
        """What each row adds to the macro, [N]: their sum is it; the macro of some users is theirs."""
        as_they_are = Calibration.identity(self.shape[0], [task.form for task in self.layout.tasks])
        predictions_NT, total_N = as_they_are.apply(logits_NT, self.scenario_N), np.zeros(len(logits_NT))
        for s, t, rows_n in self.rows:
            if not self.counted_ST[s, t]:
                continue
            y, p, rate = self.labels_NT[rows_n, t].astype(np.float64), predictions_NT[rows_n, t], self._rate(s, t)
            if self.layout.tasks[t].form == "binary":
                p = np.clip(p, metrics.SMALLEST, 1 - metrics.SMALLEST)
                share_n = -(y * np.log(p) + (1 - y) * np.log1p(-p)) / (metrics.entropy(rate) * len(y))
            else:
                share_n = (y - p) ** 2 / np.sum((y - rate) ** 2)
            total_N[rows_n] += share_n / self.counted_ST.sum()
        return total_N

    def _rate(self, s: int, t: int) -> float:
        return float(self.layout.base_rates[s][t])

    def _by_cell(self, predictions_NT: Floats) -> Floats:
        found_ST = np.full(self.shape, np.nan)
        for s, t, rows_n in self.rows:
            ne = metrics.ne if self.layout.tasks[t].form == "binary" else metrics.relative_mse
            found_ST[s, t] = ne(self.labels_NT[rows_n, t], predictions_NT[rows_n, t], self._rate(s, t))
        return found_ST


@dataclass
class EarlyStop:
    """Keeps the best macro `ne` and says when `patience` evaluations in a row were no better."""

    patience: int
    best: float = float("inf")
    best_step: int = -1
    waited: int = 0
    judged: int = 0  # step of the last evaluation

    def update(self, macro: float | None, step: int) -> bool:
        """True when this is the best so far, as is the latest when there is nothing to judge by (None).

        A macro that is not a number comes from weights that are not: it is never the best.
        """
        self.judged = step
        if macro is None or macro < self.best - 1e-5:
            self.best, self.best_step, self.waited = (self.best if macro is None else macro), step, 0
            return True
        self.waited += 1
        return False

    @property
    def done(self) -> bool:
        return self.waited >= self.patience
