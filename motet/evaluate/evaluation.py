"""From a run to its report: predictions of every model on the same rows, the matrix of cells, and all that explains it.

N rows of the judged split, R seeds, S scenarios, T tasks.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from motet import runtime
from motet.baselines import Baselines
from motet.data.dataset import Dataset
from motet.evaluate import compared
from motet.evaluate.cells import macro, verdict_counts
from motet.evaluate.drift import drift
from motet.evaluate.fitting import fittings, in_order
from motet.evaluate.importance import importance
from motet.evaluate.jobs import CODE, Jobs, run_jobs
from motet.evaluate.judge import Judge, positives
from motet.evaluate.kept import Kept, Scored, key_of
from motet.evaluate.plan import Evaluate
from motet.evaluate.report import sentence
from motet.evaluate.slates import Contender, Counted, Model, kept_ranking
from motet.evaluate.slices import slices
from motet.model.next_item import NextItemNetwork
from motet.scoring import calibrate
from motet.scoring.blend import Blend
from motet.scoring.metrics import Floats
from motet.train.run import Run, fingerprint_of
from motet.train.score import score_rows

Say = Callable[[str, float], None]
"""Told what is being done and the share of it that is done, 0 … 1."""


def evaluate(
    run: Run, how: Evaluate, blend: Blend, settings: Baselines | None = None, *, say: Say = lambda what, share: None
) -> dict[str, Any]:
    """The whole `report.json`."""
    started = time.monotonic()
    data, kept = run.data, Kept.beside(run.folder)
    judge = Judge.of(data, how)
    jobs = Jobs.of(data, run.model, run.train, how, start=run.start, scratch=run.scratch)
    baselines = fittings(data, settings or Baselines(), how, blend)
    run_jobs(
        in_order(jobs, baselines),
        kept,
        workers=how.workers,
        progress=lambda done, all_: say("training seeds and controls", done / all_),
    )
    scored = {job: kept.read(job.key) for job in [*jobs.whole, *jobs.cells]}
    say("scoring the joint model", 0.0)
    own = Scored(
        score_rows(run.network, data, judge.valid),
        score_rows(run.network, data, judge.rows),
        run.facts["training"]["seconds"],
    )
    joint_RNT = np.stack([judge.calibrated(own.valid, own.test), *(judge.predicted(scored[job]) for job in jobs.seeds)])
    solo_RNT = compared.solo(judge, jobs, scored) if how.controls else None
    say("bootstrap over users", 0.0)
    cells = judge.cells(joint_RNT, solo_RNT, how.resamples)
    say("ranking", 0.0)
    calibrated = judge.calibration(own.valid)
    joint = Model(run.name, run.model.preset, lambda: run.network, calibrated)
    counted = Counted(data)
    asked: list[tuple[str, Contender]] = [
        (_own_key(run), joint),
        (key_of(("data",), data.manifest["fingerprint"], counted.name), counted),
    ]
    slates, counted_slates = kept_ranking(
        data, judge.rows, asked, blend, how, kept, say=lambda share: say("ranking", share)
    )
    rivals = [(one.name, one.label, one.slates(kept) or []) for one in baselines]
    rivals.append((counted.name, counted.label, counted_slates))
    say("shuffling inputs", 0.0)
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
        "ranking_baselines": [
            {"name": name, "label": label} | entry for name, label, entries in rivals for entry in entries
        ],
        "slices": slices(data, judge.rows, joint_RNT),
        "importance": kept.one(
            key_of(("evaluate",), _own_key(run), how.split, how.importance_rows, how.importance_repeats),
            lambda: importance(run.network, judge, calibrated, say=lambda share: say("shuffling inputs", share)),
        ),
        "drift": kept.one(
            key_of(("data", "evaluate"), data.manifest["fingerprint"], how.split), lambda: drift(data, judge.rows)
        ),
        "fusion": fusion(run),
        "training": _training(run),
        "controls": compared.controls(judge, jobs, scored, solo_RNT),
        "presets": compared.presets(judge, jobs, scored),
        "baselines": [one.entry(judge, kept) for one in baselines],
        "references": compared.references(judge, cells),
        "calibration": _curves(judge, joint_RNT),
        "learning": _learning(run),
        "data": _data_quality(data),
        "seconds": round(time.monotonic() - started, 1),
    }
    return report | {"sentence": sentence(report)}


def _own_key(run: Run) -> str:
    """Another one for every training, and for other code that scores with its weights."""
    return key_of(CODE, fingerprint_of(run.folder), run.data.manifest["fingerprint"])


def _curves(judge: Judge, joint_RNT: Floats) -> list[dict[str, Any]]:
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
    if isinstance(run.network, NextItemNetwork) or (alpha_STV := run.network.alpha_STV()) is None:
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
