"""Trains what a report compares with: more seeds of the joint model, solo models per cell, pooled, other presets.

Every job is one training from scratch in a process of its own with one thread; its logits are cached by a fingerprint
of everything they depend on, so a second evaluation reads them back.
"""

import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from motet import runtime
from motet.batch import Layout
from motet.data.dataset import Dataset
from motet.model.ranker import Model
from motet.settings import atomic_file, fingerprint, parse, plain
from motet.train.loop import Train, train
from motet.train.run import new_network
from motet.train.score import score_rows
from motet.version import VERSION

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """One training: the whole matrix, or one cell of it."""

    prepared: Path
    prepared_fingerprint: str
    model: Model
    train: Train
    scenario: int | None = None
    tasks: tuple[int, ...] | None = None

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """Changes whenever the logits could."""
        parts = {"model": plain(self.model), "train": plain(replace(self.train, threads=1))}
        return fingerprint([VERSION, self.prepared_fingerprint, parts, self.scenario, self.tasks])


@dataclass(frozen=True)
class Scored:
    """Logits on valid and test rows (of the job's scenario, if it has one), and the seconds training took."""

    valid: Floats
    test: Floats
    seconds: float


def run_jobs(
    jobs: Iterable[Job], cache: Path, *, workers: int = 0, progress: Callable[[int, int], None] | None = None
) -> dict[Job, Scored]:
    """All jobs, the largest first; what the cache holds is not trained again."""
    wanted = list(dict.fromkeys(jobs))
    missing = sorted(
        (job for job in wanted if not _path(cache, job).exists()), key=lambda job: job.scenario is not None
    )
    done = len(wanted) - len(missing)
    if progress:
        progress(done, len(wanted))
    if missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers or runtime.cores(), len(missing)), mp_context=context) as pool:
            futures = [pool.submit(_work, job, cache) for job in missing]
            try:
                for future in as_completed(futures):
                    future.result()
                    done += 1
                    if progress:
                        progress(done, len(wanted))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return {job: _read(_path(cache, job)) for job in wanted}


def solo_jobs(data: Dataset, model: Model, how: Train) -> list[Job]:
    """One job per cell that has both a train and a valid label to learn from."""
    return [
        Job(data.folder, data.manifest["fingerprint"], model, how, scenario, (task,))
        for scenario, task in trainable_cells(data)
    ]


def trainable_cells(data: Dataset) -> list[tuple[int, int]]:
    """Cells with at least two different labels in train."""
    layout: Layout = data.layout
    rows = data.rows("train")
    labels, scenarios = data.labels(rows), data.scenarios(rows)
    cells = []
    for s in range(len(layout.scenarios)):
        of_s = labels[scenarios == s]
        for t in range(len(layout.tasks)):
            seen = of_s[~np.isnan(of_s[:, t]), t]
            if len(seen) and seen.min() < seen.max():
                cells.append((s, t))
    return cells


def _work(job: Job, cache: Path) -> None:
    data = Dataset.open(job.prepared)
    how = replace(job.train, threads=1)
    network = new_network(data, job.model, how.seed, job.tasks)
    outcome = train(network, data, how, scenario=job.scenario)
    logits = {s: score_rows(network, data, data.rows(s, job.scenario)) for s in ("valid", "test")}
    with atomic_file(_path(cache, job)) as file:
        file.write(save(logits | {"seconds": np.array([outcome.seconds])}))


def _path(cache: Path, job: Job) -> Path:
    return cache / f"{job.key}.safetensors"


def _read(path: Path) -> Scored:
    tensors: dict[str, Any] = load_file(path)
    return Scored(tensors["valid"], tensors["test"], float(tensors["seconds"][0]))


def control(model: Model, **slots: Any) -> Model:
    """The same sizes with other slots, as the pooled control and the presets are."""
    return parse(Model, plain(model) | slots)
