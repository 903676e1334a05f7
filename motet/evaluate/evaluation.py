"""From a run to its report: predictions of every model on the same rows, the matrix of cells, and all that explains it.

N rows of the judged split, R seeds, S scenarios, T tasks. All models get the same calibration, fitted on valid; judged
on valid itself, it is cross-fitted by user.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from motet import runtime
from motet.baselines import BASELINES
from motet.data.dataset import Dataset
from motet.evaluate.cells import Cell, cell_table, macro, verdict_counts
from motet.evaluate.jobs import Job, Jobs, Scored, cache_of, run_jobs
from motet.evaluate.plan import Evaluate
from motet.evaluate.report import sentence
from motet.evaluate.slates import Contender, ranking
from motet.evaluate.slices import slices
from motet.scoring import calibrate
from motet.scoring.blend import Blend
from motet.scoring.metrics import Floats
from motet.train.run import Run
from motet.train.score import score_rows

Say = Callable[[str, float], None]
"""Told what is being done and the share of it that is done, 0 … 1."""


@dataclass(frozen=True)
class _Judge:
    """The judged rows, and how any model's logits become an entry of the report."""

    data: Dataset
    how: Evaluate
    valid: NDArray[np.int64]
    rows: NDArray[np.int64]

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


def evaluate(run: Run, how: Evaluate, blend: Blend, *, say: Say = lambda what, share: None) -> dict[str, Any]:
    """The whole `report.json`."""
    started = time.monotonic()
    data = run.data
    judge = _Judge(data, how, data.rows("valid"), data.rows(how.split))
    jobs = Jobs.of(data, run.model, run.train, how, start=run.start, scratch=run.scratch)
    say("training seeds and controls", 0.0)
    scored = run_jobs(
        jobs.all,
        cache_of(run.folder),
        workers=how.workers,
        progress=lambda d, n: say("training seeds and controls", d / n),
    )
    say("scoring the joint model", 0.0)
    own = Scored(
        score_rows(run.network, data, judge.valid),
        score_rows(run.network, data, judge.rows),
        run.facts["training"]["seconds"],
    )
    joint_RNT = np.stack([judge.calibrated(own.valid, own.test)] + [_whole(judge, scored[job]) for job in jobs.seeds])
    solo_RNT = _solo(judge, jobs, scored) if how.controls else None
    say("bootstrap over users", 0.0)
    cells = judge.cells(joint_RNT, solo_RNT, how.resamples)
    say("baselines", 0.0)
    baselines = [_baseline(judge, name, say, i / max(1, len(how.baselines))) for i, name in enumerate(how.baselines)]
    references = _references(judge, cells)
    say("ranking", 0.0)
    joint = Contender(run.name, run.model.preset, run.network, judge.calibration(own.valid))
    rivals = [contender for _, contender in baselines]
    slates, rival_slates = ranking(data, judge.rows, joint, rivals, blend, how, say=lambda s: say("ranking", s))
    report = {
        "format": "motet-report/1",
        "run": run.name,
        "title": run.folder.resolve().parent.parent.name,
        "preset": run.model.preset,
        "folder": str(run.folder),
        "split": how.split,
        "rows": len(judge.rows),
        "seeds": how.seeds,
        "machine": runtime.machine(),
        "cells": [cell.to_dict() for cell in cells],
        "macro": macro(cells),
        "verdicts": verdict_counts(cells),
        "ranking": slates,
        "ranking_baselines": rival_slates,
        "slices": slices(data, judge.rows, joint_RNT),
        "fusion": fusion(run),
        "training": _training(run),
        "controls": _controls(judge, jobs, scored, solo_RNT),
        "presets": _presets(judge, jobs, scored),
        "baselines": [entry for entry, _ in baselines],
        "references": references,
        "calibration": _curves(judge, joint_RNT),
        "learning": _learning(run),
        "data": _data_quality(data),
        "seconds": round(time.monotonic() - started, 1),
    }
    return report | {"sentence": sentence(report)}


def _whole(judge: _Judge, scored: Scored) -> Floats:
    """Calibrated predictions of a job over the whole matrix."""
    return judge.calibrated(scored.valid, scored.test if judge.how.split == "test" else scored.valid)


def _solo(judge: _Judge, jobs: Jobs, scored: dict[Job, Scored]) -> Floats:
    """Solo models side by side as one table of predictions, nan in cells that have none, [R, N, T]."""
    data, tables = judge.data, []
    for of_seed in jobs.solo:
        valid = np.full((len(judge.valid), len(data.layout.tasks)), np.nan, np.float32)
        rows = np.full((len(judge.rows), len(data.layout.tasks)), np.nan, np.float32)
        for job in of_seed:
            assert job.tasks is not None
            task, found = job.tasks[0], scored[job]
            valid[data.scenarios(judge.valid) == job.scenario, task] = found.valid[:, 0]
            judged = found.test if judge.how.split == "test" else found.valid
            rows[data.scenarios(judge.rows) == job.scenario, task] = judged[:, 0]
        tables.append(judge.calibrated(valid, rows))
    return np.stack(tables)


