"""The usual script with LightGBM beside Motet, on the same frames: quality by cell, seconds, lines.

    python -m benchmarks.from_lightgbm [--json] [--quick]

The code that runs is that of docs/from-lightgbm.md. Both are judged on the last tenth of a market's log, by AUC of
every (scenario, task) cell with enough labels; rows that could not have been liked or bought are left out for both.
"""

import re
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.output import options, tell
from motet import runtime
from motet.data.sources.market import Market, write
from motet.scoring.cell_rows import enough_labels
from motet.scoring.metrics import auc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-lightgbm.md"
QUICK = {"users": 400, "goods": 160, "content": 120, "impressions": 16_000}
OF_KIND = {"cart": "goods", "purchase": "goods", "like": "content"}


def page() -> tuple[dict[str, Any], dict[str, int]]:
    """What the page's code defines, and how many lines each function has."""
    code, names = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S), dict[str, Any]()
    for block in code:
        exec(compile(block, str(PAGE), "exec"), names)
    found = {re.findall(r"^def (\w+)", block, re.M)[0]: block.strip().splitlines() for block in code}
    return names, {name: sum(1 for line in lines if line.strip()) for name, lines in found.items()}


def cells(scores: pd.DataFrame, truth: pd.DataFrame, tasks: dict[str, str]) -> dict[str, float]:
    """AUC of every cell with enough labels."""
    found = {}
    for surface in sorted(truth["surface"].unique()):
        for task, label in tasks.items():
            rows = (truth["surface"] == surface) & truth[label].notna()
            rows &= (truth["kind"] == OF_KIND[task]) if task in OF_KIND else True
            labels = truth.loc[rows, label].to_numpy(np.float64)
            if enough_labels(len(labels), int(labels.sum())):
                found[f"{surface} × {task}"] = round(auc(labels, scores.loc[rows.to_numpy(), task].to_numpy()), 4)
    return found


def run(work: Path, market: Market) -> dict[str, Any]:
    shutil.rmtree(work, ignore_errors=True)
    write(market, work)
    tables = [pd.read_parquet(work / f"{name}.parquet") for name in ("impressions", "users", "items")]
    kept = [name for name in tables[0].columns if not name.startswith(("oracle_", "informed_"))]
    logs, users, items = tables[0][kept], tables[1], tables[2]
    names, lines = page()
    truth = logs.sort_values("time", kind="stable")[len(logs) * 9 // 10 :].merge(
        items[["item_id", "kind"]], on="item_id"
    )
    started = time.perf_counter()
    script = names["with_lightgbm"](logs, users, items)
    between = time.perf_counter()
    ours, _ = names["with_motet"](logs, users, items, str(work / "shop"))
    ended = time.perf_counter()
    labels, named = names["TASKS"], {label: task for task, label in names["TASKS"].items()}
    found = {"script": cells(script, truth, labels), "motet": cells(ours.rename(columns=named), truth, labels)}
    return {
        "benchmark": "from_lightgbm",
        "impressions": len(logs),
        "test_rows": len(truth),
        "macro_auc": {name: round(float(np.mean(list(of.values()))), 4) for name, of in found.items()},
        "cells": found,
        "seconds": {"script": round(between - started, 1), "motet": round(ended - between, 1)},
        "lines": {"script": lines["with_lightgbm"], "motet": lines["with_motet"]},
        "machine": runtime.machine(),
    }


def show(found: dict[str, Any]) -> None:
    for name, auc_of in found["macro_auc"].items():
        print(f"{name:6} macro AUC {auc_of:.4f}, {found['seconds'][name]} s, {found['lines'][name]} lines")
    for cell, value in found["cells"]["script"].items():
        print(f"  {cell:20} {value:.4f} {found['cells']['motet'][cell]:.4f}")


def main() -> None:
    parser = options(__doc__, quick="a quarter of the market")
    parser.add_argument(
        "--work", type=Path, default=Path("benchmarks/.work/from_lightgbm"), help="where all is written"
    )
    args = parser.parse_args()
    found = run(args.work, Market(**QUICK) if args.quick else Market())
    tell(found, show, as_json=args.json)


if __name__ == "__main__":
    main()
