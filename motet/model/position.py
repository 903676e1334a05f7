"""What a place in the slate adds: learned beside the logits, and left out whenever the network is asked.

An additive part by position, as the shallow tower of Zhao et al. (RecSys 2019), here one number per scenario, task and
place. It takes up what a place alone explains, so that the rest need not. What is added is zero on the average over the
places seen so far: without it a score is that of an average place, and base rates stay. Logged positions are read in
training only.

Shapes: B requests, C candidates, S scenarios, T tasks, P places.
"""

import torch
from torch import Tensor, nn

PLACES = 64
"""Later places count as this one."""
PACE = 10
"""What is added is so many times its parameter: AdamW moves a parameter by about its rate a step, and steps are few."""


class PositionHead(nn.Module):
    """Starts at nothing, and says nothing where the position is not known."""

    def __init__(self, scenarios: int, tasks: int) -> None:
        super().__init__()
        self.added_SPT = nn.Parameter(torch.zeros(scenarios, PLACES + 1, tasks))
        self.register_buffer("seen_SP", torch.zeros(scenarios, PLACES + 1))
        self.seen_SP: Tensor

    def forward(self, scenario_B: Tensor, position_BC: Tensor) -> Tensor:
        """[B, C, T]; positions count from 1."""
        place_BC = position_BC.nan_to_num(0.0).clamp(0, PLACES).long()
        scenario_BC, known_BC = scenario_B[:, None].expand_as(place_BC), place_BC > 0
        if self.training:
            self.seen_SP.index_put_((scenario_BC, place_BC), known_BC.to(self.seen_SP.dtype), accumulate=True)
        share_SP = self.seen_SP / self.seen_SP.sum(1, keepdim=True).clamp(min=1)
        mean_ST = torch.einsum("sp,spt->st", share_SP, self.added_SPT)
        return PACE * (self.added_SPT[scenario_BC, place_BC] - mean_ST[scenario_BC]) * known_BC[..., None]
