"""Slot 5, experts: sub-networks shared by all cells, mixed into voices.

The first layer of every expert is applied to the user and to the candidates apart and added, so a user's part is
computed once however many candidates there are.

Shapes: B requests, C candidates, M = B·C rows, X user width, Y candidate width, E experts, H hidden and D output width
of an expert, F = E·H, T tasks, V voices, P prior width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from motet.model.dropout import Dropout

ExpertScheme = Literal["shared-bottom", "mmoe", "ple"]


@dataclass(frozen=True, slots=True)
class Voices:
    """Representations of one row before fusion: of all cells, of its scenario, of each task.

    The first two are empty where no fusion takes them.
    """

    shared_BCD: Tensor
    scenario_BCD: Tensor
    task_BCTD: Tensor


class SplitLinear(nn.Module):
    """Linear([user ‖ candidate]), [B, X], [B, C, Y] → [B, C, out]; a user's part is computed once for all candidates.

    With one candidate each, as in training, the two are concatenated: one product is faster than two and a sum.
    """

    def __init__(self, user_width: int, candidate_width: int, out: int) -> None:
        super().__init__()
        whole = nn.Linear(user_width + candidate_width, out)
        self.user = nn.Linear(user_width, out)
        self.candidate = nn.Linear(candidate_width, out, bias=False)
        self.user.weight.data.copy_(whole.weight.data[:, :user_width])
        self.user.bias.data.copy_(whole.bias.data)
        self.candidate.weight.data.copy_(whole.weight.data[:, user_width:])

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        return self.rows(user_BX, candidate_BCY).unflatten(0, candidate_BCY.shape[:2])

    def rows(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        """The same as [B·C, out]."""
        if candidate_BCY.shape[1] != 1:
            return torch.add(self.user(user_BX)[:, None], self.candidate(candidate_BCY)).flatten(0, 1)
        row_BX = torch.cat([user_BX, candidate_BCY.squeeze(1)], -1)
        weight = torch.cat([self.user.weight, self.candidate.weight], 1)
        return nn.functional.linear(row_BX, weight, self.user.bias)


class ExpertBank(nn.Module):
    """E two-layer networks side by side, [B, C, E, D]."""

    def __init__(self, user_width: int, candidate_width: int, experts: int, widths: tuple[int, int], dropout: float):
        super().__init__()
        hidden, width = widths
        self.experts = experts
        self.first = SplitLinear(user_width, candidate_width, experts * hidden)
        self.second_EHD = nn.Parameter(torch.randn(experts, hidden, width) * (2 / hidden) ** 0.5)
        self.bias_ED = nn.Parameter(torch.zeros(experts, width))
        self.dropout = Dropout(dropout)

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        hidden_MF = self.dropout(self.first.rows(user_BX, candidate_BCY).relu_())
        hidden_EMH = hidden_MF.unflatten(-1, (self.experts, -1)).transpose(0, 1)
        out_EMD = torch.baddbmm(self.bias_ED[:, None], hidden_EMH, self.second_EHD).relu_()
        return out_EMD.transpose(0, 1).unflatten(0, candidate_BCY.shape[:2])


class Mixture(nn.Module):
    """MMoE (Ma et al., KDD 2018): one gate per task over all experts, g_t = softmax(W_t x); f_t = Σ_e g_te E_e(x).

    The shared voice has a gate of its own, the scenario voice one that sees the scenario's prior only. With one
    expert every gate is 1: the shared bottom (Caruana 1997).
    """

    def __init__(
        self, widths_XY: tuple[int, int], prior_width: int, tasks: int, experts: int, widths: tuple[int, int],
        dropout: float, *, fused: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.bank = ExpertBank(*widths_XY, experts, widths, dropout)
        self.gates = SplitLinear(*widths_XY, (tasks + 1) * experts)
        self.scenario_gate = nn.Linear(prior_width, experts)
        self.tasks, self.fused = tasks, fused

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor, prior_BP: Tensor) -> Voices:
        experts_BCED = self.bank(user_BX, candidate_BCY)
        gates_BCVE = shares(self.gates(user_BX, candidate_BCY), self.tasks + 1)
        shared_BC1E, task_BCTE = gates_BCVE.split([1, self.tasks], 2)
        if not self.fused:
            return alone(task_BCTE @ experts_BCED)
        return mixed(experts_BCED, shared_BC1E, self.scenario_gate(prior_BP).softmax(-1), task_BCTE)


class ProgressiveExtraction(nn.Module):
    """PLE's customised gate control (Tang et al., RecSys 2020): a task mixes the shared experts and its own.

    One extraction level. The shared voice mixes all experts, the scenario voice the shared ones by the prior.
    """

    def __init__(
        self, widths_XY: tuple[int, int], prior_width: int, tasks: int, experts: int, widths: tuple[int, int],
        dropout: float, *, fused: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.own, self.common, self.tasks, self.fused = max(1, experts // 2), experts, tasks, fused
        self.total = self.common + tasks * self.own
        self.bank = ExpertBank(*widths_XY, self.total, widths, dropout)
        self.gates = SplitLinear(*widths_XY, tasks * (self.common + self.own) + self.total)
        self.scenario_gate = nn.Linear(prior_width, self.common)
        self.register_buffer("owner_TT1", torch.eye(tasks)[..., None], persistent=False)
        self.owner_TT1: Tensor

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor, prior_BP: Tensor) -> Voices:
        experts_BCED = self.bank(user_BX, candidate_BCY)
        gates = self.gates(user_BX, candidate_BCY)
        task_gates, shared_gate = gates.split([self.tasks * (self.common + self.own), self.total], -1)
        common, own = shares(task_gates, self.tasks).split([self.common, self.own], -1)
        task_BCTE = torch.cat([common, (own[..., None, :] * self.owner_TT1).flatten(-2)], -1)
        if not self.fused:
            return alone(task_BCTE @ experts_BCED)
        scenario_BE = nn.functional.pad(self.scenario_gate(prior_BP).softmax(-1), (0, self.total - self.common))
        return mixed(experts_BCED, shared_gate.softmax(-1)[:, :, None], scenario_BE, task_BCTE)


def shares(gates_BCG: Tensor, voices: int) -> Tensor:
    """Each voice's gates as shares of its experts, [B, C, V, E]; a softmax over few numbers in a row would be slow."""
    across_VEM = gates_BCG.flatten(0, 1).t().unflatten(0, (voices, -1)).softmax(1)
    return across_VEM.permute(2, 0, 1).contiguous().unflatten(0, gates_BCG.shape[:2])


def mixed(experts_BCED: Tensor, shared_BC1E: Tensor, scenario_BE: Tensor, task_BCTE: Tensor) -> Voices:
    """Every voice as its gate's mean of the experts, all by one product."""
    scenario_BC1E = scenario_BE[:, None, None].expand_as(shared_BC1E)
    gates_BCVE = torch.cat([shared_BC1E, scenario_BC1E, task_BCTE], 2)
    shared, scenario, task_BCTD = (gates_BCVE @ experts_BCED).split([1, 1, task_BCTE.shape[2]], 2)
    return Voices(shared.squeeze(2), scenario.squeeze(2), task_BCTD)


def alone(task_BCTD: Tensor) -> Voices:
    """The tasks' voices without the others."""
    return Voices(task_BCTD.new_empty(0), task_BCTD.new_empty(0), task_BCTD)
