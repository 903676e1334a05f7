"""The search: ask for values, train side by side, tell; then train the best with more seeds and choose.

Trials are judged on valid cells by the macro `ne`, each with one seed. Among dozens of trials the best is partly luck:
so the `finalists`, and the settings as they are, are trained with every seed. The lowest mean wins if it is below that
of the settings as they are by more than chance: 1.64 standard errors, over valid's users and over seeds.
"""

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from motet import experiment as stages
from motet import runtime
from motet.baselines import BASELINES
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.evaluate.fitting import Fitting
from motet.evaluate.jobs import Job, Work, run_jobs
from motet.evaluate.kept import Kept
from motet.experiment import Experiment
from motet.model.ranker import resolve
from motet.schema import seconds
from motet.settings import fingerprint, nearest, plain
from motet.train.search import Range, Space, Tune
from motet.tune.attempt import attempt, by_user, worth
from motet.tune.space import (
    BOOSTING,
    LOGISTIC,
    changes_of,
    current_values,
    default_space,
    distributions,
    params_of,
)
from motet.tune.study import Clock, Study, Trial, opened
from motet.version import VERSION

Say = Callable[[str, float], None]
Changes = dict[str, Any]
CHANCE = 1.64  # standard errors
BASELINE_SPACES = {"boosting": BOOSTING, "logistic": LOGISTIC}


