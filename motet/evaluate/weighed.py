"""The page's table of inputs: what each group is worth over all cells and in each, the most valuable first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from motet.evaluate import words
from motet.evaluate.matrix import pair
from motet.evaluate.words import Report, finite, part_of, plain, rows_of

MOST_CELLS = 60  # columns of the table
LIGHT = 0.005
"""The table's deepest shade is the largest loss, but at least this one."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One cell of the heat map."""

    loss: float | None
    strength: int  # 0 … 45, percent of the colour
    sure: bool  # the interval lies above zero
    tooltip: str


@dataclass(frozen=True, slots=True)
class Weighed:
    """One group of inputs."""

    name: str
    of: str
    macro: Mapping[str, Report]  # by metric
    shades: tuple[Shade, ...]  # in the order of `Weights.cells`


@dataclass(frozen=True, slots=True)
class Weights:
    """The whole table."""

    cells: tuple[tuple[str, str], ...]
    of_cells: int  # how many there are in all
    metrics: tuple[str, ...]
    groups: tuple[Weighed, ...]


def weights(report: Report) -> Weights | None:
    """Groups × the first MOST_CELLS cells; None where nothing was measured."""
    part = part_of(report, "importance")
    cells, macro = rows_of(part, "cells"), rows_of(part, "macro")
    losses = [{plain(loss.get("group")): loss for loss in rows_of(cell, "losses")} for cell in cells]
    if not any(losses):
        return None
    metrics = tuple(dict.fromkeys(plain(row.get("metric")) for row in macro))
    known = [loss for of_cell in losses for row in of_cell.values() if (loss := finite(row.get("loss"))) is not None]
    by_metric = {(plain(row.get("group")), plain(row.get("metric"))): row for row in macro}
    of = {plain(row.get("group")): plain(row.get("of")) for row in macro}
    shown = list(zip(cells, losses, strict=True))[:MOST_CELLS]
    groups = [
        Weighed(
            name=name,
            of=of.get(name, words.MISSING),
            macro={metric: by_metric.get((name, metric), {}) for metric in metrics},
            shades=tuple(_shade(cell, of_cell.get(name, {}), max([LIGHT, *known])) for cell, of_cell in shown),
        )
        for name in dict.fromkeys(name for of_cell in losses for name in of_cell)
    ]
    in_order = sorted(groups, key=lambda group: -_worth(group, metrics))
    return Weights(tuple(pair(cell) for cell, _ in shown), len(cells), metrics, tuple(in_order))


def macros(report: Report) -> list[tuple[str, Sequence[Report]]]:
    """The entries over all cells, by metric."""
    macro = rows_of(part_of(report, "importance"), "macro")
    metrics = dict.fromkeys(plain(row.get("metric")) for row in macro)
    return [(metric, [row for row in macro if plain(row.get("metric")) == metric]) for metric in metrics]


def _worth(group: Weighed, metrics: Sequence[str]) -> float:
    """The macro loss of the first metric; without any, the mean over the cells."""
    if metrics:
        return finite(group.macro[metrics[0]].get("loss")) or 0.0
    known = [shade.loss for shade in group.shades if shade.loss is not None]
    return sum(known) / len(known) if known else 0.0


def _shade(cell: Report, row: Report, deepest: float) -> Shade:
    loss, low = finite(row.get("loss")), finite(row.get("low"))
    between = words.interval(row.get("low"), row.get("high"), sign=True)
    metric, value = words.metric_label(cell.get("metric")), words.number(cell.get("value"))
    return Shade(
        loss=loss,
        strength=round(45 * min(1.0, max(0.0, loss or 0.0) / deepest)),
        sure=low is not None and low > 0,
        tooltip=f"{metric} {value} loses {words.signed(loss)} {between}; {words.count(cell.get('rows'))} rows",
    )
