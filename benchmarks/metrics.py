"""Seconds to measure a matrix of cells: every metric of every cell, and the bootstrap over users.

    python -m benchmarks.metrics [--json] [--quick] [--rows N] [--users N] [--resamples N]

Rows, 3 scenarios × 4 tasks, of users whose activity has a long tail; predictions know the labels with noise. The
table is that of a report, without solo models: AUC, AUC within users, calibration and intervals of each cell.
"""

import time
from typing import Any

import numpy as np

from benchmarks.output import options, tell
from motet import runtime
from motet.evaluate.cells import cell_table
from motet.schema import Task

SCENARIOS = ("desktop", "mobile", "voice")
BASE_RATES = {"click": 0.2, "cart": 0.05, "like": 0.1, "purchase": 0.02}
ACTIVITY = 1.2  # exponent of the users' activity; 1: nobody is more active than another


def table(rows: int, users: int, seed: int = 0) -> dict[str, Any]:
    """The arguments of `cell_table`: labels [N, T] and one seed's predictions [1, N, T] among them."""
    random = np.random.default_rng(seed)
    rates_T = np.array(list(BASE_RATES.values()))
    labels_NT = (random.random((rows, len(rates_T)), np.float32) < rates_T).astype(np.float32)
    logits_NT = labels_NT + random.standard_normal(labels_NT.shape, np.float32) + np.log(rates_T / (1 - rates_T))
    return {
        "scenarios": SCENARIOS,
        "tasks": [Task(name=name, label=name) for name in BASE_RATES],
        "scenario_N": random.integers(0, len(SCENARIOS), rows),
        "user_N": (users * random.random(rows) ** ACTIVITY).astype(np.int64),
        "labels_NT": labels_NT,
        "joint_RNT": (1 / (1 + np.exp(-logits_NT)))[None],
        "base_rates_ST": np.tile(rates_T, (len(SCENARIOS), 1)),
        "positives_valid_ST": np.full((len(SCENARIOS), len(rates_T)), 100),
    }


def run(rows: int, users: int, resamples: int, threads: int) -> dict[str, Any]:
    threads = runtime.use_threads(threads)
    arguments = table(rows, users)
    seconds, cells = {}, []
    for name, times in (("metrics", 0), ("metrics_and_bootstrap", resamples)):
        started = time.perf_counter()
        cells = cell_table(**arguments, resamples=times)
        seconds[name] = round(time.perf_counter() - started, 2)
    return {
        "benchmark": "metrics",
        "rows": rows,
        "users": users,
        "cells": len(cells),
        "resamples": resamples,
        "seconds": seconds,
        "peak_rss_mb": round(runtime.peak_rss_mb()),
        "widest_interval": round(max(cell.high - cell.low for cell in cells), 5),
        "threads": threads,
        "machine": runtime.machine(),
    }


def show(found: dict[str, Any]) -> None:
    seconds = found["seconds"]
    print(f"{found['rows']:,} rows of {found['users']:,} users, {found['cells']} cells, {found['threads']} threads")
    print(f"  metrics alone {seconds['metrics']} s; with {found['resamples']:,} resamples over users "
          f"{seconds['metrics_and_bootstrap']} s; at most {found['peak_rss_mb']:,} MB")  # fmt: skip


def main() -> None:
    parser = options(__doc__, quick="a tenth of the rows and users")
    parser.add_argument("--rows", type=int, help="default: 10 million, quick: one million")
    parser.add_argument("--users", type=int, help="default: 200,000, quick: 20,000")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    args = parser.parse_args()
    rows, users = (1_000_000, 20_000) if args.quick else (10_000_000, 200_000)
    found = run(args.rows or rows, args.users or users, args.resamples, args.threads)
    tell(found, show, as_json=args.json)


if __name__ == "__main__":
    main()
