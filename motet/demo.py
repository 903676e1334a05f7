"""The demo: from nothing to a trained model, the matrix of cells, slates and a report."""

import time
from pathlib import Path

from motet import experiment as stages
from motet.data.sources import READERS
from motet.data.sources.market import Market
from motet.data.sources.market import write as write_market
from motet.errors import InputError
from motet.serve.pipeline import popular_user
from motet.settings import atomic_file, nearest
from motet.terminal import log, out, print_json, show, show_slate, steps

DATA = ("market", "movielens")


def run_demo(data: str, folder: Path, *, seeds: int, force: bool, as_json: bool) -> None:
    """Make the data, prepare, train, evaluate, recommend; print what a newcomer should see."""
    started = time.monotonic()
    config = _make_data(data, folder, force)
    experiment = stages.with_evaluate(stages.read(config), seeds=seeds)
    with steps() as say:
        prepared = stages.prepare(experiment, folder, folder / "prepared", progress=say)
        log.print(stages.describe(prepared))
        run = stages.train(experiment, prepared, folder / "runs" / "demo", force=force, progress=say.training)
        report = stages.evaluate(run, experiment, say=say)
    user = popular_user(prepared)
    slates = stages.recommend(run.folder, user=user, n=3)
    seconds = time.monotonic() - started
    if as_json:
        print_json({"report": report, "user": user, "slates": slates, "seconds": round(seconds, 1)})
        return
    show(report)
    out.print(f"\n[bold]Slates for user {user}[/], one per scenario and kind:")
    for slate in slates:
        show_slate(slate)
    out.print(_next(config, run.folder, seconds), soft_wrap=True)


def _make_data(data: str, folder: Path, force: bool) -> Path:
    if data not in DATA:
        raise InputError(f"unknown demo data {data!r}", where="--data", fix=nearest(data, list(DATA)))
    config = folder / "motet.toml"
    if config.exists() and not force:
        return config
    folder.mkdir(parents=True, exist_ok=True)
    if data == "market":
        return write_market(Market(), folder)
    with atomic_file(config, "w") as file:
        file.write(READERS[data].schema_toml(folder))
    return config


def _next(config: Path, run: Path, seconds: float) -> str:
    return f"""
Done in {seconds:.0f} s. The whole report: [bold]{run / "report.html"}[/]

Next:
  motet recommend {run} --user … --scenario mobile -n 5
  motet evaluate {run} --seeds 3          training noise covered, too
  motet init YOUR_FILES…                  the same for your own logs (read {config} for what a schema says)"""
