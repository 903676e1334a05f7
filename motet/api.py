"""Motet from Python: the commands as functions, on files or on frames.

    motet.init({"impressions": logs, "users": users, "items": items}, "shop/motet.toml")
    run = motet.train("shop/motet.toml", "shop/runs/first", prepared="shop/prepared")
    report = motet.evaluate(run)
    scores = motet.predict(candidates, run)
    slates = motet.recommend(run, user="u00042")
    motet.export(run, "shop/bundle")

The command line calls exactly these. Frames are polars' or pandas', or others that narwhals reads. Paths are relative
to the current folder. `changes` override keys of motet.toml, {"train.epochs": 3}. `say` is told what is being done and
the share of it that is done. What is wrong in what is given is an `InputError` with its place and a fix.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from motet import experiment as stages
from motet import runtime
from motet.batch import Batch
from motet.data.arrays import Ints
from motet.data.clock import moment
from motet.data.dataset import Dataset
from motet.data.files import column_names, read_columns, resolve
from motet.data.given import columns_of
from motet.data.infer import infer
from motet.data.sources import READERS
from motet.data.tables import as_key
from motet.errors import InputError
from motet.evaluate import compare as comparison
from motet.evaluate.slates import relevant_task
from motet.experiment import Experiment
from motet.frames import Frame, as_polars, is_frame, like
from motet.serve import onnx as graph
from motet.serve.bulk import Asked, Written, all_users, rows_of, slates_to
from motet.serve.bundle import Bundle
from motet.serve.bundle import export as export_bundle
from motet.serve.pipeline import part
from motet.serve.pipeline import recommend as answer
from motet.serve.popular import Popular
from motet.serve.predict import Predicted, predict_files, predict_frame
from motet.settings import atomic_file, nearest
from motet.train.loop import Progress
from motet.train.run import Run
from motet.tune.call import tune as tune
from motet.tune.call import tune_blend as tune_blend

Say = Callable[[str, float], None]
PathLike = Path | str
Changes = Mapping[str, Any]
TABLES = ("impressions", "users", "items", "edges")
CONFIG, PREPARED, RUN = Path("motet.toml"), Path("prepared"), Path("runs/default")
BUNDLE, ONNX = Path("bundle"), Path("ranker.onnx")


def _silent(what: str, share: float) -> None:
    """Tells nobody."""


def init(
    tables: PathLike | Sequence[PathLike] | Frame | Mapping[str, Frame],
    config: PathLike = CONFIG,
    *,
    reader: str | None = None,
    force: bool = False,
    say: Say = _silent,
) -> list[dict[str, Any]]:
    """Look at tables and write a commented motet.toml that already runs; what was decided and why comes back.

    `tables` are files, or a data set's folder with the named `reader` for it, or a frame of impressions, or frames by
    name: impressions, users, items, edges. Frames are kept as Parquet beside the motet.toml.
    """
    output = Path(config)
    if output.exists() and not force:
        raise InputError("this file exists", where=str(output), fix="choose another --output, or --force to replace it")
    if not (isinstance(tables, Mapping) or is_frame(tables)):
        files = [Path(tables)] if isinstance(tables, str | Path) else [Path(file) for file in tables]
        return _written(files, output, reader, say)
    frames = tables if isinstance(tables, Mapping) else {"impressions": tables}
    with _kept(frames, output.parent, force) as files:
        return _written(files, output, reader, say)


def read(config: PathLike = CONFIG, changes: Changes | None = None) -> Experiment:
    """The motet.toml, checked."""
    return stages.read(Path(config), changes)


def check(config: PathLike = CONFIG, *, changes: Changes | None = None, say: Say = _silent) -> dict[str, Any]:
    """Everything that `prepare` would refuse, found without writing; counts and warnings come back."""
    return stages.check(read(config, changes), Path(config).parent, progress=say)


def prepare(
    config: PathLike = CONFIG,
    prepared: PathLike = PREPARED,
    *,
    changes: Changes | None = None,
    memory: str | None = None,
    start: PathLike | None = None,
    force: bool = False,
    say: Say = _silent,
) -> Dataset:
    """The prepared folder, made or found fresh, with at most so much `memory` ("2GB").

    One that carries on the data of the run `start` keeps its transforms and the keys that it knows.
    """
    return stages.prepare(
        read(config, changes), Path(config).parent, Path(prepared), force=force, memory=memory,
        start=None if start is None else Path(start), progress=say,
    )  # fmt: skip


def train(
    config: PathLike = CONFIG,
    run: PathLike = RUN,
    *,
    prepared: PathLike = PREPARED,
    changes: Changes | None = None,
    start: PathLike | None = None,
    force: bool = False,
    say: Say = _silent,
    progress: Progress | None = None,
) -> Run:
    """Prepare if needed, then train one model for all cells; goes on exactly after a kill.

    It begins with the weights of the run `start`. `progress` is called with steps done, steps at most, and a word.
    """
    experiment, begin = read(config, changes), None if start is None else Path(start)
    data = stages.prepare(experiment, Path(config).parent, Path(prepared), force=force, start=begin, progress=say)
    return stages.train(experiment, data, Path(run), start=begin, force=force, progress=progress)


def evaluate(
    run: Run | PathLike = RUN,
    *,
    split: str | None = None,
    seeds: int | None = None,
    controls: bool | None = None,
    changes: Changes | None = None,
    say: Say = _silent,
) -> dict[str, Any]:
    """The report as a dict; also written as report.json and report.html into the run folder.

    `split` is "test" or "valid"; `seeds` how many paired seeds there are; with `controls` solo and pooled models are
    trained to compare with. None: as the settings say.
    """
    opened, experiment = _opened(run, changes)
    how = stages.with_evaluate(experiment, split=split, seeds=seeds, controls=controls)
    return stages.evaluate(opened, how, say=say)


def compare(runs: Sequence[PathLike]) -> dict[str, Any]:
    """Evaluated runs side by side: macro averages and each cell, and the distance to the first run."""
    return comparison.compare(comparison.read_reports([Path(run) for run in runs]))


def predict(
    rows: Frame | PathLike | Sequence[PathLike],
    run: Run | PathLike = RUN,
    *,
    at: str | float | None = None,
    table: str = "fp32",
    say: Say = _silent,
) -> Frame:
    """A frame with the keys of the rows, in their order, and what each task predicts of them.

    The rows have the log's columns without labels, as a frame or in files that fit in memory. A prediction is a
    probability of a binary task, on all impressions where it comes after another, or the value of a regression; null
    where the task does not apply to the item's kind or to the scenario. Rows without a time stand at `at`, by default
    at the end of the log. `table` is how embeddings are held: fp32, fp16, int8.
    """
    say("opening the run", 0.0)
    opened, experiment = _opened(run, table=table)
    runtime.use_threads(experiment.train.threads)
    frame, where = rows, "rows"
    if not is_frame(rows):
        files = [str(rows)] if isinstance(rows, str | Path) else [str(file) for file in rows]
        frame, where = _read(opened, files), files[0]
    say("scoring rows", 0.0)
    scores, _ = predict_frame(opened, as_polars(frame, where=where), at=_moment(at), where=where)
    return like(scores, frame)


def predict_to(
    output: PathLike,
    files: Sequence[PathLike],
    run: Run | PathLike = RUN,
    *,
    at: str | float | None = None,
    table: str = "fp32",
    force: bool = False,
    say: Say = _silent,
) -> Predicted:
    """`predict` of files that may be larger than memory, into the Parquet file `output`; goes on after a kill."""
    say("opening the run", 0.0)
    opened, experiment = _opened(run, table=table)
    runtime.use_threads(experiment.train.threads)
    found = resolve([str(file) for file in files], Path())
    return predict_files(opened, found, Path(output), at=_moment(at), force=force, say=say)


def recommend(
    run: Run | PathLike = RUN,
    *,
    user: str | None = None,
    scenarios: Sequence[str] = (),
    kinds: Sequence[str] = (),
    n: int | None = None,
    weights: Mapping[str, float] | None = None,
    history: Sequence[Mapping[str, Any]] | PathLike | None = None,
    seen: bool = False,
    exclude: Sequence[str] = (),
    context: Mapping[str, str] | None = None,
    table: str = "fp32",
    say: Say = _silent,
) -> list[dict[str, Any]]:
    """Slates as plain dicts, one for each scenario and kind, each of `n` items (default: the scenario's slate size).

    A `user` who is None or not in the log is unknown. `weights` are blend weights of tasks; `history` stands for the
    user's own: events [{"item": "g0001", "click": 1}, …], oldest first, or a JSON file of them; `seen` keeps items that
    the user has been shown, `exclude` leaves some out; `context` tells features of the request.
    """
    say("opening the run", 0.0)
    opened, experiment = _opened(run, table=table)
    runtime.use_threads(experiment.train.threads)
    blend = stages.blend_of(opened.data, experiment).reweighted(weights or {})
    events = _events(Path(history)) if isinstance(history, str | Path) else history
    names = scenarios or [scenario.name for scenario in opened.data.layout.scenarios]
    slates = []
    for done, name in enumerate(names):
        tell = part(lambda share: say("scoring the catalogue", share), done, len(names))
        slates += answer(
            opened, blend, user=user, scenario=name, kinds=kinds, n=n, history=events, seen=seen, exclude=exclude,
            context=context, say=tell,
        )  # fmt: skip
    return [asdict(slate) for slate in slates]


def recommend_to(
    output: PathLike,
    run: Run | PathLike = RUN,
    *,
    users: Sequence[str] | PathLike = "all",
    scenarios: Sequence[str] = (),
    kinds: Sequence[str] = (),
    n: int | None = None,
    weights: Mapping[str, float] | None = None,
    seen: bool = False,
    exclude: Sequence[str] = (),
    context: Mapping[str, str] | None = None,
    table: str = "fp32",
    force: bool = False,
    say: Say = _silent,
) -> Written:
    """`recommend` of many users into the Parquet file `output`, a row per place; goes on after a kill.

    `users` are "all", keys, or a file with the column of users; who is not in the log is left out.
    """
    say("opening the run", 0.0)
    opened, experiment = _opened(run, table=table)
    runtime.use_threads(experiment.train.threads)
    blend = stages.blend_of(opened.data, experiment).reweighted(weights or {})
    asked = Asked(tuple(scenarios), tuple(kinds), n, seen, tuple(exclude), tuple((context or {}).items()))
    return slates_to(Path(output), opened, blend, _users(opened, users), asked, force=force, say=say)


def export(
    run: Run | PathLike = RUN,
    output: PathLike = BUNDLE,
    *,
    changes: Changes | None = None,
    force: bool = False,
    say: Say = _silent,
) -> Bundle:
    """One folder that answers alone, for `motet serve`: written whole or not at all, and opened again.

    `changes` are to [blend], whose weights it keeps. One that is there is replaced only with `force`.
    """
    say("opening the run", 0.0)
    opened, experiment = _opened(run, changes)
    say("counting what is popular", 0.0)
    chosen, kinds = experiment.evaluate.relevant_task, opened.data.layout.kinds
    popular = Popular.of(opened.data, [relevant_task(opened.data, kind, chosen) for kind in kinds])
    say("writing the bundle", 0.0)
    return export_bundle(opened, stages.blend_of(opened.data, experiment), popular, Path(output), force=force)


def export_onnx(
    run: Run | PathLike = RUN, file: PathLike = ONNX, *, force: bool = False, say: Say = _silent
) -> dict[str, Any]:
    """The ranker alone, calibrated, as an ONNX file; what is in it comes back. Needs the extra `onnx`.

    `motet.onnx_inputs(batch)` are a batch's inputs to it. One that is there is replaced only with `force`.
    """
    say("opening the run", 0.0)
    opened, _ = _opened(run)
    say("tracing the network", 0.0)
    return graph.export(opened, Path(file), force=force)


def onnx_inputs(batch: Batch) -> dict[str, Any]:
    """A batch, such as `run.data.batch(rows)`, as arrays by the names of the ONNX file's inputs."""
    return graph.feeds(batch)


def _users(run: Run, users: Sequence[str] | PathLike) -> Ints:
    if users == "all":
        return all_users(run)
    if isinstance(users, str | Path):
        column = run.data.schema.columns.user
        frame = read_columns([str(users)], Path(), [column], [column])[0]
        if column not in frame.columns:
            fix = 'give a file with that column, or "all"'
            raise InputError(f"there is no column {column!r}", where=str(users), fix=fix)
        users = as_key(frame[column], str(users)).drop_nulls().to_list()
    known = rows_of(run, users)
    if not len(known):
        raise InputError("none of these users is in the log", where="users", fix="motet recommend answers strangers")
    return known


def _opened(run: Run | PathLike, changes: Changes | None = None, *, table: str = "fp32") -> tuple[Run, Experiment]:
    """A run with the settings it was trained by; `changes` are to how it is judged: [evaluate] and [blend]."""
    if isinstance(run, Run):
        return run, stages.settings_of(run.folder, changes)
    return stages.of_run(Path(run), changes, table=table)


def _moment(at: str | float | None) -> float | None:
    return None if at is None else moment(at, where="--at")


def _read(run: Run, files: list[str]) -> Frame:
    """Those files' columns that rows need, keys as they are written."""
    roles, first = run.data.schema.columns, resolve(files, Path())[0]
    text = [name for name in (roles.user, roles.item, roles.scenario) if name is not None]
    return read_columns(files, Path(), columns_of(run.data, column_names(first), where=str(first)), text)[0]


def _written(files: Sequence[Path], output: Path, reader: str | None, say: Say) -> list[dict[str, Any]]:
    """The motet.toml of those files; what was found comes back."""
    if reader is None:
        found = infer([_seen_from(file, output.parent) for file in files], base=output.parent, say=say)
        text, findings = found.toml, [asdict(finding) for finding in found.findings]
    else:
        text, findings = _through_reader(reader, files, output), []
    with atomic_file(output, "w") as file:
        file.write(text)
    return findings


@contextmanager
def _kept(frames: Mapping[str, Frame], folder: Path, force: bool) -> Iterator[list[Path]]:
    """The frames as Parquet files of that folder; those that are new go again if the block ends in an error."""
    for name in frames:
        if name not in TABLES:
            raise InputError(f"unknown table {name!r}", where="tables", fix=nearest(name, list(TABLES)))
    tables = {folder / f"{name}.parquet": as_polars(frame, where=name) for name, frame in frames.items()}
    there = [file for file in tables if file.exists()]
    if there and not force:
        fix = "choose another folder, or force=True to replace it"
        raise InputError("this file exists", where=str(there[0]), fix=fix)
    try:
        for file, table in tables.items():
            with atomic_file(file) as whole:
                table.write_parquet(whole)
        yield list(tables)
    except BaseException:
        for file in set(tables) - set(there):
            file.unlink(missing_ok=True)
        raise


def _events(path: Path) -> list[dict[str, Any]]:
    try:
        events = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read the history: {error}", where=str(path), fix="give a JSON list of events"
        ) from None
    if not isinstance(events, list) or not all(isinstance(event, dict) and "item" in event for event in events):
        raise InputError(
            "not a list of events", where=str(path), fix='[{"item": "g0001", "click": 1}, …], oldest first'
        )
    return events


def _through_reader(reader: str, files: Sequence[Path], output: Path) -> str:
    if reader not in READERS:
        raise InputError(f"unknown reader {reader!r}", where="--reader", fix=nearest(reader, list(READERS)))
    if len(files) != 1:
        fix = f"name the folder that holds {READERS[reader].files}"
        raise InputError("a reader takes one folder", where="FILES", fix=fix)
    same = output.parent.resolve() == Path.cwd()
    return READERS[reader].schema_toml(files[0] if same else files[0].resolve())


def _seen_from(file: Path, base: Path) -> Path:
    """A path of the current folder as one of `base`; absolute ones stay."""
    if file.is_absolute() or base.resolve() == Path.cwd():
        return file
    return Path(os.path.relpath(file, base)) if base.is_dir() else file.resolve()
