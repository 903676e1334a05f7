"""Embedding tables held as fp32, fp16 and int8: their memory, the speed of lookups, and the loss of AUC.

python -m benchmarks.memory [--json] [--quick] [--rows N] [--rounds N]

A network whose table has N rows of width 16 is written once. For each form a process of its own opens it as
`motet recommend` does, scores a batch and tells its resident memory; the processes stay alive and take turns looking
up random ids, and ratios are medians of each round's ratio. AUC is lost where a trained market is judged on its test
split with the table held in each form.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ours import Memory, model_of
from benchmarks.output import options, tell
from benchmarks.throughput import Worker
from benchmarks.workload import Workload, serve
from motet import runtime
from motet.model.held import FORMS, HeldTable
from motet.model.kinds import build
from motet.model.ranker import resolve
from motet.train.weights import read_network, write_weights
from motet.version import VERSION

IDS = 81_920  # of a lookup: 4,096 candidates with 20 ids each
QUICK = {"users": 800, "goods": 300, "content": 200, "impressions": 25_000}
MB = 1e6


def work_of(rows: int) -> Workload:
    """The batch that is scored; its fields share the rows of the table."""
    return Workload(ids_per_field=rows // Workload.fields, rows=4096, threads=1)


def write(folder: Path, rows: int) -> None:
    """A network with new weights, as a run keeps it."""
    work = work_of(rows)
    data, model = Memory(work), resolve(model_of(work))
    write_weights(folder, build(data.layout, data.counts_V, model))


def answers(folder: Path, rows: int, form: str) -> dict[str, Callable[[int], Any]]:
    """What the process of one form is asked: its memory, and seconds per lookup."""
    work = work_of(rows)
    data, model = Memory(work), resolve(model_of(work))
    counts_V, data.counts_V = data.counts_V.to("meta"), torch.zeros(0)
    torch.set_num_threads(work.threads)
    network = read_network(folder, data.layout, counts_V, model, form)
    network.score(data.batch(np.arange(work.rows)))
    table = network.inputs.table
    assert isinstance(table, HeldTable)
    memory = {
        "table_mb": round(table.bytes / MB, 1),
        "resident_mb": resident_mb("VmRSS"),
        "peak_mb": resident_mb("VmHWM"),
    }
    asked = torch.from_numpy(np.random.default_rng(0).integers(1, data.layout.table_rows, (50, IDS), np.int32))

    @torch.inference_mode()
    def lookups(times: int) -> float:
        started = time.perf_counter()
        for number in range(times):
            table([asked[number % len(asked)]])
        return (time.perf_counter() - started) / times

    return {"memory": lambda _: memory, "lookups": lookups}


def resident_mb(what: str) -> float | None:
    """What the process has in memory now (VmRSS), or has had at most (VmHWM); None where Linux does not tell it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(what))
    return round(int(line.split()[1]) * 1024 / MB, 1)


def measured(folder: Path, rows: int, rounds: int, times: int) -> dict[str, dict[str, Any]]:
    """Memory and speed of each form."""
    options = ["--work", str(folder), "--rows", str(rows)]
    workers: dict[str, Worker] = {}
    try:
        for form in FORMS:
            workers[form] = Worker([sys.executable, "-m", "benchmarks.memory", "--step", form, *options])
        found = {form: dict(worker.ask("memory", 0)) for form, worker in workers.items()}
        for worker in workers.values():
            worker.ask("lookups", times)
        seconds = {form: list[float]() for form in FORMS}
        for _ in range(rounds):
            for form, worker in workers.items():
                seconds[form].append(worker.ask("lookups", times))
    finally:
        for worker in workers.values():
            worker.end()
    for form, taken in seconds.items():
        ratios = [exact / own for exact, own in zip(seconds["fp32"], taken, strict=True)]
        found[form] |= {
            "bytes_per_row": round(found[form]["table_mb"] * MB / rows, 1),
            "table_to_fp32": round(found[form]["table_mb"] / found["fp32"]["table_mb"], 3),
            "lookups_per_second": round(IDS / statistics.median(taken)),
            "lookups_to_fp32": round(statistics.median(ratios), 2),
        }
    return found


