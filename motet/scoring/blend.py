"""Blend: the tasks' probabilities of an item joined into the one score that orders a slate.

score[s] = Σ_t w[s,t] u_t(p_t) / Σ_t |w[s,t]|, over the tasks t that apply to the item's kind; u_t(p) = ln p (utility
`log`: with equal weights the score orders by the product of the probabilities) or (p − center) / scale (utility
`linear`: expected value). The division lets items to which different tasks apply be compared. A chained task
(purchase after click) enters as its marginal probability.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motet.errors import InputError
from motet.schema import Task
from motet.scoring.metrics import SMALLEST, Floats
from motet.settings import nearest

Utility = Literal["log", "linear"]
Weights = Mapping[str, float] | Mapping[str, Mapping[str, float]]  # {task: weight}, or {scenario: {task: weight}}


@dataclass(frozen=True, kw_only=True)
class BlendedTask:
    """How one task enters the score; `center` and `scale` bring a linear utility to a common unit."""

    name: str
    utility: Utility
    kinds: tuple[str, ...] = ()  # empty: all
    center: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, task: Task, center: float = 0.0, scale: float = 1.0) -> "BlendedTask":
        """As the schema says; a constant label (`scale` 0 or unknown) keeps its unit."""
        utility: Utility = task.utility or ("log" if task.form == "binary" else "linear")
        return cls(name=task.name, utility=utility, kinds=task.kinds, center=center, scale=scale if scale > 0 else 1.0)


@dataclass(frozen=True, kw_only=True)
class Blend:
    """The tasks and, for each scenario, the weight of each of them."""

    tasks: tuple[BlendedTask, ...]
    scenarios: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]  # [S][T]

    @classmethod
    def of(
        cls,
        tasks: Sequence[Task],
        scenarios: Sequence[str],
        weights: Weights | None = None,
        scales: Mapping[str, tuple[float, float]] | None = None,
    ) -> "Blend":
        """Weight 1 for each task unless given; `scales` is {task: (mean, standard deviation)} for linear utilities."""
        scales = scales or {}
        _known(scales, [task.name for task in tasks], "task", "scales")
        blended = tuple(BlendedTask.of(task, *scales.get(task.name, ())) for task in tasks)
        even = tuple((1.0,) * len(blended) for _ in scenarios)
        return cls(tasks=blended, scenarios=tuple(scenarios), weights=even).reweighted(weights or {})

    def reweighted(self, weights: Weights) -> "Blend":
        """This blend with other weights for the named tasks, in all scenarios or the named ones; the rest stays."""
        per_scenario = {key: value for key, value in weights.items() if isinstance(value, Mapping)}
        shared = {key: value for key, value in weights.items() if not isinstance(value, Mapping)}
        _known(per_scenario, self.scenarios, "scenario", "blend weights")
        table = []
        for scenario, row in zip(self.scenarios, self.weights, strict=True):
            given = {**shared, **per_scenario.get(scenario, {})}
            _known(given, [task.name for task in self.tasks], "task", "blend weights")
            table.append(tuple(_weight(t.name, given.get(t.name, w)) for t, w in zip(self.tasks, row, strict=True)))
        return replace(self, weights=tuple(table))

    def applicable(self, kind: str | None) -> NDArray[np.bool_]:
        """Mask [T] of the tasks that an item of this kind can receive; without a kind, all."""
        return np.array([kind is None or not task.kinds or kind in task.kinds for task in self.tasks])

    def utilities(self, values: ArrayLike) -> Floats:
        """u_t of probabilities (binary) or values (regression), [..., T] to [..., T]."""
        v = np.asarray(values, np.float64)
        center, scale = np.array([t.center for t in self.tasks]), np.array([t.scale for t in self.tasks])
        logarithmic = np.array([t.utility == "log" for t in self.tasks])
        return np.where(logarithmic, np.log(np.maximum(v, SMALLEST)), (v - center) / scale)

    def score(self, values: ArrayLike, scenario: ArrayLike, mask: ArrayLike | None = None) -> Floats:
        """Scores [...] of values [..., T]; `scenario` is an index, or one per row; `mask` [..., T]: which tasks
        apply.

        An item to which no task of non-zero weight applies scores −∞: nothing is known of it. A value is only read
        where it counts.
        """
        weight = np.where(
            True if mask is None else np.asarray(mask), np.asarray(self.weights)[np.asarray(scenario)], 0.0
        )
        counted = np.where(weight != 0, weight * self.utilities(values), 0.0).sum(-1)
        total = np.broadcast_to(np.abs(weight).sum(-1), counted.shape)
        return np.where(total > 0, counted / np.where(total > 0, total, 1), -np.inf)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold, with the weights by name."""
        names = [task.name for task in self.tasks]
        rows = zip(self.scenarios, self.weights, strict=True)
        return {
            "tasks": [{**vars(task), "kinds": list(task.kinds)} for task in self.tasks],
            "weights": {scenario: dict(zip(names, row, strict=True)) for scenario, row in rows},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Blend":
        """The inverse of `to_dict`."""
        tasks = tuple(BlendedTask(**{**task, "kinds": tuple(task["kinds"])}) for task in data["tasks"])
        weights = tuple(tuple(float(row[task.name]) for task in tasks) for row in data["weights"].values())
        return cls(tasks=tasks, scenarios=tuple(data["weights"]), weights=weights)


def _weight(name: str, weight: float) -> float:
    if not np.isfinite(weight):
        raise InputError(f"the blend weight of {name!r} is {weight}", where="blend weights", fix="give a finite number")
    return float(weight)


def _known(names: Iterable[str], known: Sequence[str], what: str, where: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"unknown {what} {name!r}", where=where, fix=nearest(name, list(known)))
