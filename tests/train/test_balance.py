"""Balancers against their formulas, and every one of them learns and resumes exactly."""

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from contracts.resuming import made, same_after_a_kill
from contracts.toy import Toy, toy

from motet.errors import InputError
from motet.settings import parse
from motet.train.balance import Balancer, balance_of
from motet.train.balance.balance import Balance, Learned
from motet.train.balance.famo import Famo
from motet.train.balance.gradients import Gradients, shared
from motet.train.balance.gradnorm import GradNorm, last_shared
from motet.train.balance.metabalance import RELAX, factors
from motet.train.balance.pcgrad import projected
from motet.train.balance.uncertainty import Uncertainty
from motet.train.loop import Train, train
from motet.train.losses import TaskLosses

BALANCERS = get_args(Balancer)
YES = torch.tensor([True, True])


def losses_of(network) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """Those of the toy's first rows."""
    batch = toy().batch(toy().rows("train")[:128])
    losses = TaskLosses(toy().layout.tasks, [0.5, 0.2, 3.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.5])
    return losses.per_task(losses(network(batch).logits_BCT, batch.labels_BCT))


def gradients_by(name: Balancer) -> dict[str, torch.Tensor]:
    network = made(toy(), {"dropout": 0.0}).train()
    torch.manual_seed(0)
    balance_of(name, network, torch.tensor([True] * 3)).backward(losses_of(network))
    found = {n: p.grad.clone() for n, p in network.dense_parameters().items() if p.grad is not None}
    assert network.inputs.table.touched is not None
    return found | {"table": network.inputs.table.touched.row_ID.grad}  # type: ignore[dict-item]


@pytest.mark.parametrize("name", [name for name in BALANCERS if name != "static"])
def test_a_killed_training_resumes_to_the_same_weights_and_beats_the_base_rate(tmp_path: Path, name: str) -> None:
    assert same_after_a_kill(tmp_path, Toy(rows=3000), balance=name) < 0.97


@pytest.mark.parametrize("name", BALANCERS)
def test_a_single_task_and_a_task_of_one_class_are_no_hindrance(name: str) -> None:
    data, how = Toy(rows=600), parse(Train, {"epochs": 1, "balance": name, "threads": 1})
    labels = data.labels_NT.copy()
    labels[:, 1] = 0
    assert train(made(data.relabelled(labels)), data.relabelled(labels), how).macro_ne < 2
    assert train(made(data, tasks=[0]), data, how).macro_ne < 2


@pytest.mark.parametrize("name", ["uncertainty", "famo", "pcgrad", "metabalance"])  # GradNorm begins as static
def test_every_balancer_leaves_gradients_everywhere_and_not_those_of_static(name: Balancer) -> None:
    static, other = gradients_by("static"), gradients_by(name)
    assert set(other) >= set(static)
    assert not torch.allclose(static["table"], other["table"], rtol=1e-3)
    assert all(torch.isfinite(gradient).all() for gradient in other.values())


def test_a_loss_weight_counts_before_any_balancer() -> None:
    network = made(toy(), {"dropout": 0.0}).train()
    (losses_of(network) * torch.tensor([1.0, 0.0, 0.0])).sum().backward()
    alone = network.inputs.table.touched.row_ID.grad.clone()  # type: ignore[union-attr]
    Balance().backward(losses_of(network) * torch.tensor([2.0, 0.0, 0.0]))
    torch.testing.assert_close(network.inputs.table.touched.row_ID.grad, 2 * alone)  # type: ignore[union-attr]


def test_uncertainty_settles_where_the_weight_is_half_of_one_over_the_loss() -> None:
    balance = Uncertainty(torch.tensor([False, True]), YES)
    for _ in range(3000):
        balance.backward(torch.tensor([0.8, 0.2], requires_grad=True))
    assert balance.noise.weight.tolist() == pytest.approx([math.log(1.6), math.log(0.2)], abs=0.02)


def test_an_unlearnable_task_keeps_its_uncertainty() -> None:
    balance = Uncertainty(torch.tensor([False, False]), torch.tensor([True, False]))
    for _ in range(10):
        balance.backward(torch.tensor([0.1, 0.0], requires_grad=True))
    assert balance.noise.weight[0] < 0
    assert balance.noise.weight[1] == 0


def test_pcgrad_takes_away_what_conflicts_and_nothing_else() -> None:
    torch.manual_seed(0)
    first, second, agreeing = torch.tensor([1.0, 1.0]), torch.tensor([-2.0, 1.0]), torch.tensor([1.0, 2.0])
    found = projected(torch.stack([first, second]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 1.2], [-1.5, 1.5]]))
    both = torch.stack([first, agreeing])
    torch.testing.assert_close(projected(both), both)


