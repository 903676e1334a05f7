"""A run's `report.json` as one HTML page that works offline, prints well and needs no JavaScript.

Python decides what is said (words, order, positions on a scale), `report.html.jinja` and `report.css` how it looks.
All text is escaped by Jinja, and the page's own policy forbids scripts and any request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from motet.evaluate import plots, words
from motet.evaluate.matrix import Matrix, matrix, pair
from motet.evaluate.ranked import metrics, ranked
from motet.evaluate.sentence import headline, sentence
from motet.evaluate.weighed import macros, weights
from motet.evaluate.words import COMPARED, SIGNS, Report, finite, label_of, part_of, rows_of

__all__ = ["render", "sentence"]

COMPACT_TASKS = 6  # a wider matrix shows value and sign only; the rest stays in the tooltip and the table
COMPACT_CELLS = 80
LOWEST_SCALE = 0.02  # the interval bars' scale reaches at least ±this
Pair = tuple[str, str]
MACROS = ("auc", "gauc", "log_loss", "ne", "ece", "rmse")
LOST = {"auc": "macro AUC lost without it", "relative_rmse": "macro relative RMSE lost without it"}
LOWER_IS_BETTER = {"log_loss", "ne", "ece", "rmse"}


@dataclass(frozen=True, slots=True)
class Tile:
    """One cell of the heat map. Bar positions are percentages of its width, 50 is no difference."""

    cell: Report
    verdict: str | None
    sign: str
    strength: int  # 8 … 42, percent of the verdict's colour
    left: float | None
    width: float
    dot: float
    tooltip: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of the comparison: this run, a control, a baseline, a preset or a reference."""

    label: str
    group: str
    macro: Report
    best: frozenset[str]  # macro metrics in which no other row is better
    seconds: float | None
    values: Mapping[Pair, float | None]
    ahead: int | None  # cells in which it is above this run; None for this run itself
    shared: int  # cells that both have


@dataclass(frozen=True, slots=True)
class Way:
    """How far a model gets from the base rate to one ceiling."""

    ceiling: str
    label: str
    share: float | None
    filled: float  # percent of the bar


def render(report: Report) -> str:
    """The page; lists may be empty and numbers null, which show as –."""
    cells = matrix(rows_of(report, "cells"))
    models = _models(report)
    plotted = [{"label": m.label, "group": m.group, "macro": m.macro} for m in models]
    head = headline(report)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            data=part_of(report, "data"),
            macro=part_of(report, "macro"),
            verdicts=part_of(report, "verdicts"),
            judged=sum(int(finite(n) or 0) for n in part_of(report, "verdicts").values()),
            sentence=sentence(report),
            cells=cells,
            tiles=_tiles(rows_of(report, "cells")),
            compact=len(cells.tasks) > COMPACT_TASKS or len(cells.entries) > COMPACT_CELLS,
            models=models,
            rivals=[m for m in models if m.values and m.group != "this run"],
            comparisons=_charts([plots.comparison(plotted, key, name) for key, name in _compared_metrics(head.key)]),
            ways=_ways(report, models),
            fusion=matrix(rows_of(report, "fusion")),
            voices=_voices(report),
            calibrations=_charts(plots.calibrations(rows_of(report, "calibration"))),
            curves=len(rows_of(report, "calibration")),
            learning=_charts([plots.learning(rows_of(report, "learning"))]),
            ranked=ranked(report),
            ranking_metrics=metrics(report),
            positives=_positives(report, cells),
            importance=part_of(report, "importance"),
            weights=weights(report),
            worth=_charts([plots.importance(rows, LOST[metric]) for metric, rows in macros(report) if metric in LOST]),
            drift=part_of(report, "drift"),
            drifted=_drifted(rows_of(part_of(report, "drift"), "features")),
            dark_css=Markup(plots.dark_css()),
        )
    )


def _drifted(features: Sequence[Report]) -> list[tuple[str, list[Report]]]:
    """Features and history, then the running counts, which grow with the log: a table of each that there is."""
    counts = [row for row in features if row.get("of") == "counts"]
    others = [row for row in features if row.get("of") != "counts"]
    return [(name, rows) for name, rows in (("features", others), ("running counts", counts)) if rows]


def _models(report: Report) -> list[Compared]:
    """This run first, then everything it is compared with, in the report's order."""
    ours = {pair(c): finite(c.get("value")) for c in rows_of(report, "cells")}
    rows: list[tuple[str, str, Report]] = [(words.plain(report.get("preset") or "this run"), "this run", report)]
    for key, group in COMPARED.items():
        rows += [(label_of(m), group, m) for m in rows_of(report, key)]
    trained = [part_of(m, "macro") for _, group, m in rows if group != "reference"]
    best = {metric: _best([finite(macro.get(metric)) for macro in trained], metric) for metric in MACROS}
    return [_compared(label, group, model, ours, best) for label, group, model in rows]


def _compared(
    label: str, group: str, model: Report, ours: Mapping[Pair, float | None], best: Mapping[str, float | None]
) -> Compared:
    macro = part_of(model, "macro")
    values = {pair(c): finite(c.get("value")) for c in rows_of(model, "cells")}
    both = [(value, mine) for key, value in values.items() if value is not None and (mine := ours.get(key)) is not None]
    seconds = part_of(model, "training").get("seconds") if group == "this run" else model.get("seconds")
    return Compared(
        label=label,
        group=group,
        macro=macro,
        best=frozenset(
            m for m, top in best.items() if group != "reference" and finite(macro.get(m)) == top is not None
        ),
        seconds=finite(seconds),
        values=values,
        ahead=None if group == "this run" else sum(value > mine for value, mine in both),
        shared=len(both),
    )


