"""Slot 5, experts: sub-networks shared by all cells, mixed into voices.

The first layer of every expert is applied to the user and to the candidates apart and added, so a user's part is
computed once however many candidates there are.

Shapes: B requests, C candidates, X user width, Y candidate width, E experts, T tasks, S scenarios, D expert width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from motet.model.dropout import Dropout

ExpertScheme = Literal["shared-bottom", "mmoe", "ple"]


@dataclass(frozen=True, slots=True)
class Voices:
    """Representations of one row before fusion: of all cells, of its scenario, of each task."""

    shared_BCD: Tensor
    scenario_BCD: Tensor
    task_BCTD: Tensor


class SplitLinear(nn.Module):
    """Linear([user ‖ candidate]) without building the concatenation, [B, X], [B, C, Y] → [B, C, out]."""

    def __init__(self, user_width: int, candidate_width: int, out: int) -> None:
        super().__init__()
        whole = nn.Linear(user_width + candidate_width, out)
        self.user = nn.Linear(user_width, out)
        self.candidate = nn.Linear(candidate_width, out, bias=False)
        self.user.weight.data.copy_(whole.weight.data[:, :user_width])
        self.user.bias.data.copy_(whole.bias.data)
        self.candidate.weight.data.copy_(whole.weight.data[:, user_width:])

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        return torch.add(self.user(user_BX)[:, None], self.candidate(candidate_BCY))


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
        hidden = self.dropout(torch.relu(self.first(user_BX, candidate_BCY)))
        hidden_BCEH = hidden.unflatten(-1, (self.experts, -1))
        return torch.relu(torch.einsum("bceh,ehd->bced", hidden_BCEH, self.second_EHD) + self.bias_ED)


class Mixture(nn.Module):
    """MMoE (Ma et al., KDD 2018): one gate per task over all experts, g_t = softmax(W_t x); f_t = Σ_e g_te E_e(x).

    The shared voice has a gate of its own, the scenario voice one that sees the scenario's prior only. With one
    expert every gate is 1: the shared bottom (Caruana 1997).
    """

    def __init__(
        self, widths_XY: tuple[int, int], prior_width: int, tasks: int, experts: int, widths: tuple[int, int],
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.bank = ExpertBank(*widths_XY, experts, widths, dropout)
        self.gates = SplitLinear(*widths_XY, (tasks + 1) * experts)
        self.scenario_gate = nn.Linear(prior_width, experts)
        self.tasks = tasks

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor, prior_BP: Tensor) -> Voices:
        experts_BCED = self.bank(user_BX, candidate_BCY)
        gates_BCGE = self.gates(user_BX, candidate_BCY).unflatten(-1, (self.tasks + 1, -1)).softmax(-1)
        mixed_BCGD = gates_BCGE @ experts_BCED
        scenario_BE = self.scenario_gate(prior_BP).softmax(-1)
        scenario_BCD = torch.einsum("be,bced->bcd", scenario_BE, experts_BCED)
        return Voices(mixed_BCGD[:, :, 0], scenario_BCD, mixed_BCGD[:, :, 1:])


class ProgressiveExtraction(nn.Module):
    """PLE's customised gate control (Tang et al., RecSys 2020): a task mixes the shared experts and its own.

    One extraction level. The shared voice mixes all experts, the scenario voice the shared ones by the prior.
    """

    def __init__(
        self, widths_XY: tuple[int, int], prior_width: int, tasks: int, experts: int, widths: tuple[int, int],
        dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.own, self.common, self.tasks = max(1, experts // 2), experts, tasks
        total = self.common + tasks * self.own
        self.bank = ExpertBank(*widths_XY, total, widths, dropout)
        self.gates = SplitLinear(*widths_XY, tasks * (self.common + self.own) + total)
        self.scenario_gate = nn.Linear(prior_width, self.common)

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor, prior_BP: Tensor) -> Voices:
        experts_BCED = self.bank(user_BX, candidate_BCY)
        common_BCED, own = experts_BCED[:, :, : self.common], experts_BCED[:, :, self.common :]
        own_BCTED = own.unflatten(2, (self.tasks, self.own))
        seen_BCTED = torch.cat([common_BCED[:, :, None].expand(-1, -1, self.tasks, -1, -1), own_BCTED], 3)
        gates = self.gates(user_BX, candidate_BCY)
        task_gates = gates[..., : self.tasks * (self.common + self.own)].unflatten(-1, (self.tasks, -1)).softmax(-1)
        shared_gate = gates[..., self.tasks * (self.common + self.own) :].softmax(-1)
        return Voices(
            torch.einsum("bce,bced->bcd", shared_gate, experts_BCED),
            torch.einsum("be,bced->bcd", self.scenario_gate(prior_BP).softmax(-1), common_BCED),
            torch.einsum("bcte,bcted->bctd", task_gates, seen_BCTED),
        )