def _controls(judge: _Judge, jobs: Jobs, scored: dict[Job, Scored], solo_RNT: Floats | None) -> list[dict[str, Any]]:
    if solo_RNT is None:
        return []
    pooled = np.stack([_whole(judge, scored[job]) for job in jobs.pooled])
    cost = {name: float(np.mean([sum(scored[job].seconds for job in seed) for seed in of_role]))
            for name, of_role in (("solo", jobs.solo), ("pooled", [[job] for job in jobs.pooled]))}  # fmt: skip
    return [
        judge.entry("solo", "one model per cell", solo_RNT, cost["solo"]),
        judge.entry("pooled", "one pooled model", pooled, cost["pooled"]),
    ]


def _presets(judge: _Judge, jobs: Jobs, scored: dict[Job, Scored]) -> list[dict[str, Any]]:
    return [
        judge.entry(
            name,
            f"preset {name}",
            np.stack([_whole(judge, scored[job]) for job in of_preset]),
            float(np.mean([scored[job].seconds for job in of_preset])),
        )
        for name, of_preset in jobs.presets.items()
    ]


def _baseline(judge: _Judge, name: str, say: Say, share: float) -> tuple[dict[str, Any], Contender]:
    """A fitted baseline in the report, and as it is ranked by."""
    say(f"baseline {name}", share)
    started = time.monotonic()
    ranker = BASELINES[name].fit(judge.data)
    valid_logits, logits = (score_rows(ranker, judge.data, rows) for rows in (judge.valid, judge.rows))
    calibration, data = judge.calibration(valid_logits), judge.data
    predictions = calibration(logits, data.scenarios(judge.rows), data.users(judge.rows))
    entry = judge.entry(name, ranker.label, predictions[None], round(time.monotonic() - started, 2))
    return entry, Contender(name, ranker.label, ranker, calibration)


def _references(judge: _Judge, cells: Sequence[Cell]) -> list[dict[str, Any]]:
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


def _curves(judge: _Judge, joint_RNT: Floats) -> list[dict[str, Any]]:
    """Calibration curves of the first seed, of the binary cells with both classes."""
    data, labels, scenario, curves = judge.data, judge.data.labels(judge.rows), judge.data.scenarios(judge.rows), []
    for s, surface in enumerate(data.layout.scenarios):
        for t, task in enumerate(data.layout.tasks):
            seen = (scenario == s) & ~np.isnan(labels[:, t])
            if task.form == "binary" and seen.any() and 0 < labels[seen, t].mean() < 1:
                curve = calibrate.calibration_curve(labels[seen, t], joint_RNT[0, seen, t], bins=10)
                points = zip(curve.predicted, curve.observed, curve.rows, strict=True)
                bins = [{"probability": p, "observed": o, "rows": n} for p, o, n in points]
                curves.append({"scenario": surface.name, "task": task.name, "curve": bins})
    return curves


def fusion(run: Run) -> list[dict[str, Any]]:
    """α of every cell, by voice."""
    alpha_STV = run.network.alpha_STV()
    if alpha_STV is None:
        return []
    return [
        {
            "scenario": scenario.name,
            "task": task.name,
            "weights": dict(zip(run.network.voices, (round(float(a), 4) for a in alpha_STV[s, t]), strict=True)),
        }
        for s, scenario in enumerate(run.data.layout.scenarios)
        for t, task in enumerate(run.data.layout.tasks)
    ]


def _training(run: Run) -> dict[str, Any]:
    keys = ("rows_per_second", "seconds", "epochs", "peak_rss_mb", "parameters")
    return {key: round(run.facts["training"][key], 2) for key in keys}


def _learning(run: Run) -> list[dict[str, Any]]:
    from motet.train.runlog import read

    rows = read(run.folder / "metrics.jsonl")
    return [
        {"epoch": row["epoch"], "split": split, "ne": row[f"{split}_ne"]}
        for row in rows
        for split in ("train", "valid")
    ]


def _data_quality(data: Dataset) -> dict[str, Any]:
    keys = ("rows", "removed", "warnings", "files", "users", "items")
    return {key: dict(data.manifest)[key] for key in keys} | {"positives": positives(data, data.rows("train")).tolist()}


def positives(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positive labels of each cell, [S, T]; of a regression, labels."""
    labels, scenarios = data.labels(rows), data.scenarios(rows)
    binary = np.array([task.form == "binary" for task in data.layout.tasks])
    positive = np.where(binary, labels > 0, ~np.isnan(labels))
    return np.stack([positive[scenarios == s].sum(0) for s in range(len(data.layout.scenarios))])