def trained(folder: Path, sizes: dict[str, int] | None) -> Path:
    """A run on a generated market; None: the medium one of `benchmarks.market`."""
    from benchmarks.market import DEFAULT, SIZES
    from motet import experiment as stages
    from motet.data.sources.market import Market, write

    config = write(SIZES[DEFAULT] if sizes is None else Market(**sizes), folder)
    experiment = stages.read(config, {} if sizes is None else {"train.epochs": 2, "train.threads": 1})
    data = stages.prepare(experiment, config.parent, folder / "prepared", force=True)
    return stages.train(experiment, data, folder / "run", force=True).folder


def losses(run: Path) -> dict[str, dict[str, Any]]:
    """By how much AUC on test falls in each form, over the cells with enough labels; negative: it rises."""
    aucs = {form: cell_aucs(run, form) for form in FORMS}
    found = {}
    for form, of_cells in aucs.items():
        lost = {cell: aucs["fp32"][cell] - auc for cell, auc in of_cells.items()}
        found[form] = {
            "macro_auc": round(statistics.mean(of_cells.values()), 6),
            "macro_loss": round(statistics.mean(lost.values()), 6),
            "largest_loss": round(max(lost.values()), 6),
            "mean_change": round(statistics.mean(map(abs, lost.values())), 6),
            "cells": {cell: round(loss, 6) for cell, loss in lost.items()},
        }
    return found


def cell_aucs(folder: Path, form: str) -> dict[str, float]:
    """AUC of every binary cell with enough labels in test, the table held in that form."""
    from motet.scoring import metrics
    from motet.scoring.cell_rows import enough_labels
    from motet.train.run import load_run
    from motet.train.score import score_rows

    run = load_run(folder, form)
    data, layout = run.data, run.data.layout
    rows = data.rows("test")
    logits_NT, labels_NT, scenario_N = score_rows(run.network, data, rows), data.labels(rows), data.scenarios(rows)
    found = {}
    for s, scenario in enumerate(layout.scenarios):
        for t, task in enumerate(layout.tasks):
            cell_N = (scenario_N == s) & ~np.isnan(labels_NT[:, t])
            positives = int(labels_NT[cell_N, t].sum()) if task.form == "binary" else 0
            if enough_labels(int(cell_N.sum()), positives):
                name = f"{scenario.name} × {task.name}"
                found[name] = metrics.auc(labels_NT[cell_N, t], logits_NT[cell_N, t])
    return found


def run(folder: Path, rows: int, rounds: int, *, quick: bool) -> dict[str, Any]:
    table = folder / f"table-{rows}"
    write(table, rows)
    forms = measured(table, rows, rounds, times=20 if quick else 100)
    (table / "model.safetensors").unlink()
    lost = losses(trained(folder / ("market-quick" if quick else "market"), QUICK if quick else None))
    return {
        "benchmark": "memory",
        "rows": rows,
        "dim": Workload.dim,
        "forms": {form: found | lost[form] for form, found in forms.items()},
        "rounds": rounds,
        "machine": runtime.machine(),
    }


def show(found: dict[str, Any]) -> None:
    print(f"{found['rows']:,} rows of width {found['dim']}")
    for form, of in found["forms"].items():
        rate = f"{of['lookups_per_second'] / 1e6:.1f} M lookups/s ({of['lookups_to_fp32']} × fp32)"
        lost = f"{of['macro_loss']:.6f} of macro AUC lost, {of['largest_loss']:.6f} in the worst cell"
        size = f"table {of['table_mb']:,.0f} MB ({of['table_to_fp32']} of fp32), process {of['resident_mb']:,} MB"
        print(f"  {form}: {size}, {rate}, {lost} (mean change {of['mean_change']:.6f})")


def main() -> None:
    parser = options(__doc__, quick="a small table and a small market, in less than a minute")
    parser.add_argument("--rows", type=int, help="of the table; default: 20 million, quick: 2 million")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work/memory"), help="where it is written")
    parser.add_argument("--step", choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    rows = args.rows or (2_000_000 if args.quick else 20_000_000)
    if args.step:
        serve(VERSION, lambda: answers(args.work, rows, args.step))
        return
    found = run(args.work, rows, args.rounds, quick=args.quick)
    tell(found, show, as_json=args.json)


if __name__ == "__main__":
    main()
