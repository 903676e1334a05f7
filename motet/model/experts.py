"""Slot 5, experts: sub-networks shared by all cells, mixed into voices.

The first layer of every expert is applied to the user and to the candidates apart and added, so a user's part is
computed once however many candidates there are.

Shapes: B requests, C candidates, M = B·C rows, X user width, Y candidate width, E experts, H hidden and D output width
of an expert, F = E·H, T tasks, V voices, P prior width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from motet.model.dropout import Dropout


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What a scheme is built for.

    The columns of a user and of a candidate are embeddings of ids, `dim` for each field; then groups of other columns;
    in a scheme of `OWN_EMBEDDINGS` then, for each task, its own embeddings of the same ids.
    """

    user: int
    candidate: int
    prior: int
    scenarios: int
    tasks: int
    experts: int  # `expert_count` of the settings
    widths: tuple[int, int]  # H, D
    dropout: float
    fused: bool = True  # whether a fusion takes other voices than the tasks'
    dim: int = 0
    embedded_XY: tuple[int, int] = (0, 0)  # how many columns of each are embeddings that all tasks share
    groups_XY: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())  # widths of the groups behind them: numbers, history


@dataclass(frozen=True, slots=True)
class Film:
    """What conditions one hidden layer: z becomes scale ⊙ z + shift before its ReLU; [B, 1 or C, units] each."""

    scale: Tensor
    shift: Tensor | None = None

    def __call__(self, z_BCF: Tensor) -> Tensor:
        scaled = z_BCF * self.scale
        return scaled if self.shift is None else scaled + self.shift


@dataclass(frozen=True, slots=True)
class Seen:
    """What experts see of requests and their candidates, after the scenario has conditioned it."""

    user_BX: Tensor
    candidate_BCY: Tensor
    prior_BP: Tensor
    scenario_B: Tensor
    films: tuple[Film, Film] | None = None  # of both layers of all experts; None: as they are


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
    """E two-layer networks side by side, [B, C, E, D]; `first` is their first layer where not all see all columns."""

    def __init__(self, sizes: Sizes, experts: int, first: Any = None) -> None:
        super().__init__()
        hidden, width = sizes.widths
        self.experts = experts
        self.units = experts * hidden, experts * width
        self.first = first or SplitLinear(sizes.user, sizes.candidate, experts * hidden)
        self.second_EHD = nn.Parameter(torch.randn(experts, hidden, width) * (2 / hidden) ** 0.5)
        self.bias_ED = nn.Parameter(torch.zeros(experts, width))
        self.dropout = Dropout(sizes.dropout)

    def forward(self, seen: Seen) -> Tensor:
        shape, films = seen.candidate_BCY.shape[:2], seen.films
        first_MF = self.first.rows(seen.user_BX, seen.candidate_BCY)
        first_MF = first_MF if films is None else films[0](first_MF.unflatten(0, shape)).flatten(0, 1)
        hidden_EMH = self.dropout(first_MF.relu_()).unflatten(-1, (self.experts, -1)).transpose(0, 1)
        out_EMD = torch.baddbmm(self.bias_ED[:, None], hidden_EMH, self.second_EHD)
        if films is None:
            return out_EMD.relu_().transpose(0, 1).unflatten(0, shape)
        out_BCF = out_EMD.transpose(0, 1).flatten(1).unflatten(0, shape)
        return films[1](out_BCF).relu().unflatten(-1, (self.experts, -1))


class Mixture(nn.Module):
    """MMoE (Ma et al., KDD 2018): one gate per task over all experts, g_t = softmax(W_t x); f_t = Σ_e g_te E_e(x).

    The shared voice has a gate of its own, the scenario voice one that sees the scenario's prior only. With one
    expert every gate is 1: the shared bottom (Caruana 1997).
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.bank = ExpertBank(sizes, sizes.experts)
        self.gates = SplitLinear(sizes.user, sizes.candidate, (sizes.tasks + 1) * sizes.experts)
        self.scenario_gate = nn.Linear(sizes.prior, sizes.experts)
        self.tasks, self.fused = sizes.tasks, sizes.fused

    def forward(self, seen: Seen) -> Voices:
        experts_BCED = self.bank(seen)
        gates_BCVE = shares(self.gates(seen.user_BX, seen.candidate_BCY), self.tasks + 1)
        shared_BC1E, task_BCTE = gates_BCVE.split([1, self.tasks], 2)
        if not self.fused:
            return alone(task_BCTE @ experts_BCED)
        return mixed(experts_BCED, shared_BC1E, self.scenario_gate(seen.prior_BP).softmax(-1), task_BCTE)


class ProgressiveExtraction(nn.Module):
    """PLE's customised gate control (Tang et al., RecSys 2020): a task mixes the shared experts and its own.

    One extraction level. The shared voice mixes all experts, the scenario voice the shared ones by the prior.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        tasks = sizes.tasks
        self.own, self.common, self.tasks, self.fused = max(1, sizes.experts // 2), sizes.experts, tasks, sizes.fused
        self.total = self.common + tasks * self.own
        self.bank = ExpertBank(sizes, self.total)
        self.gates = SplitLinear(sizes.user, sizes.candidate, tasks * (self.common + self.own) + self.total)
        self.scenario_gate = nn.Linear(sizes.prior, self.common)
        self.register_buffer("owner_TT1", torch.eye(tasks)[..., None], persistent=False)
        self.owner_TT1: Tensor

    def forward(self, seen: Seen) -> Voices:
        experts_BCED = self.bank(seen)
        gates = self.gates(seen.user_BX, seen.candidate_BCY)
        task_gates, shared_gate = gates.split([self.tasks * (self.common + self.own), self.total], -1)
        common, own = shares(task_gates, self.tasks).split([self.common, self.own], -1)
        task_BCTE = torch.cat([common, (own[..., None, :] * self.owner_TT1).flatten(-2)], -1)
        if not self.fused:
            return alone(task_BCTE @ experts_BCED)
        scenario_BE = nn.functional.pad(self.scenario_gate(seen.prior_BP).softmax(-1), (0, self.total - self.common))
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
