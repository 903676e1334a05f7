"""The run folder: what a training leaves behind, written whole and read back by the same names.

`config.toml` (resolved settings), `model.safetensors` (the best weights), `run.json` (how training went, and which
prepared folder it was), `calibration.json`, `metrics.jsonl`, `checkpoint/`; evaluation adds its reports.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.model.ranker import Model, Network
from motet.scoring.calibrate import Calibration
from motet.settings import atomic_file, parse, plain, write_json
from motet.train.loop import Outcome, Train
from motet.version import VERSION

FORMAT = "motet-run/1"
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """A trained network with the data it was trained on."""

    folder: Path
    data: Dataset
    network: Network
    model: Model
    train: Train
    calibration: Calibration
    facts: dict[str, Any]  # run.json

    @property
    def name(self) -> str:
        return self.folder.name

    def predict(
        self, users: Ints, scenario: int, items: Ints, at: float | None = None, *, chunk: int = 8192, **request: Any
    ) -> NDArray[np.float64]:
        """Calibrated probabilities (values for regression) of C shared items for B users, [B, C, T].

        `at` is the time of the request, default the end of the data; memory is bounded by `chunk` candidates.
        """
        parts = []
        for start in range(0, len(items), chunk):
            scenarios = np.full(len(users), scenario)
            batch = self.data.request(users, scenarios, items[start : start + chunk], time=at, **request)
            parts.append(self.calibration.apply(self.network.score(batch).logits_BCT.numpy(), scenario))
        return np.concatenate(parts, 1)


def save_run(
    folder: Path, *, network: Network, model: Model, train: Train, data: Dataset, outcome: Outcome, fit: Calibration
) -> None:
    """Write the artifacts; `run.json` last, so that a run folder with one is whole."""
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with atomic_file(folder / "model.safetensors") as file:
        file.write(save(weights))
    write_json(folder / "calibration.json", fit.to_dict())
    training = {key: value for key, value in asdict(outcome).items() if key != "log"}
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "prepared": str(data.folder.resolve()),
        "prepared_fingerprint": data.manifest["fingerprint"],
        "model": plain(model),
        "train": plain(train),
        "training": training,
    }
    write_json(folder / "run.json", facts)


def load_run(folder: Path) -> Run:
    """The run of that folder; an `InputError` when it is not one, is unfinished, or its data has changed."""
    try:
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no finished run here", where=str(folder), fix=f"motet train --run {folder}") from None
    if facts.get("format") != FORMAT:
        raise InputError(f"unknown format {facts.get('format')!r}", where=str(folder), fix="train again")
    data = Dataset.open(Path(facts["prepared"]))
    if data.manifest["fingerprint"] != facts["prepared_fingerprint"]:
        raise InputError(
            "the prepared folder is not the one this run was trained on",
            where=facts["prepared"],
            fix="train again, or prepare the old settings into that folder",
        )
    model, train = parse(Model, facts["model"]), parse(Train, facts["train"])
    network = Network(data.layout, data.counts_V, model)
    network.load_state_dict(load_file(folder / "model.safetensors"))
    network.eval()
    calibration = Calibration.from_dict(json.loads((folder / "calibration.json").read_text(encoding="utf-8")))
    return Run(folder, data, network, model, train, calibration, facts)


def new_network(data: Dataset, model: Model, seed: int, tasks: tuple[int, ...] | None = None) -> Network:
    """A network with the weights of that seed."""
    torch.manual_seed(seed)
    return Network(data.layout, data.counts_V, model, tasks)
