"""`motet.toml` whole, and the stages that it configures: prepare, train, evaluate.

Each stage gets its own settings, never the whole file.
"""

from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from motet import runtime
from motet.baselines import Baselines
from motet.data.clean import Clean
from motet.data.dataset import Dataset
from motet.data.history import HistorySettings
from motet.data.prepare import PrepareSettings, check_tables
from motet.data.prepare import prepare as prepare_folder
from motet.data.running import Running
from motet.data.split import Split
from motet.errors import InputError
from motet.evaluate.evaluation import evaluate as evaluate_run
from motet.evaluate.fitting import fittings, in_order
from motet.evaluate.jobs import Jobs, run_jobs
from motet.evaluate.kept import Kept
from motet.evaluate.next_item import evaluate_next_item
from motet.evaluate.plan import Evaluate
from motet.evaluate.report import render
from motet.model.next_item import NextItem
from motet.model.ranker import Model, resolve
from motet.schema import Schema, next_task
from motet.scoring import calibrate
from motet.scoring.blend import Blend
from motet.scoring.sampled import Sampled
from motet.settings import atomic_file, nearest, parse, place, plain, read_toml, settings, write_json
from motet.train.begin import JUDGING, begin_run, check_learnable
from motet.train.carry import carry_over
from motet.train.loop import Progress, Train
from motet.train.next_item import new_next_item, train_next_item
from motet.train.run import Run, load_run, new_network, prepared_of, save_next_item, save_run, scratch_of
from motet.train.score import score_rows
from motet.train.search import Tune
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
    next_item: NextItem = field(default_factory=NextItem)
    evaluate: Evaluate = field(default_factory=Evaluate)
    baselines: Baselines = field(default_factory=Baselines)
    tune: Tune = field(default_factory=Tune)
    blend: dict[str, float | dict[str, float]] = field(default_factory=dict)  # task weights, or by scenario

    @property
    def schema(self) -> Schema:
        """The nouns alone: what the prepared folder depends on; without tasks every row is a positive of `next`."""
        schema = Schema(**{f.name: getattr(self, f.name) for f in fields(Schema)})
        return schema if schema.tasks else replace(schema, tasks=(next_task(schema.columns.item),))

    @property
    def preparation(self) -> PrepareSettings:
        return PrepareSettings(clean=self.clean, split=self.split, running=self.running, history=self.history)


def read(path: Path, changes: Mapping[str, Any] | None = None) -> Experiment:
    """The file, checked; `changes` ({"train.seed": 1}) override it. Errors name file, line and key."""
    data = read_toml(path)
    for key, value in (changes or {}).items():
        _change(data, key, value)
    experiment = parse(Experiment, data, path=path)
    _check_sections(experiment, data, path)
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
    if not experiment.tasks:
        return _train_next_item(experiment, data, folder, start=start, force=force, progress=progress)
    model, sampled = resolve(experiment.model), Sampled.of(data.layout)
    check_learnable(data)
    if model.position and data.schema.columns.position is None:
        fix = 'name the column with `position = "…"` in [columns], or leave model.position out'
        raise InputError("the log tells no positions", where="model.position", fix=fix)
    config = {name: value for name, value in plain(experiment).items() if name != "next_item"}
    if not begin_run(folder, config | {"model": plain(model)}, data, start=start, force=force):
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
            folder, network=network, model=model, train=experiment.train, outcome=outcome,
            fit=replace(fitted, sampled=sampled), scratch=scratch,
        )  # fmt: skip
    return load_run(folder)


def _train_next_item(
    experiment: Experiment, data: Dataset, folder: Path, *, start: Path | None, force: bool, progress: Progress | None
) -> Run:
    """The same without tasks: the next-item model alone."""
    if start is not None:
        fix = "train it anew, without --from"
        raise InputError("a run without tasks cannot begin with another's weights", where=str(start), fix=fix)
    how, base = experiment.next_item, experiment.train
    if not begin_run(folder, plain(experiment), data, force=force):
        network = new_next_item(data, how, base.seed)
        outcome, ndcg = train_next_item(network, data, how, base, folder=folder, progress=progress)
        save_next_item(folder, network=network, how=how, train=base, outcome=outcome, ndcg=ndcg)
    return load_run(folder)


def train_controls(
    experiment: Experiment, data: Dataset, folder: Path, *, progress: Callable[[int, int], None] | None = None
) -> None:
    """What the report of a run in `folder` compares with, ahead of `evaluate`, which then finds it done."""
    how = experiment.evaluate
    jobs = Jobs.of(data, resolve(experiment.model), experiment.train, how)
    wanted = in_order(jobs, fittings(data, experiment.baselines, how, blend_of(data, experiment)))
    run_jobs(wanted, Kept.beside(folder), workers=how.workers, progress=progress)


def evaluate(run: Run, experiment: Experiment, *, say: Say = lambda what, share: None) -> dict[str, Any]:
    """The report, written as `report.json` and `report.html` into the run folder."""
    runtime.use_threads(experiment.train.threads)
    if experiment.tasks:
        report = evaluate_run(run, experiment.evaluate, blend_of(run.data, experiment), experiment.baselines, say=say)
    else:
        report = evaluate_next_item(run, experiment.evaluate, say=say)
    write_json(run.folder / "report.json", report)
    with atomic_file(run.folder / "report.html", "w") as file:
        file.write(render(report))
    return report


def blend_of(data: Dataset, experiment: Experiment) -> Blend:
    """The blend of the settings; regressions are centred and scaled by their train labels."""
    layout = data.layout
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
    _check_judging(changes or {})
    return load_run(folder, table), settings_of(folder, changes)


def settings_of(folder: Path, changes: Mapping[str, Any] | None = None) -> Experiment:
    """The settings that the run of that folder was trained by, and how it is judged."""
    _check_judging(changes or {})
    return read(folder / "config.toml", changes)


def _check_judging(changes: Mapping[str, Any]) -> None:
    for key in changes:
        if key.split(".")[0] not in JUDGING:
            fix = f"a trained run keeps them; change {' or '.join(JUDGING)} here, or train another run"
            raise InputError(f"{key!r} is a setting of training", where="--set", fix=fix)


def with_evaluate(experiment: Experiment, **changes: Any) -> Experiment:
    """The same experiment judged otherwise; changes that are None change nothing."""
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(experiment, evaluate=parse(Evaluate, plain(experiment.evaluate) | given, prefix=("evaluate",)))


def _change(data: dict[str, Any], key: str, value: Any) -> None:
    """Set `section.key` of a file as read."""
    section: Any = data
    *parents, last = key.split(".")
    for name in parents:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise InputError(f"{name!r} in {key!r} is no section", where="--set", fix="write section.key=value")
    section[last] = value


def _check_sections(experiment: Experiment, data: Mapping[str, Any], path: Path) -> None:
    """`[model]` is of runs with tasks, `[next_item]` of those without."""
    given, fix = "model", "leave it out; [next_item] sets what is trained without tasks"
    if experiment.tasks:
        given, fix = "next_item", "leave it out, or write tasks = []"
    if data.get(given):
        raise InputError("this section means nothing with these tasks", where=place(path, (given,)), fix=fix)


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
