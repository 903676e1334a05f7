"""Reports of any size for the tests: shaped as an evaluation writes them, with plausible numbers from a seed."""

from typing import Any

import numpy as np

SCENARIOS = ("desktop", "mobile", "voice")
TASKS = ("click", "cart", "purchase", "like", "stars")
RATES = {"click": 0.18, "cart": 0.05, "purchase": 0.02, "like": 0.09}
MODELS = {
    "popularity": ("popularity", 0.631, 0.985, 0.4),
    "item_knn": ("item k-nearest neighbours", 0.652, 1.43, 2.1),
    "target_encoding": ("target encoding, running", 0.712, 0.921, 1.7),
    "logistic": ("pooled logistic regression", 0.719, 0.909, 3.2),
    "boosting": ("gradient boosting", 0.735, 0.894, 14.6),
}


def sample_report(
    scenarios: tuple[str, ...] = SCENARIOS, tasks: tuple[str, ...] = TASKS, seed: int = 0, seeds: int = 3
) -> dict[str, Any]:
    """A full report; the last task is a regression, the last cell has one class only."""
    rng = np.random.default_rng(seed)
    cells = [_cell(rng, s, t, t == tasks[-1], i) for i, (s, t) in enumerate((s, t) for s in scenarios for t in tasks)]
    cells[-1] |= dict.fromkeys(("value", "low", "high", "solo", "delta", "delta_low", "delta_high", "p_holm"))
    cells[-1]["verdict"] = "unclear"
    return {
        "format": "motet-report/1",
        "title": "Motet on the embedded market",
        "run": "market-default",
        "preset": "motet",
        "folder": "runs/market-default",
        "split": "test",
        "rows": 6012,
        "seeds": seeds,
        "machine": {"cpu": "x86_64", "cores": 2, "python": "3.12.4", "torch": "2.13.0", "system": "Linux"},
        "cells": cells,
        "macro": {"auc": 0.742, "gauc": 0.688, "log_loss": 0.2412, "ne": 0.881, "ece": 0.0087, "rmse": 0.942},
        "verdicts": {name: sum(c["verdict"] == name for c in cells) for name in ("gain", "tie", "loss", "unclear")},
        "controls": [
            _model(rng, "solo", "one model per cell", 0.731, 0.897, 61.2, cells),
            _model(rng, "pooled", "pooled", 0.734, 0.892, 17.9, cells),
        ],
        "baselines": [_model(rng, name, *told, cells) for name, told in MODELS.items()],
        "presets": [_model(rng, "lstm-fusion", "lstm-fusion", 0.724, 0.905, 40.3, cells)],
        "references": [
            {**_model(rng, "oracle", "the oracle", 0.811, 0.79, None, cells), "ceiling": True, "share": 0.567},
            {
                **_model(rng, "informed", "the informed oracle", 0.758, 0.861, None, cells),
                "ceiling": True,
                "share": 0.856,
            },
        ],
        "calibration": [_calibration(rng, c["scenario"], c["task"]) for c in cells if c["task"] != tasks[-1]],
        "learning": [
            {"epoch": float(e), "split": split, "ne": 0.88 + gap + 0.11 * float(np.exp(-e)) + max(0, e - 4) * drift}
            for split, gap, drift in (("train", -0.02, -0.004), ("valid", 0.0, 0.003))
            for e in np.linspace(0.25, 6, 24)
        ],
        "ranking": [_ranking(rng, s, kind) for s in scenarios[:6] for kind in ("goods", "content")],
        "ranking_baselines": [
            {"name": "popularity-counted", "label": "Popularity, counted", **_ranking(rng, s, kind)}
            for s in scenarios[:6]
            for kind in ("goods", "content")
        ],
        "slices": [
            {"slice": name, "scenario": None, "task": t, "metric": "auc", "value": rng.uniform(0.6, 0.75), "rows": 812}
            for name in ("new items", "new users", "rare items")
            for t in tasks[:-1]
        ],
        "fusion": [
            {
                "scenario": s,
                "task": t,
                "weights": dict(zip(VOICES, rng.dirichlet([6, 3, 4, 1.5]).tolist(), strict=True)),
            }
            for s in scenarios
            for t in tasks
        ],
        "training": {
            "rows_per_second": 41_230.5,
            "seconds": 74.2,
            "epochs": 6,
            "peak_rss_mb": 1187.4,
            "parameters": 1_204_113,
        },
        "data": _data(scenarios, tasks, rng),
        "importance": _importance(cells, rng),
        "drift": _drift(cells, rng),
    }


VOICES = ("shared", "scenario", "task", "cell")


def _cell(rng: np.random.Generator, scenario: str, task: str, regression: bool, i: int) -> dict[str, Any]:
    verdict = ("gain", "tie", "unclear", "gain", "unclear", "tie", "gain", "loss", "unclear")[i % 9]
    value = float(rng.uniform(0.06, 0.2) if regression else rng.uniform(0.66, 0.8))
    delta = {"gain": 0.017, "tie": 0.001, "loss": -0.021, "unclear": 0.008}[verdict] + float(rng.normal(0, 0.0015))
    half = {"gain": 0.009, "tie": 0.005, "loss": 0.013, "unclear": 0.031}[verdict]
    rows = int(rng.integers(900, 4000))
    binary = {
        "auc": value,
        "gauc": value - 0.05,
        "log_loss": 0.241,
        "ece": 0.009,
        "accuracy": 0.91,
        "majority": 0.9,
        "rmse": None,
        "positives": int(rows * RATES.get(task, 0.1)),
        "positives_valid": int(rows * RATES.get(task, 0.1) / 2),
    }
    return {
        "scenario": scenario,
        "task": task,
        "kind": {"purchase": "goods", "like": "content"}.get(task),
        "metric": "relative_rmse" if regression else "auc",
        "value": value,
        "low": value - 0.014,
        "high": value + 0.015,
        "rows": rows,
        "users": rows // 9,
        "ne": 0.88,
        **({**dict.fromkeys(binary), "rmse": 0.942} if regression else binary),
        "solo": value - delta,
        "delta": delta,
        "delta_low": delta - half,
        "delta_high": delta + half,
        "p_holm": {"gain": 0.0004, "tie": 1.0, "loss": 0.012, "unclear": 0.41}[verdict],
        "verdict": verdict,
    }


