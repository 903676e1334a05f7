"""The report in a terminal: the matrix of cells and the comparison as rich tables; signs carry what colour shows.

Names are printed as text, never as markup; where there is no terminal rich leaves the colours out and the signs remain.
"""

from rich import box
from rich.table import Table
from rich.text import Text

from motet.evaluate.matrix import matrix
from motet.evaluate.ranked import ranked
from motet.evaluate.sentence import headline
from motet.evaluate.words import (
    COMPARED,
    SIGNS,
    VERDICT_MEANINGS,
    Report,
    count,
    duration,
    finite,
    interval,
    label_of,
    metric_label,
    number,
    part_of,
    plain,
    rows_of,
    signed,
)

STYLES: dict[str, str] = {"gain": "bold blue", "loss": "bold dark_orange", "tie": "", "unclear": "dim"}
WIDE = 5  # more tasks than this leave the intervals to the page
RANKING = ("hit@10", "ndcg@10", "mrr", "coverage@10")
MACROS = ("auc", "gauc", "ne", "ece", "rmse")


def cells_table(report: Report) -> Table:
    """Scenarios × tasks: value, verdict's sign, interval and Δ to the solo model; a wide table only the first two."""
    cells = matrix(rows_of(report, "cells"))
    table = Table(box=box.SIMPLE_HEAD, title_justify="left", caption_justify="left", caption=_caption(report))
    table.add_column("scenario", style="bold")
    for task in cells.tasks:
        table.add_column(Text(plain(task)), justify="left")
    brief = len(cells.tasks) > WIDE
    for scenario in cells.scenarios:
        entries = [_entries(cells.at(scenario, task), brief=brief) for task in cells.tasks]
        table.add_row(Text(plain(scenario)), *entries)
    return table


def legend(report: Report) -> str:
    """How to read the matrix: what stands in a cell, and what the verdicts that occur mean."""
    verdicts = part_of(report, "verdicts")
    meanings = [f"{SIGNS[name]} {VERDICT_MEANINGS[name]}" for name in SIGNS if verdicts.get(name)]
    if not meanings:
        return ""
    return (
        "In each cell: the held-out AUC (or the metric named there) with its 95 % interval; Δ: how far it stands "
        f"above a model trained for that cell alone. {'; '.join(meanings)}."
    )


def baselines_table(report: Report) -> Table:
    """This run, controls, baselines, presets and references by macro averages, best first within each group."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model")
    table.add_column("group", style="dim")
    for metric in MACROS:
        table.add_column(metric_label(metric), justify="right")
    table.add_column("time", justify="right")
    head = headline(report)
    seconds = part_of(report, "training").get("seconds")
    _add_model(table, plain(report.get("preset") or "this run"), "this run", report, seconds)
    for key, group in COMPARED.items():
        known = [(head.of(m), m) for m in rows_of(report, key)]
        for _, model in sorted(known, key=lambda pair: (pair[0] is None, -head.sign * (pair[0] or 0.0))):
            _add_model(table, label_of(model), group, model, model.get("seconds"))
    return table


def ranking_table(report: Report) -> Table:
    """Where there are no cells: each scenario's slates, this run's and the baselines'."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("scenario", "model"):
        table.add_column(name, style="bold" if name == "scenario" else "")
    for name in (*RANKING, "users"):
        table.add_column(metric_label(name), justify="right")
    for group in ranked(report):
        for place, model in enumerate(group.models):
            where = "mean" if group.entry is None else plain(group.entry.get("scenario"))
            figures = [number(model.figures.get(name), 4) for name in RANKING]
            users = "" if group.entry is None or not model.ours else count(group.entry.get("users"))
            style = "bold" if model.ours else ""
            table.add_row(Text(where if place == 0 else ""), Text(model.label), *figures, users, style=style)
    return table


def _add_model(table: Table, label: str, group: str, model: Report, seconds: object) -> None:
    macro = part_of(model, "macro")
    style = "bold" if group == "this run" else ""
    table.add_row(Text(label), group, *(number(macro.get(metric)) for metric in MACROS), duration(seconds), style=style)


def _entries(found: list[Report], *, brief: bool) -> Text:
    if not found:
        return Text("·", style="dim")
    return Text("\n").join(_entry(cell, brief=brief) for cell in found)


def _entry(cell: Report, *, brief: bool) -> Text:
    verdict = str(cell.get("verdict"))
    text = Text(f"{number(cell.get('value'))} {SIGNS.get(verdict, '')}".rstrip(), style=STYLES.get(verdict, ""))
    if brief:
        return text
    if cell.get("metric") not in {"auc", None}:
        text.append(f" {metric_label(cell.get('metric'))}", style="dim")
    text.append(f"\n{interval(cell.get('low'), cell.get('high'))}", style="dim")
    if finite(cell.get("delta")) is not None:
        text.append(f"\nΔ {signed(cell.get('delta'))}")
    return text


def _caption(report: Report) -> Text:
    verdicts = part_of(report, "verdicts")
    if not any(finite(n) for n in verdicts.values()):
        return Text("no solo models, so no verdicts")
    told = "   ".join(f"{SIGNS[name]} {name} {count(verdicts.get(name))}" for name in SIGNS)
    return Text(told + ("   one seed: training noise is not covered" if report.get("seeds") == 1 else ""))
