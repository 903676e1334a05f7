"""Prior correction: probabilities of what people do, from a log that keeps only a share of its negatives.

A task whose negatives were kept with probability r has odds 1 / r times too high, so its log-odds are lowered by −log r
(King and Zeng, 2001). A task after it, whose own negatives were not sampled, keeps P(task | parent) and follows its
parent: p ← p · p_parent true / p_parent in the log. Other tasks stay as they are. Evaluation judges probabilities on
the log, which is sampled, and so without this.

Shapes: S scenarios, T tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from motet.batch import Layout
from motet.errors import InputError
from motet.scoring.metrics import Floats, Ints
from motet.settings import nearest


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampled:
    """The share of negatives kept in every cell, and each task's parent."""

    kept_ST: Floats
    parents: tuple[int | None, ...]

    @classmethod
    def of(cls, layout: Layout) -> Self | None:
        """As the tasks say; None where all negatives are kept."""
        names = [scenario.name for scenario in layout.scenarios]
        for task in layout.tasks:
            for name in task.negatives_kept if isinstance(task.negatives_kept, dict) else ():
                if name not in names:
                    message = f"task {task.name!r}: unknown scenario {name!r}"
                    raise InputError(message, where="tasks.negatives_kept", fix=nearest(name, names))
        kept_ST = np.array([[task.kept(name) for task in layout.tasks] for name in names])
        parents = tuple(layout.parent(t) for t in range(len(layout.tasks)))
        return None if np.all(kept_ST == 1) else cls(kept_ST=kept_ST, parents=parents)

    def undone(self, told: Floats, scenario: Ints) -> Floats:
        """Probabilities [..., T] as they would be without sampling; values of regressions pass through."""
        kept, result = self.kept_ST[scenario], told.copy()
        for t, parent in enumerate(self.parents):  # a parent stands before its task
            share, p = kept[..., t], told[..., t]
            follows = p if parent is None else p * _ratio(result[..., parent], told[..., parent])
            result[..., t] = np.where(share == 1, follows, p * share / (p * share + 1 - p))
        return result

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"kept": self.kept_ST.tolist(), "parents": list(self.parents)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(kept_ST=np.asarray(data["kept"], np.float64), parents=tuple(data["parents"]))


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(above / np.maximum(below, np.finfo(np.float64).tiny))
