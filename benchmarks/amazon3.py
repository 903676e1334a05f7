"""Amazon Beauty, Sports and Toys: full-catalogue ranking of each user's left-out item, by the baselines that can.

Every event is a positive, so nothing is trained: popularity counts train, item neighbours count pairs of train and read
the user's history. One run prepares the folder and ranks all users; valid is judged unless `--final` is given.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.common import Benchmark, write_config
from motet import experiment as stages
from motet import runtime
from motet.baselines import BASELINES
from motet.batch import Split
from motet.evaluate.slates import held_out_ranking
from motet.terminal import print_json, steps

MODELS = ("popularity", "item-knn")
FIGURES = ("users", "hit@10", "ndcg@10", "mrr")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--final", action="store_true", help="judge on test instead of valid")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work"), help="the prepared folder goes there")
    return parser.parse_args()


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Every model in every scenario, with the wall time of everything from the files on."""
    started, entries = time.monotonic(), []
    split: Split = "test" if args.final else "valid"
    runtime.use_threads()
    config = write_config(Benchmark("amazon3", "amazon"), args)
    with steps() as say:
        data = stages.prepare(stages.read(config), config.parent, config.parent / "prepared", progress=say, force=True)
        for name in MODELS:
            say(f"ranking by {name}", 0.0)
            model = BASELINES[name].fit(data)
            for s, scenario in enumerate(data.layout.scenarios):
                entry = held_out_ranking(model, data, data.rows(split, s), s)
                figures = {key: entry[key] for key in FIGURES}
                entries.append({"scenario": scenario.name, "model": name, "items": len(data.catalogue(s))} | figures)
                say(f"ranking by {name}", (s + 1) / len(data.layout.scenarios))
    return {
        "benchmark": "amazon3",
        "split": split,
        "history": data.layout.history_length,
        "ranking": entries,
        "machine": runtime.machine(),
        "seconds": round(time.monotonic() - started, 1),
    }


def show(found: dict[str, Any]) -> None:
    """The entries as lines."""
    print(f"amazon3, {found['split']}, {found['seconds']} s")
    for entry in found["ranking"]:
        figures = ", ".join(f"{key} {entry[key]:.4f}" for key in FIGURES[1:])
        print(f"  {entry['scenario']:<8} {entry['model']:<12} {figures}  ({entry['users']:,} users)")


if __name__ == "__main__":
    chosen = arguments()
    result = run(chosen)
    if chosen.json:
        print_json(result)
    else:
        show(result)
