"""A run folder before its training: made for these settings, data and first weights, found again, or started over."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from motet.batch import Rows
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.settings import atomic_file, read_toml, write_json
from motet.train.run import fingerprint_of, read_json

FILES = ("prepared.json", "config.toml", "stages", "checkpoint", "metrics.jsonl", "model.safetensors",
         "calibration.json", "report.json", "report.html", "run.json")  # fmt: skip
JUDGING = ("evaluate", "blend", "baselines")
"""Sections that training does not depend on: a finished run takes them over when they change."""


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
        "or write tasks = [] at the top: the next item of each user's sequence is learnt then",
    )


def begin_run(
    folder: Path, config: dict[str, Any], data: Dataset, *, start: Path | None = None, force: bool = False
) -> bool:  # fmt: skip
    """Make the folder that of a run with these settings on this data; whether the run in it is finished already.

    It begins with the weights of `start`, another run. A run of other settings, weights or data is an `InputError` that
    names the difference, unless `force`: then it starts over. Nothing but what a run writes is ever removed.
    """
    if start is not None and start.resolve() == folder.resolve():
        message = "a run cannot begin with its own weights"
        raise InputError(message, where=str(folder), fix="name a new folder with --run")
    prepared = {"folder": _relative(data.folder, folder), "fingerprint": data.manifest["fingerprint"]}
    if start is not None:
        prepared |= {"from": _relative(start, folder), "from_fingerprint": fingerprint_of(start)}
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


def _start_over(folder: Path) -> None:
    """Remove a run: first what makes it finished, last what makes it a run."""
    for name in reversed(FILES):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)


def _check_same(folder: Path, now: dict[str, Any], prepared: dict[str, Any]) -> None:
    before = read_toml(folder / "config.toml")
    names = sorted((before.keys() | now.keys()) - {*JUDGING, "tune"})
    changed = [f"[{name}]" for name in names if before.get(name) != now.get(name)]
    fix = "choose another --run, or start this one over with --force"
    if changed:
        message = f"this run was trained with other settings: {', '.join(changed)}"
        raise InputError(message, where=str(folder), fix=fix)
    then = read_json(folder, "prepared")
    if then["fingerprint"] != prepared["fingerprint"]:
        raise InputError("this run was trained on other data", where=str(folder), fix=fix)
    if then.get("from_fingerprint") != prepared.get("from_fingerprint"):
        message = f"this run began with {'new weights' if 'from' not in then else 'the weights of ' + then['from']}"
        raise InputError(message, where=str(folder), fix=fix)


def _relative(folder: Path, start: Path) -> str:
    """So that a run and its data can move together."""
    return os.path.relpath(folder.resolve(), start.resolve())
