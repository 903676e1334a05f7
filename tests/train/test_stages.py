"""Training in stages: kinds as if alone, then the weights; a kill in any stage changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from contracts.toy import Toy

from motet.model.kinds import Trainable, WeightedKinds, build
from motet.model.ranker import resolve
from motet.settings import parse
from motet.train.loop import Outcome, Train, train
from motet.train.runlog import read
from motet.train.stages import train_stages


class Killed(Exception):
    """Stands for a process that ends in the middle of training."""


def made(data: Toy, tasks: list[int] | None = None, preset: str = "lstm-weighted") -> Trainable:
    torch.manual_seed(7)
    model = resolve({"preset": preset, "expert_widths": [16, 8]})
    return build(data.layout, data.counts_V, model, tasks)


def weighted(data: Toy) -> WeightedKinds:
    network = made(data)
    assert isinstance(network, WeightedKinds)
    return network


def small() -> Toy:
    """Nine steps an epoch."""
    return Toy(rows=400)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[WeightedKinds, Outcome, Path]:
    """A training that nobody killed."""
    network, folder = weighted(small()), tmp_path_factory.mktemp("whole")
    return network, train_stages(network, small(), how(), folder=folder), folder


def how(**changes: object) -> Train:
    return parse(
        Train, {"epochs": 3, "batch_size": 64, "checkpoint_every": 5, "threads": 1, "patience": 9, "lr": 0.02} | changes
    )


def same(left: Trainable, right: Trainable) -> None:
    for (name, one), other in zip(left.state_dict().items(), right.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def logs(folder: Path) -> dict[str, list[dict[str, object]]]:
    return {
        path.relative_to(folder).as_posix(): [{k: v for k, v in row.items() if k != "seconds"} for row in read(path)]
        for path in folder.rglob("metrics.jsonl")
    }


def test_every_kind_is_trained_as_if_it_were_alone_and_stays_so(whole: tuple[WeightedKinds, Outcome, Path]) -> None:
    for part, alone in zip(whole[0].parts(), weighted(small()).parts(), strict=True):
        train(alone, small(), how())
        same(part, alone)


def test_weights_are_fitted_on_what_the_kinds_have_learnt(whole: tuple[WeightedKinds, Outcome, Path]) -> None:
    network, outcome, folder = whole
    alpha_STV = network.alpha_STV()
    assert float((alpha_STV - 0.5).abs().max()) > 0.01
    torch.testing.assert_close(alpha_STV.sum(-1), torch.ones(2, 3))
    evaluations = {name: [float(str(row["valid_ne"])) for row in rows] for name, rows in logs(folder).items()}
    assert set(evaluations) == {"metrics.jsonl", "stages/1/metrics.jsonl", "stages/2/metrics.jsonl"}
    assert outcome.macro_ne == min(evaluations.pop("metrics.jsonl")) < max(min(ne) for ne in evaluations.values())
    assert outcome.parameters == network.parameter_count()


@pytest.mark.parametrize(("stage", "step"), [("goods", 20), ("content", 10), ("weights", 7), ("weights", 20)])
def test_a_training_killed_in_any_stage_resumes_to_the_same_weights_bit_for_bit(
    whole: tuple[WeightedKinds, Outcome, Path], tmp_path: Path, stage: str, step: int
) -> None:
    data, (expected, outcome, folder) = small(), whole
    again = weighted(data)

    def kill(done: int, total: int, note: str) -> None:
        number = ["goods", "content", "weights"].index(stage)
        if note.startswith(stage) and done - number * total // 3 >= step:
            raise Killed

    with pytest.raises(Killed):
        train_stages(weighted(data), data, how(), folder=tmp_path, progress=kill)
    resumed = train_stages(again, data, how(), folder=tmp_path)
    same(expected, again)
    assert logs(folder) == logs(tmp_path)
    assert (resumed.steps, resumed.best_step, resumed.macro_ne) == (outcome.steps, outcome.best_step, outcome.macro_ne)


def test_later_stages_have_the_threads_that_the_first_began_with(tmp_path: Path) -> None:
    def kill(done: int, total: int, note: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_stages(made(small()), small(), how(threads=1), folder=tmp_path, progress=kill)
    train_stages(made(small()), small(), how(threads=0), folder=tmp_path)
    assert [{row["threads"] for row in rows} for rows in logs(tmp_path).values()] == [{1}] * 3


def test_the_bar_never_goes_back_between_stages() -> None:
    data, seen = small(), list[float]()
    train_stages(made(data), data, how(), progress=lambda done, total, note: seen.append(done / total))
    assert seen == sorted(seen)
    assert seen[-1] <= 1


def test_one_kind_is_one_stage_in_the_run_folder_itself(tmp_path: Path) -> None:
    data = small()
    data.layout = replace(data.layout, kinds=("item",))
    train_stages(made(data), data, how(epochs=1), folder=tmp_path)
    assert set(logs(tmp_path)) == {"metrics.jsonl"}


def test_a_network_of_one_stage_is_trained_by_the_loop_as_it_was() -> None:
    data = small()
    staged, looped = made(data, preset="lstm-fusion"), made(data, preset="lstm-fusion")
    train_stages(staged, data, how(epochs=1))
    train(looped, data, how(epochs=1))
    same(staged, looped)


def test_a_solo_network_of_kinds_learns_its_cell() -> None:
    data = small()
    solo = made(data, [0])
    train_stages(solo, data, how(epochs=1), scenario=1)
    assert solo.score(data.batch(data.rows("test", 1))).logits_BCT.shape[-1] == 1
