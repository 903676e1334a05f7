"""What a training step costs as tables, histories, logs, experts and cells grow, and what size buys in quality.

    python -m benchmarks.scaling [--json] [--quick] [--part cost|quality]

Cost: every point is a process of its own that stays alive; rounds go over all points of an axis in turn, the figures
are medians. The MMoE of `benchmarks.throughput` where tables, rows and experts grow, the preset `motet` where
histories and cells do. Quality: the default model at four sizes on a generated market, the macro `ne` of valid by the
number of dense parameters as ne = a · parameters^-b, least squares on logarithms over sizes and seeds with a 95 %
interval of b.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.output import options
from benchmarks.throughput import Worker
from benchmarks.workload import Workload
from motet import experiment, runtime
from motet.data.sources.market import Market, write
from motet.model.ranker import resolve
from motet.train.loop import Train
from motet.train.run import new_network
from motet.train.stages import train_stages

FIELDS = 20
MMOE: dict[str, Any] = {"batch": 512, "rows": 1 << 16, "ids_per_field": 1_000}
MOTET: dict[str, Any] = {"preset": "motet", "tasks": 3, "scenarios": 3, "history": 20, "ids_per_field": 10_000}
AXES: dict[str, list[tuple[float, dict[str, Any]]]] = {
    "table rows": [(10.0**k, MMOE | {"ids_per_field": 10**k // FIELDS}) for k in (4, 5, 6, 7, 8)],
    "history": [(n, MOTET | {"batch": 64, "rows": 1 << 13, "history": n}) for n in (10, 30, 100, 300, 1000)],
    "rows": [(1 << k, MMOE | {"rows": 1 << k}) for k in (14, 16, 18, 20, 22)],
    "experts": [(n, MMOE | {"experts": n}) for n in (1, 2, 4, 8, 16)],
    "cells": [(n * n, MOTET | {"batch": 512, "rows": 1 << 14, "scenarios": n, "tasks": n}) for n in (1, 2, 4, 8, 16)],
}
QUICK_POINTS = 2
SIZES: dict[str, dict[str, Any]] = {
    "quarter": {"expert_widths": [16, 8], "history_width": 4, "interaction": 8, "cell_rank": 4, "head_width": 4},
    "half": {"expert_widths": [32, 16], "history_width": 8, "interaction": 16, "cell_rank": 8, "head_width": 8},
    "default": {},
    "double": {"expert_widths": [128, 64], "history_width": 32, "interaction": 64, "cell_rank": 32, "head_width": 32},
}


def cost(points: Sequence[tuple[float, dict[str, Any]]], threads: int, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of a step, rows a second, memory, and the step's time relative to the first point's."""
    works = [Workload(threads=threads, **given) for _, given in points]
    workers: list[Worker] = []
    try:
        workers.extend(Worker([sys.executable, "-m", "benchmarks.ours", *work.options()]) for work in works)
        for worker in workers:
            assert worker.version, "a worker died before it was ready"
        steps = [_steps(worker, work) for worker, work in zip(workers, works, strict=True)]
        told = [[worker.ask("run", n)["wall"] for worker, n in zip(workers, steps, strict=True)] for _ in range(rounds)]
        memory = [worker.ask("memory", 0) for worker in workers]
    finally:
        for worker in workers:
            worker.end()
    return [
        {
            "at": at,
            "step_ms": round(1e3 * statistics.median(walls), 3),
            "rows_per_second": round(work.batch / statistics.median(walls)),
            "to_first": round(statistics.median(wall / first[0] for wall, first in zip(walls, told, strict=True)), 3),
            "peak_rss_mb": round(rss),
        }
        for (at, _), work, walls, rss in zip(points, works, zip(*told, strict=True), memory, strict=True)
    ]


def _steps(worker: Worker, work: Workload) -> int:
    """So many that a round takes about half a second."""
    worker.ask("run", 2)
    return max(2, min(int(0.5 / worker.ask("run", 2)["wall"]), work.rows // work.batch))


def quality(market: Market, seeds: int, sizes: Sequence[str], epochs: int) -> dict[str, Any]:
    """Macro `ne` of valid at each size and seed, and the exponent that fits them."""
    with tempfile.TemporaryDirectory() as folder:
        config = write(market, Path(folder))
        data = experiment.prepare(experiment.read(config), Path(folder), Path(folder) / "prepared")
        points = []
        for size in sizes:
            for seed in range(seeds):
                network = new_network(data, resolve(SIZES[size]), seed)
                outcome = train_stages(network, data, Train(seed=seed, threads=1, epochs=epochs))
                dense = sum(parameter.numel() for parameter in network.dense_parameters().values())
                points.append({"size": size, "seed": seed, "dense_parameters": dense, "ne": outcome.macro_ne})
    slope, interval = power_law([p["dense_parameters"] for p in points], [p["ne"] for p in points])
    return {"points": points, "exponent": slope, "interval": interval, "impressions": market.impressions}


def power_law(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """b of values = a · sizes^-b by least squares on logarithms, and its 95 % interval (Student's t)."""
    from scipy import stats

    fit = stats.linregress(np.log(sizes), np.log(values))
    half = float(stats.t.ppf(0.975, len(sizes) - 2) * fit.stderr)
    b = -float(fit.slope)
    return round(b, 5), (round(b - half, 5), round(b + half, 5))


if __name__ == "__main__":
    parser = options(__doc__, quick="two points of an axis, three sizes on a small market")
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument("--part", choices=["cost", "quality"], help="one of the two alone")
    args = parser.parse_args()
    threads, found = runtime.use_threads(args.threads), dict[str, Any]()
    for axis, points in AXES.items() if args.part != "quality" else ():
        found[axis] = cost(points[:QUICK_POINTS] if args.quick else points, threads, 2 if args.quick else 7)
        if not args.json:
            print(axis)
            for point in found[axis]:
                print(f"  {point['at']:>13,.0f}: {point['step_ms']:8.2f} ms, {point['to_first']:6.2f} × the first, "
                      f"{point['rows_per_second']:,} rows/s, {point['peak_rss_mb']:,} MB")  # fmt: skip
    if args.part != "cost":
        market = Market(impressions=6_000, users=300) if args.quick else Market()
        found["quality"] = quality(
            market, *((1, ("quarter", "half", "default"), 2) if args.quick else (3, tuple(SIZES), 6))
        )
    if args.json:
        print(json.dumps({"axes": found, "threads": threads, "machine": runtime.machine()}))
    elif args.part != "cost":
        for point in found["quality"]["points"]:
            print(f"  {point['size']:8} {point['dense_parameters']:9,} dense parameters: macro ne {point['ne']:.4f}")
        print(f"macro ne falls with the number of dense parameters to the power {found['quality']['exponent']} "
              f"{found['quality']['interval']}")  # fmt: skip
