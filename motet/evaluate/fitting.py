"""A baseline of a report: fitted, scored and asked for its slates, in a process beside the trainings."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from motet import runtime
from motet.baselines import BASELINES, Baselines, fit
from motet.data.dataset import Dataset
from motet.evaluate.jobs import Jobs, Work
from motet.evaluate.judge import Judge
from motet.evaluate.kept import Kept, Scored, key_of
from motet.evaluate.plan import Evaluate
from motet.evaluate.slates import Entry, Model, kept_ranking, key_of_slates
from motet.scoring.blend import Blend
from motet.train.score import score_rows


@dataclass(frozen=True)
class Fitting:
    """One baseline, and by what its slates are ordered and judged."""

    prepared: Path
    prepared_fingerprint: str
    name: str
    settings: Baselines
    how: Evaluate
    blend: Blend

    @property
    def key(self) -> str:
        """Changes whenever the logits could."""
        chosen = getattr(self.settings, self.name, None)
        stands_on = {package: _version(package) for package in ("lightgbm", "scikit-learn")}
        return key_of(("baselines", "data", "scoring"), self.prepared_fingerprint, self.name, chosen, stands_on)

    @property
    def label(self) -> str:
        """Its name for people."""
        return BASELINES[self.name].label

    def done(self, kept: Kept) -> bool:
        """Whether its logits and its slates are kept."""
        return kept.has(self.key) and self.slates(kept) is not None

    def slates(self, kept: Kept) -> list[Entry] | None:
        """Its entries in the report's ranking."""
        return kept.figures(key_of_slates(self.key, self.blend, self.how))

    def run(self, kept: Kept) -> None:
        """Fit, score valid and test, order slates; keep the logits and how good the slates are."""
        runtime.use_threads(1)
        data, started = Dataset.open(self.prepared), time.monotonic()
        fitted = cache(lambda: fit(self.name, data, self.settings))

        def score() -> Scored:
            valid, test = (score_rows(fitted(), data, data.rows(split)) for split in ("valid", "test"))
            return Scored(valid, test, round(time.monotonic() - started, 2))

        scored, judge = kept.scored(self.key, score), Judge.of(data, self.how)
        model = Model(self.name, self.label, fitted, judge.calibration(scored.valid))
        kept_ranking(data, judge.rows, [(self.key, model)], self.blend, self.how, kept)

    def entry(self, judge: Judge, kept: Kept) -> dict[str, Any]:
        """It in the report, once it has run."""
        scored = kept.read(self.key)
        return judge.entry(self.name, self.label, judge.predicted(scored)[None], scored.seconds)


def fittings(data: Dataset, settings: Baselines, how: Evaluate, blend: Blend) -> list[Fitting]:
    """All that a report is to have."""
    return [Fitting(data.folder, data.manifest["fingerprint"], name, settings, how, blend) for name in how.baselines]


def in_order(jobs: Jobs, baselines: Sequence[Fitting]) -> list[Work]:
    """Everything that stands beside a model, what takes longest first."""
    return [*jobs.whole, *baselines, *jobs.cells]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
