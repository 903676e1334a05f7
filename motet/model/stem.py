"""STEM (Su et al., AAAI 2024): beside shared embeddings every task has its own, and learns nothing from the others'.

Experts stand in groups: the shared group sees the shared embeddings, a task's group the task's own; numbers and history
are seen by all. A task's gate mixes the experts of all groups, but those of other tasks behind a stop-gradient: forward
from all embeddings, backward to the shared and the task's own ones only. The gate sees what its group's experts see.

Shapes: B requests, C candidates, M = B·C rows, T tasks, G = T + 1 groups, E experts of all groups, N rows of a side,
I embedded columns, R other columns, O outputs of a group, D expert width.
"""

import torch
from torch import Tensor, nn

from motet.model.experts import ExpertBank, Seen, Sizes, Voices, alone


class Side(nn.Module):
    """The part of a grouped linear layer that sees the user, or the candidates, [..., G·O]."""

    def __init__(self, embedded: int, other: int, tasks: int, out: int, bound: float) -> None:
        super().__init__()
        self.columns, self.tasks = [embedded, other, tasks * embedded], tasks
        self.ids_GIO = nn.Parameter(torch.empty(tasks + 1, embedded, out).uniform_(-bound, bound))
        self.other_RO = nn.Parameter(torch.empty(other, (tasks + 1) * out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        shared, other, own = x.split(self.columns, -1)
        ids_NGI = torch.cat([shared.unsqueeze(-2), own.unflatten(-1, (self.tasks, self.columns[0]))], -2).flatten(0, -3)
        said_NGO = torch.bmm(ids_NGI.transpose(0, 1), self.ids_GIO).transpose(0, 1)
        return said_NGO.reshape(*x.shape[:-1], -1) + other @ self.other_RO


class GroupLinear(nn.Module):
    """A linear layer for each group over its own embeddings and over all other columns, [M, G·O]."""

    def __init__(self, sizes: Sizes, out: int) -> None:
        super().__init__()
        others = [sum(groups) for groups in sizes.groups_XY]
        bound = (sum(sizes.embedded_XY) + sum(others)) ** -0.5
        self.user, self.candidate = (
            Side(embedded, other, sizes.tasks, out, bound)
            for embedded, other in zip(sizes.embedded_XY, others, strict=True)
        )
        self.bias = nn.Parameter(torch.zeros((sizes.tasks + 1) * out))

    def rows(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        return ((self.user(user_BX) + self.bias)[:, None] + self.candidate(candidate_BCY)).flatten(0, 1)


class StemExperts(nn.Module):
    """All forward, task-specific backward: `expert_count` experts in each group."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        groups, each = sizes.tasks + 1, sizes.experts
        self.bank = ExpertBank(sizes, groups * each, GroupLinear(sizes, each * sizes.widths[0]))
        self.gates = GroupLinear(sizes, groups * each)
        self.scenario_gate = nn.Linear(sizes.prior, each)
        self.each, self.fused = each, sizes.fused
        reached_GG = torch.eye(groups) + torch.eye(1, groups)
        reached_GE = reached_GG.clamp(max=1).repeat_interleave(each, 1)
        self.register_buffer("reached_GE", reached_GE, persistent=False)
        self.reached_GE: Tensor

    def forward(self, seen: Seen) -> Voices:
        experts_BCED = self.bank(seen)
        gates_MF = self.gates.rows(seen.user_BX, seen.candidate_BCY)
        gates_BCGE = gates_MF.view(*experts_BCED.shape[:2], *self.reached_GE.shape).softmax(-1)
        reached_BCGE = gates_BCGE * self.reached_GE
        mixed_BCGD = reached_BCGE @ experts_BCED + (gates_BCGE - reached_BCGE) @ experts_BCED.detach()
        if not self.fused:
            return alone(mixed_BCGD[:, :, 1:])
        scenario_BE = self.scenario_gate(seen.prior_BP).softmax(-1)
        scenario_BCD = (scenario_BE[:, None, None] @ experts_BCED[:, :, : self.each]).squeeze(2)
        return Voices(mixed_BCGD[:, :, 0], scenario_BCD, mixed_BCGD[:, :, 1:])
