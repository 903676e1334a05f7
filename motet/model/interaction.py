"""Products of what is known of the user and of the candidate: taste meets attribute.

A network of sums learns a product slowly; factorisation machines (Rendle, ICDM 2010) state it. Here one user vector
and one candidate vector of a common space are multiplied element by element, once per candidate.

Shapes: B requests, C candidates, X user width, Y candidate width, D width of the common space.
"""

import torch
from torch import Tensor, nn


class Interaction(nn.Module):
    """(U x + a) ⊙ (V y + b), [B, C, D]."""

    def __init__(self, user_width: int, candidate_width: int, width: int) -> None:
        super().__init__()
        self.user = nn.Linear(user_width, width)
        self.candidate = nn.Linear(candidate_width, width)

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        return torch.mul(self.user(user_BX)[:, None], self.candidate(candidate_BCY))