def _best(values: Sequence[float | None], metric: str) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return min(known) if metric in LOWER_IS_BETTER else max(known)


def _compared_metrics(key: str) -> list[tuple[str, str]]:
    names = {"auc": "macro AUC (right is better)", "rmse": "macro RMSE (left is better)"}
    return [(key, names[key]), ("ne", "macro NE (left is better)")]


def _tiles(cells: Sequence[Report]) -> dict[int, Tile]:
    """A tile for each cell, by the cell's identity; all bars share one scale, so that they can be compared."""
    deltas = [abs(d) for c in cells if (d := finite(c.get("delta"))) is not None]
    reach = max(LOWEST_SCALE, 1.4 * max(deltas, default=0.0))
    return {id(cell): _tile(cell, reach) for cell in cells}


def _tile(cell: Report, reach: float) -> Tile:
    verdict = cell.get("verdict") if cell.get("verdict") in SIGNS else None
    delta, low, high = (finite(cell.get(k)) for k in ("delta", "delta_low", "delta_high"))

    def place(x: float) -> float:
        return round(50 + 50 * min(1.0, max(-1.0, x / reach)), 1)

    bar = None if delta is None or low is None or high is None else (place(low), place(high))
    return Tile(
        cell=cell,
        verdict=verdict,
        sign=SIGNS.get(verdict or "", ""),
        strength=round(12 + 30 * min(1.0, abs(delta or 0.0) / reach)),
        left=bar[0] if bar else None,
        width=round(bar[1] - bar[0], 1) if bar else 0.0,
        dot=place(delta or 0.0),
        tooltip=_tooltip(cell, verdict),
    )


def _tooltip(cell: Report, verdict: str | None) -> str:
    value, low, high, solo, delta = (cell.get(key) for key in ("value", "low", "high", "solo", "delta"))
    rows, users, positives = (words.count(cell.get(key)) for key in ("rows", "users", "positives"))
    between = words.interval(cell.get("delta_low"), cell.get("delta_high"), sign=True)
    metric = words.metric_label(cell.get("metric"))
    parts = [
        f"{words.plain(cell.get('scenario'))} × {words.plain(cell.get('task'))}",
        f"{metric} {words.number(value)} {words.interval(low, high)}; solo {words.number(solo)}",
        f"Δ {words.signed(delta)} {between}, p (Holm) {words.probability(cell.get('p_holm'))}",
        f"{rows} rows, {users} users, {positives} positives",
        f"{verdict}: {words.VERDICT_MEANINGS[verdict]}" if verdict else "no verdict: there is no solo model",
    ]
    return "\n".join(parts)


def _ways(report: Report, models: Sequence[Compared]) -> list[Way]:
    """For each ceiling this run's share as reported, and by the same formula the controls' and best baseline's."""
    ways = []
    for ceiling in (r for r in rows_of(report, "references") if r.get("ceiling")):
        name, top = label_of(ceiling), finite(part_of(ceiling, "macro").get("ne"))
        ways.append(_way(name, models[0].label, finite(ceiling.get("share"))))
        baselines = [m for m in models if m.group == "baseline" and finite(m.macro.get("ne")) is not None]
        others = [m for m in models if m.group == "control"] + sorted(baselines, key=lambda m: float(m.macro["ne"]))[:1]
        if top is not None and top < 1:
            known = [(m.label, ne) for m in others if (ne := finite(m.macro.get("ne"))) is not None]
            ways += [_way(name, label, (1 - ne) / (1 - top)) for label, ne in known]
    return ways


def _way(ceiling: str, label: str, share: float | None) -> Way:
    return Way(ceiling=ceiling, label=label, share=share, filled=round(100 * min(1.0, max(0.0, share or 0.0)), 1))


def _voices(report: Report) -> list[str]:
    """The voices' names in order of first appearance."""
    return list(dict.fromkeys(voice for row in rows_of(report, "fusion") for voice in part_of(row, "weights")))


def _positives(report: Report, cells: Matrix) -> list[tuple[str, list[Any]]]:
    """The train split's positives by scenario and task, where their order is beyond doubt; else nothing."""
    counts = part_of(report, "data").get("positives") or []
    fits = len(counts) == len(cells.scenarios) and all(len(row) == len(cells.tasks) for row in counts)
    return list(zip(cells.scenarios, counts, strict=True)) if fits and cells.complete else []


def _charts(drawn: Sequence[str]) -> list[Markup]:
    """SVG made by vl-convert, which escapes every text in it."""
    return [Markup(svg) for svg in drawn if svg]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (
        words.number,
        words.signed,
        words.count,
        words.percent,
        words.probability,
        words.duration,
        words.size,
        words.plain,
        words.metric_label,
    ):
        environment.filters[write.__name__] = write
    environment.globals.update(
        interval=words.interval,
        label_of=label_of,
        tile_key=id,
        signs=SIGNS,
        meanings=words.VERDICT_MEANINGS,
        glossary=words.GLOSSARY,
        macros=MACROS,
        colours=plots.GROUPS,
        finite=finite,
    )
    return environment
