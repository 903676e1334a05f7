"""One benchmark: prepare, train, evaluate with all controls and baselines, and print one JSON object.

Valid is judged unless `--final` is given; test is touched once, at the end.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet import experiment as stages
from motet.data.sources import READERS
from motet.model.presets import presets
from motet.scoring.cell_rows import enough_labels
from motet.settings import changes_of
from motet.terminal import steps

COMPARED_ANYWAY = ("motet", "pooled")


@dataclass(frozen=True)
class Benchmark:
    """A data set and which of its tasks the macro is over."""

    name: str
    reader: str | None
    macro_tasks: tuple[str, ...] | None = None  # None: all


def options(what: str, *, needs_data: bool = True) -> argparse.ArgumentParser:
    """What every benchmark may be told."""
    parser = argparse.ArgumentParser(description=what)
    if needs_data:
        parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--final", action="store_true", help="judge on test instead of valid")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work"), help="prepared folders, runs and caches")
    parser.add_argument("--presets", nargs="*", default=[p for p in presets() if p not in COMPARED_ANYWAY])
    parser.add_argument("--set", action="append", default=[], dest="changes", help="override one key of motet.toml")
    return parser


def run(benchmark: Benchmark, config: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Everything measured, with the wall time of the evaluation beside it."""
    work = args.work / benchmark.name
    experiment = stages.read(config, changes_of(args.changes))
    experiment = stages.with_evaluate(
        experiment, seeds=args.seeds, split="test" if args.final else "valid", presets=tuple(args.presets)
    )
    with steps() as say:
        data = stages.prepare(experiment, config.parent, work / "prepared", progress=say, force=True)
        run_folder = work / "runs" / "default"
        trained = stages.train(experiment, data, run_folder, force=True, progress=say.training)
        started = time.monotonic()
        report = stages.evaluate(trained, experiment, say=say)
    return summary(report, benchmark, time.monotonic() - started)


def summary(report: dict[str, Any], benchmark: Benchmark, seconds: float) -> dict[str, Any]:
    """The figures of a report, macro over the benchmark's tasks."""
    wanted, groups = benchmark.macro_tasks, ("baselines", "controls", "presets")

    def macro_of(group: str, key: str) -> dict[str, float | None]:
        return {entry["name"]: _mean(entry["cells"], key, wanted, like=report) for entry in report[group]}

    return {
        "benchmark": benchmark.name,
        "split": report["split"],
        "seeds": report["seeds"],
        "rows": report["rows"],
        "macro_auc": _mean(report["cells"], "value", wanted),
        "macro_ne": _mean(report["cells"], "ne", wanted),
        **{group: macro_of(group, "value") for group in groups},
        **{f"{group}_ne": macro_of(group, "ne") for group in groups},
        "verdicts": report["verdicts"],
        "ranking": report["ranking"],
        "cells": report["cells"],
        "training": report["training"],
        "machine": report["machine"],
        "seconds": round(seconds, 1),
    }


def _mean(cells: list[dict[str, Any]], key: str, tasks: tuple[str, ...] | None, like: Any = None) -> float | None:
    """Mean over the binary cells with enough labels, of the chosen tasks; `like` says which cells count."""
    counted = {
        (cell["scenario"], cell["task"])
        for cell in (like["cells"] if like else cells)
        if cell["metric"] == "auc"
        and enough_labels(cell["rows"], cell["positives"])
        and (tasks is None or cell["task"] in tasks)
    }
    values = [cell[key] for cell in cells if (cell["scenario"], cell["task"]) in counted and cell[key] is not None]
    return round(sum(values) / len(values), 4) if values else None


def write_config(benchmark: Benchmark, args: argparse.Namespace) -> Path:
    """The named reader's motet.toml, in the work folder."""
    assert benchmark.reader is not None
    config: Path = args.work / benchmark.name / "motet.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(READERS[benchmark.reader].schema_toml(args.data.resolve()), encoding="utf-8")
    return config


def show(found: dict[str, Any], as_json: bool) -> None:
    """One JSON object, or the comparison as lines."""
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        return
    print(f"{found['benchmark']}, {found['split']}, {found['seeds']} seeds: macro AUC {found['macro_auc']}, "
          f"macro ne {found['macro_ne']}, verdicts {found['verdicts']}, {found['seconds']} s")  # fmt: skip
    others = found["baselines"] | found["controls"] | found["presets"]
    for name, value in sorted(others.items(), key=lambda pair: -(pair[1] or 0)):
        print(f"  {name:<24} {value}")
