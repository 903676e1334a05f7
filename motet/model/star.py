"""STAR (Sheng et al., CIKM 2021): every scenario has its own weights, multiplied element by element with shared ones.

W*_s = W_s ⊙ W, b*_s = b_s + b. Here W_s has rank one, a_s c_sᵀ, so that W*_s x = a_s ⊙ W (c_s ⊙ x): one product for
rows of all scenarios, and a scenario costs as many numbers as a layer has inputs and outputs, not their product. c_s of
the second layer is a_s of the first. The scale and shift of partitioned normalisation are c_s and b_s; its statistics
over a scenario's batch are left out, since inputs are standardised when they are prepared. The auxiliary network adds a
logit of its own, which sees the scenario beside everything else. With one scenario there is nothing to multiply.

Shapes: S scenarios, B requests, C candidates, X user and Y candidate width, U hidden units of all experts, T tasks.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from motet.model.experts import Film, Seen, Sizes, SplitLinear


class StarInputs(nn.Module):
    """c_s ⊙ x of the first layer; ones at the start."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.user_SX = nn.Parameter(torch.ones(sizes.scenarios, sizes.user))
        self.candidate_SY = nn.Parameter(torch.ones(sizes.scenarios, sizes.candidate))

    def forward(self, seen: Seen) -> Seen:
        user_BX = seen.user_BX * self.user_SX.index_select(0, seen.scenario_B)
        candidate_BCY = seen.candidate_BCY * self.candidate_SY.index_select(0, seen.scenario_B)[:, None]
        return replace(seen, user_BX=user_BX, candidate_BCY=candidate_BCY)


class StarLayers(nn.Module):
    """a_s ⊙ z + b_s of both layers of all experts; identity at the start."""

    def __init__(self, scenarios: int, units: tuple[int, int]) -> None:
        super().__init__()
        self.units = units
        self.scale_SU = nn.Parameter(torch.ones(scenarios, sum(units)))
        self.shift_SU = nn.Parameter(torch.zeros(scenarios, sum(units)))

    def forward(self, seen: Seen) -> Seen:
        scales, shifts = (
            x_SU.index_select(0, seen.scenario_B)[:, None].split(self.units, -1)
            for x_SU in (self.scale_SU, self.shift_SU)
        )
        return replace(seen, films=(Film(scales[0], shifts[0]), Film(scales[1], shifts[1])))


class Auxiliary(nn.Module):
    """The auxiliary network's logits, [B, C, T]; zero at the start."""

    def __init__(self, sizes: Sizes, hidden: int = 16) -> None:
        super().__init__()
        self.first = SplitLinear(sizes.user + sizes.prior, sizes.candidate, hidden)
        self.last = nn.Linear(hidden, sizes.tasks)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor, prior_BP: Tensor) -> Tensor:
        return self.last(self.first(torch.cat([user_BX, prior_BP], -1), candidate_BCY).relu())
