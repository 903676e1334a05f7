"""Training steps a second beside other packages and beside the arithmetic limit, all in one run.

    python -m benchmarks.throughput [--json] [--quick] [--rounds N] [--peers FOLDER]

Every package is a process of its own that stays alive; rounds alternate between them, so that whatever else the machine
does meets all of them. Reported are medians over rounds; ratios are medians of each round's ratio. A row is
trained from the packed data to the updated weights: loading, forward, backward, optimizer. `make bench-peers` makes
the environment of the others; without it they are null.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.output import options
from benchmarks.workload import Workload
from motet import runtime

SIZES = ((4096, 1_000), (4096, 100_000), (512, 1_000), (512, 100_000), (512, 1_000_000))
QUICK = ((4096, 1_000), (512, 100_000))
PEERS = ("torch-rechub", "deepctr-torch")
SMALL = 1_000
"""Ids per field of a second worker of ours: what a step costs at the same batch with a small table."""
MAKE = "make bench-peers"
Answers = dict[str, list[Any]]


class Worker:
    """A package that trains when asked; None instead of an answer once it has died, of memory for instance."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
        changed = os.environ | (environment or {})
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, text=True, env=changed)
        self.steps = 1

    @cached_property
    def version(self) -> str | None:
        """The package's, which a worker tells when it is ready; None if it died before."""
        told = self._read()
        return told and told["version"]

    def ask(self, what: str, number: int) -> Any:
        if self.version is None:
            return None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{what} {number}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def measure(work: Workload, peers: Path | None, rounds: int, seconds: float) -> dict[str, Any]:
    """One line of the result: every package at one size of batch and vocabulary."""
    workers: dict[str, Worker] = {}
    try:
        workers["ours"] = Worker([sys.executable, "-m", "benchmarks.ours", *work.options()])
        if work.ids_per_field != SMALL:
            small = replace(work, ids_per_field=SMALL)
            workers["small"] = Worker([sys.executable, "-m", "benchmarks.ours", *small.options()])
        for name in PEERS if peers else ():
            workers[name] = Worker([str(peers), "-m", "benchmarks.peers", name, *work.options()])
        versions = {name: worker.version for name, worker in workers.items()}  # all have started before one is timed
        for worker in workers.values():
            _settle(worker, work, seconds)
        asked: Answers = {name: [] for name in [*workers, "limit"]}
        for _ in range(rounds):
            asked["limit"].append(workers["ours"].ask("limit", 5))
            for name, worker in workers.items():
                asked[name].append(worker.ask("run", worker.steps))
        return summary(work, asked, versions)
    finally:
        for worker in workers.values():
            worker.end()


def _settle(worker: Worker, work: Workload, seconds: float) -> None:
    """Two steps to warm up, then as many a round as fill those seconds."""
    worker.ask("run", 2)
    if (told := worker.ask("run", 2)) is not None:
        worker.steps = max(2, min(int(seconds / told["wall"]), work.rows // work.batch))


def summary(work: Workload, asked: Answers, versions: dict[str, str | None]) -> dict[str, Any]:
    """Rows per second and ratios from what the workers answered, round by round; null where one did not answer."""
    rates = {name: _rates(work, told) for name, told in asked.items() if name != "limit"}
    limits = [told and told["rows_per_second"] for told in asked["limit"]]
    peers = {name: _median(rates.get(name, [])) for name in PEERS}
    best = max((name for name in PEERS if peers[name]), key=lambda name: peers[name] or 0, default=None)
    processor = [told and told["processor"] for told in asked["ours"]]
    share = _ratio(rates["ours"], limits)
    return {
        "batch": work.batch,
        "ids_per_field": work.ids_per_field,
        "ours": _rounded(_median(rates["ours"])),
        "peers": {name: _rounded(value) for name, value in peers.items()},
        "ratio_to_best_peer": _ratio(rates["ours"], rates[best]) if best else None,
        "limit": _rounded(_median(limits)),
        "limit_share": share,
        "step_time_to_small_table": _ratio(rates["small"], rates["ours"]) if "small" in rates else 1.0,
        "processor_ms_per_step": round(1000 * statistics.median(processor), 2) if all(processor) else None,
        "rounds": len(asked["ours"]),
        "versions": {name: version for name, version in versions.items() if name != "small"},
    }


def _rates(work: Workload, told: list[Any]) -> list[float | None]:
    return [answer and work.batch / answer["wall"] for answer in told]


def _median(values: Sequence[float | None]) -> float | None:
    """None as soon as one round is missing."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None


def _ratio(above: Sequence[float | None], below: Sequence[float | None]) -> float | None:
    ratio = _median([a / b if a and b else None for a, b in zip(above, below, strict=True)])
    return None if ratio is None else round(ratio, 3)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def show(line: dict[str, Any]) -> None:
    peers = ", ".join(f"{name} {value and f'{value:,}'}" for name, value in line["peers"].items())
    print(f"{line['batch']} rows, {line['ids_per_field']:,} ids a field: {line['ours']:,} rows/s, "
          f"{line['ratio_to_best_peer']} × the best of {peers}; {line['limit_share']} of the limit {line['limit']:,}; "
          f"a step takes {line['step_time_to_small_table']} × as long as with {SMALL:,} ids")  # fmt: skip


if __name__ == "__main__":
    parser = options(__doc__, quick="three short rounds at two sizes")
    parser.add_argument("--rounds", type=int, help="default: 7, quick 3")
    parser.add_argument("--threads", type=int, default=0, help="of every package; 0: one per core")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), help="their environment")
    args = parser.parse_args()
    threads = runtime.use_threads(args.threads)
    python = args.peers / "bin" / "python"
    peers = python if python.exists() else None
    if peers is None:
        print(f"without peers: {args.peers} is not there; {MAKE}", file=sys.stderr)
    lines = []
    for batch, ids in QUICK if args.quick else SIZES:
        work = Workload(batch=batch, ids_per_field=ids, threads=threads)
        rounds = args.rounds or (3 if args.quick else 7)
        lines.append(measure(work, peers, rounds, 0.3 if args.quick else 1.5))
        if not args.json:
            show(lines[-1])
    if args.json:
        made = None if peers else MAKE
        print(json.dumps({"rows": lines, "threads": threads, "machine": runtime.machine(), "peers_from": made}))
