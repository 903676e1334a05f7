"""Controls: trained once, cached by everything they depend on, and a failure among them is heard of."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motet import experiment as stages
from motet.errors import InputError
from motet.evaluate import jobs, kept
from motet.evaluate.jobs import Job, Jobs, run_jobs, solo_jobs, trainable_cells
from motet.evaluate.kept import Kept
from motet.model.presets import slots
from motet.model.ranker import Model
from motet.train.loop import Train
from motet.train.run import Run, load_run

JOB = Job(Path("prepared"), "f00", Model(), Train(), 1, (2,))
CHANGES: dict[str, Callable[[Job], Job]] = {
    "the prepared data": lambda job: replace(job, prepared_fingerprint="f01"),
    "the model": lambda job: replace(job, model=Model(dim=3)),
    "the seed": lambda job: replace(job, train=Train(seed=1)),
    "how it is trained": lambda job: replace(job, train=Train(lr=0.1)),
    "the scenario": lambda job: replace(job, scenario=0),
    "all scenarios": lambda job: replace(job, scenario=None),
    "the task": lambda job: replace(job, tasks=(1,)),
    "the weights it begins with": lambda job: replace(job, start=Path("run"), start_fingerprint="f02"),
    "all tasks": lambda job: replace(job, tasks=None),
}


@pytest.fixture(scope="module")
def run(good: Path) -> Run:
    return load_run(good / "run")


@pytest.mark.parametrize("what", CHANGES)
def test_the_key_changes_with(what: str) -> None:
    assert CHANGES[what](JOB).key != JOB.key


def test_the_key_changes_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = JOB.key
    monkeypatch.setattr(kept, "VERSION", "another")
    assert JOB.key != before


def test_the_key_does_not_change_with_where_the_data_lies_or_how_many_threads_there_are() -> None:
    assert replace(JOB, prepared=Path("elsewhere"), train=Train(threads=7)).key == JOB.key


def test_solo_jobs_only_where_something_can_be_learnt(run: Run) -> None:
    data = run.data
    labels, scenario = data.labels(data.rows("train")).copy(), data.scenarios(data.rows("train"))
    labels[scenario == 0, 0] = 1  # one class
    labels[scenario == 1, 1] = np.nan  # nothing observed

    class Altered:
        layout, folder, manifest = data.layout, data.folder, data.manifest
        rows, scenarios = staticmethod(data.rows), staticmethod(data.scenarios)
        labels = staticmethod(lambda _: labels)

    altered: Any = Altered()
    assert trainable_cells(data) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert trainable_cells(altered) == [(0, 1), (1, 0)]
    made = solo_jobs(altered, Model(), Train(task_weights={"click": 3.0}))
    assert [(job.scenario, job.tasks) for job in made] == [(0, (1,)), (1, (0,))]
    assert made[0].train.task_weights == {}


def test_which_trainings_a_report_needs(run: Run) -> None:
    how = stages.Evaluate(seeds=3, presets=("mmoe",))
    needed = Jobs.of(run.data, run.model, run.train, how)
    assert [job.train.seed for job in needed.seeds] == [1, 2]  # the run itself is the first
    assert [[job.train.seed for job in seed] for seed in needed.solo] == [[r] * 4 for r in range(3)]
    assert [job.model.preset for job in needed.pooled] == ["pooled"] * 3
    assert {job.model.dim for job in needed.pooled} == {run.model.dim}
    assert all(vars(needed.pooled[0].model)[slot] == value for slot, value in slots("pooled").items())
    assert {name: len(found) for name, found in needed.presets.items()} == {"mmoe": 3}
    assert [len(needed.whole), len(needed.cells)] == [2 + 3 + 3, 12]
    assert len({job.key for job in [*needed.whole, *needed.cells]}) == 20
    bare = Jobs.of(run.data, run.model, run.train, stages.Evaluate(seeds=1, controls=False, presets=()))
    assert bare.whole == bare.cells == []


def test_jobs_are_trained_once_and_read_back(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = solo_jobs(run.data, run.model, run.train)[:2]
    told: list[tuple[int, int]] = []
    folder = Kept(tmp_path)
    run_jobs([*wanted, wanted[0]], folder, workers=1, progress=lambda done, all_: told.append((done, all_)))
    first = {job: folder.read(job.key) for job in wanted}
    assert told == [(0, 2), (1, 2), (2, 2)]
    for job in wanted:
        assert first[job].valid.shape == (len(run.data.rows("valid", job.scenario)), 1)
        assert first[job].test.shape == (len(run.data.rows("test", job.scenario)), 1)
        assert first[job].seconds > 0
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", lambda *_, **__: pytest.fail("trained again"))
    run_jobs(wanted, folder, workers=1)


def test_a_mistake_in_a_worker_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is no prepared folder") as caught:
        run_jobs([replace(JOB, prepared=tmp_path / "nowhere")], Kept(tmp_path), workers=1)
    assert caught.value.where == str(tmp_path / "nowhere")
    assert caught.value.fix == "run `motet prepare`"


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a process was killed") as caught:
        run_jobs([Dies(Path("p"), "f00", Model(), Train())], Kept(tmp_path), workers=1)
    assert "evaluate.workers=1" in caught.value.fix


class Dies(Job):
    def run(self, kept: Kept) -> None:
        os._exit(9)
