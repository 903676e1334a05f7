"""The embedded market: how far from the base rate to the informed oracle, and whether the planted conflict shows.

python -m benchmarks.market [--size small|medium|large] [--json] [--seeds N] [--final]
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import Benchmark, options, run, show
from motet.data.sources.market import CONFLICT_CELL, TRANSFER_CELLS, Market, write

SIZES = {
    "small": Market(),  # the demo's: 6,000 rows are judged, too few for most verdicts
    "medium": Market(users=6_000, goods=800, content=600, impressions=300_000),
    "large": Market(users=20_000, goods=2_000, content=1_500, impressions=1_000_000),
}
DEFAULT = "medium"


def planted(report: dict[str, Any]) -> dict[str, Any]:
    """What the report shows where transfer and conflict were planted."""
    cells = {(cell["scenario"], cell["task"]): cell for cell in report["cells"]}
    alpha = {(entry["scenario"], entry["task"]): entry["weights"] for entry in report["fusion"]}

    def of(key: tuple[str, str]) -> dict[str, Any]:
        cell = cells[key]
        return {"cell": list(key), "delta": cell["delta"], "verdict": cell["verdict"], "alpha": alpha.get(key)}

    return {"conflict": of(CONFLICT_CELL), "transfer": [of(cell) for cell in TRANSFER_CELLS]}


if __name__ == "__main__":
    parser = options(__doc__, needs_data=False)
    parser.add_argument("--size", choices=SIZES, default=DEFAULT, help="how many impressions, users and items")
    args = parser.parse_args()
    name = "market" if args.size == DEFAULT else f"market-{args.size}"
    folder: Path = args.work / name
    folder.mkdir(parents=True, exist_ok=True)
    found = run(Benchmark(name, None), write(SIZES[args.size], folder), args)
    report = json.loads((folder / "runs" / "default" / "report.json").read_text(encoding="utf-8"))
    shares = {entry["name"]: entry["share"] for entry in report["references"]}
    found |= {
        "market": asdict(SIZES[args.size]),
        "informed_share": shares["informed oracle"],
        "planted": planted(report),
    }
    show(found, args.json)
    if not args.json:
        print(f"share of the way to the informed oracle: {found['informed_share']:.3f}")
        print(f"planted conflict: {found['planted']['conflict']}")
