"""Several runs side by side: macro averages and each cell, every number beside its distance to the first run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from motet.errors import InputError
from motet.evaluate.matrix import pair
from motet.evaluate.words import SIGNS, Report, finite, metric_label, number, part_of, plain, rows_of, signed

MACROS = ("auc", "gauc", "log_loss", "ne", "ece", "rmse")


def compare(reports: Sequence[Report]) -> dict[str, Any]:
    """`{"runs", "notes", "macro": {metric: [per run]}, "verdicts": [per run], "cells": [{scenario, task, metric, …}]}`.

    Runs stand in the order given. A cell has `values`, `differences` (to the first run, positive where better) and
    `verdicts`, each per run and null where a run lacks the cell. `notes` says why numbers may not be comparable.
    """
    if len(reports) < 2:
        raise InputError("one run has nothing to stand beside", where="--compare", fix="name at least two runs")
    keys = dict.fromkeys(pair(cell) for report in reports for cell in rows_of(report, "cells"))
    return {
        "runs": _names(reports),
        "notes": _notes(reports),
        "macro": {metric: [finite(part_of(r, "macro").get(metric)) for r in reports] for metric in MACROS},
        "verdicts": [dict(part_of(r, "verdicts")) for r in reports],
        "cells": [_cell(key, [_find(report, key) for report in reports]) for key in keys],
    }


def read_reports(folders: Sequence[Path]) -> list[Report]:
    """The reports of evaluated runs."""
    reports = []
    for folder in folders:
        path, fix = folder / "report.json", f"motet evaluate {folder}"
        if not path.exists():
            raise InputError("this run has not been evaluated", where=str(folder), fix=fix)
        try:
            reports.append(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise InputError(f"this report cannot be read: {error}", where=str(path), fix=fix) from None
    return reports


def macro_table(comparison: Mapping[str, Any]) -> Table:
    """Runs × macro metrics, and how many cells gained, tied, lost or are unclear."""
    table = Table(box=box.SIMPLE_HEAD, caption="\n".join(comparison["notes"]) or None, caption_justify="left")
    table.add_column("run", style="bold")
    for metric in MACROS:
        table.add_column(metric_label(metric), justify="right")
    for name, sign in SIGNS.items():
        table.add_column(f"{sign} {name}", justify="right")
    for i, run in enumerate(comparison["runs"]):
        verdicts = comparison["verdicts"][i]
        macro = [number(comparison["macro"][metric][i]) for metric in MACROS]
        table.add_row(Text(run), *macro, *(number(verdicts.get(name), 0) for name in SIGNS))
    return table


def cells_table(comparison: Mapping[str, Any]) -> Table:
    """Cells × runs: value, the verdict's sign, and the difference to the first run."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("scenario")
    table.add_column("task")
    table.add_column("metric", style="dim")
    for run in comparison["runs"]:
        table.add_column(Text(run), justify="right")
    for cell in comparison["cells"]:
        entries = [
            _entry(value, difference, verdict)
            for value, difference, verdict in zip(cell["values"], cell["differences"], cell["verdicts"], strict=True)
        ]
        table.add_row(Text(plain(cell["scenario"])), Text(plain(cell["task"])), metric_label(cell["metric"]), *entries)
    return table


def _entry(value: float | None, difference: float | None, verdict: str | None) -> Text:
    text = Text(f"{number(value)} {SIGNS.get(verdict or '', ' ')}")
    return text if difference is None else text.append(f" ({signed(difference)})", style="dim")


def _cell(key: tuple[str, str], found: Sequence[Report | None]) -> dict[str, Any]:
    metrics = [cell.get("metric") for cell in found if cell]
    same = len(set(metrics)) == 1
    values = [finite(cell.get("value")) if cell else None for cell in found]
    first = values[0] if same else None
    return {
        "scenario": key[0],
        "task": key[1],
        "metric": metrics[0] if same else None,
        "values": values,
        "differences": [None, *(None if v is None or first is None else v - first for v in values[1:])],
        "verdicts": [cell.get("verdict") if cell else None for cell in found],
    }


def _find(report: Report, key: tuple[str, str]) -> Report | None:
    return next((cell for cell in rows_of(report, "cells") if pair(cell) == key), None)


def _names(reports: Sequence[Report]) -> list[str]:
    """The runs' names; equal ones are told apart by their place."""
    names = [plain(report.get("run")) for report in reports]
    return [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names, start=1)]


def _notes(reports: Sequence[Report]) -> list[str]:
    notes = []
    for what, values in (
        ("splits", [report.get("split") for report in reports]),
        ("numbers of rows", [report.get("rows") for report in reports]),
        ("numbers of seeds", [report.get("seeds") for report in reports]),
    ):
        if len(set(values)) > 1:
            notes.append(f"different {what}: {', '.join(plain(value) for value in values)}")
    if len({_sources(report) for report in reports}) > 1:
        notes.append("made from different source files")
    return notes


def _sources(report: Report) -> frozenset[str]:
    return frozenset(str(file.get("sha256")) for file in rows_of(part_of(report, "data"), "files"))
