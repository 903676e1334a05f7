"""What damage to train costs: the default model and gradient boosting, judged on the same clean valid rows.

    python -m benchmarks.robustness --data kuairand [--folder FOLDER] [--seeds 3] [--json] [--quick] [--set KEY=VALUE]

- clean: nothing is damaged;
- labels 10 %, 30 %: so many of the observed binary train labels are flipped, drawn at random for every seed; running
  counts and histories keep the true past;
- features: the attributes of items are shuffled among the train rows, so that each row describes another row's item:
  their ids and numbers, not the running counts of the pair;
- data 10 %: a tenth of the train rows, drawn at random.

Valid stops both early and calibrates both. Drops are paired by seed; the boosting baseline is LightGBM with the extra
`bench`, else scikit-learn's.
"""

import sys
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.judged import Judged, add_options, mean_and_deviation, prepared, told
from benchmarks.output import options, tell
from motet import experiment as stages
from motet import runtime
from motet.baselines.boosting import Boosting
from motet.batch import Batch, Ranker, Split
from motet.data.dataset import Dataset
from motet.model.ranker import resolve
from motet.settings import changes_of
from motet.train.run import new_network
from motet.train.stages import train_stages

Ints = NDArray[np.int64]
CONDITIONS = ("clean", "labels 10 %", "labels 30 %", "features", "data 10 %")


@dataclass(frozen=True)
class Damage:
    """What is done to train."""

    flipped: float = 0.0
    shuffled: bool = False
    kept: float = 1.0


DAMAGES = dict(
    zip(CONDITIONS, (Damage(), Damage(0.1), Damage(0.3), Damage(shuffled=True), Damage(kept=0.1)), strict=True)
)


class Damaged:
    """A data set (`motet.batch.Rows`) whose train rows are damaged; all others are as they were."""

    def __init__(self, data: Dataset, damage: Damage, seed: int) -> None:
        rng, train = np.random.default_rng(seed), data.rows("train")
        self.data, self.damage, self.counts_V = data, damage, data.counts_V
        self.kept = np.sort(rng.choice(train, max(1, round(damage.kept * len(train))), replace=False))
        labels_NT = data.impressions.labels.numpy()
        binary_T = np.array([task.form == "binary" for task in data.layout.tasks])
        self.flip_NT = (rng.random(labels_NT.shape) < damage.flipped) & binary_T
        self.flip_NT[data.rows("valid")] = self.flip_NT[data.rows("test")] = False
        self.shown_N = np.arange(len(labels_NT))
        if damage.shuffled:
            self.shown_N[train] = rng.permutation(train)
        self.layout = replace(data.layout, base_rates=self._rates())
        if damage.kept < 1:
            self.counts_V = data.counts(self.kept)

    def _rates(self) -> tuple[tuple[float, ...], ...]:
        """Base rates of the damaged train rows; of a cell without a row, those of the data set."""
        labels_NT, scenario_N = self.labels(self.kept), self.data.scenarios(self.kept)
        found = []
        for s, whole in enumerate(self.data.layout.base_rates):
            of_cell = labels_NT[scenario_N == s]
            seen_T = (~np.isnan(of_cell)).sum(0)
            mean_T = np.nansum(of_cell, 0) / np.maximum(seen_T, 1)
            found.append(tuple(float(m) if n else rate for m, n, rate in zip(mean_T, seen_T, whole, strict=True)))
        return tuple(found)

    def rows(self, split: Split, scenario: int | None = None) -> Ints:
        rows = self.data.rows(split, scenario)
        return rows[np.isin(rows, self.kept)] if split == "train" else rows

    def labels(self, rows: Ints) -> NDArray[np.float32]:
        labels_NT = self.data.labels(rows)
        return np.where(self.flip_NT[rows], 1 - labels_NT, labels_NT)

    def scenarios(self, rows: Ints) -> Ints:
        return self.data.scenarios(rows)

    def batch(self, rows: Ints | Tensor) -> Batch:
        at = np.asarray(rows)
        batch = replace(self.data.batch(at), labels_BCT=torch.from_numpy(self.labels(at))[:, None])
        if not self.damage.shuffled:
            return batch
        other = self.data.batch(self.shown_N[at])
        changed = {name: getattr(other, name) for name in ("item_BC", "item_ids_BCK", "item_numbers_BCN")}
        return replace(batch, **changed)


def trained(data: Damaged, experiment: stages.Experiment, seed: int) -> Ranker:
    """The model of the settings, by that seed."""
    stand_in = copy(data.data)
    stand_in.layout, stand_in.counts_V = data.layout, data.counts_V
    network = new_network(stand_in, resolve(experiment.model), seed)
    train_stages(network, data, replace(experiment.train, seed=seed))
    return network


def run(judged: Judged, experiment: stages.Experiment, seeds: int, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One entry per condition and model."""
    found: dict[str, dict[str, list[float]]] = {name: {"motet": [], "boosting": []} for name in names}
    for seed in range(seeds):
        for name in names:
            damaged = Damaged(judged.data, DAMAGES[name], seed)
            rankers = {"motet": trained(damaged, experiment, seed),
                       "boosting": Boosting.fit(damaged, seed=seed, how=experiment.baselines.boosting)}  # fmt: skip
            for model, ranker in rankers.items():
                found[name][model].append(judged(ranker)["auc"])
            print(f"seed {seed}, {name}: {found[name]}", file=sys.stderr, flush=True)
    return [
        entry(name, model, values, found["clean"][model]) for name, of in found.items() for model, values in of.items()
    ]


def entry(condition: str, model: str, values: list[float], clean: list[float]) -> dict[str, Any]:
    drops = [before - after for before, after in zip(clean, values, strict=True)]
    return {
        "condition": condition,
        "model": model,
        "auc": mean_and_deviation(values),
        "drop": mean_and_deviation(drops),
    }


def show(found: dict[str, Any]) -> None:
    for row in found["conditions"]:
        print(f"{row['condition']:12} {row['model']:9} auc {row['auc']['mean']:.4f}, drop {row['drop']['mean']:+.4f}")


def main() -> None:
    parser = options(__doc__, quick="one seed of one epoch, clean and 10 % of the labels flipped")
    add_options(parser)
    parser.add_argument("--set", action="append", default=[], dest="changes", help="override a key of motet.toml")
    args = parser.parse_args()
    names = CONDITIONS[:2] if args.quick else CONDITIONS
    args.seeds = 1 if args.quick else args.seeds
    experiment, judged = prepared(args, changes_of(args.changes))
    fewer = {"epochs": 1} if args.quick else {}
    experiment = replace(experiment, train=replace(experiment.train, threads=args.threads, **fewer))
    found = run(judged, experiment, args.seeds, names)
    about = told(args, judged) | {"machine": runtime.machine()}
    tell({"benchmark": "robustness"} | about | {"conditions": found}, show, as_json=args.json)


if __name__ == "__main__":
    main()
