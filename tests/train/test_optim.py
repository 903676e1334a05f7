"""Row-wise Adagrad against its definition; losses against scikit-learn; early stopping by hand."""

import math

import numpy as np
import pytest
import torch
from contracts.toy import toy
from sklearn.metrics import log_loss

from motet.model.inputs import Table
from motet.model.ranker import Network, resolve
from motet.schema import Task
from motet.train.early_stop import EarlyStop, cell_loss
from motet.train.losses import TaskLosses, entropy
from motet.train.optim import RowwiseAdagrad, add_up, dense_optimizer, learning_rate

TASKS = (Task(name="click", label="c"), Task(name="stars", label="s", form="regression"))


def test_rowwise_adagrad_updates_touched_rows_by_its_definition_and_no_other() -> None:
    torch.manual_seed(0)
    table = Table(torch.full((6,), 9), 3, evidence=0)
    optimizer, before = RowwiseAdagrad(table, lr=0.1), table.weight.detach().clone()
    start = optimizer.sum_V.clone()
    (found,) = table([torch.tensor([2, 4, 2])])
    (found * torch.tensor([1.0, 2.0, 3.0])[:, None]).sum().backward()
    optimizer.step()
    gradient = {2: 4.0, 4: 2.0}  # the two uses of row 2 add up
    for row in range(6):
        if row in gradient:
            total = start[row] + gradient[row] ** 2
            torch.testing.assert_close(table.weight[row], before[row] - 0.1 * gradient[row] / total.sqrt())
            torch.testing.assert_close(optimizer.sum_V[row], total)
        else:
            assert torch.equal(table.weight[row], before[row])
            assert torch.equal(optimizer.sum_V[row], start[row])


def test_gradients_of_the_same_id_add_up_whatever_their_order() -> None:
    torch.manual_seed(0)
    ids, gradient = torch.randint(9, (40,), dtype=torch.int32), torch.randn(40, 3)
    rows, summed = add_up(ids, gradient)
    assert rows.tolist() == sorted(set(ids.tolist()))
    torch.testing.assert_close(summed, torch.stack([gradient[ids == row].sum(0) for row in rows]))


def test_decay_shrinks_the_rows_of_the_batch_alone() -> None:
    table = Table(torch.full((4,), 9), 3, evidence=0)
    optimizer, before = RowwiseAdagrad(table, lr=0.1, weight_decay=0.5), table.weight.detach().clone()
    (found,) = table([torch.tensor([2, 2])])
    (found * 0).sum().backward()
    optimizer.step(scale=0.5)
    torch.testing.assert_close(table.weight[2], before[2] * (1 - 0.5 * 0.1 * 0.5))
    assert torch.equal(table.weight[[1, 3]], before[[1, 3]])


def test_padding_stays_zero_through_training() -> None:
    table = Table(torch.full((4,), 9), 3, evidence=0)
    optimizer = RowwiseAdagrad(table, lr=1.0)
    table.say_V[0] = 1.0
    (found,) = table([torch.tensor([0, 1])])
    found.sum().backward()
    optimizer.step()
    assert torch.equal(table.weight[0], torch.zeros(3))


def test_a_binary_loss_is_cross_entropy_over_the_entropy_of_the_base_rate() -> None:
    labels, logits = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0.3, -1.0, 0.2, 2.0])
    losses = TaskLosses(TASKS[:1], [0.25], [1.0], [1.0])
    expected = log_loss(labels.numpy(), torch.sigmoid(logits).numpy()) / entropy(0.25)
    assert losses(logits[:, None, None], labels[:, None, None]).item() == pytest.approx(expected, rel=1e-5)


def test_a_regression_loss_is_squared_error_over_variance() -> None:
    losses = TaskLosses(TASKS[1:], [3.0], [2.0], [1.0])
    found = losses(torch.tensor([[[1.0]], [[4.0]]]), torch.tensor([[[3.0]], [[3.0]]]))
    assert found.item() == pytest.approx((4 + 1) / 2 / 4)


def test_unobserved_labels_give_exactly_zero_gradient() -> None:
    losses = TaskLosses(TASKS, [0.2, 3.0], [1.0, 1.0], [0.5, 0.5])
    logits = torch.randn(3, 1, 2, requires_grad=True)
    labels = torch.tensor([[[1.0, math.nan]], [[math.nan, 2.0]], [[math.nan, math.nan]]])
    losses(logits, labels).sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[labels.isnan()], torch.zeros(4))
    assert bool((logits.grad[~labels.isnan()] != 0).all())


def test_a_task_that_is_never_observed_costs_nothing() -> None:
    losses = TaskLosses(TASKS, [0.2, 0.0], [1.0, 1.0], [1.0, 0.0])
    found = losses(torch.zeros(2, 1, 2), torch.tensor([[[1.0, math.nan]], [[0.0, math.nan]]]))
    assert found[1].item() == 0


def test_the_learning_rate_warms_up_then_falls_to_a_tenth() -> None:
    rates = [learning_rate(step, 100, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_cell_loss_is_ne_per_cell_and_counts_only_cells_with_fifty_of_both() -> None:
    labels = np.zeros((200, 2), np.float32)
    labels[:50, 0], labels[:, 1] = 1, np.nan
    logits = np.zeros((200, 2), np.float32)
    logits[:, 0] = math.log(0.25 / 0.75)
    found = cell_loss(TASKS, 2, logits, labels, np.zeros(200, np.int64))
    assert found.ne_ST[0, 0] == pytest.approx(1.0)  # the base rate itself
    assert math.isnan(found.ne_ST[1, 0])
    assert math.isnan(found.ne_ST[0, 1])
    assert found.counted_ST.tolist() == [[True, False], [False, False]]
    labels[0, 0] = 0
    assert not cell_loss(TASKS, 2, logits, labels, np.zeros(200, np.int64)).counted_ST.any()


def test_early_stop_waits_for_patience_and_survives_nothing_to_judge_by() -> None:
    stop = EarlyStop(patience=2)
    assert stop.update(0.9, 10)
    assert not stop.update(0.95, 20)
    assert not stop.done
    assert stop.update(0.8, 30)
    assert not stop.update(0.81, 40)
    assert not stop.update(0.82, 50)
    assert stop.done
    assert stop.best_step == 30
    assert EarlyStop(patience=1).update(float("nan"), 1)


def test_weights_decay_but_fusion_weights_biases_and_adapters_do_not() -> None:
    layout = toy().layout
    network = Network(layout, torch.full((layout.table_rows,), 20), resolve({}))
    decayed = {id(p) for p in dense_optimizer(network, 0.1, 0.3).param_groups[0]["params"]}
    names = {name for name, parameter in network.named_parameters() if id(parameter) in decayed}
    assert {"experts.bank.second_EHD", "heads.first_TDH", "experts.bank.first.user.weight"} <= names
    spared = {"fusion.task_TV", "fusion.cell_STV", "fusion.prior.weight", "fusion.adapter.core_STR"}
    spared |= {"heads.bias_ST", "experts.bank.bias_ED", "prior.learned_SP", "inputs.table.weight"}
    assert not spared & names
    assert not any(name.endswith("bias") for name in names)
