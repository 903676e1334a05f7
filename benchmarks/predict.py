"""Scoring given rows in bulk: seconds, rows a second and memory of `motet predict`, beside slates of all users.

    python -m benchmarks.predict [--json] [--quick] [--rows N]

A market is generated and the default model trained on it for one epoch. Then each command runs in a process of its own:
`motet predict` of a Parquet file with rows of known users and items at times in and behind the log, and
`motet recommend --users all`.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import motet
from benchmarks.output import options, tell
from motet import runtime
from motet.data.sources.market import Market, write
from motet.train.run import Run

MARKET = {"users": 5_000, "goods": 1_200, "content": 800, "impressions": 200_000}
QUICK = {"users": 800, "goods": 300, "content": 200, "impressions": 25_000}
COLUMNS = ["user_id", "item_id", "surface", "time", "connection", "campaign", "position", "days_listed"]
MEASURED = "import resource, sys; from motet.cli import app; app(sys.argv[1:], standalone_mode=False); " \
           "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)"  # fmt: skip


def trained(folder: Path, sizes: dict[str, int]) -> Run:
    """A run of the default model on a market in that folder."""
    config = write(Market(**sizes), folder)
    changes = {"train.epochs": 1}
    return motet.train(config, folder / "run", prepared=folder / "prepared", changes=changes, force=True)


def rows_of(folder: Path, rows: int) -> Path:
    """Rows of the market's log drawn again, with times from its middle to a tenth behind its end."""
    log, random = pl.read_parquet(folder / "impressions.parquet", columns=COLUMNS), np.random.default_rng(0)
    first, last = (float(log["time"].quantile(share) or 0) for share in (0.5, 1.0))
    times = random.uniform(first, last + (last - first) / 5, rows)
    drawn = log[random.integers(0, len(log), rows)].with_columns(time=pl.Series(times))
    drawn.write_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


def command(*arguments: object) -> dict[str, Any]:
    """What a command prints as JSON, how long its process took, and its peak memory."""
    started = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments), "--json"], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if told.returncode:
        raise SystemExit(told.stdout + told.stderr)
    return {**json.loads(told.stdout), "seconds": round(seconds, 2), "peak_rss_mb": int(told.stderr.split()[-1])}


def run(folder: Path, sizes: dict[str, int], rows: int) -> dict[str, Any]:
    made = trained(folder, sizes)
    scored = command("predict", rows_of(folder, rows), "--run", made.folder, "-o", folder / "scores.parquet", "--force")
    slates = command("recommend", made.folder, "--users", "all", "-o", folder / "slates.parquet", "--force")
    return {
        "benchmark": "predict",
        "market": sizes,
        "history": made.data.layout.history_length,
        "predict": {**scored, "rows_per_second": round(scored["rows"] / scored["seconds"])},
        "recommend": {**slates, "slates_per_second": round(slates["slates"] / slates["seconds"])},
        "machine": runtime.machine(),
    }


def show(found: dict[str, Any]) -> None:
    scored, slates = found["predict"], found["recommend"]
    print(f"{scored['rows']:,} rows scored in {scored['seconds']} s, start included: "
          f"{scored['rows_per_second']:,} rows/s, at most {scored['peak_rss_mb']:,} MB")  # fmt: skip
    print(f"{slates['slates']:,} slates in {slates['seconds']} s: {slates['slates_per_second']:,} slates/s, "
          f"at most {slates['peak_rss_mb']:,} MB")  # fmt: skip


def main() -> None:
    parser = options(__doc__, quick="a small market and fewer rows, in less than a minute")
    parser.add_argument("--rows", type=int, help="default: one million, quick: 100,000")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work/predict"), help="where all is written")
    args = parser.parse_args()
    sizes, rows = (QUICK, 100_000) if args.quick else (MARKET, 1_000_000)
    found = run(args.work / ("quick" if args.quick else "full"), sizes, args.rows or rows)
    tell(found, show, as_json=args.json)


if __name__ == "__main__":
    main()
