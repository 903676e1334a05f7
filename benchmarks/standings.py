"""From predictions to the table: means over seeds and windows, their deviation, and the distance to the default.

The distance is paired: by cell, by window, by the users that a bootstrap draws, and by seed where both have as many.
Shapes: N rows, R seeds, B resamples, C cells, T tasks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.contest import Played
from benchmarks.entrants import Entrant
from benchmarks.windows import Window
from motet.evaluate import compared
from motet.evaluate.bootstrap import Auc, resample
from motet.evaluate.cells import Cell, macro, verdict_counts
from motet.evaluate.verdict import VERDICTS, standard_error
from motet.scoring.cell_rows import cell_rows, enough_labels
from motet.scoring.metrics import Floats
from motet.scoring.order import ScoreOrder, positions

Key = tuple[str, str]
FIGURES = ("auc", "log_loss", "ece", "ne", "rmse")
NORMAL = 1.96


@dataclass(frozen=True)
class Measured:
    """An entrant on a window."""

    cells_R: list[list[Cell]]  # of each seed, those that it predicts
    auc_R: Floats  # macro of each seed over the cells that count
    drawn: Mapping[Key, Floats]  # AUC of each such cell in each resample, [R, B]
    verdicts: Mapping[str, int] | None  # against solo; None where the seeds do not pair
    judged: list[Cell]  # against solo, of all seeds
    share: float | None  # of the way to the informed ceiling on macro `ne`


class Standings:
    """One window measured: what every entrant is there. `tasks` are those that the macro is over."""

    def __init__(self, window: Window, solo: Played | None, tasks: Sequence[str] | None, resamples: int) -> None:
        self.window, self.judge, self.tasks, self.resamples = window, window.judge, tasks, resamples
        self.solo_RNT = None if solo is None else solo.predictions_RNT

    def of(self, played: Played) -> Measured:
        """All that is said of an entrant."""
        predictions_RNT = played.predictions_RNT
        told = self.judge.told(predictions_RNT)
        filled_RNT = np.nan_to_num(predictions_RNT)
        cells_R = [[c for c in self.judge.cells(p[None]) if (c.scenario, c.task) in told] for p in filled_RNT]
        keys = [(c.scenario, c.task) for c in self.counted(cells_R[0])]
        whole, solo_RNT = np.isfinite(predictions_RNT).all(), self.solo_RNT
        judged, verdicts = list[Cell](), None
        if whole and solo_RNT is not None and solo_RNT is not predictions_RNT and len(solo_RNT) == len(filled_RNT):
            judged = self.judge.cells(filled_RNT, solo_RNT, self.resamples)
            verdicts = verdict_counts(judged)
        auc_R = np.array([_auc(cells, keys) for cells in cells_R])
        return Measured(cells_R, auc_R, self._drawn(filled_RNT, set(keys)), verdicts, judged, self._share(cells_R))

    def counted(self, cells: Sequence[Cell], tasks: Sequence[str] | None = None) -> list[Cell]:
        """Binary cells with enough labels of the macro's tasks, or of those."""
        wanted = tasks or self.tasks
        return [
            c for c in cells
            if c.metric == "auc" and enough_labels(c.rows, c.positives) and (wanted is None or c.task in wanted)
        ]  # fmt: skip

    def _share(self, cells_R: Sequence[Sequence[Cell]]) -> float | None:
        shares = [
            entry["share"] for cells in cells_R for entry in compared.references(self.judge, cells) if entry["ceiling"]
        ]
        known = [share for share in shares if share is not None]
        return float(np.mean(known)) if known else None

    def _drawn(self, predictions_RNT: Floats, keys: set[Key]) -> dict[Key, Floats]:
        data, rows = self.judge.data, self.judge.rows
        labels_NT, (user_N, users) = data.labels(rows), positions(data.users(rows))
        scenarios, tasks = [s.name for s in data.layout.scenarios], data.layout.tasks
        found: dict[Key, Floats] = {}
        statistics = {
            key: [Auc(ScoreOrder.of(labels_NT[at, t], p_NT[at, t]), user_N[at]) for p_NT in predictions_RNT]
            for s, t, at in cell_rows(scenarios, tasks, data.scenarios(rows), labels_NT)
            if (key := (scenarios[s], tasks[t].name)) in keys
        }
        samples = resample([one for of in statistics.values() for one in of], users=users, resamples=self.resamples)
        for place, key in enumerate(statistics):
            found[key] = samples[place * len(predictions_RNT) : (place + 1) * len(predictions_RNT)]
        return found


@dataclass(frozen=True)
class Play:
    """An entrant on a window, with the default's figures there."""

    standings: Standings
    played: Played
    figures: Measured
    default: Measured


