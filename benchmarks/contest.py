"""Everybody trained, tuned and scored on one window; whatever was trained before is read back.

First every setting with the first seed, then the best of each with the others. Shapes: N rows, R seeds, T tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.entrants import Entrant, Part, Settings
from benchmarks.foreign import ForeignTraining
from benchmarks.windows import Window
from motet.evaluate.jobs import Job, Work, run_jobs
from motet.evaluate.kept import Kept, Scored
from motet.experiment import Say
from motet.scoring.cell_rows import enough_labels
from motet.scoring.metrics import Floats

Chosen = Mapping[Part, Settings]


@dataclass(frozen=True)
class Played:
    """An entrant on a window."""

    predictions_RNT: Floats  # calibrated, nan in cells that it does not predict
    seconds: float  # of one training of everything it needs, by the chosen settings
    peak_rss_mb: int | None
    chosen: list[dict[str, Any]]  # settings, with how many parts chose them


def play(window: Window, entrants: Sequence[Entrant], kept: Kept, workers: int, say: Say) -> dict[str, Played]:
    """By name, without those that failed."""
    trials = [work for e in entrants for settings in e.trials for work in _works(e, window, 0, settings)]
    _run(trials, kept, workers, lambda share: say(f"{window.name}: settings", share))
    chosen = {e.name: _chosen(e, window, kept) for e in entrants}
    entrants = [e for e in entrants if chosen[e.name] is not None]
    seeds = [
        e.work(window, part, seed, settings)
        for e in entrants
        for part, settings in (chosen[e.name] or {}).items()
        for seed in range(1, e.seeds)
    ]
    _run(seeds, kept, workers, lambda share: say(f"{window.name}: seeds", share))
    played = {e.name: _played(e, window, kept, chosen[e.name] or {}) for e in entrants}
    return {name: found for name, found in played.items() if found is not None}


def _works(entrant: Entrant, window: Window, seed: int, settings: Settings) -> list[Work]:
    return [entrant.work(window, part, seed, settings) for part in entrant.parts(window)]


def _run(works: Sequence[Work], kept: Kept, workers: int, say: Any) -> None:
    """Whole models in fresh processes, so that their memory is their own; single cells, which are many, in shared."""
    for work in works:
        if isinstance(work, ForeignTraining) and not work.done(kept):
            work.export(kept)
    cells = [work for work in works if isinstance(work, Job)]
    whole = [work for work in works if not isinstance(work, Job)]
    for some, fresh in ((whole, True), (cells, False)):
        run_jobs(some, kept, workers=workers, fresh=fresh, progress=lambda done, of: say(done / of))


def _chosen(entrant: Entrant, window: Window, kept: Kept) -> Chosen | None:
    """The settings with the lowest `ne` on valid, of the first seed; None where nothing could be trained."""
    parts = entrant.parts(window)
    if len(entrant.trials) == 1 and _scored(entrant, window, kept, 0, dict.fromkeys(parts, entrant.trials[0])):
        return dict.fromkeys(parts, entrant.trials[0])
    ne: list[Mapping[Part, float]] = []
    for settings in entrant.trials:
        scored = _scored(entrant, window, kept, 0, dict.fromkeys(parts, settings))
        ne.append({} if scored is None else _ne(window, scored))
    if not any(ne):
        return None
    best = {part: int(np.argmin([of.get(part, np.inf) for of in ne])) for part in parts}
    return {part: entrant.trials[number] for part, number in best.items()}


def _ne(window: Window, scored: Scored) -> dict[Part, float]:
    """Of every cell of valid, and under None the mean of those with enough labels, after calibration."""
    predictions_NT = window.chooser.predicted(scored)
    layout = window.data.layout
    tasks, scenarios = [t.name for t in layout.tasks], [s.name for s in layout.scenarios]
    told = window.chooser.told(predictions_NT[None])
    cells = [
        c for c in window.chooser.cells(np.nan_to_num(predictions_NT)[None])
        if (c.scenario, c.task) in told and np.isfinite(c.ne)
    ]  # fmt: skip
    found: dict[Part, float] = {(scenarios.index(c.scenario), tasks.index(c.task)): c.ne for c in cells}
    large = [cell.ne for cell in cells if enough_labels(cell.rows, cell.positives)]
    found[None] = float(np.mean(large or [cell.ne for cell in cells] or [np.inf]))
    return found


def _scored(entrant: Entrant, window: Window, kept: Kept, seed: int, chosen: Chosen) -> Scored | None:
    """Logits of the whole matrix, nan in cells that have none; None where a training failed."""
    works = {part: entrant.work(window, part, seed, settings) for part, settings in chosen.items()}
    if not all(work.done(kept) for work in works.values()):
        return None
    if None in works:
        return kept.read(works[None].key)
    data, rows = window.data, (window.data.rows("valid"), window.data.rows("test"))
    tables = [np.full((len(of), len(data.layout.tasks)), np.nan, np.float32) for of in rows]
    seconds = 0.0
    for part, work in works.items():
        assert part is not None
        found = kept.read(work.key)
        for table, of, values in zip(tables, rows, (found.valid, found.test), strict=True):
            table[data.scenarios(of) == part[0], part[1]] = values[:, 0]
        seconds += found.seconds
    return Scored(tables[0], tables[1], seconds)


def _played(entrant: Entrant, window: Window, kept: Kept, chosen: Chosen) -> Played | None:
    scored = [_scored(entrant, window, kept, seed, chosen) for seed in range(entrant.seeds)]
    whole = [found for found in scored if found is not None]
    if len(whole) < len(scored):
        return None
    keys = [entrant.work(window, part, seed, settings).key
            for part, settings in chosen.items() if part is None for seed in range(entrant.seeds)]  # fmt: skip
    peaks = [facts["peak_rss_mb"] for key in keys for facts in kept.figures(key) or []]
    settings = list(chosen.values())
    return Played(
        np.stack([window.judge.predicted(found) for found in whole]),
        float(np.mean([found.seconds for found in whole])),
        max(peaks, default=None),
        [dict(trial) | {"parts": settings.count(trial)} for trial in entrant.trials if trial in settings],
    )
