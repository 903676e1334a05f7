"""Task losses in units of their base rate: a binary loss divided by the base rate's entropy is an `ne`.

Unobserved labels (nan) give exactly zero gradient. Shapes: B requests, C candidates, S scenarios, T tasks.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from motet.batch import Layout
from motet.schema import Task
from motet.scoring.metrics import Floats, entropy


class TaskLosses(nn.Module):
    """Losses of a batch's labels, and their sum per task, [T]; its weighted sum is what training minimises.

    Binary: cross-entropy / entropy of the base rate. Regression: squared error / variance. A task's is the sum over the
    batch's observed rows divided by the number expected (rows × the task's share of observed rows), so that a batch
    with few observations weighs little instead of being noisy.

    Labels may be smoothed (Szegedy et al., CVPR 2016): y ← (1 − ε) y + ε · base rate, of binary tasks. The prior is the
    base rate and not one half, so that rare labels stay rare.
    """

    def __init__(
        self, tasks: tuple[Task, ...], rates: list[float], scales: list[float], shares: list[float],
        smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.smoothing = smoothing
        units = [scale**2 if task.form == "regression" else entropy(rate)
                 for task, rate, scale in zip(tasks, rates, scales, strict=True)]  # fmt: skip
        divisor = [
            max(unit * share, 1e-12) if share > 0 else math.inf for unit, share in zip(units, shares, strict=True)
        ]
        self.register_buffer("divisor_T", torch.tensor(divisor))
        self.register_buffer("binary_T", torch.tensor([task.form == "binary" for task in tasks]))
        self.register_buffer("rate_T", torch.tensor(rates))
        self.divisor_T: Tensor
        self.binary_T: Tensor
        self.rate_T: Tensor

    def forward(self, logits_BCT: Tensor, labels_BCT: Tensor) -> Tensor:
        """Cross-entropy or squared error of every label, 0 where unobserved, [B, C, T]."""
        observed = ~labels_BCT.isnan()
        labels = torch.where(observed, labels_BCT, 0.0)
        if self.smoothing:
            labels = torch.where(self.binary_T, labels.lerp(self.rate_T.expand_as(labels), self.smoothing), labels)
        cross_entropy = nn.functional.binary_cross_entropy_with_logits(
            logits_BCT, torch.where(self.binary_T, labels, 0.0), reduction="none"
        )
        return torch.where(self.binary_T, cross_entropy, (logits_BCT - labels).square()) * observed

    def per_task(self, loss_BCT: Tensor) -> Tensor:
        """In units of the base rates, [T]."""
        return loss_BCT.sum((0, 1)) / (loss_BCT.shape[0] * loss_BCT.shape[1]) / self.divisor_T


class CellSums:
    """Every cell's train loss since the last evaluation over that of its base rate: the train side of the curve.

    Summed from the losses as they are made, by one `index_add_` a step, and not read back to the host before the
    evaluation. The weights move meanwhile and dropout is on: it lies above what the last weights alone would reach.
    """

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self.binary_T = torch.tensor([task.form == "binary" for task in layout.tasks], device=device)
        self.rate_ST = torch.tensor(layout.base_rates, dtype=torch.float64, device=device)
        units = [[entropy(rate) for rate in rates] for rates in layout.base_rates]
        self.unit_ST = torch.tensor(units, dtype=torch.float64, device=device)
        self.sums_STX = torch.zeros(*self.rate_ST.shape, 2, dtype=torch.float64, device=device)  # loss, base rate's

    def add(self, loss_BCT: Tensor, labels_BCT: Tensor, scenario_B: Tensor) -> None:
        """The losses of a batch, as `TaskLosses` makes them."""
        square_BCT = (labels_BCT - self.rate_ST[scenario_B][:, None]).square()
        base_BCT = torch.where(self.binary_T, self.unit_ST[scenario_B][:, None], square_BCT)
        base_BCT = torch.where(labels_BCT.isnan(), 0.0, base_BCT)
        both_BTX = torch.stack([loss_BCT.double(), base_BCT], -1).sum(1)
        self.sums_STX.index_add_(0, scenario_B, both_BTX)

    def take(self) -> Floats:
        """`ne` of every cell, [S, T], NaN where no row was seen; counting begins anew."""
        loss_ST, base_ST = self.sums_STX.cpu().numpy().astype(np.float64).transpose(2, 0, 1)
        self.sums_STX = torch.zeros_like(self.sums_STX)
        return np.where(base_ST > 0, loss_ST / np.where(base_ST > 0, base_ST, 1), np.nan)
