"""Rolling windows of a log: the log as it stood at several times, each prepared and split as if nothing came later.

The last window is the whole log; the one before it ends a tenth of the rows earlier, and so on. With a split by time
the judged rows of two windows have no row in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motet import experiment as stages
from motet.data.dataset import Dataset
from motet.evaluate.judge import Judge
from motet.evaluate.plan import Evaluate
from motet.experiment import Experiment, Say

STEP = 0.1


@dataclass(frozen=True)
class Window:
    """A prepared folder, and how it is judged; `chooser` judges valid, whatever the benchmark judges."""

    share: float  # of the log's rows
    experiment: Experiment
    data: Dataset
    judge: Judge
    chooser: Judge

    @property
    def name(self) -> str:
        """For people."""
        return f"the first {self.share:.0%} of the log" if self.share < 1 else "the whole log"

    def facts(self) -> dict[str, Any]:
        """What a reader of the table should know of it."""
        rows = self.data.rows
        return {
            "share": round(self.share, 4),
            "until": float(self.data.log_rows.time[-1]),
            "train": len(rows("train")),
            "valid": len(rows("valid")),
            "test": len(rows("test")),
            "judged": len(self.judge.rows),
        }


def shares(count: int, last: float = 1.0) -> list[float]:
    """How much of the log each window has, the last one first."""
    return [round(last - STEP * back, 4) for back in range(count)]


def windows(
    config: Path, changes: Mapping[str, Any], folder: Path, wanted: Sequence[float], how: Evaluate, say: Say
) -> list[Window]:
    """Each prepared below `folder`, or found there; the last rows of a shorter one are those of a time of the log."""
    whole = _prepared(config, changes, folder / "100", say)
    times_N, found = np.sort(whole[1].log_rows.time.numpy()), []
    for share in wanted:
        if share >= 1:
            experiment, data = whole
        else:
            until = float(times_N[max(int(np.ceil(share * len(times_N))), 1) - 1])
            cut = {**changes, "clean.max_time": until}
            experiment, data = _prepared(config, cut, folder / f"{100 * share:g}", say)
        judge = Judge.of(data, how)
        chooser = judge if how.split == "valid" else Judge.of(data, Evaluate(split="valid"))
        found.append(Window(share, experiment, data, judge, chooser))
    return found


def _prepared(config: Path, changes: Mapping[str, Any], folder: Path, say: Say) -> tuple[Experiment, Dataset]:
    experiment = stages.read(config, changes)
    return experiment, stages.prepare(experiment, config.parent, folder, progress=say, force=True)
