"""What chains add to the loss, by hand, and that training with it learns and resumes."""

import math
from pathlib import Path

import pytest
import torch
from contracts.resuming import same_after_a_kill
from contracts.toy import Toy, toy

from motet.batch import CellOutput
from motet.model.ranker import Network, resolve
from motet.train.chains import CALIBRATOR, REGULARISER, Counterfactual, excess, extras_of
from motet.train.losses import TaskLosses

NAN = math.nan
CLICK, BUY = 0, 1


def network(**slots: object) -> Network:
    return Network(toy().layout, toy().counts_V, resolve(slots)).train()


def per_task(loss_BCT: torch.Tensor) -> torch.Tensor:
    return loss_BCT.mean((0, 1))


def test_the_calibrator_is_what_a_task_is_likelier_than_its_parent() -> None:
    logits = torch.logit(torch.tensor([[[0.2, 0.5, 0.9]], [[0.6, 0.5, 0.9]]]))
    torch.testing.assert_close(excess(logits, {BUY: CLICK}), torch.tensor([[[0.0, 0.3, 0.0]], [[0.0, 0.0, 0.0]]]))
    (extra,) = extras_of(network(transfer=True, entire_space=False), per_task)
    torch.testing.assert_close(extra(CellOutput(logits), logits), torch.tensor([0.0, CALIBRATOR * 0.15, 0.0]))


def output() -> tuple[CellOutput, torch.Tensor]:
    """Three rows: bought, clicked only, not clicked."""
    click, given = torch.tensor([0.5, 0.25, 0.001]), torch.tensor([0.8, 0.4, 0.5])
    logits = torch.logit(torch.stack([click, click * given, click], -1))[:, None]
    said = torch.logit(torch.stack([click, given, click], -1))[:, None]
    labels = torch.tensor([[1.0, 1.0, NAN], [1.0, 0.0, NAN], [0.0, 0.0, NAN]])[:, None]
    return CellOutput(logits, said), labels


def test_ips_weights_the_error_of_a_clicked_row_by_one_over_its_propensity() -> None:
    made = network(debias="ips")
    (extra,) = extras_of(made, per_task)
    expected = (-math.log(0.8) / 0.5 - math.log(0.6) / 0.25) / 3
    found = extra(*output()) * Counterfactual(made).units[BUY] / REGULARISER
    assert found.tolist() == pytest.approx([0.0, expected, 0.0], rel=1e-5)


@pytest.mark.parametrize("guess", [0.0, 0.7])
def test_doubly_robust_starts_from_a_guess_and_adds_what_it_missed(guess: float) -> None:
    made = network(debias="dr")
    extra = Counterfactual(made)
    made.heads.imputed_BCT = torch.full((3, 1, 3), guess)
    first, second = (e - guess for e in (-math.log(0.8), -math.log(0.6)))
    expected = guess + ((first + first**2) / 0.5 + (second + second**2) / 0.25) / 3
    assert float(extra(*output())[BUY] * extra.units[BUY] / REGULARISER) == pytest.approx(expected, rel=1e-5)


def test_ips_is_right_on_all_rows_where_clicks_are_a_biased_sample() -> None:
    """Its mean over many draws of clicks is the error of all rows; the mean over clicked rows is not."""
    rng, rows = torch.Generator().manual_seed(0), 200_000
    appeal = torch.randn(rows, generator=rng)
    click, buy = torch.sigmoid(appeal - 0.5), torch.sigmoid(2 * appeal)
    clicked, bought = (torch.rand(rows, generator=rng) < click), (torch.rand(rows, generator=rng) < buy)
    said = torch.stack([torch.logit(click), torch.zeros(rows), torch.zeros(rows)], -1)[:, None]
    labels = torch.stack([clicked.float(), (clicked & bought).float(), torch.zeros(rows)], -1)[:, None]
    said[..., BUY] = 1.0  # what the model says of all of them
    made = network(debias="ips")
    extra = Counterfactual(made)
    found = float(extra(CellOutput(said, said), labels)[BUY] * extra.units[BUY] / REGULARISER)
    errors = torch.nn.functional.binary_cross_entropy_with_logits(torch.ones(rows), bought.float(), reduction="none")
    assert found == pytest.approx(float(errors.mean()), rel=0.02)
    assert abs(float(errors[clicked].mean()) / float(errors.mean()) - 1) > 0.05


def test_no_gradient_reaches_the_parent_through_its_propensity() -> None:
    said, labels = output()
    logits = said.logits_BCT.clone().requires_grad_()
    given = said.given_BCT.clone().requires_grad_()  # type: ignore[union-attr]
    Counterfactual(network(debias="ips"))(CellOutput(logits, given), labels).sum().backward()
    assert logits.grad is None
    assert given.grad is not None
    assert given.grad[:, 0, CLICK].abs().sum() == 0
    assert given.grad[2, 0, BUY] == 0  # not clicked


def test_a_network_without_a_chain_adds_nothing() -> None:
    alone = Network(toy().layout, toy().counts_V, resolve({"debias": "dr", "transfer": True}), [CLICK, 2])
    assert extras_of(alone, per_task) == []


@pytest.mark.parametrize("slots", [{"debias": "ips"}, {"debias": "dr"}, {"preset": "aitm"}])
def test_training_with_it_beats_the_base_rate_and_resumes_exactly(tmp_path: Path, slots: dict[str, str]) -> None:
    assert same_after_a_kill(tmp_path, Toy(rows=3000), slots) < 0.97


def test_losses_of_rows_become_those_of_tasks_in_their_units() -> None:
    losses = TaskLosses(toy().layout.tasks, [0.5, 0.25, 0.0], [1.0, 1.0, 2.0], [1.0, 1.0, 0.5])
    ones = losses.per_task(torch.ones(4, 1, 3))
    assert ones.tolist() == pytest.approx([1 / math.log(2), 1 / 0.5623, 0.5], rel=1e-3)
