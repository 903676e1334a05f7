"""Training learns, stops, and goes on exactly after a kill."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.toy import Toy

from motet.errors import InputError
from motet.model.ranker import Network, resolve
from motet.settings import parse
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
