"""Training learns, stops, and goes on exactly after a kill."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contracts.toy import Toy

from motet import runtime
from motet.errors import InputError
from motet.model.ranker import Network, resolve
from motet.settings import parse
from motet.train import checkpoint
from motet.train.loop import Train, batch_size_of, train
from motet.train.runlog import RunLog, read
from motet.train.score import score_rows


class Killed(Exception):
    """Stands for a process that ends in the middle of training."""


def made(data: Toy, tasks: list[int] | None = None) -> Network:
    torch.manual_seed(7)
    return Network(data.layout, data.counts_V, resolve({"expert_widths": [16, 8]}), tasks)


def how(**changes: object) -> Train:
    return parse(Train, {"epochs": 3, "batch_size": 64, "checkpoint_every": 5, "threads": 1} | changes)


def kill_at(step: int):  # type: ignore[no-untyped-def]
    def progress(done: int, total: int, note: str) -> None:
        if done >= step:
            raise Killed

    return progress


def test_training_beats_the_base_rate_and_keeps_the_best_evaluation(tmp_path: Path) -> None:
    data = Toy(rows=4000)
    outcome = train(made(data), data, how(), folder=tmp_path)
    evaluations = [row["valid_ne"] for row in read(tmp_path / "metrics.jsonl")]
    assert outcome.macro_ne == min(evaluations) < 0.97
    assert outcome.rows_per_second > 0


@pytest.mark.parametrize("step", [10, 20, 30])
def test_a_killed_training_resumes_to_the_same_weights_bit_for_bit(tmp_path: Path, step: int) -> None:
    data = Toy()
    whole, again = made(data), made(data)
    train(whole, data, how(), folder=tmp_path / "whole")
    with pytest.raises(Killed):
        train(made(data), data, how(), folder=tmp_path / "killed", progress=kill_at(step))
    train(again, data, how(), folder=tmp_path / "killed")
    for (name, left), right in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(left, right), name
    logs = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read(tmp_path / name / "metrics.jsonl")]
        for name in ("whole", "killed")
    ]
    assert logs[0] == logs[1]


def stopped(data: Toy, folder: Path, **changes: object) -> dict[str, Any]:
    """What the checkpoint of a training says that was killed at its thirtieth step."""
    with pytest.raises(Killed):
        train(made(data), data, how(**changes), folder=folder, progress=kill_at(30))
    (state,) = (folder / "checkpoint").glob("step-*/state.json")
    return json.loads(state.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def altered(folder: Path, **changes: object) -> None:
    """Another state in the checkpoint."""
    (state,) = (folder / "checkpoint").glob("step-*/state.json")
    state.write_text(json.dumps(json.loads(state.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_seconds_and_rows_are_counted_from_the_start_and_not_from_the_last_resume(tmp_path: Path) -> None:
    data = Toy()
    stopped(data, tmp_path)
    altered(tmp_path, seconds=1000.0)
    outcome = train(made(data), data, how(), folder=tmp_path)
    assert outcome.seconds > 1000
    assert [row["seconds"] > 1000 for row in outcome.log] == [row["step"] > 30 for row in outcome.log]
    seen = outcome.epochs * len(data.rows("train"))
    assert outcome.rows_per_second * outcome.seconds == pytest.approx(seen)


def test_a_training_goes_on_with_the_threads_it_began_with_and_says_so(tmp_path: Path) -> None:
    data, told = Toy(), list[str]()
    stopped(data, tmp_path, threads=1)
    outcome = train(made(data), data, how(threads=0), folder=tmp_path, progress=lambda *said: told.append(said[-1]))
    assert {row["threads"] for row in outcome.log} == {1}
    assert told[0] == "goes on with 1 thread, as it began"


@pytest.mark.parametrize(
    ("asked", "cores", "fix"), [(3, 4, "set it to 2"), (0, 1, "go on where there are 2 cores, not 1")]
)
def test_other_threads_than_it_began_with_are_refused(
    asked: int, cores: int, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Toy()
    stopped(data, tmp_path)
    altered(tmp_path, threads=2)
    monkeypatch.setattr(runtime, "cores", lambda: cores)
    with pytest.raises(InputError, match="began with 2 threads") as caught:
        train(made(data), data, how(threads=asked), folder=tmp_path)
    assert caught.value.where == "train.threads"
    assert caught.value.fix.startswith(fix)


def test_the_log_is_on_the_disk_before_the_checkpoint_that_counts_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, lacking = set[tuple[int, int]](), list[int]()
    fsync, save = os.fsync, checkpoint.save

    def note(handle: int) -> None:
        synced.add((os.fstat(handle).st_ino, os.fstat(handle).st_size))
        fsync(handle)

    def checked(folder: Path, state: checkpoint.Checkpoint) -> None:
        log = (tmp_path / "metrics.jsonl").stat()
        lacking.extend([] if (log.st_ino, log.st_size) in synced else [state.step])
        save(folder, state)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(checkpoint, "save", checked)
    train(made(Toy()), Toy(), how(epochs=1), folder=tmp_path)
    assert read(tmp_path / "metrics.jsonl")
    assert not lacking


@pytest.mark.parametrize("evaluations", [1, 2, 3, 5])
def test_the_last_step_is_judged_however_many_steps_an_epoch_has(evaluations: int) -> None:
    outcome = train(made(Toy()), Toy(), how(epochs=2, evaluations_per_epoch=evaluations, patience=99))
    steps = [row["step"] for row in outcome.log]
    assert len(steps) == 2 * evaluations
    assert steps[-1] == outcome.steps


def test_train_and_valid_curves_are_the_mean_over_the_same_cells() -> None:
    data = Toy(rows=4000)
    chosen = data.rows("train")
    data.rows = lambda split, scenario=None: chosen  # type: ignore[method-assign,assignment]
    quiet = Network(data.layout, data.counts_V, resolve({"dropout": 0.0}))
    outcome = train(quiet, data, how(epochs=1, evaluations_per_epoch=1, lr=0.0, table_lr=0.0))
    (row,) = outcome.log
    assert row["train_ne"] == pytest.approx(row["valid_ne"], rel=1e-5)  # the same rows and weights: the same number
    assert row["valid_ne"] == pytest.approx(np.mean(row["cells"]))


def test_the_same_seed_trains_the_same_weights_and_another_does_not() -> None:
    data = Toy()
    networks = [made(data) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        train(network, data, how(seed=seed, epochs=1))
    first, same, other = (score_rows(network, data, data.rows("test")) for network in networks)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_resuming_with_other_settings_is_refused_naming_them(tmp_path: Path) -> None:
    data = Toy()
    train(made(data), data, how(epochs=1), folder=tmp_path)
    with pytest.raises(InputError, match="batch_size"):
        train(made(data), data, how(epochs=1, batch_size=32), folder=tmp_path)


def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    data = Toy()
    train(made(data), data, how(epochs=1), folder=tmp_path)
    (state,) = (tmp_path / "checkpoint").glob("step-*/state.json")
    state.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="damaged checkpoint"):
        train(made(data), data, how(epochs=1), folder=tmp_path)


def test_a_solo_network_learns_from_its_cell_alone() -> None:
    data = Toy(rows=4000)
    solo = made(data, [0])
    seen: list[np.ndarray] = []
    whole = data.batch
    data.batch = lambda rows: seen.append(np.asarray(rows)) or whole(rows)  # type: ignore[method-assign,func-returns-value]
    train(solo, data, how(epochs=1), scenario=1)
    assert set(data.scenarios(np.concatenate(seen))) == {1}
    assert score_rows(solo, data, data.rows("test", 1)).shape[1] == 1


def test_an_unknown_task_weight_is_an_error() -> None:
    data = Toy()
    with pytest.raises(InputError, match="clik"):
        train(made(data), data, how(task_weights={"clik": 2.0}))


def test_the_run_log_drops_rows_after_the_checkpoint_and_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": s}) + "\n" for s in (5, 10, 15)) + '{"step": 2', encoding="utf-8")
    assert [row["step"] for row in RunLog(path, up_to_step=10).rows] == [5, 10]
    assert [row["step"] for row in read(path)] == [5, 10]


def test_few_rows_get_small_batches_so_that_solo_models_are_not_short_of_steps() -> None:
    assert [batch_size_of(rows, how(batch_size=512)) for rows in (100, 6_400, 48_000)] == [32, 100, 512]


def test_a_task_with_one_class_has_no_loss_beside_one_that_can_be_learned() -> None:
    data = Toy()
    data.labels_NT[:, 1] = 0
    outcome = train(made(data), data, how(epochs=1))
    assert all(row["train_ne"] < 2 for row in outcome.log)
