"""M3oE (Zhang et al., SIGIR 2024): modules of shared, domain and task experts, joined with learned balances.

The shared module is an MMoE. In the domain module a scenario takes its own expert and, with a learned share, those of
the others; the task module likewise. Of a cell, X_st = Σ_m β_m[s,t] X_m over the three modules. The paper finds shares
and β by automated search on held-out rows; here they are softmaxes trained with the model, which begin at one half of
the own expert and at equal modules. With many scenarios or tasks, eight experts are mixed by all of them.

Shapes: B requests, C candidates, S scenarios, T tasks, E experts, D expert width, M modules.
"""

import math

import torch
from torch import Tensor, nn

from motet.model.experts import ExpertBank, Seen, Sizes, SplitLinear, Voices, alone, shares

MOST = 8
"""Experts of the domain module and of the task module, at most."""


class ModuleExperts(nn.Module):
    """The modules are the voices; without a fusion the balances join them."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        scenarios, tasks = sizes.scenarios, sizes.tasks
        self.counts = sizes.experts, min(scenarios, MOST), min(tasks, MOST)
        self.bank = ExpertBank(sizes, sum(self.counts))
        self.gates = SplitLinear(sizes.user, sizes.candidate, sizes.experts * (1 if sizes.fused else tasks))
        self.share_SE = nn.Parameter(_half(scenarios, self.counts[1]))
        self.share_TE = nn.Parameter(_half(tasks, self.counts[2]))
        self.balance_STM = None if sizes.fused else nn.Parameter(torch.zeros(scenarios, tasks, 3))

    def forward(self, seen: Seen) -> Voices:
        common, of_scenarios, of_tasks = self.bank(seen).split(self.counts, 2)
        gates = self.gates(seen.user_BX, seen.candidate_BCY)
        shared_BCTD = shares(gates, gates.shape[-1] // self.counts[0]) @ common
        scenario_BE = self.share_SE.softmax(-1).index_select(0, seen.scenario_B)
        scenario_BC1D = scenario_BE[:, None, None] @ of_scenarios
        task_BCTD = self.share_TE.softmax(-1) @ of_tasks
        if self.balance_STM is None:
            return Voices(shared_BCTD.squeeze(2), scenario_BC1D.squeeze(2), task_BCTD)
        balance_BTM = self.balance_STM.softmax(-1).index_select(0, seen.scenario_B)
        shared_1, scenario_1, task_1 = balance_BTM[:, None].split(1, -1)
        return alone(shared_1 * shared_BCTD + scenario_1 * scenario_BC1D + task_1 * task_BCTD)


def _half(owners: int, experts: int) -> Tensor:
    """Logits of shares: one half for the own expert, the rest spread over the others; [owners, experts]."""
    own = torch.arange(owners) % experts
    return nn.functional.one_hot(own, experts).float() * math.log(max(experts - 1, 1))
