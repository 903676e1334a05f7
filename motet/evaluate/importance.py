"""Permutation importance (Breiman, 2001; Fisher et al., JMLR 2019): what a cell loses without a group of inputs.

    loss[g, c] = metric[c] − mean over repeats of metric[c] where the values of g come from other rows of the scenario

The model stays as it is. The interval is ± 1.96 bootstrap standard errors over users, under the same draws for all
groups, the plain metric and the shuffled one: it covers which users came and, rows being shuffled each by itself, what
the shuffling drew. A spread over repeats would cover the second alone.

N rows, R repeats, T tasks, C cells, B resamples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from motet.batch import Ranker, Scorable
from motet.evaluate.bootstrap import Auc, RelativeRmse, Statistic, resample
from motet.evaluate.judge import Judge
from motet.evaluate.shuffled import Group, Shuffled, groups, within
from motet.evaluate.verdict import standard_error
from motet.runtime import in_threads
from motet.scoring import metrics
from motet.scoring.cell_rows import cell_rows, enough_labels
from motet.scoring.metrics import Floats, Ints
from motet.scoring.order import ScoreOrder, positions
from motet.train.score import score_rows

RESAMPLES = 200
"""Enough for a standard error within 5 %; the ends of an interval would need more."""
BATCH = 2048  # rows that are scored at once, at most
FEWEST = 10  # positives, and negatives, of a cell that is measured; of a regression cell, rows
METRICS = ("auc", "relative_rmse")
_SEED = 1301  # of the rows that are taken, and of what is shuffled
_WIDTH = NormalDist().inv_cdf(0.975)
Entry = dict[str, Any]


@dataclass(frozen=True)
class _Cell:
    """The observed rows of one cell among the N."""

    scenario: str
    task: str
    t: int
    row_n: Ints
    label_n: Floats
    user_n: NDArray[np.int32]
    mean: float  # of train
    metric: str

    @property
    def positives(self) -> int | None:
        return int((self.label_n > 0).sum()) if self.metric == "auc" else None

    @property
    def able(self) -> bool:
        """Whether it is measured."""
        rows = len(self.label_n)
        if (positives := self.positives) is None:
            return rows >= FEWEST and math.isfinite(self.mean)
        return min(positives, rows - positives) >= FEWEST

    @property
    def counts(self) -> bool:
        """Whether a macro average asks for it."""
        return enough_labels(len(self.label_n), self.positives)

    def measure(self, predicted_NT: Floats) -> tuple[float, Statistic]:
        """The metric, and the same as a function of the users' weights."""
        predicted_n = predicted_NT[self.row_n, self.t]
        if self.metric == "auc":
            order = ScoreOrder.of(self.label_n, predicted_n)
            return order.auc(), Auc(order, self.user_n)
        value = metrics.relative_rmse(self.label_n, predicted_n, self.mean)
        return value, RelativeRmse(self.label_n, predicted_n, self.user_n, mean=self.mean)


