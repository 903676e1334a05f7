"""Other packages' models as entrants: trained in their own environment, by `peer_models`, on exported rows."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import exported, peer_models, peer_rows
from benchmarks.entrants import Entrant, Part, Settings
from benchmarks.windows import Window
from motet.data.dataset import Dataset
from motet.evaluate.jobs import Work
from motet.evaluate.kept import Kept, Scored
from motet.settings import fingerprint

ROOT = Path(__file__).resolve().parents[1]
SMALLEST = 1e-6


@dataclass(frozen=True)
class Foreign:
    """Another package's model. Entire-space models take one chain of two tasks, the others all."""

    name: str  # package/model
    python: Path
    version: str
    trials: Sequence[Settings]
    seeds: int
    chain: tuple[int, int] | None = None
    group: str = "peer"

    @property
    def package(self) -> str:
        return f"{self.name.split('/')[0]} {self.version}"

    def parts(self, window: Window) -> Sequence[Part]:
        return [None]

    def work(self, window: Window, part: Part, seed: int, settings: Settings) -> Work:
        tasks = self.chain or tuple(range(len(window.data.layout.tasks)))
        folder, made = window.data.folder, window.data.manifest["fingerprint"]
        return ForeignTraining(folder, made, self.python, self.name, self.version, tasks, seed, tuple(settings.items()))


@dataclass(frozen=True)
class ForeignTraining:
    """One training in the peers' environment: arrays go there and scores come back as `.npz`."""

    prepared: Path
    prepared_fingerprint: str
    python: Path
    model: str
    version: str
    tasks: tuple[int, ...]
    seed: int
    settings: tuple[tuple[str, Any], ...]

    @property
    def key(self) -> str:
        code = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (exported, peer_models, peer_rows)]
        return fingerprint(
            [self.prepared_fingerprint, self.model, self.version, self.tasks, self.seed, self.settings, code]
        )

    def done(self, kept: Kept) -> bool:
        return kept.has(self.key)

    def run(self, kept: Kept) -> None:
        """A package that fails is told of and left out: the others go on."""
        data, rows = Dataset.open(self.prepared), self.export(kept)
        scores = kept.folder / f"scores-{self.key}.npz"
        told = dict(self.settings)
        options = ["--model", self.model, "--seed", self.seed, "--dropout", told["dropout"], "--tasks", *self.tasks]
        options += ["--no-ids"] if told["no_ids"] else []
        options += ["--epochs", told["epochs"]] if "epochs" in told else []
        command = [self.python, "-m", "benchmarks.peer_models", rows, scores, *options]
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, env=_alone())
        if done.returncode:
            print(f"{self.model} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return
        with np.load(scores, allow_pickle=False) as file:
            valid, test = (self._logits(data, file[split]) for split in ("valid", "test"))
            facts = {name: float(file[name]) for name in ("peak_rss_mb", "epochs", "seconds")}
        scores.unlink()
        kept.write_figures(self.key, [{"peak_rss_mb": round(facts["peak_rss_mb"]), "epochs": facts["epochs"]}])
        kept.write(self.key, Scored(valid, test, facts["seconds"]))

    def export(self, kept: Kept) -> Path:
        """The rows that it is trained on, written where they are not there yet."""
        code = Path(str(exported.__file__)).read_text(encoding="utf-8")
        path = kept.folder / f"rows-{fingerprint([self.prepared_fingerprint, code])}.npz"
        return path if path.exists() else exported.export(Dataset.open(self.prepared), path)

    def _logits(self, data: Dataset, predictions_Nt: Any) -> Any:
        """Logits and values of all tasks, nan of those that the model does not predict."""
        mean_T, scale_T = exported.standardised(data.layout)
        found_NT = np.full((len(predictions_Nt), len(data.layout.tasks)), np.nan, np.float32)
        for place, t in enumerate(self.tasks):
            p = predictions_Nt[:, place].astype(np.float64)
            if data.layout.tasks[t].form == "binary":
                p = np.clip(p, SMALLEST, 1 - SMALLEST)
                found_NT[:, t] = np.log(p) - np.log1p(-p)
            else:
                found_NT[:, t] = p * scale_T[t] + mean_T[t]
        return found_NT


def peers(python: Path, data: Dataset, seeds: int, trials: Sequence[Settings]) -> list[Entrant]:
    """Every model of the packages that are installed there; entire-space models where one task follows another."""
    command = [str(python), "-m", "benchmarks.peer_models"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=_alone())
    installed, chain, found = json.loads(told.stdout), chain_of(data), list[Entrant]()
    for package, (_, kinds) in peer_models.PEERS.items():
        for kind in kinds if package in installed else ():
            if kind != "esmm" or chain is not None:
                of = chain if kind == "esmm" else None
                found.append(Foreign(f"{package}/{kind}", python, installed[package], trials, seeds, of))
    return found


def chain_of(data: Dataset) -> tuple[int, int] | None:
    """Two tasks of which the second follows the first: as the schema says, else where every positive of train does."""
    layout = data.layout
    for t in range(len(layout.tasks)):
        if (before := layout.parent(t)) is not None:
            return before, t
    labels_NT = data.labels(data.rows("train"))
    binary = [t for t, task in enumerate(layout.tasks) if task.form == "binary"]
    for first in binary:
        for then in binary:
            positive = labels_NT[:, then] > 0
            rarer = positive.sum() < (labels_NT[:, first] > 0).sum()
            if rarer and positive.any() and (labels_NT[positive, first] > 0).all():
                return first, then
    return None


def _alone() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
