"""`motet.toml` whole, and the stages as functions: read, prepare, train, evaluate, recommend.

The command line calls exactly these. Each stage gets its own settings, never the whole file.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from pydantic import TypeAdapter

from motet import runtime
from motet.data.clean import Clean
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
from motet.evaluate.plan import Evaluate
from motet.evaluate.report import render
from motet.model.ranker import Model, resolve
from motet.schema import Schema
from motet.scoring import calibrate
from motet.scoring.blend import Blend
from motet.serve.pipeline import recommend as answer
from motet.settings import atomic_file, nearest, parse, plain, read_toml, settings, write_json
from motet.train.loop import Progress, Train
from motet.train.loop import train as train_network
from motet.train.run import Run, load_run, new_network, save_run
from motet.train.score import score_rows

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


def read(path: Path, changes: dict[str, Any] | None = None) -> Experiment:
    """The file, checked; `changes` ({"train.seed": 1}) override it. Errors name file, line and key."""
    data = read_toml(path)
    for key, value in (changes or {}).items():
        section: Any = data
        *parents, last = key.split(".")
        for name in parents:
            section = section.setdefault(name, {})
        section[last] = value
    experiment = parse(Experiment, data, path=path)
    resolve(experiment.model)
    return experiment


def json_schema() -> dict[str, Any]:
    """A JSON Schema of the file, for editors."""
    schema = TypeAdapter(Experiment).json_schema()
    model = TypeAdapter(Model).json_schema()
    schema["properties"]["model"] = model
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "motet.toml"} | schema


def prepare(
    experiment: Experiment, base: Path, folder: Path, *, force: bool = False, progress: Say | None = None
) -> Dataset:
    """The prepared folder, made or found fresh."""
    prepare_folder(experiment.schema, experiment.preparation, base, folder, progress=progress, force=force)
    return Dataset.open(folder)


def train(
    experiment: Experiment, data: Dataset, folder: Path, *, force: bool = False, progress: Progress | None = None
) -> Run:
    """A trained run in `folder`; one that was killed goes on where it stopped, a finished one is read back."""
    model = resolve(experiment.model)
    config = plain(experiment) | {"model": plain(model)}
    _check_same(folder, config, force)
    if not (folder / "run.json").exists():
        with atomic_file(folder / "config.toml") as file:
            tomli_w.dump(config, file)
        network = new_network(data, model, experiment.train.seed)
        outcome = train_network(network, data, experiment.train, folder=folder, progress=progress)
        valid = data.rows("valid")
        forms = [task.form for task in data.layout.tasks]
        fitted = calibrate.fit(
            score_rows(network, data, valid), data.labels(valid), data.scenarios(valid),
            scenarios=len(data.layout.scenarios), forms=forms,
        )  # fmt: skip
        save_run(folder, network=network, model=model, train=experiment.train, data=data, outcome=outcome, fit=fitted)
    return load_run(folder)


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


def of_run(folder: Path) -> tuple[Run, Experiment]:
    """A run with the settings it was trained by."""
    return load_run(folder), parse(Experiment, read_toml(folder / "config.toml"), path=folder / "config.toml")


def with_evaluate(experiment: Experiment, **changes: Any) -> Experiment:
    """The same experiment judged otherwise; changes that are None change nothing."""
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(experiment, evaluate=replace(experiment.evaluate, **given))


def _check_same(folder: Path, config: dict[str, Any], force: bool) -> None:
    """A run folder keeps its settings; other settings need another folder (or `force`, which starts it over)."""
    path = folder / "config.toml"
    if not path.exists():
        return
    stages = ("model", "train", "split", "clean", "running", "history", "tasks", "scenarios", "features")
    before = read_toml(path)
    changed = [name for name in stages if before.get(name) != config.get(name)]
    if changed and not force:
        raise InputError(f"this run was trained with other settings: [{'], ['.join(changed)}]", where=str(folder),
                         fix="choose another --run, or start this one over with --force")  # fmt: skip
    if force:
        import shutil

        shutil.rmtree(folder)


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
) -> list[dict[str, Any]]:
    """Slates of the run in that folder, as plain dicts; default: every scenario and kind."""
    run, experiment = of_run(folder)
    runtime.use_threads(experiment.train.threads)
    blend = blend_of(run, experiment).reweighted(weights or {})
    events = None if history is None else _events(history)
    names = scenarios or [scenario.name for scenario in run.data.layout.scenarios]
    return [
        asdict(slate)
        for name in names
        for slate in answer(
            run, blend, user=user, scenario=name, kinds=kinds, n=n, history=events, seen=seen, exclude=exclude
        )
    ]


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
    files: Sequence[Path], output: Path, *, reader: str | None = None, force: bool = False
) -> list[dict[str, Any]]:
    """Write a commented `motet.toml` for those tables; what was decided and why comes back."""
    if output.exists() and not force:
        raise InputError("this file exists", where=str(output), fix="choose another --output, or --force to replace it")
    if reader is not None:
        if reader not in READERS:
            raise InputError(f"unknown reader {reader!r}", where="--reader", fix=nearest(reader, list(READERS)))
        text, findings = READERS[reader].schema_toml(files[0]), []
    else:
        found = infer(files, base=output.parent)
        text, findings = found.toml, [asdict(finding) for finding in found.findings]
    with atomic_file(output, "w") as file:
        file.write(text)
    return findings


def check(experiment: Experiment, base: Path, *, progress: Say = lambda what, share: None) -> dict[str, Any]:
    """Everything `prepare` would refuse, found without writing; counts and warnings come back."""
    return check_tables(experiment.schema, experiment.preparation, base, progress=progress)


def describe(data: Dataset) -> str:
    """One line on a prepared folder."""
    rows, removed = (
        data.manifest["rows"],
        sum(rule["rows"] for rule in data.manifest["removed"] if rule["effect"] == "row removed"),
    )
    shape = f"{len(data.layout.scenarios)} scenarios × {len(data.layout.tasks)} tasks"
    counts = ", ".join(f"{name} {rows[name]:,}" for name in ("train", "valid", "test"))
    return f"prepared {data.folder}: {counts} impressions, {shape}; cleaning removed {removed:,} rows"
