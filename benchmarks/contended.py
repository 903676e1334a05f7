"""What a training step takes alone, and beside other work that keeps every core busy.

    python -m benchmarks.contended [--json] [--rounds N]

Threads of one operation wait for each other. How long they spin before they sleep is `GOMP_SPINCOUNT`, which Motet
sets where nobody else did; `default` is what the library does by itself. All workers are asked in turn, alone and then
beside three endless loops per core.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.output import options
from benchmarks.throughput import Worker
from benchmarks.workload import Workload
from motet import runtime

SPINS = {"default": "", "ours": os.environ["GOMP_SPINCOUNT"], "10000": "10000", "100000": "100000"}
WORK = Workload(batch=512, ids_per_field=100_000)


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Other work meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a step, medians over rounds, and the ratios of each round to the default's."""
    command = [sys.executable, "-m", "benchmarks.ours", *WORK.options()]
    workers = {name: Worker(command, {"GOMP_SPINCOUNT": spins}) for name, spins in SPINS.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in workers}
    try:
        for worker in workers.values():
            worker.ask("run", 3)
        for what, loops, steps in (("alone", 0, 20), ("beside", 3 * runtime.cores(), 4)):
            with busy(loops):
                told = [{name: worker.ask("run", steps)["wall"] for name, worker in workers.items()}
                        for _ in range(rounds)]  # fmt: skip
            for name in workers:
                found[name][f"{what}_ms"] = round(1e3 * statistics.median(walls[name] for walls in told), 2)
                ratio = statistics.median(walls[name] / walls["default"] for walls in told)
                found[name][f"{what}_to_default"] = round(ratio, 3)
    finally:
        for worker in workers.values():
            worker.end()
    return found


if __name__ == "__main__":
    parser = options(__doc__, quick="three rounds")
    parser.add_argument("--rounds", type=int, help="default: 9, quick 3")
    args = parser.parse_args()
    result: dict[str, Any] = {"spins": SPINS, "steps": measure(args.rounds or (3 if args.quick else 9))}
    if args.json:
        print(json.dumps(result | {"machine": runtime.machine()}))
    else:
        for name, figures in result["steps"].items():
            for what in ("alone", "beside"):
                print(
                    f"{name:>8} {what:>6}: {figures[f'{what}_ms']:7.1f} ms, {figures[f'{what}_to_default']} × default"
                )
