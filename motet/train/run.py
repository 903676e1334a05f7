"""The run folder: what a training leaves behind, written whole and read back by the same names.

`config.toml` (resolved settings), `prepared.json` (which prepared folder it learns from), `model.safetensors` (the best
weights), `run.json` (how training went; with it the run is whole), `calibration.json`, `metrics.jsonl`, `checkpoint/`,
`stages/` (of trainings in stages); evaluation adds its reports.
"""

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from motet.batch import Rows
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.model.kinds import Trainable, build
from motet.model.ranker import Model
from motet.scoring.calibrate import Calibration
from motet.settings import atomic_file, parse, plain, read_toml, write_json
from motet.train.loop import Outcome, Train
from motet.train.weights import read_network, write_weights
from motet.version import VERSION

FORMAT = "motet-run/1"
FILES = ("prepared.json", "config.toml", "stages", "checkpoint", "metrics.jsonl", "model.safetensors",
         "calibration.json", "report.json", "report.html", "run.json")  # fmt: skip
JUDGING = ("evaluate", "blend")
"""Sections that training does not depend on: a finished run takes them over when they change."""
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """A trained network with the data it was trained on."""

    folder: Path
    data: Dataset
    network: Trainable
    model: Model
    train: Train
    calibration: Calibration
    facts: dict[str, Any]  # run.json

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def predict(
        self,
        users: Ints,
        scenario: int,
        items: Ints,
        at: float | None = None,
        *,
        chunk: int = 8192,
        say: Callable[[float], None] = lambda share: None,
        **request: Any,
    ) -> NDArray[np.float64]:
        """Calibrated probabilities (values for regression) of C shared items for B users, [B, C, T].

        `at` is the time of the request, default the end of the data; memory is bounded by `chunk` candidates; `say`
        is told the share of the items that is done.
        """
        parts = [np.zeros((len(users), 0, len(self.data.layout.tasks)))]
        for start in range(0, len(items), chunk):
            say(start / len(items))
            scenarios = np.full(len(users), scenario)
            batch = self.data.request(users, scenarios, items[start : start + chunk], time=at, **request)
            parts.append(self.calibration.apply(self.network.score(batch).logits_BCT.numpy(), scenario))
        return np.concatenate(parts, 1)


def check_learnable(data: Rows) -> None:
    """An `InputError` when no task has two different labels in train: there is nothing to tell apart."""
    labels_NT, told = data.labels(data.rows("train")), []
    for task, labels_N in zip(data.layout.tasks, labels_NT.T, strict=True):
        seen = labels_N[~np.isnan(labels_N)]
        if len(seen) and seen.min() < seen.max():
            return
        told.append(f"{task.name}: {f'always {seen[0]:g}' if len(seen) else 'no label'}")
    raise InputError(
        f"there is nothing to tell apart: in train no task has two different labels ({', '.join(told)})",
        where="tasks",
        fix="log what was shown and not taken too, as rows with label 0, or add a task such as a rating; "
        "for baselines on sequences of positives see `python -m benchmarks.amazon3` in the repository",
    )


def begin_run(folder: Path, config: dict[str, Any], data: Dataset, *, force: bool = False) -> bool:
    """Make the folder that of a run with these settings on this data; whether the run in it is finished already.

    A run of other settings or data is an `InputError` that names the difference, unless `force`: then it starts over.
    Nothing but what a run writes is ever removed.
    """
    prepared = {"folder": _relative(data.folder, folder), "fingerprint": data.manifest["fingerprint"]}
    if (folder / "prepared.json").exists():
        if force:
            _start_over(folder)
        else:
            _check_same(folder, config, prepared)
    elif folder.exists() and (not folder.is_dir() or any(file.name not in FILES for file in folder.iterdir())):
        raise InputError("this folder holds something else", where=str(folder), fix="choose another --run")
    with atomic_file(folder / "config.toml") as file:
        tomli_w.dump(config, file)
    write_json(folder / "prepared.json", prepared)
    return (folder / "run.json").exists()


def save_run(
    folder: Path, *, network: Trainable, model: Model, train: Train, outcome: Outcome, fit: Calibration
) -> None:
    """Write the artifacts; `run.json` last, so that a run folder with one is whole."""
    write_weights(folder, network)
    write_json(folder / "calibration.json", fit.to_dict())
    training = {key: value for key, value in asdict(outcome).items() if key != "log"}
    training["macro_ne"] = outcome.macro_ne if math.isfinite(outcome.macro_ne) else None
    facts = {"format": FORMAT, "version": VERSION, "model": plain(model), "train": plain(train), "training": training}
    write_json(folder / "run.json", facts)


def load_run(folder: Path, table: str = "fp32") -> Run:
    """The run of that folder; an `InputError` when it is not one, is unfinished or damaged, or its data has changed.

    `table` is how the embedding table is held: "fp32", or in less memory "fp16" or "int8" (see `motet.model.held`).
    """
    if not (folder / "run.json").exists():
        going = (folder / "config.toml").exists()
        found = "this run is not finished" if going else "no finished run here"
        raise InputError(found, where=str(folder), fix=f"motet train --run {folder}")
    try:
        facts, prepared = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("run", "prepared"))
        if facts.get("format") != FORMAT:
            raise InputError(f"unknown format {facts.get('format')!r}", where=str(folder), fix="train again")
        data = _prepared(folder.resolve() / prepared["folder"], prepared["fingerprint"])
        model, train = parse(Model, facts["model"]), parse(Train, facts["train"])
        network = read_network(folder, data.layout, data.counts_V, model, table)
        calibration = Calibration.from_dict(json.loads((folder / "calibration.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        message = f"this run cannot be read: {str(error).splitlines()[0]}"
        raise InputError(message, where=str(folder), fix=f"motet train --run {folder} --force") from error
    return Run(folder, data, network, model, train, calibration, facts)


def new_network(
    data: Dataset, model: Model, seed: int, tasks: tuple[int, ...] | None = None, scenario: int | None = None
) -> Trainable:
    """A network with the weights of that seed; a scenario's own network counts evidence on that scenario's rows."""
    torch.manual_seed(seed)
    counts_V = data.counts_V if scenario is None else data.counts(data.rows("train", scenario))
    return build(data.layout, counts_V, model, tasks)


def _start_over(folder: Path) -> None:
    """Remove a run: first what makes it finished, last what makes it a run."""
    for name in reversed(FILES):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)


def _check_same(folder: Path, now: dict[str, Any], prepared: dict[str, Any]) -> None:
    before = read_toml(folder / "config.toml")
    names = sorted((before.keys() | now.keys()) - set(JUDGING))
    changed = [f"[{name}]" for name in names if before.get(name) != now.get(name)]
    fix = "choose another --run, or start this one over with --force"
    if changed:
        message = f"this run was trained with other settings: {', '.join(changed)}"
        raise InputError(message, where=str(folder), fix=fix)
    if json.loads((folder / "prepared.json").read_text(encoding="utf-8"))["fingerprint"] != prepared["fingerprint"]:
        raise InputError("this run was trained on other data", where=str(folder), fix=fix)


def _prepared(folder: Path, fingerprint: str) -> Dataset:
    data = Dataset.open(folder.resolve())
    if data.manifest["fingerprint"] != fingerprint:
        raise InputError(
            "the prepared folder is not the one this run was trained on",
            where=str(data.folder),
            fix="train again, or prepare the old settings into that folder",
        )
    return data


def _relative(folder: Path, start: Path) -> str:
    """So that a run and its data can move together."""
    return os.path.relpath(folder.resolve(), start.resolve())
