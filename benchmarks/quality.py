"""One fair table of models: our presets, solo and pooled controls, baselines, and other packages' models.

    python -m benchmarks.quality --data kuairand|ml100k|market|amazon3 [--folder FOLDER] [--json] [--final] [--quick]
                                 [--size small|medium|large] [--split user_last|time] [--keep] [--models NAME…]
                                 [--seeds N] [--windows N] [--trials N] [--workers N] [--peers FOLDER] [--work FOLDER]

Everybody gets the same rows, split, features and running counts, the same calibration of every cell (fitted on valid,
cross-fitted where valid is judged), early stopping on valid and four settings to choose from (`entrants`). Figures are
means over seeds and rolling windows of the log (`windows`). Valid is judged unless `--final` is given. What has been
trained is kept in the work folder, so that a run that was stopped goes on. Without `.venv-peers` (`make bench-peers`)
the other packages are left out. amazon3 is ranking, by `benchmarks.amazon3`; its figures stand in a table of this form.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import market, peer_models
from benchmarks.common import Benchmark, write_config
from benchmarks.contest import Played, play
from benchmarks.entrants import OURS, THEIRS, Entrant, baselines, ours
from benchmarks.foreign import ROOT, peers
from benchmarks.output import options, tell
from benchmarks.standings import Measured, Play, Standings, entry
from benchmarks.windows import Window, shares, windows
from motet import runtime
from motet.baselines import BASELINES
from motet.data.sources.market import CONFLICT_CELL, write
from motet.errors import InputError
from motet.evaluate.kept import Kept
from motet.evaluate.plan import Evaluate
from motet.settings import write_json
from motet.terminal import explained, steps

DEFAULT = "motet"
BUDGET = (
    "at most {trials} settings of a network, chosen by the macro ne of valid after calibration, with the first seed: "
    "of ours and of solo (in each cell) learning rate × 1 or 1/2 and dropout × 1 or 1/3; of peers dropout 0.3 or 0 and "
    "with or without ids of fields with 255 values or more; boosting trees of 7, 15, 31 or 63 leaves; other baselines "
    "four ridges or strengths"
)
STOPPING = (
    "all networks by the macro ne of valid, judged twice an epoch, the best weights kept: ours after at most {ours} "
    "epochs or {patience} evaluations without a better one, peers {theirs} and {their_patience}; boosting by the log "
    "loss of valid, 10 rounds"
)
INPUTS = (
    "ids, tags, numbers and running counts, scenario, kind and the user's last items, whose ids the peers average; "
    "Torch-RecHub's ESMM takes no numbers and gets them in 20 buckets; ESMM has two tasks, one after the other"
)
MAKE = "make bench-peers"


@dataclass(frozen=True)
class Data:
    """A data set: its reader, the tasks of its macro and how it may be split, the usual way first."""

    reader: str | None
    macro_tasks: tuple[str, ...] | None = None
    splits: tuple[str, ...] = ("time",)
    quick_share: float = 1.0  # of the log


DATA = {
    "kuairand": Data("kuairand", ("click", "long_view", "profile_enter", "comment"), quick_share=0.4),
    "ml100k": Data("movielens", splits=("user_last", "time"), quick_share=0.3),
    "market": Data(None),
}
AMAZON, SEEDS = "amazon3", 3


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    seeds: int = SEEDS
    shares: tuple[float, ...] = (1.0, 0.9, 0.8)
    ours: Sequence[Mapping[str, Any]] = OURS
    theirs: Sequence[Mapping[str, Any]] = THEIRS
    models: tuple[str, ...] = ()  # empty: all
    resamples: int = 1000
    epochs: int | None = None  # of our networks; None: as the settings say
    final: bool = False


QUICK = ("mmoe", "solo", "popularity", "target-encoding-running", "boosting", "torch-rechub/mmoe", "deepctr-torch/mmoe",
         "fuxictr/mmoe")  # fmt: skip
QUICK_EPOCHS = 2


def plan_of(args: argparse.Namespace) -> Plan:
    """As the command line says; `--quick`: one seed, one short window, two epochs, nothing tuned, fewer models."""
    plan = Plan(models=tuple(args.models or ()), final=args.final)
    if args.quick:
        short = {"epochs": QUICK_EPOCHS, "theirs": ({**THEIRS[0], "epochs": QUICK_EPOCHS},), "ours": OURS[:1]}
        share = DATA[args.data].quick_share
        return replace(plan, seeds=1, shares=(share,), models=plan.models or QUICK, resamples=300, **short)
    tried = {"ours": OURS[: args.trials], "theirs": THEIRS[: args.trials]}
    return replace(plan, seeds=args.seeds, shares=tuple(shares(args.windows)), **tried)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """The whole table."""
    started, name, plan = time.monotonic(), name_of(args), plan_of(args)
    runtime.use_threads()
    how = Evaluate(split="test" if plan.final else "valid", seeds=plan.seeds, resamples=plan.resamples)
    data, work = DATA[args.data], args.work / "quality" / name
    split = args.split or data.splits[0]
    changes: dict[str, Any] = {"split.by": split} if data.reader and split != data.splits[0] else {}
    changes |= {} if plan.epochs is None else {"train.epochs": plan.epochs}
    kept, python = Kept(work / "kept"), args.peers / "bin" / "python"
    table: dict[str, list[Play]] = {}
    facts = []
    with steps() as say:
        found = windows(_config(args, data), changes, work, plan.shares, how, say)
        entrants = _entrants(plan, python if python.exists() else None, found[0])
        for window in found:
            played = play(window, entrants, kept, args.workers, say)
            for model, of in _measured(window, played, data, plan, say).items():
                table.setdefault(model, []).append(of)
            facts.append(window.facts())
    rows = [entry(one, table[one.name]) for one in entrants if len(table.get(one.name, [])) == len(found)]
    rows.sort(key=lambda row: -(row["macro_auc"] or 0))
    return {
        "benchmark": f"quality-{name}",
        "table": rows,
        "split": how.split,
        "split_by": split,
        "seeds": plan.seeds,
        "windows": facts,
        "macro_tasks": data.macro_tasks,
        "budget": BUDGET.format(trials=len(plan.ours)),
        "quick": args.quick,
        "stopping": _stopping(plan, found[0]),
        "inputs": INPUTS,
        "failed": [one.name for one in entrants if one.name not in {row["model"] for row in rows}],
        "peers_from": None if python.exists() else MAKE,
        "conflict_cell": list(CONFLICT_CELL) if args.data == "market" else None,
        "machine": runtime.machine(),
        "seconds": round(time.monotonic() - started, 1),
    }


def _stopping(plan: Plan, window: Window) -> str:
    train, theirs = window.experiment.train, plan.theirs[0].get("epochs", peer_models.EPOCHS)
    told = {"ours": train.epochs, "patience": train.patience, "theirs": theirs}
    return STOPPING.format(**told, their_patience=peer_models.PATIENCE)


def name_of(args: argparse.Namespace) -> str:
    """What the result is called: the data, its size or its unusual split."""
    if args.data == "market":
        return f"market-{'small' if args.quick else args.size}"
    usual = args.split is None or args.split == DATA[args.data].splits[0]
    return args.data if usual else f"{args.data}-{args.split}"


def _config(args: argparse.Namespace, data: Data) -> Path:
    """The motet.toml of the data; a market is simulated once."""
    folder, name = args.work / "quality", name_of(args)
    if data.reader is None:
        size = market.SIZES[name.removeprefix("market-")]
        made, path = folder / name / "market.json", folder / name / "motet.toml"
        wanted = {"market": asdict(size)}
        if not made.exists() or json.loads(made.read_text(encoding="utf-8")) != wanted:
            write(size, folder / name)
            write_json(made, wanted)
        return path
    where = argparse.Namespace(data=args.folder or ROOT / "../shared/data" / args.data, work=folder)
    return write_config(Benchmark(name, data.reader), where)


def _entrants(plan: Plan, python: Path | None, window: Window) -> list[Entrant]:
    """Who takes part: the default always does."""
    everybody = [*ours(plan.seeds, plan.ours), *baselines(plan.seeds)]
    if python is not None:
        everybody += peers(python, window.data, plan.seeds, plan.theirs)
    names = [one.name for one in everybody]
    if unknown := [name for name in plan.models if name not in names and "/" not in name]:
        raise InputError(f"no model is called {unknown[0]!r}", where="--models", fix=f"known: {', '.join(names)}")
    return [one for one in everybody if not plan.models or one.name in (DEFAULT, *plan.models)]


def _measured(window: Window, played: Mapping[str, Played], data: Data, plan: Plan, say: Any) -> dict[str, Play]:
    standings = Standings(window, played.get("solo"), data.macro_tasks, plan.resamples)
    found: dict[str, Measured] = {}
    for done, (name, one) in enumerate(played.items()):
        say(f"{window.name}: bootstrap over users", done / len(played))
        found[name] = standings.of(one)
    return {name: Play(standings, played[name], figures, found[DEFAULT]) for name, figures in found.items()}


def amazon(args: argparse.Namespace) -> dict[str, Any]:
    """`benchmarks.amazon3` and its figures as a table: hit@10 is recall@10, for one item is left out."""
    folder = args.folder or ROOT / "../shared/data" / AMAZON
    command = [sys.executable, "-m", "benchmarks.amazon3", "--data", str(folder), "--json", "--work", str(args.work)]
    command += [f"--{flag}" for flag in ("final", "quick") if getattr(args, flag)]
    command += ["--seeds", str(args.seeds)] if args.seeds != SEEDS else []
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout
    return ranked(json.loads(told))


def ranked(found: Mapping[str, Any]) -> dict[str, Any]:
    """A result of full-catalogue ranking in the form of this table."""
    by_model: dict[str, list[Mapping[str, Any]]] = {}
    for one in found["ranking"]:
        by_model.setdefault(one["model"], []).append(one)
    seconds = [training["seconds"] for training in found.get("trainings", [])]
    table = []
    for model, entries in by_model.items():
        learnt = model not in BASELINES
        spread = [(one.get("std") or {}).get("ndcg@10") for one in entries]
        means = {key: sum(one[key] for one in entries) / len(entries) for key in ("hit@10", "ndcg@10")}
        row: dict[str, Any] = dict.fromkeys(("macro_auc", "std", "log_loss", "ece", "verdicts", "seconds"))
        row |= {"model": model, "group": "ranking", "seeds": found.get("seeds", 1) if learnt else 1}
        row |= {"std": sum(spread) / len(spread)} if None not in spread else {}  # of ndcg@10
        row |= {"seconds": sum(seconds) / len(seconds)} if learnt and seconds else {}
        table.append(
            row | {key: round(value, 4) for key, value in means.items()} | {"matrix": list(map(dict, entries))}
        )
    table.sort(key=lambda row: -row["ndcg@10"])
    return {**found, "benchmark": f"quality-{AMAZON}", "table": table}


def show(found: Mapping[str, Any]) -> None:
    """The table as lines."""
    print(f"{found['benchmark']}, {found['split']}, {found['seconds']} s")
    for row in found["table"]:
        if row["group"] == "ranking":
            print(f"  {row['model']:<26} hit@10 {row['hit@10']:.4f}, ndcg@10 {row['ndcg@10']:.4f}")
            continue
        behind = row["behind_default"]
        told = f"{behind['mean']:+.4f} [{behind['low']:+.4f}, {behind['high']:+.4f}] behind" if behind else ""
        print(f"  {row['model']:<26} {row['macro_auc']:.4f} ± {row['std'] or 0:.4f}  log loss {row['log_loss']:.4f}, "
              f"ece {row['ece']:.4f}, {row['seconds']:.1f} s, {row['peak_rss_mb'] or '–'} MB  {told}")  # fmt: skip
    for name in found.get("failed", []):
        print(f"  {name:<26} failed")


def arguments() -> argparse.ArgumentParser:
    quick = "one seed, one short window, two epochs, nothing tuned, fewer models; below a minute"
    parser = options(__doc__, quick=quick)
    parser.add_argument("--data", choices=[*DATA, AMAZON], required=True)
    parser.add_argument("--folder", type=Path, help="of real data; default: ../shared/data/NAME beside the repository")
    parser.add_argument("--size", choices=market.SIZES, default=market.DEFAULT, help="of the market")
    parser.add_argument("--split", choices=("user_last", "time"), help="of ml100k; default: user_last")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="also write benchmarks/results/quality-NAME.json")
    parser.add_argument("--models", nargs="*", help="only these and the default; a peer is package/model")
    parser.add_argument("--trials", type=int, default=len(OURS), help="settings that networks choose from; 1: untuned")
    parser.add_argument("--final", action="store_true", help="judge on test instead of valid")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers", help="the other packages' environment")
    parser.add_argument("--workers", type=int, default=0, help="trainings at a time; 0: one per core")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "benchmarks/.work", help="prepared folders and what is kept"
    )
    return parser


if __name__ == "__main__":
    chosen = arguments().parse_args()
    with explained(chosen.json):
        result = amazon(chosen) if chosen.data == AMAZON else run(chosen)
        if chosen.keep:
            write_json(ROOT / "benchmarks/results" / f"{result['benchmark']}.json", result)
        tell(result, show, as_json=chosen.json)
