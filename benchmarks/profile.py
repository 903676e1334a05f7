"""Where the time of a training step of the default model goes, by part of the network, and its share of the limit.

    python -m benchmarks.profile [--json] [--quick] [--picture FILE.svg]

The torch profiler times every operation; a forward operation belongs to the innermost module it runs in, a backward
one to the module of the forward operation whose gradient it computes. The profiler slows small operations, so the
step, and its share of the limit, are timed without it in alternation with the products alone.
"""

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks import limit
from benchmarks.ours import Training, training
from benchmarks.output import options
from benchmarks.workload import Workload
from motet import runtime

PART = "part: "
BACKWARD = "autograd::engine::evaluate_function"
OPENED = ("history", "experts", "fusion")
"""Parts that are shown in pieces."""


@dataclass(slots=True)
class Spent:
    """Seconds and operations of a part in one step."""

    forward: float = 0.0
    backward: float = 0.0
    operations: float = 0.0


def label_parts(made: Training) -> None:
    """Every part of the step runs under its name from now on."""
    network, step = made.step.network, made.step
    parts: dict[str, tuple[Any, str]] = {"network": (network, "forward"), "batch": (made.data, "batch")}
    for name, module in network.named_modules():
        first, _, rest = name.partition(".")
        if name and (not rest or (first in OPENED and "." not in rest.removeprefix("blocks."))):
            parts[name] = (module, "forward")
    parts |= {"losses": (step.losses, "forward"), "train curve": (made.sums, "add")}
    parts |= {"AdamW": (step.dense, "step"), "Adagrad": (step.sparse, "step")}
    for name, (owner, method) in parts.items():
        setattr(owner, method, _labelled(PART + name, getattr(owner, method)))


def _labelled(label: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        with record_function(label):
            return call(*args, **kwargs)

    return called


def spent(run: Callable[[], object], steps: int) -> dict[str, Spent]:
    """What every labelled part takes, the longest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    events = sorted(profiled.events() or (), key=lambda event: event.time_range.start)
    owner: dict[int, str] = {}
    for event in events:
        if event.sequence_nr >= 0 and _within(event, BACKWARD) is None:
            owner[event.sequence_nr] = _part(event)
    parts: dict[str, Spent] = defaultdict(Spent)
    for event in events:
        seconds, backward = event.self_cpu_time_total / 1e6 / steps, _within(event, BACKWARD)
        part = parts[_part(event) if backward is None else owner.get(backward.sequence_nr, "losses")]
        part.operations += event.name.startswith("aten::") / steps
        if backward is None:
            part.forward += seconds
        else:
            part.backward += seconds
    return dict(sorted(parts.items(), key=lambda part: -part[1].forward - part[1].backward))


def _within(event: Any, name: str) -> Any:
    """The event itself or the nearest around it whose name begins so."""
    while event is not None and not event.name.startswith(name):
        event = event.cpu_parent
    return event


def _part(event: Any) -> str:
    found = _within(event, PART)
    return found.name.removeprefix(PART) if found else "the rest"


def share(made: Training, work: Workload, steps: int, rounds: int) -> dict[str, float]:
    """Rows a second of the step and of its products alone, and the median of each round's ratio."""
    rows = np.arange(work.batch * steps) % work.rows
    found = limit.products(lambda: made.run(rows[: work.batch], work.batch))
    made.run(rows, work.batch)
    rates, limits, flops = list[float](), list[float](), 0.0
    for _ in range(rounds):
        started = time.perf_counter()
        made.run(rows, work.batch)
        rates.append(len(rows) / (time.perf_counter() - started))
        told = limit.measure(found, work.batch)
        limits.append(told["rows_per_second"])
        flops = told["flops_per_row"]
    return {
        "rows_per_second": round(statistics.median(rates)),
        "limit": round(statistics.median(limits)),
        "limit_share": round(statistics.median(a / b for a, b in zip(rates, limits, strict=True)), 3),
        "flops_per_row": round(flops),
    }


def picture(parts: dict[str, Spent], title: str) -> str:
    """A bar per part, forward and backward, as SVG."""
    import altair as alt
    import vl_convert

    rows = [
        {"part": name, "way": way, "ms": getattr(part, way) * 1e3}
        for name, part in parts.items()
        for way in ("forward", "backward")
    ]
    chart = alt.Chart(alt.InlineData(rows), title=title, width=520)
    bars = chart.mark_bar().encode(
        x=alt.X("sum(ms):Q", title="milliseconds of a step"),
        y=alt.Y("part:N", title=None, sort=list(parts)),
        color=alt.Color("way:N", title=None, scale=alt.Scale(range=["#b85400", "#0a63ad"])),
    )
    return vl_convert.vegalite_to_svg(bars.to_json())


if __name__ == "__main__":
    parser = options(__doc__, quick="fewer rounds")
    parser.add_argument("--picture", type=Path, help="write the parts as a picture")
    parser.add_argument("--history", type=int, default=50)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    args = parser.parse_args()
    threads = runtime.use_threads(args.threads)
    sizes = {"batch": args.batch, "history": args.history, "ids_per_field": 10_000, "tasks": 3, "scenarios": 3}
    work = Workload(rows=40 * args.batch, threads=threads, preset="motet", **sizes)
    made = training(work)
    result: dict[str, Any] = share(made, work, 4 if args.quick else 10, 5 if args.quick else 9)
    label_parts(made)
    parts = spent(lambda: made.run(np.arange(10 * work.batch), work.batch), 10)
    result |= {
        "parts": [
            {"part": name, "forward_ms": round(part.forward * 1e3, 3), "backward_ms": round(part.backward * 1e3, 3),
             "operations": round(part.operations)}
            for name, part in parts.items()
        ],
        "work": sizes, "threads": threads, "machine": runtime.machine(),
    }  # fmt: skip
    if args.picture:
        args.picture.write_text(picture(parts, f"A step of {args.batch} rows, history {args.history}"), "utf-8")
    if args.json:
        print(json.dumps(result))
    else:
        print(f"{result['rows_per_second']:,} rows/s, {result['limit_share']} of the limit {result['limit']:,}")
        for line in result["parts"]:
            print(f"{line['part']:28} forward {line['forward_ms']:7.2f} ms, backward {line['backward_ms']:7.2f} ms, "
                  f"{line['operations']:4} operations")  # fmt: skip
