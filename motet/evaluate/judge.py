"""The judged rows, and how any model's logits become an entry of a report.

N rows of the judged split, R seeds, S scenarios, T tasks. All models get the same calibration, fitted on valid; judged
on valid itself, it is cross-fitted by user.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motet.data.dataset import Dataset
from motet.evaluate.cells import Cell, cell_table, macro
from motet.evaluate.kept import Scored
from motet.evaluate.plan import Evaluate
from motet.scoring import calibrate
from motet.scoring.metrics import Floats


@dataclass(frozen=True)
class Judge:
    """The judged rows, and how any model's logits become an entry of the report."""

    data: Dataset
    how: Evaluate
    valid: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, data: Dataset, how: Evaluate) -> "Judge":
        """Of the split that is to be judged."""
        return cls(data, how, data.rows("valid"), data.rows(how.split))

    def calibrated(self, valid_logits: ArrayLike, logits: ArrayLike) -> Floats:
        """Probabilities and values [N, T] of the judged rows."""
        data = self.data
        return self.calibration(valid_logits)(logits, data.scenarios(self.rows), data.users(self.rows))

    def calibration(self, valid_logits: ArrayLike) -> Callable[[ArrayLike, ArrayLike, ArrayLike], Floats]:
        """What makes probabilities and values of logits, their scenarios and users; the judged rows never judge it."""
        layout = self.data.layout
        common: dict[str, Any] = {"scenarios": len(layout.scenarios), "forms": [task.form for task in layout.tasks]}
        labels, scenario = self.data.labels(self.valid), self.data.scenarios(self.valid)
        if self.how.split == "valid":
            return calibrate.cross_fit(valid_logits, labels, scenario, self.data.users(self.valid), **common).apply
        fitted = calibrate.fit(valid_logits, labels, scenario, **common)
        return lambda logits, scenario, user: fitted.apply(logits, scenario)

    def cells(self, joint_RNT: Floats, solo_RNT: Floats | None = None, resamples: int = 0) -> list[Cell]:
        data, layout = self.data, self.data.layout
        return cell_table(
            scenarios=[scenario.name for scenario in layout.scenarios],
            tasks=layout.tasks,
            scenario_N=data.scenarios(self.rows),
            user_N=data.users(self.rows),
            labels_NT=data.labels(self.rows),
            joint_RNT=joint_RNT,
            solo_RNT=solo_RNT,
            base_rates_ST=np.array(layout.base_rates),
            positives_valid_ST=positives(data, self.valid),
            resamples=resamples,
        )

    def told(self, predictions_RNT: Floats) -> set[tuple[str, str]]:
        """The cells of whose every observed row a model says something."""
        layout, scenario_N = self.data.layout, self.data.scenarios(self.rows)
        silent_NT = np.isnan(predictions_RNT).any(0) & ~np.isnan(self.data.labels(self.rows))
        return {
            (scenario.name, task.name)
            for s, scenario in enumerate(layout.scenarios)
            for t, task in enumerate(layout.tasks)
            if not silent_NT[scenario_N == s, t].any()
        }

    def entry(self, name: str, label: str, predictions_RNT: Floats, seconds: float | None) -> dict[str, Any]:
        """A comparison model in the report: macro and per cell; null in cells that it does not predict."""
        told, silent = self.told(predictions_RNT), {"value": None, "ne": None}
        cells = self.cells(np.nan_to_num(predictions_RNT))
        kept = [cell for cell in cells if (cell.scenario, cell.task) in told]
        keys = ("scenario", "task", "metric", "value", "ne")
        entries = [{key: cell.to_dict()[key] for key in keys} | ({} if cell in kept else silent) for cell in cells]
        return {"name": name, "label": label, "macro": macro(kept), "cells": entries, "seconds": seconds}

    def predicted(self, scored: Scored) -> Floats:
        """Calibrated predictions [N, T] of a model of the whole matrix."""
        return self.calibrated(scored.valid, scored.of(self.how.split))


def positives(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positive labels of each cell, [S, T]; of a regression, labels."""
    labels, scenarios = data.labels(rows), data.scenarios(rows)
    binary = np.array([task.form == "binary" for task in data.layout.tasks])
    positive = np.where(binary, labels > 0, ~np.isnan(labels))
    return np.stack([positive[scenarios == s].sum(0) for s in range(len(data.layout.scenarios))])
