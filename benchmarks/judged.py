"""A named data set prepared once, and rankers judged on its valid split: what comparisons of trainings share."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import kuairand, ml100k
from benchmarks.common import Benchmark
from motet import experiment as stages
from motet.batch import Ranker
from motet.data.dataset import Dataset
from motet.data.sources import READERS
from motet.errors import InputError
from motet.evaluate.cells import macro
from motet.evaluate.judge import Judge
from motet.evaluate.plan import Evaluate
from motet.train.score import score_rows

BENCHMARKS: dict[str, Benchmark] = {found.name: found for found in (kuairand.BENCHMARK, ml100k.BENCHMARK)}


@dataclass(frozen=True)
class Judged:
    """Macro AUC and macro ne over a benchmark's cells, calibrated by user-wise cross-fitting."""

    data: Dataset
    benchmark: Benchmark

    def __call__(self, ranker: Ranker) -> dict[str, float]:
        valid = self.data.rows("valid")
        logits_NT = score_rows(ranker, self.data, valid)
        judge, tasks = Judge.of(self.data, Evaluate(split="valid")), self.benchmark.macro_tasks
        cells = judge.cells(judge.calibrated(logits_NT, logits_NT)[None])
        found = macro([cell for cell in cells if cell.metric == "auc" and (tasks is None or cell.task in tasks)])
        return {key: float(found[key] or np.nan) for key in ("auc", "ne")}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which data, and where it lies."""
    parser.add_argument("--data", choices=sorted(BENCHMARKS), default="kuairand")
    parser.add_argument("--folder", type=Path, help="where the data lies; default ../shared/data/NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of a training; 0: one per core")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work"), help="prepared folders")


def prepared(
    args: argparse.Namespace, changes: Mapping[str, Any] | None = None
) -> tuple[stages.Experiment, Judged]:  # fmt: skip
    """The experiment as its reader writes it with those changes, and the data, prepared where it is not yet."""
    name, folder = args.data, args.folder or Path("../shared/data") / args.data
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), fix="name where the data lies with --folder")
    config = args.work / name / "motet.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(READERS[BENCHMARKS[name].reader or name].schema_toml(folder.resolve()), encoding="utf-8")
    experiment = stages.read(config, changes)
    data = stages.prepare(experiment, config.parent, args.work / name / "judged", force=True)
    return experiment, Judged(data, BENCHMARKS[name])


def mean_and_deviation(values: Sequence[float]) -> dict[str, float | None]:
    """Over seeds; the deviation is that of a sample, None with one seed."""
    deviation = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    return {"mean": round(float(np.mean(values)), 4), "std": deviation}


def told(args: argparse.Namespace, judged: Judged) -> dict[str, Any]:
    """What every such comparison says of itself."""
    return {"data": args.data, "split": "valid", "rows": len(judged.data.rows("valid")), "seeds": args.seeds}
