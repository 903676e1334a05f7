"""A training that was killed goes on to the same weights, bit for bit, whatever is chosen in its settings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.toy import Toy

from motet.model.kinds import Trainable, build
from motet.model.ranker import resolve
from motet.settings import parse
from motet.train.loop import Train, train
from motet.train.runlog import read


class Killed(Exception):
    """Stands for a process that ends in the middle of training."""


def same_after_a_kill(folder: Path, data: Toy, slots: dict[str, Any] | None = None, **changes: object) -> float:
    """Checks it of a network with those slots trained with those settings; the best macro `ne` comes back."""
    how = parse(Train, {"epochs": 2, "batch_size": 64, "checkpoint_every": 5, "threads": 1} | changes)
    whole, again = made(data, slots), made(data, slots)
    outcome = train(whole, data, how, folder=folder / "whole")
    with pytest.raises(Killed):
        train(made(data, slots), data, how, folder=folder / "killed", progress=_kill)
    train(again, data, how, folder=folder / "killed")
    for (name, left), right in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(left, right), name
    logs = [[row["valid_ne"] for row in read(folder / part / "metrics.jsonl")] for part in ("whole", "killed")]
    assert logs[0] == logs[1]
    return outcome.macro_ne


def made(data: Toy, slots: dict[str, Any] | None = None, tasks: list[int] | None = None) -> Trainable:
    """A small network with the weights of a fixed seed."""
    torch.manual_seed(7)
    return build(data.layout, data.counts_V, resolve({"expert_widths": [16, 8]} | (slots or {})), tasks)


def _kill(done: int, total: int, note: str) -> None:
    if done >= 20:
        raise Killed
