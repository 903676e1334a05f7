"""What a place in the slate adds: learned beside the logits, and left out whenever the network is asked.

An additive part by position, as the shallow tower of Zhao et al. (RecSys 2019), here one number per scenario, task and
place. It takes up what a place alone explains, so that the rest need not. Logged positions are read in training only.

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

    def forward(self, scenario_B: Tensor, position_BC: Tensor) -> Tensor:
        """[B, C, T]; positions count from 1."""
        place_BC = position_BC.nan_to_num(0.0).clamp(0, PLACES).long()
        return PACE * self.added_SPT[scenario_B[:, None], place_BC] * (place_BC > 0)[..., None]
