"""The run folder: what a training leaves behind, written whole and read back by the same names.

`config.toml` (resolved settings), `prepared.json` (which prepared folder it learns from, and which run's weights it
began with), `model.safetensors` (the best weights), `run.json` (how training went; with it the run is whole),
`calibration.json`, `metrics.jsonl`, `checkpoint/`, `stages/` (of trainings in stages); evaluation adds its reports.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.model.kinds import Trainable, build
from motet.model.next_item import NextItem, NextItemNetwork
from motet.model.ranker import Model
from motet.scoring.calibrate import Calibration
from motet.settings import parse, plain, write_json
from motet.train.loop import Outcome, Train
from motet.train.weights import read_network, read_next_item, write_weights
from motet.version import VERSION

FORMAT = "motet-run/1"
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """A trained network with the data it was trained on."""

    folder: Path
    data: Dataset
    network: Trainable | NextItemNetwork
    model: Model
    train: Train
    calibration: Calibration
    facts: dict[str, Any]  # run.json
    start: Path | None  # the run whose weights it began with
    scratch: Train  # how the run was trained that began with new weights: this one, or the first of the line

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


def save_run(
    folder: Path, *, network: Trainable, model: Model, train: Train, outcome: Outcome, fit: Calibration,
    scratch: Train,
) -> None:  # fmt: skip
    """Write the artifacts; `run.json` last, so that a run folder with one is whole."""
    write_weights(folder, network)
    write_json(folder / "calibration.json", fit.to_dict())
    training = {key: value for key, value in asdict(outcome).items() if key != "log"}
    training["macro_ne"] = outcome.macro_ne if math.isfinite(outcome.macro_ne) else None
    settings = {"model": plain(model), "train": plain(train), "scratch": plain(scratch)}
    write_json(folder / "run.json", {"format": FORMAT, "version": VERSION, **settings, "training": training})


def save_next_item(
    folder: Path, *, network: NextItemNetwork, how: NextItem, train: Train, outcome: Outcome, ndcg: float
) -> None:
    """The same of the next-item model, whose probabilities are not calibrated; `run.json` last."""
    write_weights(folder, network)
    write_json(folder / "calibration.json", Calibration.identity(network.scenarios, ["binary"]).to_dict())
    training = {key: value for key, value in asdict(outcome).items() if key not in ("log", "macro_ne")}
    shares = None if network.neighbours is None else [round(w, 2) for w in network.neighbours.share_S.tolist()]
    training |= {"macro_ne": None, "ndcg@10": ndcg, "shares": shares}
    settings = {"next_item": plain(how), "train": plain(train), "model": {"preset": network.name}}
    write_json(folder / "run.json", {"format": FORMAT, "version": VERSION, **settings, "training": training})


def load_run(folder: Path, table: str = "fp32") -> Run:
    """The run of that folder; an `InputError` when it is not one, is unfinished or damaged, or its data has changed.

    `table` is how the embedding table is held: "fp32", or in less memory "fp16" or "int8" (see `motet.model.held`).
    """
    with readable(folder):
        facts, data, model = opened(folder)
        train, prepared = parse(Train, facts["train"]), read_json(folder, "prepared")
        network: Trainable | NextItemNetwork
        if "next_item" in facts:
            network = read_next_item(folder, data.layout.history_length, parse(NextItem, facts["next_item"]))
        else:
            network = read_network(folder, data.layout, data.counts_V, model, table)
        calibration = Calibration.from_dict(read_json(folder, "calibration"))
        start = folder.resolve() / prepared["from"] if "from" in prepared else None
        return Run(folder, data, network, model, train, calibration, facts, start, _scratch(facts))


def opened(folder: Path) -> tuple[dict[str, Any], Dataset, Model]:
    """The facts of a finished run, its data and its `[model]`; an `InputError` as of `load_run`."""
    if not (folder / "run.json").exists():
        going = (folder / "config.toml").exists()
        found = "this run is not finished" if going else "no finished run here"
        raise InputError(found, where=str(folder), fix=f"motet train --run {folder}")
    with readable(folder):
        facts, prepared = read_json(folder, "run"), read_json(folder, "prepared")
        if facts.get("format") != FORMAT:
            raise InputError(f"unknown format {facts.get('format')!r}", where=str(folder), fix="train again")
        data = _prepared(folder.resolve() / prepared["folder"], prepared["fingerprint"])
        return facts, data, parse(Model, facts["model"])


def prepared_of(folder: Path) -> Path:
    """The prepared folder of a finished run."""
    return opened(folder)[1].folder


def scratch_of(folder: Path) -> Train:
    """How a run was trained, or the first of the line that it goes on."""
    return _scratch(opened(folder)[0])


def _scratch(facts: dict[str, Any]) -> Train:
    return parse(Train, facts.get("scratch", facts["train"]))


def fingerprint_of(folder: Path) -> str:
    """Another one for every training that has finished in a run folder."""
    opened(folder)
    return hashlib.sha256((folder / "run.json").read_bytes()).hexdigest()[:16]


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        message = f"this run cannot be read: {str(error).splitlines()[0]}"
        raise InputError(message, where=str(folder), fix=f"motet train --run {folder} --force") from error


def read_json(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def new_network(
    data: Dataset, model: Model, seed: int, tasks: tuple[int, ...] | None = None, scenario: int | None = None
) -> Trainable:
    """A network with the weights of that seed; a scenario's own network counts evidence on that scenario's rows."""
    torch.manual_seed(seed)
    counts_V = data.counts_V if scenario is None else data.counts(data.rows("train", scenario))
    return build(data.layout, counts_V, model, tasks)


def _prepared(folder: Path, fingerprint: str) -> Dataset:
    data = Dataset.open(folder.resolve())
    if data.manifest["fingerprint"] != fingerprint:
        raise InputError(
            "the prepared folder is not the one this run was trained on",
            where=str(data.folder),
            fix="train again, or prepare the old settings into that folder",
        )
    return data
