"""Target encodings, the workhorse of tabular recommenders: a logistic regression on smoothed rates of user and item.

`StaticTargetEncoding` counts train once: the effects (see `rates`) of user, item, user in scenario and item in
scenario. On train they are out of fold, or a row would find its own label among its inputs (Micci-Barreca, SIGKDD
Explorations 2001). `RunningTargetEncoding` takes the point-in-time rates that the batch carries, which keep moving
after train. Both add the cell's base rate; a regression task is a ridge regression of the same inputs.

Shapes: N rows, I inputs, T tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from motet.baselines.linear import Design, LinearModel, best_setting, fit_path, losses
from motet.baselines.matrix import Flat, Floats, Ints, forms, number_names, read, score_flat
from motet.baselines.rates import STRENGTHS, Effects, Evidence, Links, Sums
from motet.batch import Batch, CellOutput, Layout, Rows
from motet.schema import Form, Task

FOLDS = 5
RIDGE = 3.0
Ridges = tuple[float, ...]
RIDGES: Ridges = (300.0, 30.0, 3.0, 0.3)


@dataclass(frozen=True, slots=True)
class StaticTargetEncoding:
    """Frozen train rates. Tuned per task: the prior's strength in rows."""

    links: Links
    effects: tuple[Effects, ...]  # one per key
    models: tuple[LinearModel, ...]  # one per task

    name = "target-encoding-static"
    label = "Target encoding, static"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0) -> Self:
        """Count train, fit the combination out of fold; `seed` draws the folds."""
        links = Links.of(data.layout)
        train, valid = read(data, "train", features=False), read(data, "valid", features=False)
        expected_NT = links.rates(links.base_ST[train.scenario_N])
        keys = _keys(train, links)
        sums = tuple(Sums.of(key, train.labels_NT, expected_NT) for key in keys)
        fold_N = np.random.default_rng(seed).integers(FOLDS, size=len(train.user_N))
        unseen = [_out_of_fold(total, key, train, expected_NT, fold_N) for total, key in zip(sums, keys, strict=True)]
        valid_keys = _keys(valid, links)
        tried, losses_MT = [], []
        for strength in STRENGTHS:
            effects = [links.effects_of(total, strength) for total in sums]
            inputs = _inputs(links, train, [links.effects(known, strength) for known in unseen])
            valid_inputs = _inputs(links, valid, _at(effects, valid_keys))
            tried.append(_fit_each(inputs, train, valid_inputs, valid, forms(data.layout), (RIDGE,)))
            losses_MT.append(losses(_score_each(tried[-1], valid_inputs), valid.labels_NT, forms(data.layout)))
        best_T = best_setting(losses_MT)
        models = tuple(tried[setting][task] for task, setting in enumerate(best_T))
        best = tuple(links.effects_of(total, np.array(STRENGTHS)[best_T]) for total in sums)
        return cls(links, best, models)

    def score(self, batch: Batch) -> CellOutput:
        """Logits and values of every candidate."""
        return score_flat(batch, self._scores, features=False)

    def _scores(self, flat: Flat) -> Floats:
        return _score_each(self.models, _inputs(self.links, flat, _at(self.effects, _keys(flat, self.links))))


@dataclass(frozen=True, slots=True)
class RunningTargetEncoding:
    """The batch's running rates of the task: of scenario, user, item and pairs. Tuned per task: the ridge."""

    links: Links
    columns: tuple[Ints, ...]  # of each task's rates among the numbers
    models: tuple[LinearModel, ...]

    name = "target-encoding-running"
    label = "Target encoding, running"

    @classmethod
    def fit(cls, data: Rows, *, seed: int = 0) -> Self:
        """Fit the combination; nothing is random. Without running rates only the cell's base rate is left."""
        layout, links = data.layout, Links.of(data.layout)
        train, valid = read(data, "train"), read(data, "valid")
        columns = tuple(rate_columns(layout, task) for task in layout.tasks)
        inputs, valid_inputs = _rates(links, train, columns), _rates(links, valid, columns)
        return cls(links, columns, _fit_each(inputs, train, valid_inputs, valid, forms(layout), RIDGES))

    def score(self, batch: Batch) -> CellOutput:
        """Logits and values of every candidate."""
        return score_flat(batch, self._scores)

    def _scores(self, flat: Flat) -> Floats:
        return _score_each(self.models, _rates(self.links, flat, self.columns))


def rate_columns(layout: Layout, task: Task) -> Ints:
    """Where the running rates of a task stand among the numbers: pair numbers called "user × scenario: click"."""
    first = len(number_names(layout)) - len(layout.pair_numbers)
    found = [i for i, name in enumerate(layout.pair_numbers) if name.rpartition(": ")[2] == task.name]
    return np.array(found, np.int64) + first


def _keys(flat: Flat, links: Links) -> tuple[Ints, ...]:
    scenarios = len(links.base_ST)
    return (
        flat.user_N,
        flat.item_N,
        flat.user_N * scenarios + flat.scenario_N,
        flat.item_N * scenarios + flat.scenario_N,
    )


def _at(effects: Sequence[Effects], keys: Sequence[Ints]) -> list[Floats]:
    return [of_key.at(key) for of_key, key in zip(effects, keys, strict=True)]


def _out_of_fold(total: Sums, key_N: Ints, train: Flat, expected_NT: Floats, fold_N: Ints) -> Evidence:
    """What each row's key is known for without the rows of its own fold."""
    own = Sums.of(key_N * FOLDS + fold_N, train.labels_NT, expected_NT)
    return total.at(key_N).minus(own.at(key_N * FOLDS + fold_N))


def _inputs(links: Links, flat: Flat, effects: Sequence[Floats]) -> list[Floats]:
    """The cell's base and the effect of each key, [N, I] for each task."""
    base_NT, *others = (part / links.scale_T for part in (links.base_ST[flat.scenario_N], *effects))
    return [np.column_stack([part[:, t] for part in (base_NT, *others)]) for t in range(base_NT.shape[1])]


def _rates(links: Links, flat: Flat, columns: tuple[Ints, ...]) -> list[Floats]:
    """The cell's base and the task's running rates, [N, I] for each task."""
    base_NT = links.base_ST[flat.scenario_N] / links.scale_T
    return [np.column_stack([base_NT[:, t], flat.numbers_NF[:, chosen]]) for t, chosen in enumerate(columns)]


def _fit_each(
    inputs: list[Floats], train: Flat, valid_inputs: list[Floats], valid: Flat, all_forms: list[Form], ridges: Ridges
) -> tuple[LinearModel, ...]:
    """One model per task, each on its own inputs."""
    models = []
    for t, form in enumerate(all_forms):
        design, check = Design.of(inputs[t]), Design.of(valid_inputs[t])
        models.append(fit_path(design, train.labels_NT[:, [t]], check, valid.labels_NT[:, [t]], [form], ridges))
    return tuple(models)


def _score_each(models: Sequence[LinearModel], inputs: list[Floats]) -> Floats:
    return np.concatenate([m.score(Design.of(part)) for m, part in zip(models, inputs, strict=True)], axis=1)
