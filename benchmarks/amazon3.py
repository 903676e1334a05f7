"""Amazon Beauty, Sports and Toys: one next-item model of all three, by full-catalogue ranking of left-out items.

Ids and histories alone are learnt from. For every seed a model is trained on train and judged, as the baselines that
positives can teach are, on every user's left-out item of each category: valid, or test with `--final`, whose histories
hold the valid item. Beside them stand published figures of one model per category on the same sequences.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Benchmark, write_config
from motet import experiment as stages
from motet import runtime
from motet.evaluate.slates import Entry
from motet.settings import plain
from motet.terminal import print_json, steps

OURS = "next-item"
QUICK_EPOCHS, QUICK_WIDTH, QUICK_ROWS = 1, 32, 1_000
FIGURES = ("hit@10", "ndcg@10", "mrr")
PUBLISHED = {
    "SASRec (S3-Rec, CIKM 2020)": {
        "Beauty": (0.0605, 0.0318), "Sports": (0.0350, 0.0192), "Toys": (0.0675, 0.0374),
    },
    "TIGER (NeurIPS 2023)": {
        "Beauty": (0.0648, 0.0384), "Sports": (0.0400, 0.0225), "Toys": (0.0712, 0.0432),
    },
    "SASRec + sampled softmax (eSASRec, RecSys 2025)": {
        "Beauty": (0.0921, 0.0531), "Sports": (0.0569, 0.0314), "Toys": (0.0970, 0.0580),
    },
    "eSASRec (RecSys 2025)": {
        "Beauty": (0.0928, 0.0523), "Sports": (0.0560, 0.0323), "Toys": (0.0939, 0.0538),
    },
}  # fmt: skip
"""recall@10 and ndcg@10 on test, as their papers print them; none was run here."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--final", action="store_true", help="judge on test instead of valid")
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch, narrower, 1,000 rows a category")
    parser.add_argument("--force", action="store_true", help="train anew what is trained already")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of the model")
    parser.add_argument("--threads", type=int, default=0, help="of trainings; 0: one per core")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/.work"), help="data and runs go there")
    return parser.parse_args()


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Every model in every scenario; seconds of everything from the files on that had not been done before."""
    started, trainings, ours = time.monotonic(), list[Entry](), list[list[Entry]]()
    config = write_config(Benchmark("amazon3", "amazon"), args)
    changes: dict[str, Any] = {"train.threads": args.threads, "evaluate.split": "test" if args.final else "valid"}
    if args.quick:
        changes |= {"next_item.epochs": QUICK_EPOCHS, "next_item.width": QUICK_WIDTH}
        changes |= {"evaluate.next_item_rows": QUICK_ROWS}
    experiment = stages.read(config, changes)
    report: Entry = {}
    with steps() as say:
        data = stages.prepare(experiment, config.parent, config.parent / "prepared", progress=say, force=args.force)
        for seed in range(1 if args.quick else args.seeds):
            of_seed = replace(experiment, train=replace(experiment.train, seed=seed))
            folder = config.parent / "runs" / f"{'quick' if args.quick else 'seed'}-{seed}"
            done = stages.train(of_seed, data, folder, force=args.force, progress=say.training)
            trainings.append({key: done.facts["training"][key] for key in ("seconds", "epochs", "ndcg@10", "shares")})
            report = stages.evaluate(done, of_seed, say=say)
            ours.append(report["ranking"])
    rivals = {entry["name"]: [e for e in report["ranking_baselines"] if e["name"] == entry["name"]]
              for entry in report["ranking_baselines"]}  # fmt: skip
    entries = [*averaged(OURS, ours), *(entry for name, of_one in rivals.items() for entry in averaged(name, [of_one]))]
    items = {scenario.name: len(data.catalogue(s)) for s, scenario in enumerate(data.layout.scenarios)}
    return {
        "benchmark": "amazon3",
        "split": experiment.evaluate.split,
        "quick": args.quick,
        "seeds": len(trainings),
        "settings": plain(experiment.next_item),
        "history": data.layout.history_length,
        "ranking": [{"items": items[entry["scenario"]]} | entry for entry in entries],
        "published": [
            {"model": name, "scenario": scenario, "recall@10": recall, "ndcg@10": ndcg}
            for name, of_model in PUBLISHED.items()
            for scenario, (recall, ndcg) in of_model.items()
        ],
        "trainings": trainings,
        "machine": runtime.machine(),
        "threads": args.threads or runtime.cores(),
        "seconds": round(time.monotonic() - started, 1),
    }


def averaged(name: str, found: list[list[Entry]]) -> list[Entry]:
    """Of each scenario the means over seeds, and their standard deviation where there are several."""
    entries = []
    for of_seeds in zip(*found, strict=True):
        values = {key: [entry[key] for entry in of_seeds] for key in FIGURES}
        means = {key: float(np.mean(value)) for key, value in values.items()}
        spread = {key: float(np.std(value, ddof=1)) if len(value) > 1 else None for key, value in values.items()}
        first = {key: of_seeds[0][key] for key in ("scenario", "users")}
        entries.append({"model": name} | first | means | {"std": spread})
    return entries


def show(found: dict[str, Any]) -> None:
    """The entries as lines."""
    print(f"amazon3, {found['split']}, {found['seeds']} seeds, {found['seconds']} s")
    for entry in found["ranking"]:
        figures = ", ".join(f"{key} {entry[key]:.4f}" for key in FIGURES)
        print(f"  {entry['scenario']:<8} {entry['model']:<12} {figures}  ({entry['users']:,} users)")
    for entry in found["published"]:
        figures = f"hit@10 {entry['recall@10']:.4f}, ndcg@10 {entry['ndcg@10']:.4f}"
        print(f"  {entry['scenario']:<8} {figures}  {entry['model']}, published")


if __name__ == "__main__":
    chosen = arguments()
    result = run(chosen)
    if chosen.json:
        print_json(result)
    else:
        show(result)
