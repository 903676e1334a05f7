"""Task losses in units of their base rate: a binary loss divided by the base rate's entropy is the reported `ne`.

Unobserved labels (nan) give exactly zero gradient. Shapes: B requests, C candidates, T tasks.
"""

import math

import torch
from torch import Tensor, nn

from motet.schema import Task


class TaskLosses(nn.Module):
    """Per-task losses of a batch, [T]; their weighted sum is what training minimises.

    Binary: cross-entropy / entropy of the base rate. Regression: squared error / variance. Each is the sum over the
    batch's observed rows divided by the number expected (rows × the task's share of observed rows), so that a batch
    with few observations weighs little instead of being noisy.
    """

    def __init__(self, tasks: tuple[Task, ...], rates: list[float], scales: list[float], shares: list[float]) -> None:
        super().__init__()
        units = [scale**2 if task.form == "regression" else entropy(rate)
                 for task, rate, scale in zip(tasks, rates, scales, strict=True)]  # fmt: skip
        divisor = [
            max(unit * share, 1e-12) if share > 0 else math.inf for unit, share in zip(units, shares, strict=True)
        ]
        self.register_buffer("divisor_T", torch.tensor(divisor))
        self.register_buffer("binary_T", torch.tensor([task.form == "binary" for task in tasks]))
        self.divisor_T: Tensor
        self.binary_T: Tensor

    def forward(self, logits_BCT: Tensor, labels_BCT: Tensor) -> Tensor:
        observed = ~labels_BCT.isnan()
        labels = torch.where(observed, labels_BCT, 0.0)
        cross_entropy = nn.functional.binary_cross_entropy_with_logits(
            logits_BCT, torch.where(self.binary_T, labels, 0.0), reduction="none"
        )
        loss = torch.where(self.binary_T, cross_entropy, (logits_BCT - labels).square()) * observed
        return loss.sum((0, 1)) / (labels.shape[0] * labels.shape[1]) / self.divisor_T


def entropy(rate: float) -> float:
    """Entropy of a coin with that rate, in nats; that of 1e-6 where the rate is 0 or 1."""
    rate = min(max(rate, 1e-6), 1 - 1e-6)
    return -rate * math.log(rate) - (1 - rate) * math.log1p(-rate)
