"""Trains what a report compares with: more seeds of the joint model, solo models per cell, pooled, other presets.

Every job is done in a process of its own with one thread; its logits are kept, so a second evaluation reads them back.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from motet import runtime
from motet.batch import Layout
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.evaluate.kept import Kept, Scored, key_of
from motet.evaluate.plan import Evaluate
from motet.model.presets import slots
from motet.model.ranker import Model, resolve
from motet.settings import parse, plain
from motet.train.carry import carry_over
from motet.train.loop import Judged, Train
from motet.train.run import fingerprint_of, new_network
from motet.train.score import score_rows
from motet.train.stages import train_stages

CODE = ("model", "train", "data", "scoring")
"""The folders whose code the logits of a training depend on."""


@dataclass(frozen=True)
class Job:
    """One training: the whole matrix, or one cell of it."""

    prepared: Path
    prepared_fingerprint: str
    model: Model
    train: Train
    scenario: int | None = None
    tasks: tuple[int, ...] | None = None
    start: Path | None = None  # the run whose weights it begins with
    start_fingerprint: str | None = None

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """Changes whenever the logits could."""
        parts = {"model": plain(self.model), "train": plain(replace(self.train, threads=1))}
        rest = [self.scenario, self.tasks, self.start_fingerprint]
        return key_of(CODE, self.prepared_fingerprint, parts, *rest)

    def done(self, kept: Kept) -> bool:
        """Whether its logits are kept."""
        return kept.has(self.key)

    def run(self, kept: Kept, judged: Judged | None = None) -> None:
        """Train, score valid and test, keep the logits."""
        data = Dataset.open(self.prepared)
        how = replace(self.train, threads=1)
        network = new_network(data, self.model, how.seed, self.tasks, self.scenario)
        if self.start is not None:
            carry_over(self.start, network, self.model, data)
        outcome = train_stages(network, data, how, scenario=self.scenario, judged=judged)
        valid, test = (score_rows(network, data, data.rows(split, self.scenario)) for split in ("valid", "test"))
        kept.write(self.key, Scored(valid, test, outcome.seconds))


class Work(Protocol):
    """What is done once, in a process of its own with one thread, and kept."""

    @property
    def key(self) -> str: ...
    def done(self, kept: Kept) -> bool: ...
    def run(self, kept: Kept) -> None: ...


def run_jobs(
    jobs: Iterable[Work], kept: Kept, *, workers: int = 0, fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """All jobs, in this order: the largest should come first; what is kept is not done again.

    With `fresh` each has a process for itself, whose memory is then its own.
    """
    wanted = list({job.key: job for job in jobs}.values())
    missing = [job for job in wanted if not job.done(kept)]
    done = len(wanted) - len(missing)
    if progress and wanted:
        progress(done, len(wanted))
    for finished in _side_by_side(missing, kept, workers, fresh):
        if progress:
            progress(done + finished, len(wanted))


def _side_by_side(jobs: list[Work], kept: Kept, workers: int, fresh: bool) -> Iterator[int]:
    """Does them and tells how many are done; the first that fails stops the others."""
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    count, each = min(workers or runtime.cores(), len(jobs)), 1 if fresh else None
    with ProcessPoolExecutor(count, mp_context=context, max_tasks_per_child=each) as pool:
        with runtime.without_main():
            futures = [pool.submit(job.run, kept) for job in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                yield done
        except BrokenProcessPool:
            fix = "use fewer processes at a time: --set evaluate.workers=1; what is done is kept"
            raise InputError("a process was killed, perhaps for lack of memory", fix=fix) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass(frozen=True)
class Jobs:
    """Which trainings the report needs, by role."""

    seeds: list[Job]
    solo: list[list[Job]]  # by seed
    pooled: list[Job]
    presets: dict[str, list[Job]]

    @property
    def whole(self) -> list[Job]:
        """Trainings of the whole matrix."""
        return [*self.seeds, *self.pooled, *(job for jobs in self.presets.values() for job in jobs)]

    @property
    def cells(self) -> list[Job]:
        """Trainings of one cell each."""
        return [job for jobs in self.solo for job in jobs]

    @classmethod
    def of(
        cls, data: Dataset, model: Model, train: Train, how: Evaluate, *,
        start: Path | None = None, scratch: Train | None = None,
    ) -> "Jobs":  # fmt: skip
        """Other seeds begin with the weights of `start`, all others from scratch, with those settings of training."""
        trains = [replace(scratch or train, seed=train.seed + r) for r in range(how.seeds)]
        begun = Job(data.folder, data.manifest["fingerprint"], model, train, start=start,
                    start_fingerprint=None if start is None else fingerprint_of(start))  # fmt: skip
        pooled = parse(Model, plain(model) | slots("pooled") | {"preset": "pooled"})  # the same sizes

        def whole(model: Model) -> list[Job]:
            return [Job(data.folder, data.manifest["fingerprint"], model, train) for train in trains]

        return cls(
            seeds=[replace(begun, train=replace(train, seed=train.seed + r)) for r in range(1, how.seeds)],
            solo=[solo_jobs(data, model, train) for train in trains] if how.controls else [],
            pooled=whole(pooled) if how.controls else [],
            presets={name: whole(resolve({"preset": name})) for name in how.presets},
        )


def solo_jobs(data: Dataset, model: Model, how: Train) -> list[Job]:
    """One job per cell that can be learnt alone; a loss weight means nothing there."""
    how = replace(how, task_weights={})
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
