"""What balancers of the tasks' losses are worth: the default model under each of them, on valid.

    python -m benchmarks.balancing --data kuairand [--folder FOLDER] [--seeds 3] [--json] [--quick]

The same seeds, settings and rows for all, one after the other within a seed. `auc_to_static` and `ne_to_static` are
paired differences; seconds are of the whole training, which each stops by its own valid curve, and of a step.
"""

import sys
from dataclasses import replace
from typing import Any, get_args

from benchmarks.judged import Judged, add_options, mean_and_deviation, prepared, told
from benchmarks.output import options, tell
from motet import runtime
from motet.model.ranker import Model, resolve
from motet.train.balance import Balancer
from motet.train.loop import Train
from motet.train.run import new_network
from motet.train.stages import train_stages

BALANCERS: tuple[Balancer, ...] = get_args(Balancer)


def one(judged: Judged, model: Model, how: Train) -> dict[str, float]:
    """One training."""
    network = new_network(judged.data, model, how.seed)
    outcome = train_stages(network, judged.data, how)
    return judged(network) | {"seconds": outcome.seconds, "step_ms": 1000 * outcome.seconds / outcome.steps}


def run(judged: Judged, model: Model, how: Train, seeds: int) -> list[dict[str, Any]]:
    """One entry per balancer, static first."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in BALANCERS}
    for seed in range(seeds):
        for name in BALANCERS:
            found[name].append(one(judged, model, replace(how, seed=how.seed + seed, balance=name)))
            print(f"seed {seed}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return [entry(name, runs, found["static"]) for name, runs in found.items()]


def entry(name: str, runs: list[dict[str, float]], static: list[dict[str, float]]) -> dict[str, Any]:
    """Means and deviations over seeds, and paired differences from static."""
    pairs = list(zip(runs, static, strict=True))
    return {
        "balance": name,
        **{key: mean_and_deviation([run[key] for run in runs]) for key in ("auc", "ne")},
        **{f"{key}_to_static": mean_and_deviation([a[key] - b[key] for a, b in pairs]) for key in ("auc", "ne")},
        **{key: round(sum(run[key] for run in runs) / len(runs), 2) for key in ("seconds", "step_ms")},
        **{f"{key}_to_static": round(sum(r[key] for r in runs) / sum(r[key] for r in static), 2)
           for key in ("seconds", "step_ms")},
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    for row in found["balancers"]:
        print(f"{row['balance']:12} auc {row['auc']['mean']:.4f}, ne {row['ne']['mean']:.4f}, "
              f"{row['seconds_to_static']:.2f} × the seconds of static")  # fmt: skip


def main() -> None:
    parser = options(__doc__, quick="one seed of one epoch")
    add_options(parser)
    args = parser.parse_args()
    experiment, judged = prepared(args)
    how = replace(experiment.train, threads=args.threads, **{"epochs": 1} if args.quick else {})
    args.seeds = 1 if args.quick else args.seeds
    found = run(judged, resolve(experiment.model), how, args.seeds)
    about = told(args, judged) | {"machine": runtime.machine()}
    tell({"benchmark": "balancing"} | about | {"balancers": found}, show, as_json=args.json)


if __name__ == "__main__":
    main()
