"""Resumable state of a training: weights, optimizers, position and random generator, as safetensors and JSON.

`checkpoint/step-N/` holds `weights.safetensors` (the network now), `best.safetensors` (at the best evaluation),
`optimizer.safetensors` (Adagrad sums, AdamW moments, the random generator, losses since the last evaluation) and
`state.json` (step, early stop, settings, threads, seconds).
A checkpoint appears whole or not at all: it is written beside and renamed. Nothing is unpickled.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from motet.errors import InputError
from motet.settings import sync

FORMAT = "motet-checkpoint/3"  # 3: with the average of the weights; 2: AdamW's moments are those of two long vectors


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on exactly where training stopped."""

    step: int
    weights: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]  # JSON-able


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `folder`/step-N, then remove older steps."""
    folder.mkdir(parents=True, exist_ok=True)
    final, building = folder / f"step-{checkpoint.step:08d}", folder / ".building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        _write(building, checkpoint)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)  # on a full disk the room is needed
        raise
    shutil.rmtree(final, ignore_errors=True)
    os.replace(building, final)
    sync(folder)
    for old in _steps(folder):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)


def _write(building: Path, checkpoint: Checkpoint) -> None:
    for name in ("weights", "best", "optimizer"):
        tensors = {key: tensor.contiguous() for key, tensor in getattr(checkpoint, name).items()}
        save_file(tensors, building / f"{name}.safetensors")
    state = {"format": FORMAT, "step": checkpoint.step} | checkpoint.state
    (building / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for file in building.iterdir():
        sync(file)


def load(folder: Path) -> Checkpoint | None:
    """The latest whole checkpoint, or None."""
    steps = _steps(folder)
    if not steps:
        return None
    latest = steps[-1]
    try:
        state = json.loads((latest / "state.json").read_text(encoding="utf-8"))
        if (found := state.pop("format", None)) != FORMAT:
            raise InputError(f"unknown format {found!r}", where=str(latest), fix="start over with --force")
        parts = {name: load_file(latest / f"{name}.safetensors") for name in ("weights", "best", "optimizer")}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"damaged checkpoint: {error}", where=str(latest), fix="delete the run folder and train again"
        ) from None
    return Checkpoint(step=state.pop("step"), state=state, **parts)


def adamw_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts by parameter number."""
    state = optimizer.state_dict()["state"]
    return {f"adamw.{number}.{name}": value for number, entry in state.items() for name, value in entry.items()}


def load_adamw(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put those moments back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("adamw."):
            _, number, name = key.split(".")
            state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