def test_pcgrad_leaves_a_tasks_own_head_alone() -> None:
    first, second = torch.tensor([1.0, 0.5, 7.0, 0.0]), torch.tensor([-1.0, 0.25, 0.0, 3.0])
    found = projected(torch.stack([first, second]))
    assert found[:, 2:].tolist() == [[7.0, 0.0], [0.0, 3.0]]
    assert float(found[0, :2] @ second[:2]) == pytest.approx(0.0, abs=1e-6)


def test_pcgrad_by_inner_products_is_pcgrad_by_vectors() -> None:
    gradient = torch.randn(5, 40, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    found = projected(gradient)
    torch.manual_seed(1)
    for i in range(5):
        own = gradient[i].clone()
        for j in torch.randperm(5).tolist():
            if j != i and own @ gradient[j] < 0:
                own -= (own @ gradient[j]) / gradient[j].square().sum() * gradient[j]
        torch.testing.assert_close(found[i], own, rtol=1e-4, atol=1e-5)


def test_every_tasks_gradients_sum_to_the_gradient_of_the_sum() -> None:
    network = made(toy(), {"dropout": 0.0}).train()
    gradients = Gradients(network)
    of_tasks = gradients.of_tasks(losses_of(network))
    gradients.leave(of_tasks.sum(0))
    summed = [leaf.grad.clone() for leaf in gradients.leaves()]  # type: ignore[union-attr]
    for leaf in network.dense_parameters().values():
        leaf.grad = None
    losses_of(network).sum().backward()
    for leaf, expected in zip(gradients.leaves(), summed, strict=True):
        torch.testing.assert_close(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, expected)
    between = shared(of_tasks).split([leaf.numel() for leaf in gradients.leaves()])
    names = list(network.dense_parameters())
    assert between[names.index("experts.bank.second_EHD")].float().mean() > 0.5
    assert not between[names.index("heads.last_TH")][-made(toy()).heads.last_TH.shape[1] :].any()  # type: ignore[union-attr]


def test_metabalance_draws_every_task_to_the_mean_size() -> None:
    found = factors(torch.tensor([[1.0, 3.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = [RELAX * 2 / 1 + 1 - RELAX, RELAX * 2 / 3 + 1 - RELAX, 1.0]
    assert found.tolist() == [pytest.approx(expected), [1.0, 1.0, 1.0]]


def test_famo_gives_a_larger_share_to_the_task_that_falls_slower() -> None:
    balance = Famo(YES)
    for _ in range(20):
        balance.backward(torch.tensor([1.0, 1.0], requires_grad=True))
        balance.after(lambda: torch.tensor([0.5, 0.9]))
    slow, fast = balance._shares()[1], balance._shares()[0]
    assert slow > fast + 0.1


def test_famo_divides_by_the_loss_and_its_weights_sum_to_one() -> None:
    losses = torch.tensor([0.5, 2.0, 0.0], requires_grad=True)
    Famo(torch.tensor([True, True, True])).backward(losses)
    assert losses.grad is not None
    assert losses.grad.tolist() == pytest.approx([0.8, 0.2, 0.0])  # (1/0.5) : (1/2), the third has no label here


def test_gradnorm_gives_the_slower_task_a_larger_weight_and_keeps_their_sum() -> None:
    network = made(toy(), {"dropout": 0.0}).train()
    balance = GradNorm(network, torch.tensor([True] * 3))
    balance.loss_T = torch.tensor([1.0, 0.3, 1.0])
    for _ in range(20):
        losses = losses_of(network)
        balance.backward(losses)
        balance.loss_T = torch.tensor([1.0, 0.3, 1.0])
    weights = balance.loss_weight.weight
    assert float(weights.sum()) == pytest.approx(3.0, rel=1e-5)
    pulls = weights * torch.stack([balance._pull(loss) for loss in losses_of(network)])
    assert pulls[1] < pulls[0]


def test_gradnorm_looks_at_the_experts_last_layer_or_says_that_there_is_none() -> None:
    network = made(toy())
    assert last_shared(network) is network.experts.bank.second_EHD  # type: ignore[union-attr,operator]
    del network.experts.bank.second_EHD  # type: ignore[union-attr,operator]
    with pytest.raises(InputError, match="no last layer"):
        last_shared(network)


def test_a_learned_weight_moves_as_with_adam_and_its_state_can_be_put_back() -> None:
    reference = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    adam, learned = torch.optim.Adam([reference], lr=0.1), Learned(torch.tensor([1.0, 2.0]), 0.1)
    for step in range(6):
        if step == 3:
            stored = {name: tensor.clone() for name, tensor in learned.tensors().items()}
            learned = Learned(torch.tensor([1.0, 2.0]), 0.1)
            for name, tensor in learned.tensors().items():
                tensor.copy_(stored[name])
        gradient = torch.tensor([1.0, -0.5]) * (step + 1)
        reference.grad = gradient.clone()
        adam.step()
        learned.step(gradient)
    torch.testing.assert_close(learned.weight.data, reference.data)