@dataclass(frozen=True)
class Finalist:
    """Settings trained with every seed; `trial` is None for those as they are."""

    trial: int | None
    changes: Changes
    values: list[float]  # macro ne of valid by seed
    error: float | None = None  # standard error of its distance to the settings as they are

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    def beats(self, untuned: "Finalist") -> bool:
        """Whether it is better by more than chance (one-sided, 5 %)."""
        return self.error is not None and self.mean < untuned.mean - CHANCE * self.error

    @property
    def deviation(self) -> float | None:
        """Between seeds; None with one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Tuned:
    """What a search found; `finalists` by their mean, the lowest first."""

    space: Space
    trials: list[Trial]
    finalists: list[Finalist]
    importance: dict[str, float]

    @property
    def best(self) -> Finalist:
        """The lowest mean that is better than the settings as they are beyond chance; else those."""
        return next((one for one in self.finalists if one.beats(self.untuned)), self.untuned)

    @property
    def untuned(self) -> Finalist:
        return next(one for one in self.finalists if one.trial is None)


@dataclass(frozen=True)
class Search:
    """What is searched in: a motet.toml with its data."""

    config: Path
    changes: Mapping[str, Any]
    folder: Path
    prepared: Path
    baseline: str | None
    experiment: Experiment
    data: Dataset

    @classmethod
    def of(
        cls, config: Path, changes: Mapping[str, Any], folder: Path, prepared: Path, baseline: str | None, say: Say
    ) -> "Search":
        """With the data prepared; an `InputError` for a baseline that has nothing to tune."""
        if baseline is not None and baseline not in BASELINE_SPACES:
            known = baseline in BASELINES
            fix = f"one of {', '.join(BASELINE_SPACES)}" if known else nearest(baseline, list(BASELINE_SPACES))
            what = f"{baseline!r} chooses its settings itself, on valid" if known else f"unknown baseline {baseline!r}"
            raise InputError(what, where="--baseline", fix=fix)
        experiment = stages.read(config, changes)
        if not experiment.tasks:
            fix = "train a few settings of [next_item] and compare their valid ndcg@10"
            raise InputError("a search is judged on cells, and without tasks there are none", where="tasks", fix=fix)
        return cls(config, changes, folder, prepared, baseline, experiment,
                   stages.prepare(experiment, config.parent, prepared, progress=say))  # fmt: skip

    @property
    def kept(self) -> Kept:
        """Shared with the reports of the runs beside it."""
        return Kept.beside(self.folder)

    @property
    def current(self) -> dict[str, Any]:
        return current_values(self.experiment, resolve(self.experiment.model), self.tasks)

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.data.layout.tasks)

    def space(self) -> Space:
        """The one of `[tune]`, or a default; every value is tried against the settings before anything is trained."""
        space = self.experiment.tune.space
        if not space:
            space = BASELINE_SPACES[self.baseline] if self.baseline else default_space(self.current, self.tasks)
        wrong = [key for key in space if (key.split(".")[0] == "baselines") != (self.baseline is not None)]
        if wrong:
            what = "this tunes a baseline" if self.baseline else "this is a setting of a baseline"
            raise InputError(f"{wrong[0]!r} cannot be searched: {what}", where="tune.space",
                             fix="search baselines with --baseline NAME, the model without")  # fmt: skip
        for key, dimension in space.items():
            for value in (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension:
                resolve(stages.read(self.config, {**self.changes, key: plain(value)}).model)
        return space

    def work(self, changes: Changes, seed: int = 0) -> tuple[Work, Path]:
        """The training, or fit, of changed settings, and its prepared folder, which is made where they change it."""
        experiment = stages.read(self.config, {**self.changes, **changes})
        data = self.data
        if experiment.preparation != self.experiment.preparation:
            folder = self.folder / "prepared" / fingerprint([plain(experiment.preparation)])
            data = stages.prepare(experiment, self.config.parent, folder)
        made = data.folder, data.manifest["fingerprint"]
        if self.baseline is not None:
            how = replace(experiment.evaluate, ranking_users=0)
            return Fitting(*made, self.baseline, experiment.baselines, how,
                           stages.blend_of(data, experiment)), data.folder  # fmt: skip
        train = replace(experiment.train, seed=experiment.train.seed + seed, threads=1)
        return Job(*made, resolve(experiment.model), train), data.folder


def search(where: Search, how: Tune, *, force: bool = False, say: Say = lambda what, share: None) -> Tuned:
    """Every trial there may be, those of an earlier search in the folder included, and the finals."""
    space = where.space()
    of = fingerprint([VERSION, where.data.manifest["fingerprint"], where.baseline, plain(space), plain(where.current)])
    workers = how.workers or runtime.cores()
    with opened(where.folder, distributions(space), of=of, seed=where.experiment.train.seed, startup=how.startup,
                workers=workers, force=force) as study:  # fmt: skip
        if (first := params_of(space, where.current)) is not None:
            study.first(first)
        _trials(where, how, space, study, workers, say)
        trials, importance = study.trials, study.importance()
        finalists = _finals(where, how, space, trials, say)
    return Tuned(space, trials, finalists, importance)


def _trials(where: Search, how: Tune, space: Space, study: Study, workers: int, say: Say) -> None:
    """Ask and tell until there are enough, or the time is over."""
    clock = Clock(seconds(how.timeout) if how.timeout else None)
    done = sum(one.state != "at work" for one in study.trials)
    left = max(0, how.trials - done)
    if not left:
        return
    context = multiprocessing.get_context("spawn")
    at_work: dict[Future[float | None], optuna.Trial] = {}
    with ProcessPoolExecutor(min(workers, left), mp_context=context) as pool:
        try:
            while True:
                while left and len(at_work) < workers and not clock.over:
                    trial = study.ask()
                    left -= 1
                    try:
                        work, prepared = where.work(changes_of(space, trial.params))
                    except InputError as error:
                        study.fail(trial, str(error))
                        continue
                    with runtime.without_main():
                        given = work, prepared, where.kept, study.journal, trial._trial_id, how.startup
                        at_work[pool.submit(attempt, *given)] = trial
                if not at_work:
                    return
                for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                    _tell(study, at_work.pop(future), future)
                    done += 1
                    best = min((one.value for one in study.trials if one.finished and one.value), default=None)
                    note = "" if best is None else f", valid ne {best:.4f}"
                    say(f"trials{note}", min(1.0, done / how.trials))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _tell(study: Study, trial: optuna.Trial, future: Future[float | None]) -> None:
    try:
        value = future.result()
    except BrokenProcessPool:
        fix = "use fewer at a time: --set tune.workers=1; the same command goes on"
        raise InputError("a process was killed, perhaps for lack of memory", fix=fix) from None
    except InputError as error:
        study.fail(trial, str(error))
        return
    if value is None:
        study.stop(trial)
    elif np.isfinite(value):
        study.finish(trial, value)
    else:
        study.fail(trial, "its weights are no numbers any more")


def _finals(where: Search, how: Tune, space: Space, trials: list[Trial], say: Say) -> list[Finalist]:
    """The best trials and the settings as they are, with every seed, by their mean; those as they are win a tie."""
    finished = sorted((one for one in trials if one.finished), key=lambda one: one.value or 0.0)
    if not finished:
        failed = next((one.why for one in trials if one.why), None)
        what = "no trial came to its end" + (f": {failed}" if failed else "")
        raise InputError(what, where=str(where.folder), fix="give it more time, or narrow [tune.space]")
    chosen: list[tuple[int | None, Changes]] = [(None, {})]
    current = params_of(space, where.current)
    chosen += [(one.number, changes_of(space, one.params)) for one in finished if one.params != current][
        : how.finalists
    ]
    seeds = 1 if where.baseline else how.seeds
    works = [[where.work(changes, seed) for seed in range(seeds)] for _, changes in chosen]
    told = "the best with more seeds"
    run_jobs([work for row in works for work, _ in row], where.kept, workers=how.workers,
             progress=lambda done, all_: say(told, done / all_))  # fmt: skip
    untuned_U = [by_user(work, prepared, where.kept) for work, prepared in works[0]]
    found = []
    for (number, changes), row in zip(chosen, works, strict=True):
        values = [worth(work, prepared, where.kept) for work, prepared in row]
        shares_U = [by_user(work, prepared, where.kept) for work, prepared in row]
        error = None if number is None else _error(np.stack(shares_U) - np.stack(untuned_U))
        found.append(Finalist(number, changes, values, error))
    return sorted(found, key=lambda one: one.mean)


def _error(difference_RU: NDArray[np.float64]) -> float:
    """Standard error of the mean over seeds of a sum over users: had other users come, and other seeds been drawn."""
    seeds, users = difference_RU.shape
    of_users = users * float(np.var(difference_RU.mean(0), ddof=1)) if users > 1 else np.inf
    of_seeds = float(np.var(difference_RU.sum(1), ddof=1)) / seeds if seeds > 1 else 0.0
    return float(np.sqrt(of_users + of_seeds))
