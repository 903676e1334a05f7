"""What every package is timed on: rows of categorical ids with labels, made from one seed, and how a worker is asked.

NumPy alone, because the peers' environment runs this too. Shapes: N rows, F fields, T tasks.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[int], None]
"""Trains that many steps on the first rows of the workload, the package's own loading of data included."""


@dataclass(frozen=True)
class Workload:
    """An MMoE and the rows it is trained on. Id 0 of a field is padding and never drawn."""

    batch: int = 4096
    ids_per_field: int = 1000
    threads: int = 2
    fields: int = 20
    dim: int = 16
    experts: int = 4
    hidden: int = 256
    width: int = 128
    head: int = 64
    tasks: int = 2
    scenarios: int = 1
    history: int = 0
    preset: str = ""  # of ours; empty: the MMoE of the sizes above
    rows: int = 262_144
    seed: int = 0

    def ids(self) -> NDArray[np.int64]:
        """[N, F], uniform: the worst case, hardly an id of a batch repeats where there are many."""
        return np.random.default_rng(self.seed).integers(1, self.ids_per_field, (self.rows, self.fields))

    def labels(self) -> NDArray[np.float32]:
        """[N, T], each 1 with probability 0.3."""
        return (np.random.default_rng(self.seed + 1).random((self.rows, self.tasks)) < 0.3).astype(np.float32)

    def options(self) -> list[str]:
        """As a command line that `of_arguments` reads."""
        return [word for f in fields(self) for word in (f"--{f.name}", str(getattr(self, f.name)))]


def of_arguments(parser: argparse.ArgumentParser) -> tuple[Workload, argparse.Namespace]:
    for f in fields(Workload):
        parser.add_argument(f"--{f.name}", type=type(f.default), default=f.default)
    args = parser.parse_args()
    return Workload(**{f.name: getattr(args, f.name) for f in fields(Workload)}), args


def serve(version: str, make: Callable[[], dict[str, Callable[[int], Any]]]) -> None:
    """Answer "NAME NUMBER" lines of stdin with JSON lines until it ends, once everything is made.

    Whatever else is printed, by packages that are imported too, goes to stderr.
    """
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with redirect_stdout(sys.stderr):
        answers = make()
        answer.write(json.dumps({"version": version}) + "\n")
        for line in sys.stdin:
            name, number = line.split()
            answer.write(json.dumps(answers[name](int(number))) + "\n")


def timed(run: Run) -> Callable[[int], dict[str, float]]:
    """Wall and processor seconds of one step."""

    def answer(steps: int) -> dict[str, float]:
        wall, processor = time.perf_counter(), time.process_time()
        run(steps)
        return {
            "wall": (time.perf_counter() - wall) / steps,
            "processor": (time.process_time() - processor) / steps,
        }

    return answer
