"""Slot 4, scenario: what a scenario is (its prior) and how it conditions the inputs.

Shapes: S scenarios, P prior width, B requests, C candidates, X or Y feature width.
"""

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from motet.batch import Layout
from motet.model.experts import Seen

ScenarioConditioning = Literal["gate", "layer-gate", "star", "token", "none"]
_INPUTS, _SCREENS = ("touch", "pointer", "speech"), ("none", "small", "large")


class Prior(nn.Module):
    """What is known of each scenario, [S, P]: a learned vector beside its interaction mode."""

    def __init__(self, layout: Layout, learned: int = 8) -> None:
        super().__init__()
        mode_SM = torch.tensor(
            [
                [float(s.input == name) for name in _INPUTS]
                + [float(s.screen == name) for name in _SCREENS]
                + [math.log(s.slate_size) / 3]
                for s in layout.scenarios
            ]
        )
        self.register_buffer("mode_SM", mode_SM, persistent=False)
        self.mode_SM: Tensor
        self.learned_SP = nn.Parameter(torch.randn(len(layout.scenarios), learned) * 0.1)
        self.width = learned + mode_SM.shape[1]

    def forward(self) -> Tensor:
        return torch.cat([self.learned_SP, self.mode_SM], -1)


class Gate(nn.Module):
    """PEPNet's embedding gate (KDD 2023): x ⊙ 2·sigmoid(MLP([prior ‖ stop-gradient(x)])), identity at the start."""

    def __init__(self, prior_width: int, width: int, hidden: int) -> None:
        super().__init__()
        self.prior = nn.Linear(prior_width, hidden)
        self.features = nn.Linear(width, hidden, bias=False)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, prior_BP: Tensor) -> Tensor:
        """x is [B, X] or [B, C, Y]; the prior is that of each request's scenario."""
        prior = self.prior(prior_BP)
        hidden = self.features(x.detach()).add_(prior if x.dim() == 2 else prior[:, None]).relu_()
        return torch.mul(x, self.out(hidden).sigmoid_()).mul_(2)


class InputGates(nn.Module):
    """A gate on what is known of the user and one on what is known of each candidate."""

    def __init__(self, prior_width: int, user_width: int, candidate_width: int) -> None:
        super().__init__()
        self.user = Gate(prior_width, user_width, 32)
        self.candidate = Gate(prior_width, candidate_width, 32)

    def forward(self, seen: Seen) -> Seen:
        user_BX, candidate_BCY = (
            self.user(seen.user_BX, seen.prior_BP),
            self.candidate(seen.candidate_BCY, seen.prior_BP),
        )
        return replace(seen, user_BX=user_BX, candidate_BCY=candidate_BCY)
