"""`motet.toml` whole, and the stages as functions: read, prepare, train, evaluate, recommend.

The command line calls exactly these. Each stage gets its own settings, never the whole file.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from motet import runtime
from motet.data.clean import Clean
from motet.data.clock import moment
from motet.data.dataset import Dataset
from motet.data.history import HistorySettings
from motet.data.infer import infer
from motet.data.prepare import PrepareSettings, check_tables
from motet.data.prepare import prepare as prepare_folder
from motet.data.running import Running
from motet.data.sources import READERS
from motet.data.split import Split
from motet.errors import InputError
from motet.evaluate.evaluation import evaluate as evaluate_run
from motet.evaluate.jobs import Jobs, cache_of, run_jobs
from motet.evaluate.plan import Evaluate
from motet.evaluate.report import render
from motet.model.ranker import Model, resolve
from motet.schema import Schema
from motet.scoring import calibrate
from motet.scoring.blend import Blend
from motet.serve.pipeline import part
from motet.serve.pipeline import recommend as answer
from motet.serve.predict import Predicted, predict_files
from motet.settings import atomic_file, nearest, parse, place, plain, read_toml, settings, write_json
from motet.train.begin import JUDGING, begin_run, check_learnable
from motet.train.carry import carry_over
from motet.train.loop import Progress, Train
from motet.train.run import Run, load_run, new_network, prepared_of, save_run, scratch_of
from motet.train.score import score_rows
from motet.train.stages import train_stages

Say = Callable[[str, float], None]


@settings
class Experiment(Schema):
    """Everything a `motet.toml` may hold: the schema, then one section per stage."""

    clean: Clean = field(default_factory=Clean)
    split: Split = field(default_factory=Split)
    running: Running = field(default_factory=Running)
    history: HistorySettings = field(default_factory=HistorySettings)
    model: dict[str, Any] = field(default_factory=dict)  # keys of Model; a preset and what differs from it
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)
    blend: dict[str, float | dict[str, float]] = field(default_factory=dict)  # task weights, or by scenario

    @property
    def schema(self) -> Schema:
        """The nouns alone: what the prepared folder depends on."""
        return Schema(**{f.name: getattr(self, f.name) for f in fields(Schema)})

    @property
    def preparation(self) -> PrepareSettings:
        return PrepareSettings(clean=self.clean, split=self.split, running=self.running, history=self.history)


def read(path: Path, changes: Mapping[str, Any] | None = None) -> Experiment:
    """The file, checked; `changes` ({"train.seed": 1}) override it. Errors name file, line and key."""
    data = read_toml(path)
    for key, value in (changes or {}).items():
        _change(data, key, value)
    experiment = parse(Experiment, data, path=path)
    try:
        resolve(experiment.model)
    except InputError as error:
        raise InputError(error.what, where=place(path, tuple(error.where.split("."))), fix=error.fix) from None
    _check_names(experiment, path)
    return experiment


def json_schema() -> dict[str, Any]:
    """A JSON Schema of the file, for editors."""
    schema = TypeAdapter(Experiment).json_schema()
    model = TypeAdapter(Model).json_schema()
    schema["$defs"] |= model.pop("$defs", {})
    schema["properties"]["model"] = model
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "motet.toml"}


def prepare(
    experiment: Experiment,
    base: Path,
    folder: Path,
    *,
    force: bool = False,
    memory: str | None = None,
    start: Path | None = None,
    progress: Say | None = None,
) -> Dataset:
    """The prepared folder, made or found fresh, with at most so much `memory` ("2GB").

    One that carries on the data of the run `start` keeps its transforms and the keys that it knows.
    """
    prepare_folder(
        experiment.schema, experiment.preparation, base, folder, progress=progress, force=force, memory=memory,
        extends=None if start is None else prepared_of(start),
    )  # fmt: skip
    return Dataset.open(folder)


def train(
    experiment: Experiment,
    data: Dataset,
    folder: Path,
    *,
    start: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Run:
    """A trained run in `folder`; one that was killed goes on where it stopped, a finished one is read back.

    It begins with the weights of the run `start`, whose data `data` carries on.
    """
    model = resolve(experiment.model)
    check_learnable(data)
    if not begin_run(folder, plain(experiment) | {"model": plain(model)}, data, start=start, force=force):
        network = new_network(data, model, experiment.train.seed)
        if start is not None:
            carry_over(start, network, model, data)
        outcome = train_stages(network, data, experiment.train, folder=folder, progress=progress)
        valid = data.rows("valid")
        forms = [task.form for task in data.layout.tasks]
        fitted = calibrate.fit(
            score_rows(network, data, valid), data.labels(valid), data.scenarios(valid),
            scenarios=len(data.layout.scenarios), forms=forms,
        )  # fmt: skip
        scratch = experiment.train if start is None else scratch_of(start)
        save_run(
            folder, network=network, model=model, train=experiment.train, outcome=outcome, fit=fitted, scratch=scratch
        )
    return load_run(folder)


def train_controls(
    experiment: Experiment, data: Dataset, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """What the report of a run in `folder` compares with, ahead of `evaluate`, which then finds it trained."""
    how = experiment.evaluate
    jobs = Jobs.of(data, resolve(experiment.model), experiment.train, how)
    run_jobs(jobs.all, cache_of(folder), workers=how.workers, progress=progress)


def evaluate(run: Run, experiment: Experiment, *, say: Say = lambda what, share: None) -> dict[str, Any]:
    """The report, written as `report.json` and `report.html` into the run folder."""
    runtime.use_threads(experiment.train.threads)
    report = evaluate_run(run, experiment.evaluate, blend_of(run, experiment), say=say)
    write_json(run.folder / "report.json", report)
    with atomic_file(run.folder / "report.html", "w") as file:
        file.write(render(report))
    return report


def blend_of(run: Run, experiment: Experiment) -> Blend:
    """The blend of the settings; regressions are centred and scaled by their train labels."""
    layout = run.data.layout
    means = np.nanmean(np.array(layout.base_rates), 0) if layout.base_rates else []
    scales = {
        task.name: (float(mean), scale)
        for task, mean, scale in zip(layout.tasks, means, layout.label_scales, strict=True)
        if task.form == "regression"
    }
    names = [scenario.name for scenario in layout.scenarios]
    return Blend.of(layout.tasks, names, experiment.blend, scales)  # type: ignore[arg-type]


def of_run(folder: Path, changes: Mapping[str, Any] | None = None, *, table: str = "fp32") -> tuple[Run, Experiment]:
    """A run with the settings it was trained by; `changes` are to how it is judged: [evaluate] and [blend].

    `table` is how its embedding table is held in memory: fp32, fp16 or int8.
    """
    for key in changes or {}:
        if key.split(".")[0] not in JUDGING:
            fix = f"a trained run keeps them; change {' or '.join(JUDGING)} here, or train another run"
            raise InputError(f"{key!r} is a setting of training", where="--set", fix=fix)
    return load_run(folder, table), read(folder / "config.toml", changes)


def with_evaluate(experiment: Experiment, **changes: Any) -> Experiment:
    """The same experiment judged otherwise; changes that are None change nothing."""
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(experiment, evaluate=parse(Evaluate, plain(experiment.evaluate) | given, prefix=("evaluate",)))


def recommend(
    folder: Path,
    *,
    user: str | None,
    scenarios: Sequence[str] = (),
    kinds: Sequence[str] = (),
    n: int | None = None,
    weights: dict[str, float] | None = None,
    history: Path | None = None,
    seen: bool = False,
    exclude: Sequence[str] = (),
    context: Mapping[str, str] | None = None,
    table: str = "fp32",
    say: Say = lambda what, share: None,
) -> list[dict[str, Any]]:
    """Slates of the run in that folder, as plain dicts; default: every scenario and kind."""
    say("opening the run", 0.0)
    run, experiment = of_run(folder, table=table)
    runtime.use_threads(experiment.train.threads)
    blend = blend_of(run, experiment).reweighted(weights or {})
    events = None if history is None else _events(history)
    names = scenarios or [scenario.name for scenario in run.data.layout.scenarios]
    slates = []
    for done, name in enumerate(names):
        tell = part(lambda share: say("scoring the catalogue", share), done, len(names))
        slates += answer(
            run, blend, user=user, scenario=name, kinds=kinds, n=n, history=events, seen=seen, exclude=exclude,
            context=context, say=tell,
        )  # fmt: skip
    return [asdict(slate) for slate in slates]


def predict(
    folder: Path,
    files: Sequence[Path],
    output: Path,
    *,
    at: str | None = None,
    table: str = "fp32",
    force: bool = False,
    say: Say = lambda what, share: None,
) -> Predicted:
    """What each task of the run in that folder predicts of the rows of those files, into the Parquet file `output`."""
    say("opening the run", 0.0)
    run, experiment = of_run(folder, table=table)
    runtime.use_threads(experiment.train.threads)
    when = None if at is None else moment(at, where="--at")
    return predict_files(run, files, output, at=when, force=force, say=say)


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


def init(
    files: Sequence[Path],
    output: Path,
    *,
    reader: str | None = None,
    force: bool = False,
    say: Say = lambda what, share: None,
) -> list[dict[str, Any]]:
    """Write a commented `motet.toml` for those tables; what was decided and why comes back."""
    if output.exists() and not force:
        raise InputError("this file exists", where=str(output), fix="choose another --output, or --force to replace it")
    if reader is None:
        found = infer([_seen_from(file, output.parent) for file in files], base=output.parent, say=say)
        text, findings = found.toml, [asdict(finding) for finding in found.findings]
    else:
        text, findings = _through_reader(reader, files, output), []
    with atomic_file(output, "w") as file:
        file.write(text)
    return findings


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


def _change(data: dict[str, Any], key: str, value: Any) -> None:
    """Set `section.key` of a file as read."""
    section: Any = data
    *parents, last = key.split(".")
    for name in parents:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise InputError(f"{name!r} in {key!r} is no section", where="--set", fix="write section.key=value")
    section[last] = value


def _check_names(experiment: Experiment, path: Path) -> None:
    """Tasks, scenarios and kinds that settings name should be the schema's, where it lists them."""
    tasks = [task.name for task in experiment.tasks]
    scenarios = [scenario.name for scenario in experiment.scenarios]
    kinds = [kind.name for kind in experiment.kinds]
    weights = [key for key, value in experiment.blend.items() if not isinstance(value, dict)]
    named = [key for key, value in experiment.blend.items() if isinstance(value, dict)]
    for section, keys, known, what in (
        (("train", "task_weights"), experiment.train.task_weights, tasks, "task"),
        (("evaluate", "relevant_task"), experiment.evaluate.relevant_task, kinds, "kind"),
        (("blend",), weights, tasks, "task"),
        (("blend",), named, scenarios, "scenario"),
    ):
        for key in keys:
            if known and key not in known:
                raise InputError(f"unknown {what} {key!r}", where=place(path, (*section, key)), fix=nearest(key, known))
    for kind, name in experiment.evaluate.relevant_task.items():
        if name not in tasks:
            where = place(path, ("evaluate", "relevant_task", kind))
            raise InputError(f"unknown task {name!r}", where=where, fix=nearest(name, tasks))
    for key in ("epochs", "batch_size", "evaluations_per_epoch", "patience", "checkpoint_every"):
        if (value := getattr(experiment.train, key)) < 1:
            raise InputError(f"{value} is too small", where=place(path, ("train", key)), fix="at least 1")


def check(experiment: Experiment, base: Path, *, progress: Say = lambda what, share: None) -> dict[str, Any]:
    """Everything `prepare` would refuse, found without writing; counts and warnings come back."""
    return check_tables(experiment.schema, experiment.preparation, base, progress=progress)


def describe(data: Dataset) -> str:
    """One line on a prepared folder."""
    rows, removed = (
        data.manifest["rows"],
        sum(rule["rows"] for rule in data.manifest["removed"] if rule["effect"] == "row removed"),
    )
    shape = shape_of(len(data.layout.scenarios), len(data.layout.tasks))
    counts = ", ".join(f"{name} {rows[name]:,}" for name in ("train", "valid", "test"))
    return f"prepared {data.folder}: {counts} impressions, {shape}; cleaning removed {removed:,} rows"


def shape_of(scenarios: int, tasks: int) -> str:
    """How large the matrix of cells is, in words."""
    return f"{scenarios} scenario{'s' * (scenarios != 1)} × {tasks} task{'s' * (tasks != 1)}"
