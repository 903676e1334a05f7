"""Serving: milliseconds of a request over HTTP at a fixed rate, and seconds from start to ready.

    python -m benchmarks.serve [--json] [--quick]

A market with three tasks is generated and the default model trained on it for one epoch, with histories of 50 events.
`motet serve` runs in a process of its own on this machine. Requests of known users come at their times whether earlier
ones are answered or not (an open loop), and each is timed from when it should have been sent: who waits for a late
answer waits in the figures. Two sorts: 200 given candidates, and the whole catalogue of a scenario and kind. Events are
told one at a time beside them.
"""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import local
from typing import Any

import numpy as np

import motet
from benchmarks.output import options, tell
from motet import runtime
from motet.data.sources.market import Market, write
from motet.train.run import Run

MARKET = {"users": 4_000, "goods": 6_000, "content": 4_000, "impressions": 300_000}
QUICK = {"users": 800, "goods": 3_000, "content": 2_000, "impressions": 40_000}
TASKS = [
    {"name": "click", "label": "clicked"},
    {"name": "purchase", "label": "bought", "after": "click", "kinds": ["goods"], "delay": "2d"},
    {"name": "like", "label": "liked", "kinds": ["content"]},
]
CHANGES = {"tasks": TASKS, "references": [], "history.length": 50, "train.epochs": 1}
CANDIDATES, PER_SECOND = 200, 10.0
TARGETS = {"p50_ms": 20, "p99_ms": 50, "ready_seconds": 8}  # of given candidates
JSON = {"content-type": "application/json"}


def bundled(folder: Path, sizes: dict[str, int]) -> Run:
    """A run on a market of those sizes, and its bundle beside it."""
    config = write(Market(**sizes), folder)
    run = motet.train(config, folder / "run", prepared=folder / "prepared", changes=CHANGES, force=True)
    motet.export(run, folder / "bundle", force=True)
    return run


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int, float]]:
    """Process and port of a service of that folder's bundle, and the seconds from its start until it was ready."""
    (folder / "events.sqlite").unlink(missing_ok=True)
    words = ["serve", folder / "bundle", "--port", "0", "--events", folder / "events.sqlite", "--json"]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "motet", *map(str, words)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            asked(connection, "GET", "/readyz")
        yield process.pid, port, time.perf_counter() - started
    finally:
        process.terminate()
        process.communicate(timeout=30)


def processor(pid: int) -> float:
    """Milliseconds that a process has computed (Linux): what a request costs whatever else the machine does."""
    told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK") * 1e3


def asked(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Any:
    """The answer, which must be one."""
    connection.request(method, path, body, JSON)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise SystemExit(content.decode())
    return json.loads(content)


def open_loop(port: int, path: str, bodies: list[bytes], per_second: float) -> list[float]:
    """Milliseconds from the time when each request was due to its answer."""
    own, opened, begin = local(), ExitStack(), time.perf_counter() + 0.2

    def send(number: int) -> float:
        due = begin + number / per_second
        if not hasattr(own, "connection"):
            own.connection = opened.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port)))
        time.sleep(max(due - time.perf_counter(), 0))
        asked(own.connection, "POST", path, bodies[number])
        return (time.perf_counter() - due) * 1e3

    with opened, ThreadPoolExecutor(32) as pool:
        return list(pool.map(send, range(len(bodies))))


def requests(run: Run, count: int) -> dict[str, list[bytes]]:
    """Bodies of each sort, of users with long histories."""
    data, random = run.data, np.random.default_rng(0)
    events = np.diff(data.events.offsets)[2:]
    users = data.user_keys(2 + np.argsort(-events, kind="stable")[: len(events) // 4])
    scenario, kind = data.layout.scenarios[0].name, data.layout.kinds[0]
    items = data.item_keys(data.catalogue(0, 0))
    time_ = float(data.end)

    def of(more: Callable[[int], dict[str, Any]]) -> list[bytes]:
        asked = [
            {"user_id": str(random.choice(users)), "scenario": scenario, "kinds": [kind], "n": 10} for _ in range(count)
        ]
        return [json.dumps(one | more(number)).encode() for number, one in enumerate(asked)]

    def event(number: int) -> dict[str, Any]:
        made = {"event_id": f"e{number}", "user_id": str(random.choice(users)), "item_id": str(random.choice(items)),
                "scenario": scenario, "time": time_ + number, "labels": {"click": number % 2}}  # fmt: skip
        return {"events": [made]}

    return {
        "candidates": of(lambda _: {"candidates": random.choice(items, CANDIDATES, replace=False).tolist()}),
        "catalogue": of(lambda _: {}),
        "events": [json.dumps(event(number)).encode() for number in range(count)],
    }


def figures(milliseconds: list[float]) -> dict[str, float]:
    found = np.percentile(milliseconds, [50, 90, 99, 100])
    return dict(zip(("p50_ms", "p90_ms", "p99_ms", "worst_ms"), found.round(2).tolist(), strict=True))


def run(folder: Path, sizes: dict[str, int], seconds: float) -> dict[str, Any]:
    made, count = bundled(folder, sizes), int(seconds * PER_SECOND)
    bodies, found = requests(made, count), dict[str, Any]()
    with serving(folder) as (pid, port, ready):
        for name, some in bodies.items():
            path = "/v1/events" if name == "events" else "/v1/recommend"
            open_loop(port, path, some[:5], PER_SECOND)
            before = processor(pid)
            found[name] = figures(open_loop(port, path, some[5:], PER_SECOND))
            found[name]["processor_ms"] = round((processor(pid) - before) / len(some[5:]), 2)
    size = sum(path.stat().st_size for path in (folder / "bundle").rglob("*") if path.is_file())
    return {
        "benchmark": "serve",
        "market": sizes,
        "history": made.data.layout.history_length,
        "tasks": len(made.data.layout.tasks),
        "given": CANDIDATES,
        "ranked": len(made.data.catalogue(0, 0)),
        "per_second": PER_SECOND,
        "requests": count - 5,
        "ready_seconds": round(ready, 2),
        "bundle_mb": round(size / 1e6, 1),
        **found,
        "targets": TARGETS,
        "machine": runtime.machine(),
    }


def show(found: dict[str, Any]) -> None:
    print(f"ready {found['ready_seconds']} s after the start; a bundle of {found['bundle_mb']} MB")
    sorts = (("candidates", f"{found['given']} given candidates"), ("catalogue", f"all {found['ranked']:,} items"),
             ("events", "one event"))  # fmt: skip
    for name, what in sorts:
        told = found[name]
        print(f"{what}, {found['per_second']:.0f} a second: p50 {told['p50_ms']} ms, p99 {told['p99_ms']} ms, "
              f"worst {told['worst_ms']} ms; {told['processor_ms']} ms of a processor each")  # fmt: skip


def main() -> None:
    parser = options(__doc__, quick="a smaller market and fewer requests, in less than a minute")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work/serve"), help="where all is written")
    args = parser.parse_args()
    sizes, seconds = (QUICK, 10.0) if args.quick else (MARKET, 60.0)
    tell(run(args.work / ("quick" if args.quick else "full"), sizes, seconds), show, as_json=args.json)


if __name__ == "__main__":
    main()
