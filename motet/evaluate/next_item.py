"""The report of a run without tasks: how well each judged row's item is found, by the model and by simple ones.

Every judged row is a request at its time whose only relevant item is its own; nothing is sampled. What a candidate is:
`requests`. There are no cells.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from motet import runtime
from motet.baselines import BASELINES
from motet.batch import Ranker
from motet.data.dataset import Dataset
from motet.evaluate.kept import Kept, key_of
from motet.evaluate.plan import Evaluate
from motet.evaluate.sentence import sentence
from motet.evaluate.slates import Entry, held_out_ranking
from motet.train.run import Run, fingerprint_of

BASELINE_NAMES = ("popularity", "item-knn")
"""The baselines that positives alone can teach."""
_SEED = 2207  # of the rows that are chosen


def evaluate_next_item(
    run: Run, how: Evaluate, *, say: Callable[[str, float], None] = lambda what, share: None
) -> dict[str, Any]:
    """The whole `report.json`; what is kept of an earlier evaluation is not ranked again."""
    started, data, kept = time.monotonic(), run.data, Kept.beside(run.folder)
    fingerprint = data.manifest["fingerprint"]
    asked = how.split, how.next_item_rows
    key = key_of(("model", "data", "evaluate"), fingerprint_of(run.folder), fingerprint, *asked)
    ours = _kept(kept, key, lambda: rankings(run.network, data, how, lambda share: say("ranking", share)))
    rivals = []
    for name in (name for name in BASELINE_NAMES if name in how.baselines):
        key = key_of(("baselines", "data", "evaluate"), fingerprint, *asked, name, "next")
        found = _kept(kept, key, lambda name=name: _of_baseline(name, data, how, say))  # type: ignore[misc]
        rivals += [{"name": name, "label": BASELINES[name].label} | entry for entry in found]
    training = run.facts["training"]
    keys = ("rows_per_second", "seconds", "epochs", "peak_rss_mb", "parameters")
    report = {
        "format": "motet-report/1",
        "run": run.name,
        "title": run.folder.resolve().parent.parent.name,
        "preset": run.network.name,
        "folder": str(run.folder),
        "split": how.split,
        "rows": sum(entry["users"] for entry in ours),
        "seeds": 1,
        "machine": runtime.machine(),
        "cells": [],
        "macro": dict.fromkeys(("auc", "gauc", "log_loss", "ne", "ece", "rmse")),
        "verdicts": dict.fromkeys(("gain", "tie", "loss", "unclear"), 0),
        "ranking": ours,
        "ranking_baselines": rivals,
        "slices": [],
        "importance": None,
        "drift": None,
        "fusion": [],
        "training": {key: round(training[key], 2) for key in keys},
        **{group: [] for group in ("controls", "presets", "baselines", "references", "calibration", "learning")},
        "data": {key: dict(data.manifest)[key] for key in ("rows", "removed", "warnings", "files", "users", "items")},
        "seconds": round(time.monotonic() - started, 1),
    }
    return report | {"sentence": sentence(report)}


def rankings(
    ranker: Ranker, data: Dataset, how: Evaluate, say: Callable[[float], None] = lambda share: None
) -> list[Entry]:
    """An entry for each scenario that has judged rows."""
    entries, scenarios = [], data.layout.scenarios
    for s, scenario in enumerate(scenarios):
        say(s / len(scenarios))
        rows = data.rows(how.split, s)
        if 0 < how.next_item_rows < len(rows):
            rows = np.sort(np.random.default_rng(_SEED).choice(rows, how.next_item_rows, replace=False))
        if len(rows):
            named = {"scenario": scenario.name, "kind": None, "relevant_task": data.layout.tasks[0].name}
            entries.append(named | held_out_ranking(ranker, data, rows, s))
    return [entry for entry in entries if entry["users"]]


def _of_baseline(name: str, data: Dataset, how: Evaluate, say: Callable[[str, float], None]) -> list[Entry]:
    say(f"ranking by {name}", 0.0)
    return rankings(BASELINES[name].fit(data), data, how, lambda share: say(f"ranking by {name}", share))


def _kept(kept: Kept, key: str, rank: Callable[[], list[Entry]]) -> list[Entry]:
    entries = kept.figures(key)
    if entries is None:
        kept.write_figures(key, entries := rank())
    return entries
