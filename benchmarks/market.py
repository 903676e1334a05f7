"""The embedded market: how far from the base rate to the informed oracle, and whether the planted conflict shows.

python -m benchmarks.market [--json] [--seeds N] [--final]
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.common import Benchmark, arguments, run, show
from motet.data.sources.market import CONFLICT_CELL, TRANSFER_CELLS, Market, write

BENCHMARK = Benchmark("market", None)


def planted(report: dict[str, Any]) -> dict[str, Any]:
    """What the report shows where transfer and conflict were planted."""
    cells = {(cell["scenario"], cell["task"]): cell for cell in report["cells"]}
    alpha = {(entry["scenario"], entry["task"]): entry["weights"] for entry in report["fusion"]}

    def of(key: tuple[str, str]) -> dict[str, Any]:
        cell = cells[key]
        return {"cell": list(key), "delta": cell["delta"], "verdict": cell["verdict"], "alpha": alpha.get(key)}

    return {"conflict": of(CONFLICT_CELL), "transfer": [of(cell) for cell in TRANSFER_CELLS]}


if __name__ == "__main__":
    args = arguments(__doc__, needs_data=False)
    folder: Path = args.work / "market"
    folder.mkdir(parents=True, exist_ok=True)
    found = run(BENCHMARK, write(Market(), folder), args)
    report = json.loads((folder / "runs" / "default" / "report.json").read_text(encoding="utf-8"))
    shares = {entry["name"]: entry["share"] for entry in report["references"]}
    found |= {"informed_share": shares["informed oracle"], "planted": planted(report)}
    show(found, args.json)
    if not args.json:
        print(f"share of the way to the informed oracle: {found['informed_share']:.3f}")
        print(f"planted conflict: {found['planted']['conflict']}")
