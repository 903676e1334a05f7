"""One trial: a training, or a baseline's fit, in a process of its own, and what it is worth on valid."""

from pathlib import Path

import numpy as np
import optuna

from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.evaluate.jobs import Job, Work
from motet.evaluate.kept import Kept
from motet.scoring.metrics import Floats, Ints
from motet.train.early_stop import ValidCells
from motet.tune.study import NAME, pruner, storage_of


def attempt(work: Work, prepared: Path, kept: Kept, journal: Path, trial: int, startup: int) -> float | None:
    """The macro `ne` of valid cells; None when the study stopped it for being worse than others at the same time."""
    if not work.done(kept):
        if isinstance(work, Job):
            study = optuna.load_study(study_name=NAME, storage=storage_of(journal), pruner=pruner(startup))
            told = optuna.trial.Trial(study, trial)

            def judged(evaluation: int, macro: float) -> None:
                told.report(macro, evaluation)
                if told.should_prune():
                    raise optuna.TrialPruned

            try:
                work.run(kept, judged)
            except optuna.TrialPruned:
                return None
        else:
            work.run(kept)
    return worth(work, prepared, kept)


def worth(work: Work, prepared: Path, kept: Kept) -> float:
    """The macro `ne` over valid cells with enough labels, as training stops by; lower is better."""
    cells, _ = _judge(prepared)
    macro = cells.macro(cells.ne_ST(kept.read(work.key).valid))
    if macro is None:
        raise InputError("no valid cell can be judged", where=str(prepared), fix="make valid larger in [split]")
    return macro


def by_user(work: Work, prepared: Path, kept: Kept) -> Floats:
    """What each user of valid adds to that macro, [U]."""
    cells, user_N = _judge(prepared)
    place_N = np.unique(user_N, return_inverse=True)[1]
    return np.bincount(place_N, cells.shares_N(kept.read(work.key).valid)).astype(np.float64)


def _judge(prepared: Path) -> tuple[ValidCells, Ints]:
    data = Dataset.open(prepared)
    valid = data.rows("valid")
    return ValidCells(data.layout, data.labels(valid), data.scenarios(valid)), data.users(valid)
