"""Options against noise: each changes what it should, and a training with it resumes exactly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from contracts.resuming import made, same_after_a_kill
from contracts.toy import TASKS, Toy, toy
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from motet.errors import InputError
from motet.model.inputs import Table
from motet.model.ranker import resolve
from motet.settings import parse
from motet.train.adversary import Adversary
from motet.train.loop import Train
from motet.train.losses import TaskLosses
from motet.train.r_drop import disagreement, twice

NAN = float("nan")


@pytest.mark.parametrize(
    ("slots", "changes"),
    [
        ({}, {"label_smoothing": 0.1}),
        ({}, {"adversarial": 0.1, "balance": "famo"}),
        ({"transfer": True}, {"r_drop": 0.5}),
        ({"id_dropout": 0.5}, {}),
    ],
)
def test_a_training_with_it_beats_the_base_rate_and_resumes_exactly(
    tmp_path: Path, slots: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert same_after_a_kill(tmp_path, Toy(), slots, **changes) < 1.0


def test_smoothed_labels_lie_between_the_label_and_the_base_rate_and_regressions_are_left_alone() -> None:
    losses = TaskLosses(TASKS, [0.3, 0.1, 3.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], smoothing=0.2)
    logits, labels = torch.tensor([[[0.5, -2.0, 2.0]]]), torch.tensor([[[1.0, 0.0, 4.0]]])
    expected = cross_entropy(logits[..., :2], torch.tensor([[[0.86, 0.02]]]), reduction="none")
    found = losses(logits, labels)
    torch.testing.assert_close(found[..., :2], expected)
    assert float(found[0, 0, 2]) == 4.0
    assert losses(logits, torch.full_like(labels, NAN)).abs().sum() == 0


def test_the_base_rate_stays_the_best_constant_under_smoothing() -> None:
    losses = TaskLosses(TASKS[:1], [0.25], [1.0], [1.0], smoothing=0.3)
    logit = torch.logit(torch.tensor(0.25)).reshape(1, 1, 1).requires_grad_()
    losses(logit.expand(4, 1, 1), torch.tensor([1.0, 0.0, 0.0, 0.0]).view(4, 1, 1)).sum().backward()
    assert float(logit.grad) == pytest.approx(0.0, abs=1e-6)  # type: ignore[arg-type]


def test_rare_ids_are_dropped_more_often_and_the_mean_of_what_they_say_is_kept() -> None:
    torch.manual_seed(0)
    table = Table(torch.tensor([0, 25, 300]), 4, evidence=100, dropout=0.8).train()
    table.weight.data[1:] = 1.0
    found = table([torch.tensor([1, 2]).repeat(20_000)])[0].view(-1, 2, 4)[..., 0].detach()
    silent = (found == 0).float().mean(0)
    assert silent.tolist() == pytest.approx([0.8 * 0.8, 0.8 * 0.25], abs=0.01)
    assert found.mean(0).tolist() == pytest.approx([0.2, 0.75], rel=0.03)
    assert (table.eval()([torch.tensor([1, 2])])[0][:, 0]).tolist() == pytest.approx([0.2, 0.75])


@pytest.mark.parametrize("slots", [{"id_dropout": 1.0}, {"id_dropout": -0.1}])
def test_a_dropout_that_is_no_share_is_an_error(slots: dict[str, float]) -> None:
    with pytest.raises(InputError, match="no share"):
        resolve(slots)


@pytest.mark.parametrize("changes", [{"label_smoothing": 1.0}, {"adversarial": -1.0}, {"r_drop": -0.5}])
def test_an_option_out_of_range_is_an_error_naming_it(changes: dict[str, float]) -> None:
    with pytest.raises(InputError, match="out of range") as caught:
        parse(Train, changes, prefix=("train",))
    assert caught.value.where == f"train.{next(iter(changes))}"


def test_an_adversary_asks_again_with_ids_moved_along_their_gradient_and_puts_them_back() -> None:
    torch.manual_seed(0)
    table, aim = Table(torch.full((5,), 10), 3, evidence=0).train(), torch.randn(4, 3)
    ids, before, seen = torch.tensor([1, 2, 2, 4]), table.weight.data.clone(), list[torch.Tensor]()

    def losses() -> torch.Tensor:
        (found,) = table([ids])
        seen.append(table.weight.data.clone())
        return ((found - aim) ** 2).sum(1)

    losses().sum().backward()
    clean = table.touched.row_ID.grad.clone()  # type: ignore[union-attr]
    Adversary(table, 0.5).backward(losses)
    assert torch.equal(table.weight.data, before)
    moved = seen[1] - before
    torch.testing.assert_close(moved.norm(dim=1), torch.tensor([0.0, 0.5, 0.5, 0.0, 0.5]))
    direction = torch.nn.functional.normalize(clean[1] + clean[2], dim=0)
    torch.testing.assert_close(moved[2], 0.5 * direction)
    expected = clean + 2 * (seen[1][ids] - aim)
    torch.testing.assert_close(table.touched.row_ID.grad, expected)  # type: ignore[union-attr]


def test_moving_ids_hurts() -> None:
    data = toy()
    network, batch = made(data, {"dropout": 0.0}).train(), data.batch(data.rows("train")[:64])
    network.inputs.table.weight.data.normal_()
    losses = TaskLosses(TASKS, [0.5, 0.2, 3.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.5])
    told = list[float]()

    def again() -> torch.Tensor:
        of_tasks: torch.Tensor = losses.per_task(losses(network(batch).logits_BCT, batch.labels_BCT))
        told.append(float(of_tasks.detach().sum()))
        return of_tasks

    again().sum().backward()
    Adversary(network.inputs.table, 0.3).backward(again)
    assert told[1] > told[0]


def test_disagreement_is_the_mean_of_both_divergences_where_a_label_is_observed() -> None:
    logits, labels = torch.tensor([[[1.0, -1.0, 2.0]], [[-0.5, 0.5, 5.0]]]), torch.tensor([[[1.0, NAN, 3.0]]])
    binary = torch.tensor([True, True, False])
    p, q = torch.sigmoid(torch.tensor(1.0)), torch.sigmoid(torch.tensor(-0.5))
    forth, back = (a * (a / b).log() + (1 - a) * ((1 - a) / (1 - b)).log() for a, b in ((p, q), (q, p)))
    found = disagreement(logits, torch.cat([labels, labels]), binary)
    assert found.flatten().tolist() == pytest.approx([float(forth + back) / 2, 0.0, 4.5])


def test_a_batch_shown_twice_says_the_same_twice_without_dropout() -> None:
    data = toy()
    network, batch = made(data), data.batch(data.rows("test"))
    once, both = network.score(batch).logits_BCT, network.score(twice(batch)).logits_BCT
    for half in both.chunk(2):
        torch.testing.assert_close(half, once, rtol=1e-4, atol=1e-5)


def test_two_passes_that_say_the_same_pay_nothing() -> None:
    logits = torch.randn(3, 1, 2).repeat(2, 1, 1)
    assert disagreement(logits, torch.ones(6, 1, 2), torch.tensor([True, False])).abs().sum() == 0
