"""Numbers as embeddings, so that a network follows steps and bends as trees do (Gorishniy et al., NeurIPS 2022).

Numbers come standardised. Each keeps its own column and gets `width` more:
- piecewise: W e(x), e_j the share of bin j that x has passed; bins lie between quantiles of the normal distribution;
- periodic: ReLU(W [sin(2π c x) ‖ cos(2π c x)]) with trained frequencies c.

Shapes: N numbers, J bins or frequencies of one number, W width.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

NumberForm = Literal["plain", "piecewise", "periodic"]
BINS, FREQUENCIES = 16, 8
SPREAD = 0.3
"""Deviation of the frequencies at the start, in cycles per deviation of the number."""


class Numbers(nn.Module):
    """Some numbers as columns, [..., N] → [..., out]."""

    def __init__(self, count: int, form: NumberForm, width: int) -> None:
        super().__init__()
        self.form, self.out = form, count if form == "plain" else count * (1 + width)
        if form == "plain" or not count:
            return
        terms = BINS if form == "piecewise" else 2 * FREQUENCIES
        self.map_NJW = nn.Parameter(torch.randn(count, terms, width) * terms**-0.5)
        if form == "periodic":
            self.frequency_NJ = nn.Parameter(torch.randn(count, FREQUENCIES) * SPREAD)
        edge_J = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.02, 0.98, BINS + 1))
        self.register_buffer("edge_J", edge_J, persistent=False)
        self.edge_J: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.form == "plain" or not x.shape[-1]:
            return x
        said = torch.einsum("...nj,njw->...nw", self._terms(x), self.map_NJW)
        return torch.cat([x, (said.relu() if self.form == "periodic" else said).flatten(-2)], -1)

    def _terms(self, x: Tensor) -> Tensor:
        """[..., N, J]."""
        if self.form == "periodic":
            angle = x[..., None] * self.frequency_NJ * (2 * math.pi)
            return torch.cat([angle.sin(), angle.cos()], -1)
        low_J, high_J = self.edge_J[:-1], self.edge_J[1:]
        return ((x[..., None] - low_J) / (high_J - low_J)).clamp(0, 1)