def _model(
    rng: np.random.Generator,
    name: str,
    label: str,
    auc: float,
    ne: float,
    seconds: float | None,
    cells: list[dict[str, Any]],
) -> dict[str, Any]:
    shift = auc - 0.742
    return {
        "name": name,
        "label": label,
        "macro": {"auc": auc, "gauc": auc - 0.05, "log_loss": 0.274 * ne, "ne": ne, "ece": 0.011, "rmse": 0.97},
        "cells": [
            {
                "scenario": c["scenario"],
                "task": c["task"],
                "value": None if c["value"] is None else c["value"] + shift + float(rng.normal(0, 0.008)),
                "ne": ne,
            }
            for c in cells
        ],
        "seconds": seconds,
    }


def _calibration(rng: np.random.Generator, scenario: str, task: str) -> dict[str, Any]:
    promised = RATES.get(task, 0.1) * np.linspace(0.2, 2.6, 9)
    observed = promised * rng.normal(1, 0.09, 9)
    curve = [
        {"probability": float(p), "observed": float(o), "rows": int(n)}
        for p, o, n in zip(promised, observed, np.linspace(400, 90, 9), strict=True)
    ]
    return {"scenario": scenario, "task": task, "curve": curve}


def _ranking(rng: np.random.Generator, scenario: str, kind: str) -> dict[str, Any]:
    names = ("ndcg@10", "recall@10", "precision@10", "hit@10", "mrr", "coverage@10", "diversity@10")
    task = "purchase" if kind == "goods" else "like"
    told = {"scenario": scenario, "kind": kind, "relevant_task": task, "users": 412}
    return {**told, **{name: float(rng.uniform(0.05, 0.5)) for name in names}, "novelty@10": 8.21}


INPUTS = {"user_id": "user", "age": "user", "price": "item", "counts of item": "counts", "history": "history"}


def _importance(cells: list[dict[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    """The first group of inputs is worth nothing, each next one more; the last cell has one class only."""

    def lost(worth: float) -> dict[str, float]:
        loss = worth + float(rng.normal(0, 0.0005))
        return {"loss": loss, "low": loss - 0.004, "high": loss + 0.004}

    worths = {group: 0.012 * i for i, group in enumerate(INPUTS)}
    told = {"scenario", "task", "metric", "value", "rows"}
    return {
        "rows": 2500,
        "repeats": 1,
        "macro": [
            {"group": group, "of": INPUTS[group], "metric": metric, "cells": 3, **lost(worth)}
            for group, worth in worths.items()
            for metric in ("auc", "relative_rmse")
        ],
        "cells": [
            {key: value for key, value in cell.items() if key in told}
            | {"losses": None if cell["value"] is None else [{"group": g} | lost(w) for g, w in worths.items()]}
            for cell in cells
        ],
    }


def _drift(cells: list[dict[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    """A price that shifted, a new item in ten; counts that grew; the first cell's rate moved."""
    shifts = {"price": (0.41, "large shift"), "item_id": (0.12, "some shift"), "age": (0.01, None)}
    shares = dict.fromkeys(("missing_train", "missing", "unknown_train", "unknown", "new"))
    features = [
        {"feature": name, "of": "item", "psi": psi, "by_chance": 0.004, **shares, "flag": flag}
        for name, (psi, flag) in shifts.items()
    ]
    features[1] |= {"unknown_train": 0.002, "unknown": 0.11, "new": 0.1}
    counts = {"feature": "item: impressions", "of": "counts", "psi": 1.2, "by_chance": 0.003, **shares}
    rates = [
        {"scenario": c["scenario"], "task": c["task"], "train": 0.1, "judged": 0.1 + float(rng.normal(0, 0.002)),
         "p_holm": 1.0, "flag": None}
        for c in cells
    ]  # fmt: skip
    rates[0] |= {"judged": 0.2, "p_holm": 0.0003, "flag": "moved"}
    return {"features": [*features, counts | {"flag": "large shift"}], "cells": rates}


def _data(scenarios: tuple[str, ...], tasks: tuple[str, ...], rng: np.random.Generator) -> dict[str, Any]:
    return {
        "rows": {"train": 48_120, "valid": 6_004, "test": 6_012},
        "users": 2_000,
        "items": 1_500,
        "removed": [
            {
                "rule": "exact duplicates",
                "rows": 214,
                "why": "the same user, item, time and labels twice",
                "effect": "row removed",
            },
            {"rule": "missing keys", "rows": 37, "why": "no user, item or scenario", "effect": "row removed"},
            {"rule": "label out of range", "rows": 3, "why": "stars outside 1 … 5", "effect": "value made missing"},
        ],
        "warnings": ["voice × like has 21 positives in valid: too few to stop early on it"],
        "files": [
            {"path": "market/impressions.parquet", "bytes": 3_412_882, "sha256": "ab" * 32},
            {"path": "market/items.parquet", "bytes": 91_204, "sha256": "cd" * 32},
        ],
        "positives": rng.integers(20, 5000, (len(scenarios), len(tasks))).tolist(),
    }
