"""Products of what is known of the user and of the candidate: taste meets attribute.

A network of sums learns a product slowly; factorisation machines (Rendle, ICDM 2010) state it. Here one user vector
and one candidate vector of a common space are multiplied element by element, once per candidate.

Shapes: B requests, C candidates, X user width, I item view, D width of the common space.
"""

import torch
from torch import Tensor, nn

from motet.model.inputs import ItemViews


class Interaction(nn.Module):
    """(U x + a) ⊙ (V y + b), [B, C, D]."""

    def __init__(self, user_width: int, view_width: int, width: int) -> None:
        super().__init__()
        self.user = nn.Linear(user_width, width)
        self.candidate = nn.Linear(view_width, width)

    def forward(self, user_BX: Tensor, items: ItemViews) -> Tensor:
        return torch.mul(self.user(user_BX)[:, None], items.of_candidates(self.candidate(items.views_UI)))
