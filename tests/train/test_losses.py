"""Losses against scikit-learn; the train side of the learning curve against the metrics."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.toy import toy
from sklearn.metrics import log_loss
from torch import Tensor

from motet.schema import Task
from motet.scoring import metrics
from motet.train.losses import CellSums, TaskLosses

TASKS = (Task(name="click", label="c"), Task(name="stars", label="s", form="regression"))


def per_task(losses: TaskLosses, logits_BCT: Tensor, labels_BCT: Tensor) -> Tensor:
    return losses.per_task(losses(logits_BCT, labels_BCT))


def test_a_binary_loss_is_cross_entropy_over_the_entropy_of_the_base_rate() -> None:
    labels, logits = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([0.3, -1.0, 0.2, 2.0])
    losses = TaskLosses(TASKS[:1], [0.25], [1.0], [1.0])
    expected = log_loss(labels.numpy(), torch.sigmoid(logits).numpy()) / metrics.entropy(0.25)
    assert per_task(losses, logits[:, None, None], labels[:, None, None]).item() == pytest.approx(expected, rel=1e-5)


def test_a_regression_loss_is_squared_error_over_variance() -> None:
    losses = TaskLosses(TASKS[1:], [3.0], [2.0], [1.0])
    found = per_task(losses, torch.tensor([[[1.0]], [[4.0]]]), torch.tensor([[[3.0]], [[3.0]]]))
    assert found.item() == pytest.approx((4 + 1) / 2 / 4)


def test_unobserved_labels_give_exactly_zero_gradient() -> None:
    losses = TaskLosses(TASKS, [0.2, 3.0], [1.0, 1.0], [0.5, 0.5])
    logits = torch.randn(3, 1, 2, requires_grad=True)
    labels = torch.tensor([[[1.0, math.nan]], [[math.nan, 2.0]], [[math.nan, math.nan]]])
    per_task(losses, logits, labels).sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad[labels.isnan()], torch.zeros(4))
    assert bool((logits.grad[~labels.isnan()] != 0).all())


def test_a_task_that_is_never_observed_costs_nothing() -> None:
    losses = TaskLosses(TASKS, [0.2, 0.0], [1.0, 1.0], [1.0, 0.0])
    found = per_task(losses, torch.zeros(2, 1, 2), torch.tensor([[[1.0, math.nan]], [[0.0, math.nan]]]))
    assert found[1].item() == 0


def test_the_train_curve_is_the_ne_of_every_cell_over_all_batches_since_it_was_taken() -> None:
    rates = ((0.3, 3.0), (0.4, math.nan), (math.nan, 1.0))
    layout = replace(toy().layout, scenarios=toy().layout.scenarios * 2, tasks=TASKS, base_rates=rates)
    rng = np.random.default_rng(0)
    labels = np.stack([rng.random(300) < 0.4, rng.normal(2, 1, 300)], 1).astype(np.float32)
    scenario = rng.integers(2, size=300)
    labels[::4, 0], labels[scenario == 1, 1] = np.nan, np.nan
    logits = rng.normal(size=(300, 2)).astype(np.float32)
    losses, sums = TaskLosses(TASKS, [0.4, 2.0], [1.0, 1.0], [1.0, 1.0]), CellSums(layout, torch.device("cpu"))
    for _ in range(2):  # what was taken does not come back
        for start in range(0, 300, 64):
            rows = slice(start, start + 64)
            logits_B1T, labels_B1T = (torch.from_numpy(part[rows])[:, None] for part in (logits, labels))
            sums.add(losses(logits_B1T, labels_B1T), labels_B1T, torch.from_numpy(scenario[rows]))
        found = sums.take()
    for s in range(2):
        own = (scenario == s) & ~np.isnan(labels[:, 0])
        expected = metrics.ne(labels[own, 0], 1 / (1 + np.exp(-logits[own, 0].astype(float))), rates[s][0])
        assert found[s, 0] == pytest.approx(expected, rel=1e-6)
    own = scenario == 0
    assert found[0, 1] == pytest.approx(metrics.relative_mse(labels[own, 1], logits[own, 1], 3.0), rel=1e-6)
    assert np.isnan(found[[1, 2, 2], [1, 0, 1]]).all()