def importance(
    ranker: Ranker,
    judge: Judge,
    calibrated: Callable[[NDArray[np.float32], Ints, Ints], Floats],
    *,
    say: Callable[[float], None] = lambda share: None,
) -> Entry | None:
    """The report's `importance`; None where no rows are to be spent on it, or there are none."""
    data, how = judge.data, judge.how
    rng = np.random.default_rng(_SEED)
    rows = sample(judge.rows, data.scenarios(judge.rows), how.importance_rows, rng)
    if not len(rows):
        return None
    scenario_N, user_N, tried = data.scenarios(rows), data.users(rows), groups(data.layout)
    others = [rows[within(scenario_N, rng)] for _ in range(how.importance_repeats)]
    threads = torch.get_num_threads()
    size = -(-len(rows) // (threads * -(-len(rows) // (threads * BATCH))))  # as much work for each thread

    def predicted(asked: Scorable, places: Ints) -> Floats:
        return calibrated(score_rows(ranker, asked, places, batch_size=size), scenario_N, user_N)

    cells = _cells(judge, rows)
    able = [cell for cell in cells if cell.able]
    found = {id(cell): _entry(cell) for cell in cells}
    macro: list[Entry] = []
    plain = _Plain.of(able, predicted(data, rows), users=int(positions(user_N)[1]))
    for cell, value in zip(able, plain.value_C, strict=True):
        found[id(cell)] |= {"value": _or_none(value), "losses": []}
    for told, group in enumerate(tried if able else []):
        say(told / len(tried))
        parts = [Shuffled(data, rows, other_N, group) for other_N in others]
        loss_C, loss_CB = plain.losses([predicted(part, np.arange(len(rows))) for part in parts])
        for cell, loss in zip(able, plain.each(loss_C, loss_CB), strict=True):
            found[id(cell)]["losses"].append({"group": group.name} | loss)
        macro += plain.macro(group, loss_C, loss_CB)
    return {"rows": len(rows), "repeats": how.importance_repeats, "macro": macro, "cells": list(found.values())}


def _entry(cell: _Cell) -> Entry:
    """A cell before it is measured."""
    named = {"scenario": cell.scenario, "task": cell.task, "metric": cell.metric}
    return named | {"value": None, "rows": len(cell.row_n), "losses": None}


def sample(rows: Ints, scenario_N: Ints, most: int, rng: np.random.Generator) -> Ints:
    """At most so many of the rows, in their order: all scenarios get the same share, small ones all they have."""
    sizes, left, cap = np.sort(np.bincount(scenario_N)[np.unique(scenario_N)]), most, 0
    for place, size in enumerate(sizes):
        cap = left // (len(sizes) - place)
        left -= min(size, cap)
        if size > cap:
            break
    of_scenario = [np.flatnonzero(scenario_N == s) for s in np.unique(scenario_N)]
    chosen = [at if len(at) <= cap else rng.choice(at, cap, replace=False) for at in of_scenario]
    taken: Ints = rows[np.sort(np.concatenate([np.empty(0, np.int64), *chosen]))]
    return taken


def _cells(judge: Judge, rows: Ints) -> list[_Cell]:
    data, layout = judge.data, judge.data.layout
    labels_NT, user_N = data.labels(rows), positions(data.users(rows))[0]
    names = [scenario.name for scenario in layout.scenarios]
    return [
        _Cell(
            scenario=names[s],
            task=layout.tasks[t].name,
            t=t,
            row_n=row_n,
            label_n=labels_NT[row_n, t].astype(np.float64),
            user_n=user_N[row_n],
            mean=layout.base_rates[s][t],
            metric="auc" if layout.tasks[t].form == "binary" else "relative_rmse",
        )
        for s, t, row_n in cell_rows(names, layout.tasks, data.scenarios(rows), labels_NT)
    ]


@dataclass(frozen=True)
class _Plain:
    """The metric of the cells that are measured as the rows are, and in every resample."""

    cells: Sequence[_Cell]
    users: int
    value_C: Floats
    value_CB: Floats

    @classmethod
    def of(cls, cells: Sequence[_Cell], predicted_NT: Floats, *, users: int) -> "_Plain":
        value_C, value_CB = _measured(cells, [predicted_NT], users)
        return cls(cells, users, value_C, value_CB)

    def losses(self, predicted_RNT: Sequence[Floats]) -> tuple[Floats, Floats]:
        """What is lost in each cell, and in each resample of it."""
        value_C, value_CB = _measured(self.cells, predicted_RNT, self.users)
        return self.value_C - value_C, self.value_CB - value_CB

    def each(self, loss_C: Floats, loss_CB: Floats) -> list[Entry]:
        """What is lost in every cell, with its interval."""
        return [
            _interval(loss, loss_B, several=len(np.unique(cell.user_n)) > 1)
            for cell, loss, loss_B in zip(self.cells, loss_C, loss_CB, strict=True)
        ]

    def macro(self, group: Group, loss_C: Floats, loss_CB: Floats) -> list[Entry]:
        """Its unweighted mean over the cells that are large enough, by metric; none of a metric without such a cell."""
        found = []
        for metric in METRICS:
            counted = [c for c, cell in enumerate(self.cells) if cell.metric == metric and cell.counts]
            counted = [c for c in counted if math.isfinite(self.value_C[c])]
            if counted:
                interval = _interval(loss_C[counted].mean(), loss_CB[counted].mean(0), several=self.users > 1)
                found.append({"group": group.name, "of": group.of, "metric": metric, "cells": len(counted), **interval})
        return found


def _measured(cells: Sequence[_Cell], predicted_RNT: Sequence[Floats], users: int) -> tuple[Floats, Floats]:
    """Mean over repeats of each cell's metric, [C], and the same in every resample, [C, B]."""
    pairs = [(cell, predicted_NT) for predicted_NT in predicted_RNT for cell in cells]
    found = in_threads(lambda pair: pair[0].measure(pair[1]), pairs)
    shape = len(predicted_RNT), len(cells)
    value_RC = np.array([value for value, _ in found]).reshape(shape)
    drawn = resample([statistic for _, statistic in found], users=users, resamples=RESAMPLES)
    return value_RC.mean(0), drawn.reshape(*shape, RESAMPLES).mean(0)


def _interval(loss: float, loss_B: Floats, *, several: bool) -> Entry:
    """The loss ± 1.96 standard errors; no interval from one user."""
    half = _WIDTH * standard_error(np.array([loss]), loss_B[None]) if several else math.nan
    return {"loss": _or_none(loss), "low": _or_none(loss - half), "high": _or_none(loss + half)}


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
