"""Who takes part in the table: our networks, a model for every cell, baselines, other packages; and what each may tune.

Everybody gets four settings to choose from, by the macro `ne` of valid after calibration: our networks, and solo in
every cell for itself, half the learning rate or a third of the dropout; the peers no dropout or ours, and with or
without ids of many values; boosting four sizes of a tree, other baselines as many ridges or prior strengths.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from benchmarks.windows import Window
from motet import runtime
from motet.baselines import BASELINES, Baselines, fit
from motet.baselines.boosting import Boost, Boosting
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.evaluate.jobs import Job, Work, trainable_cells
from motet.evaluate.kept import Kept, Scored, key_of
from motet.model.presets import presets
from motet.model.ranker import Model, resolve
from motet.train.score import score_rows

Settings = Mapping[str, Any]
Part = tuple[int, int] | None
"""A cell that is trained alone, or the whole matrix."""

OURS: tuple[Settings, ...] = ({}, {"dropout": 1 / 3}, {"lr": 1 / 2}, {"lr": 1 / 2, "dropout": 1 / 3})
"""Times what the settings say."""
THEIRS: tuple[Settings, ...] = tuple({"dropout": p, "no_ids": bare} for bare in (True, False) for p in (0.3, 0.0))
LEAVES = (7, 15, 31, 63)


class Entrant(Protocol):
    """A row of the table."""

    name: str
    group: str  # preset, control, baseline, peer
    package: str | None
    trials: Sequence[Settings]
    seeds: int

    def parts(self, window: Window) -> Sequence[Part]:
        """What is trained, and tuned, apart."""
        ...

    def work(self, window: Window, part: Part, seed: int, settings: Settings) -> Work:
        """One training."""
        ...


@dataclass(frozen=True)
class Watched:
    """Work in a process of its own, with the most memory that it took."""

    work: Work

    @property
    def key(self) -> str:
        return self.work.key

    def done(self, kept: Kept) -> bool:
        return self.work.done(kept) and kept.figures(self.key) is not None

    def run(self, kept: Kept) -> None:
        """A model that cannot be had of this data, a chain without two tasks for instance, says so and is left out."""
        try:
            self.work.run(kept)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
            return
        kept.write_figures(self.key, [{"peak_rss_mb": round(runtime.peak_rss_mb())}])


@dataclass(frozen=True)
class Network:
    """A preset of ours, or with `alone` one network for every cell."""

    name: str
    group: str
    trials: Sequence[Settings]
    seeds: int
    alone: bool = False
    package: str | None = None

    def parts(self, window: Window) -> Sequence[Part]:
        return trainable_cells(window.data) if self.alone else [None]

    def work(self, window: Window, part: Part, seed: int, settings: Settings) -> Work:
        model = resolve(dict(window.experiment.model) if self.alone else {"preset": self.name})
        model: Model = replace(model, dropout=model.dropout * settings.get("dropout", 1))
        how = window.experiment.train
        how = replace(how, seed=how.seed + seed, lr=how.lr * settings.get("lr", 1))
        job = Job(window.data.folder, window.data.manifest["fingerprint"], model, how)
        if part is None:
            return Watched(job)
        return replace(job, train=replace(how, task_weights={}), scenario=part[0], tasks=part[1:])


@dataclass(frozen=True)
class Baseline:
    """A baseline of ours; it chooses among its settings by itself."""

    name: str
    seeds: int
    group: str = "baseline"
    trials: Sequence[Settings] = ({},)

    @property
    def package(self) -> str | None:
        if self.name != "boosting":
            return None
        stands_on = "lightgbm" if find_spec("lightgbm") else "scikit-learn"
        return f"{stands_on} {version(stands_on)}"

    def parts(self, window: Window) -> Sequence[Part]:
        return [None]

    def work(self, window: Window, part: Part, seed: int, settings: Settings) -> Work:
        return Watched(Fitted(window.data.folder, window.data.manifest["fingerprint"], self.name, seed, self.package))


@dataclass(frozen=True)
class Fitted:
    """One baseline fitted."""

    prepared: Path
    prepared_fingerprint: str
    name: str
    seed: int
    stands_on: str | None

    @property
    def key(self) -> str:
        parts = self.prepared_fingerprint, self.name, self.seed, self.stands_on, LEAVES
        return key_of(("baselines", "data", "scoring"), *parts)

    def done(self, kept: Kept) -> bool:
        return kept.has(self.key)

    def run(self, kept: Kept) -> None:
        runtime.use_threads(1)
        data, started = Dataset.open(self.prepared), time.monotonic()
        if self.name == "boosting":
            model: Any = Boosting.fit(data, seed=self.seed, how=Boost(leaves=LEAVES))
        else:
            model = fit(self.name, data, Baselines())
        seconds = time.monotonic() - started
        kept.write(self.key, Scored(*(score_rows(model, data, data.rows(s)) for s in ("valid", "test")), seconds))


def ours(seeds: int, trials: Sequence[Settings]) -> list[Entrant]:
    """The default first, other presets, then controls."""
    found = [Network(name, "control" if name == "pooled" else "preset", trials, seeds) for name in presets()]
    return [*found, Network("solo", "control", trials, seeds, alone=True)]


def baselines(seeds: int) -> list[Entrant]:
    """All of ours; only boosting draws anything at random that matters."""
    return [Baseline(name, seeds if name == "boosting" else 1) for name in BASELINES]
