"""Slot 6, cell fusion: voices joined into one representation per cell.

Fusion(X_1..X_V)[s,t] = Σ_v α_v[s,t] X_v with α ≥ 0, Σ_v α = 1 and logits α = a_t + W·prior_s + c_st, so that a new
scenario has its α from its prior alone. Voices are RMS-normalised, or α would mean nothing.

Shapes: B requests, C candidates, T tasks, S scenarios, D width, V voices, R rank of the cell adapter, P prior width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from motet.model.experts import Voices

CellFusion = Literal["weighted", "concat", "attention", "none"]
VOICES = ("shared", "scenario", "task", "cell")


class CellAdapter(nn.Module):
    """The cell voice: x + Q (c_st ⊙ P x), a low-rank adapter whose core c_st alone belongs to the cell.

    2·D·R + S·T·R parameters, so 200 scenarios × 30 tasks fit. Cores start at zero: a cell starts as the shared voice.
    """

    def __init__(self, scenarios: int, tasks: int, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        self.core_STR = nn.Parameter(torch.zeros(scenarios, tasks, rank))

    def forward(self, x_BCD: Tensor, scenario_B: Tensor) -> Tensor:
        core_BTR = self.core_STR.index_select(0, scenario_B)
        return x_BCD[:, :, None] + self.up(self.down(x_BCD)[:, :, None] * core_BTR[:, None])


class WeightedFusion(nn.Module):
    """Σ_v α_v X_v with visible weights."""

    def __init__(self, scenarios: int, tasks: int, width: int, rank: int, prior_width: int) -> None:
        super().__init__()
        self.adapter = CellAdapter(scenarios, tasks, width, rank)
        self.task_TV = nn.Parameter(torch.zeros(tasks, len(VOICES)))
        self.prior = nn.Linear(prior_width, len(VOICES), bias=False)
        self.cell_STV = nn.Parameter(torch.zeros(scenarios, tasks, len(VOICES)))
        nn.init.zeros_(self.prior.weight)
        self.width = width

    def alpha_STV(self, prior_SP: Tensor) -> Tensor:
        """The weights themselves, summing to 1 over voices."""
        return (self.task_TV + self.prior(prior_SP)[:, None] + self.cell_STV).softmax(-1)

    def forward(self, voices: Voices, scenario_B: Tensor, prior_SP: Tensor) -> Tensor:
        alpha_B1TV = self.alpha_STV(prior_SP).index_select(0, scenario_B)[:, None]
        first, *others = zip(alpha_B1TV.split(1, -1), _spread(voices, self.adapter, scenario_B), strict=True)
        fused_BCTD = first[0] * _shrink(first[1]) * first[1]
        for alpha_B1T1, x_BCTD in others:
            fused_BCTD = torch.addcmul(fused_BCTD, alpha_B1T1 * _shrink(x_BCTD), x_BCTD)
        return fused_BCTD


class ConcatFusion(nn.Module):
    """A linear layer over the concatenated voices: no weights to look at."""

    def __init__(self, scenarios: int, tasks: int, width: int, rank: int, prior_width: int) -> None:
        super().__init__()
        self.adapter = CellAdapter(scenarios, tasks, width, rank)
        self.join = nn.Linear(len(VOICES) * width, width)
        self.width = width

    def forward(self, voices: Voices, scenario_B: Tensor, prior_SP: Tensor) -> Tensor:
        parts = [_shrink(x) * x for x in _spread(voices, self.adapter, scenario_B)]
        shape = parts[2].shape
        return torch.relu(self.join(torch.cat([part.expand(shape) for part in parts], -1)))


class AttentionFusion(nn.Module):
    """The cell's query attends to the voices of a row: Σ_v w_v X_v, w = softmax_v(q_st · K X_v / √R).

    q_st = a_t + W·prior_s + c_st begins at zero: equal weights. They differ from row to row, so none can be shown.
    """

    def __init__(self, scenarios: int, tasks: int, width: int, rank: int, prior_width: int) -> None:
        super().__init__()
        self.adapter = CellAdapter(scenarios, tasks, width, rank)
        self.key = nn.Linear(width, rank, bias=False)
        self.task_TR = nn.Parameter(torch.zeros(tasks, rank))
        self.prior = nn.Linear(prior_width, rank, bias=False)
        self.cell_STR = nn.Parameter(torch.zeros(scenarios, tasks, rank))
        nn.init.zeros_(self.prior.weight)

    def forward(self, voices: Voices, scenario_B: Tensor, prior_SP: Tensor) -> Tensor:
        query_STR = (self.task_TR + self.prior(prior_SP)[:, None] + self.cell_STR) * self.task_TR.shape[1] ** -0.5
        query_B1TR = query_STR.index_select(0, scenario_B)[:, None]
        said = [_shrink(x) * x for x in _spread(voices, self.adapter, scenario_B)]
        logits = torch.broadcast_tensors(*((self.key(x) * query_B1TR).sum(-1, keepdim=True) for x in said))
        first, *others = zip(torch.stack(logits).softmax(0), said, strict=True)
        fused_BCTD = first[0] * first[1]
        for weight_BCT1, x_BCTD in others:
            fused_BCTD = torch.addcmul(fused_BCTD, weight_BCT1, x_BCTD)
        return fused_BCTD


class NoFusion(nn.Module):
    """The task's voice alone, as in the papers of the expert schemes."""

    def forward(self, voices: Voices, scenario_B: Tensor, prior_SP: Tensor) -> Tensor:
        return voices.task_BCTD


def _spread(voices: Voices, adapter: CellAdapter, scenario_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All voices as [B, C, T or 1, D]."""
    cell_BCTD = adapter(voices.shared_BCD, scenario_B)
    return voices.shared_BCD[:, :, None], voices.scenario_BCD[:, :, None], voices.task_BCTD, cell_BCTD


def _shrink(x: Tensor) -> Tensor:
    """What x is multiplied by to have a root mean square of 1, [..., 1]."""
    return (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()
