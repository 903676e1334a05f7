"""Slot 7, heads: one logit per task and candidate, started at each cell's base rate; chains of tasks composed.

Shapes: B requests, C candidates, M = B·C rows, S scenarios, T tasks, D width, H head width.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from motet.batch import Layout
from motet.model.dropout import Dropout
from motet.model.transfer import Transfer

Debias = Literal["none", "ips", "dr"]


class Towers(nn.Module):
    """Two layers per task, side by side; between them, if asked for, what a chained task hears of its parent."""

    def __init__(self, layout: Layout, width: int, hidden: int, dropout: float, *, transfer: bool = False) -> None:
        super().__init__()
        tasks = len(layout.tasks)
        self.first_TDH = nn.Parameter(torch.randn(tasks, width, hidden) * (2 / width) ** 0.5)
        self.hidden_TH = nn.Parameter(torch.zeros(tasks, hidden))
        self.last_TH = nn.Parameter(torch.randn(tasks, hidden) * 0.1 / hidden**0.5)
        self.dropout = Dropout(dropout)
        self.transfer = Transfer(layout, hidden) if transfer else None

    def raw(self, x_BCTD: Tensor) -> Tensor:
        """What each says of its task's row, [B, C, T]."""
        row_TMD = x_BCTD.flatten(0, 1).transpose(0, 1)
        hidden_TMH = self.dropout(torch.baddbmm(self.hidden_TH[:, None], row_TMD, self.first_TDH).relu_())
        if self.transfer is not None:
            hidden_TMH = self.transfer(hidden_TMH)
        return (hidden_TMH * self.last_TH[:, None]).sum(-1).t().view(x_BCTD.shape[:3])


class Heads(Towers):
    """Every task's answer. A regression's is scaled to its label's unit.

    `chained`: a task with a parent is predicted given that parent, and `marginal` multiplies the two; otherwise every
    task is predicted on all impressions at once. `imputed`: in training also guess the error of every answer; the
    doubly robust loss of a chain wants it, see `motet.train.chains`.
    """

    def __init__(
        self, layout: Layout, width: int, hidden: int, dropout: float, *, chained: bool = True,
        transfer: bool = False, imputed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, hidden, dropout, transfer=transfer)
        tasks = len(layout.tasks)
        self.bias_ST = nn.Parameter(torch.zeros(len(layout.scenarios), tasks))
        self.parents = [layout.parent(task) if chained else None for task in range(tasks)]
        start_ST = torch.tensor(
            [[_start(layout, s, t, self.parents[t]) for t in range(tasks)] for s in range(len(layout.scenarios))]
        )
        self.register_buffer("start_ST", start_ST)
        self.register_buffer("scale_T", torch.tensor(layout.label_scales))
        self.start_ST: Tensor
        self.scale_T: Tensor
        self.imputation = Towers(layout, width, hidden, dropout) if imputed else None
        self.imputed_BCT: Tensor | None = None  # of the last forward pass in training

    def forward(self, fused_BCTD: Tensor, scenario_B: Tensor, wide_BCT: Tensor | None = None) -> Tensor:
        """Logits of each task given its parent, [B, C, T]; regression: the label's expectation."""
        if self.imputation is not None and self.training:
            self.imputed_BCT = nn.functional.softplus(self.imputation.raw(fused_BCTD))
        out = self.raw(fused_BCTD) + self.bias_ST.index_select(0, scenario_B)[:, None]
        out = out if wide_BCT is None else out + wide_BCT
        return out * self.scale_T + self.start_ST.index_select(0, scenario_B)[:, None]

    def marginal(self, logits_BCT: Tensor) -> Tensor:
        """P(t) = P(parent) · P(t | parent) as logits, in the entire space of impressions (ESMM, SIGIR 2018)."""
        done = list(logits_BCT.unbind(-1))
        for task, parent in enumerate(self.parents):
            if parent is not None:
                done[task] = joint_logit(done[parent], done[task])
        return torch.stack(done, -1)


def joint_logit(a: Tensor, b: Tensor) -> Tensor:
    """The logit of sigmoid(a) · sigmoid(b), stable: -log(e^-a + e^-b + e^-(a+b))."""
    return -torch.logsumexp(torch.stack([-a, -b, -a - b]), 0)


def _start(layout: Layout, scenario: int, task: int, parent: int | None) -> float:
    """A cell's base rate as a logit (given the parent, when there is one); the task's mean where it is unobserved."""
    rate = _rate(layout, scenario, task)
    if layout.tasks[task].form == "regression":
        return rate
    if parent is not None:
        rate = min(rate / max(_rate(layout, scenario, parent), 1e-6), 1.0)
    rate = min(max(rate, 1e-4), 1 - 1e-4)
    return math.log(rate / (1 - rate))


def _rate(layout: Layout, scenario: int, task: int) -> float:
    rate = layout.base_rates[scenario][task]
    if not math.isnan(rate):
        return rate
    known = [row[task] for row in layout.base_rates if not math.isnan(row[task])]
    return sum(known) / len(known) if known else 0.5 if layout.tasks[task].form == "binary" else 0.0
