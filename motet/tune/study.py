"""A study on disk: Optuna's journal of trials, one search at a time, and what each trial came to.

A search that was killed goes on: finished trials stay, those that were at work are put first in line again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from motet.errors import InputError

NAME, OF, JOURNAL = "motet", "of", "journal.jsonl"
OUTCOMES = (JOURNAL, "tune.json", "tune.html")
"""What a search writes into its folder; prepared folders in it are fresh or not by their own fingerprints."""
STARTUP_EVALUATIONS = 3
"""No trial is stopped before so many evaluations of valid: the first say little."""


@dataclass(frozen=True)
class Trial:
    """One setting that was tried; `value` is the macro `ne` of valid cells, lower is better."""

    number: int
    state: str  # finished, stopped early, failed, at work
    value: float | None
    params: dict[str, Any]
    seconds: float | None
    why: str | None = None

    @property
    def finished(self) -> bool:
        return self.state == "finished"


_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "at work",
    TrialState.WAITING: "waiting",
}
_LOST = "its search was killed"


class Study:
    """The trials of one search."""

    def __init__(self, journal: Path, study: optuna.Study, distributions: dict[str, BaseDistribution]) -> None:
        self.journal, self.study, self.distributions = journal, study, distributions

    def first(self, params: dict[str, Any]) -> None:
        """Try these values before all others, once."""
        self.study.enqueue_trial(params, skip_if_exists=True)

    def ask(self) -> optuna.Trial:
        """The next values to try."""
        return self.study.ask(self.distributions)

    def finish(self, trial: optuna.Trial, value: float) -> None:
        self.study.tell(trial, value)

    def stop(self, trial: optuna.Trial) -> None:
        """It was not worth its end."""
        self.study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, why: str) -> None:
        trial.set_user_attr("why", why)
        self.study.tell(trial, state=TrialState.FAIL)

    @property
    def trials(self) -> list[Trial]:
        """All that came to something, in their order."""
        found = []
        for one in self.study.get_trials(deepcopy=False):
            why = one.user_attrs.get("why")
            if one.state is TrialState.WAITING or why == _LOST:
                continue
            pruned = max(one.intermediate_values, default=None) if one.state is TrialState.PRUNED else None
            value = one.value if pruned is None else one.intermediate_values[pruned]
            seconds = one.duration.total_seconds() if one.duration else None
            found.append(Trial(one.number, _STATES[one.state], value, dict(one.params), seconds, why))
        return found

    def importance(self) -> dict[str, float]:
        """Share of the good trials' settings that each key explains (PED-ANOVA, IJCAI 2023); empty for few trials."""
        done = [one for one in self.study.get_trials(deepcopy=False) if one.state is TrialState.COMPLETE]
        if len(done) < 4 or len({one.value for one in done}) < 2:
            return {}
        found = optuna.importance.get_param_importances(self.study)
        return {key: float(value) for key, value in found.items()}


@contextmanager
def opened(
    folder: Path, distributions: dict[str, BaseDistribution], *,
    of: str, seed: int, startup: int, workers: int, force: bool = False,
) -> Iterator[Study]:  # fmt: skip
    """The study in that folder, begun or gone on with; `of` is a fingerprint of what it searches.

    With `force` an earlier search there is forgotten: its own files, nothing else, and none while it is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        fix = "wait for it, or name another folder: --study NEW"
        raise InputError("another search is at work in this folder", where=str(folder), fix=fix) from None
    try:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        journal = folder / JOURNAL
        for name in OUTCOMES if force else ():
            (folder / name).unlink(missing_ok=True)
        study = optuna.create_study(
            storage=storage_of(journal),
            study_name=NAME,
            load_if_exists=True,
            sampler=TPESampler(seed=seed, n_startup_trials=startup, constant_liar=workers > 1),
            pruner=pruner(startup),
        )
        if study.user_attrs.get(OF, of) != of:
            what = "this study is of another space, other data or other settings"
            raise InputError(what, where=str(folder), fix="name another folder with --study, or start over: --force")
        study.set_user_attr(OF, of)
        _requeue(study)
        yield Study(journal, study, distributions)
    except (ValueError, KeyError) as error:
        if "log format" not in str(error):
            raise
        raise InputError(
            "the journal is damaged", where=str(folder / "journal.jsonl"), fix="--force starts over"
        ) from error
    finally:
        lock.release()


def storage_of(journal: Path) -> JournalStorage:
    """The journal as Optuna's storage."""
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal))))


def pruner(startup: int) -> MedianPruner:
    """Stops a trial that is worse than the median of the others at the same evaluation."""
    return MedianPruner(n_startup_trials=startup, n_warmup_steps=STARTUP_EVALUATIONS)


def _requeue(study: optuna.Study) -> None:
    """Trials at work in a search that is gone are tried again."""
    for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        lost = optuna.trial.Trial(study, one._trial_id)
        lost.set_user_attr("why", _LOST)
        study.tell(one.number, state=TrialState.FAIL)
        study.enqueue_trial(one.params)


class Clock:
    """How long a search may still begin trials."""

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end
