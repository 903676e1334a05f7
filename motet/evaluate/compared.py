"""What stands beside the model in a report: solo and pooled models, other presets, given predictions.

N rows of the judged split, R seeds, T tasks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from motet.evaluate.cells import Cell, macro
from motet.evaluate.jobs import Job, Jobs
from motet.evaluate.judge import Judge
from motet.evaluate.kept import Scored
from motet.scoring.metrics import Floats


def solo(judge: Judge, jobs: Jobs, scored: dict[Job, Scored]) -> Floats:
    """Solo models side by side as one table of predictions, nan in cells that have none, [R, N, T]."""
    data, tables = judge.data, []
    for of_seed in jobs.solo:
        valid = np.full((len(judge.valid), len(data.layout.tasks)), np.nan, np.float32)
        rows = np.full((len(judge.rows), len(data.layout.tasks)), np.nan, np.float32)
        for job in of_seed:
            assert job.tasks is not None
            task, found = job.tasks[0], scored[job]
            valid[data.scenarios(judge.valid) == job.scenario, task] = found.valid[:, 0]
            rows[data.scenarios(judge.rows) == job.scenario, task] = found.of(judge.how.split)[:, 0]
        tables.append(judge.calibrated(valid, rows))
    return np.stack(tables)


def controls(judge: Judge, jobs: Jobs, scored: dict[Job, Scored], solo_RNT: Floats | None) -> list[dict[str, Any]]:
    if solo_RNT is None:
        return []
    pooled = np.stack([judge.predicted(scored[job]) for job in jobs.pooled])
    cost = {name: float(np.mean([sum(scored[job].seconds for job in seed) for seed in of_role]))
            for name, of_role in (("solo", jobs.solo), ("pooled", [[job] for job in jobs.pooled]))}  # fmt: skip
    return [
        judge.entry("solo", "one model per cell", solo_RNT, cost["solo"]),
        judge.entry("pooled", "one pooled model", pooled, cost["pooled"]),
    ]


def presets(judge: Judge, jobs: Jobs, scored: dict[Job, Scored]) -> list[dict[str, Any]]:
    return [
        judge.entry(
            name,
            f"preset {name}",
            np.stack([judge.predicted(scored[job]) for job in of_preset]),
            float(np.mean([scored[job].seconds for job in of_preset])),
        )
        for name, of_preset in jobs.presets.items()
    ]


def references(judge: Judge, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Predictions that came with the data, as they are; the share of the way from base rate to a ceiling on `ne`."""
    found = []
    for reference, predictions in judge.data.references(judge.rows):
        predictions_RNT = predictions[None].astype(np.float64)
        told = judge.told(predictions_RNT)
        ours = macro([cell for cell in cells if (cell.scenario, cell.task) in told])["ne"]
        entry = judge.entry(reference.name, reference.name, predictions_RNT, None)
        ceiling = entry["macro"]["ne"]
        share = (
            (1 - ours) / (1 - ceiling) if reference.ceiling and ours is not None and ceiling not in (None, 1) else None
        )
        found.append(entry | {"ceiling": reference.ceiling, "share": share})
    return found
