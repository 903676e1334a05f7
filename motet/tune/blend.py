"""Blend weights by what happened: those that would have ordered the logged slates of valid best.

Half of valid's users are searched on, the other half says what was found: no row judges what it chose. The model's
predictions are made once, so a trial costs a sort.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import TPESampler

from motet.errors import InputError
from motet.evaluate.offpolicy import LoggedSlates
from motet.scoring.blend import Blend
from motet.train.run import Run
from motet.train.score import score_rows


@dataclass(frozen=True)
class TunedBlend:
    """Weights by task and what their order is worth on the users that were not searched on."""

    weights: dict[str, float]
    value: float
    untuned: float
    difference: float
    low: float
    high: float
    slates: int
    off_policy: bool  # by the log's propensities

    @property
    def better(self) -> bool:
        return self.difference > 0


def tune_blend(
    run: Run, blend: Blend, worth: Mapping[str, float], *, trials: int, seed: int = 0,
    say: Callable[[str, float], None] = lambda what, share: None,
) -> TunedBlend:  # fmt: skip
    """The best of so many weights; `worth` says what each task is worth when it happens."""
    if not any(worth.values()):
        raise InputError("nothing is worth anything", where="--reward", fix="name a task, as in --reward purchase=5")
    data, rows = run.data, run.data.rows("valid")
    say("scoring valid", 0.0)
    logits_NT, scenario_N = score_rows(run.network, data, rows), data.scenarios(rows)
    slates = LoggedSlates.of(data, rows, run.calibration.apply(logits_NT, scenario_N), blend, worth)
    searched_N = np.random.default_rng(seed).random(slates.user_N.max() + 1)[slates.user_N] < 0.5
    if searched_N.all() or not searched_N.any():
        raise InputError("valid has slates of one user only", where=str(data.folder), fix="make valid larger")
    here, there = slates.only(searched_N), slates.only(~searched_N)
    names = [task.name for task in blend.tasks]

    def weighted(weights: Mapping[str, float]) -> Blend:
        return blend.reweighted({name: round(weights[name], 3) for name in names})

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=seed))
    for first in (dict.fromkeys(names, 1.0), *({n: float(n == name) for n in names} for name in names)):
        study.enqueue_trial(first)
    space: dict[str, BaseDistribution] = {name: FloatDistribution(0.0, 1.0) for name in names}
    for number in range(trials):
        trial = study.ask(space)
        study.tell(trial, here.value(here.score(weighted(trial.params))))
        say("blend weights", (number + 1) / trials)
    tuned = weighted(study.best_params)
    after_N, before_N = there.score(tuned), there.score(blend)
    difference, low, high = there.difference(after_N, before_N)
    return TunedBlend(
        weights=dict(zip(names, tuned.weights[0], strict=True)),
        value=there.value(after_N),
        untuned=there.value(before_N),
        difference=difference,
        low=low,
        high=high,
        slates=int(slates.slate_N.max()) + 1,
        off_policy=data.impressions.propensity is not None,
    )