def entry(entrant: Entrant, plays: Sequence[Play]) -> dict[str, Any]:
    """A row of the table; `plays` are its windows."""
    played, measured = [play.played for play in plays], [play.figures for play in plays]
    auc = [float(value) for figures in measured for value in figures.auc_R]
    means = {name: _mean([_macros(play)[name] for play in plays]) for name in FIGURES}
    shares = [figures.share for figures in measured if figures.share is not None]
    peaks = [play.peak_rss_mb for play in played if play.peak_rss_mb is not None]
    return {
        "model": entrant.name,
        "group": entrant.group,
        "package": entrant.package,
        "seeds": len(played[0].predictions_RNT),
        "windows": len(plays),
        "trials": len(entrant.trials) if entrant.group != "baseline" else 4,
        "macro_auc": _rounded(means["auc"]),
        "std": _rounded(float(np.std(auc, ddof=1)) if len(auc) > 1 else None),
        "behind_default": _behind(plays),
        "macro_auc_all_tasks": _rounded(_mean([_macros(play, all_tasks=True)["auc"] for play in plays])),
        **{name: _rounded(means[name]) for name in FIGURES[1:]},
        "cells": [len(m.drawn) for m in measured],
        "informed_share": _rounded(float(np.mean(shares)) if shares else None),
        "verdicts": _summed([m.verdicts for m in measured]),
        "seconds": round(float(np.mean([play.seconds for play in played])), 1),
        "peak_rss_mb": max(peaks, default=None),
        "by_window": [
            {"macro_auc": _rounded(float(m.auc_R.mean())), "std": _rounded(_std(m.auc_R)), "verdicts": m.verdicts,
             "chosen": play.chosen}
            for play, m in zip(played, measured, strict=True)
        ],
        "matrix": _matrix(measured),
    }  # fmt: skip


def _macros(play: Play, *, all_tasks: bool = False) -> dict[str, float | None]:
    """Macro figures of a window, the mean over seeds; rmse is over all regressions."""
    standings = play.standings
    tasks = [task.name for task in standings.judge.data.layout.tasks] if all_tasks else None
    found = [
        macro(standings.counted(cells, tasks) + [c for c in cells if c.metric != "auc"])
        for cells in play.figures.cells_R
    ]
    return {name: _mean([figures[name] for figures in found]) for name in FIGURES}


def _behind(plays: Sequence[Play]) -> dict[str, float | None] | None:
    """The default's macro AUC minus this one's on the cells of both; a 95 % interval of other users and other seeds."""
    differences, errors = [], []
    for play in plays:
        default, figures = play.default, play.figures
        keys = [key for key in default.drawn if key in figures.drawn]
        if figures is default or not keys:
            return None
        ours_R, theirs_R = (np.array([_auc(cells, keys) for cells in of.cells_R]) for of in (default, figures))
        ours_RB, theirs_RB = (np.mean([of.drawn[key] for key in keys], 0) for of in (default, figures))
        if len(ours_R) != len(theirs_R):
            theirs_R, theirs_RB = theirs_R.mean(keepdims=True), theirs_RB.mean(0, keepdims=True)
        differences.append(float((ours_R - theirs_R).mean()))
        errors.append(standard_error(ours_R - theirs_R, ours_RB - theirs_RB))
    mean, width = float(np.mean(differences)), NORMAL * math.sqrt(float(np.sum(np.square(errors)))) / len(errors)
    return {"mean": _rounded(mean), "low": _rounded(mean - width), "high": _rounded(mean + width)}


def _matrix(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Every cell: means over windows and seeds, deviation over all of them, and its verdicts in order of windows."""
    found: dict[Key, list[Cell]] = {}
    for figures in measured:
        for cells in figures.cells_R:
            for cell in cells:
                found.setdefault((cell.scenario, cell.task), []).append(cell)
    verdicts = {key: [c.verdict for m in measured for c in m.judged if (c.scenario, c.task) == key] for key in found}
    return [
        {
            "scenario": key[0],
            "task": key[1],
            "metric": cells[0].metric,
            "value": _rounded(_mean([cell.value for cell in cells])),
            "std": _rounded(_std(np.array([cell.value for cell in cells]))),
            "log_loss": _rounded(_mean([cell.log_loss for cell in cells])),
            "ece": _rounded(_mean([cell.ece for cell in cells])),
            "ne": _rounded(_mean([cell.ne for cell in cells])),
            "delta": _rounded(_mean([c.delta for m in measured for c in m.judged if (c.scenario, c.task) == key])),
            "verdicts": verdicts[key],
        }
        for key, cells in found.items()
    ]


def _auc(cells: Sequence[Cell], keys: Sequence[Key]) -> float:
    by_key = {(cell.scenario, cell.task): cell.auc for cell in cells}
    return float(np.mean([by_key[key] for key in keys])) if keys else math.nan


def _summed(counts: Sequence[Mapping[str, int] | None]) -> dict[str, int] | None:
    known = [count for count in counts if count is not None]
    return {name: sum(count[name] for count in known) for name in VERDICTS} if len(known) == len(counts) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(known)) if known else None


def _std(values: Floats) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
