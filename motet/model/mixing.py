"""Feature mixing: columns of user and candidate meet before the experts see them; the result is more columns.

- cross: DCN-V2 (Wang et al., WWW 2021) with matrices of low rank, x_{l+1} = x_0 ⊙ (U_l V_l x_l + b_l) + x_l;
- tokens: RankMixer (Zhu et al., 2025), the columns as K tokens that exchange parts and are then transformed each by a
  network of its own.

Shapes: B requests, C candidates, X user and Y candidate width, N = X + Y, R rank, K tokens, D token width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from motet.model.experts import SplitLinear

FeatureMixing = Literal["none", "cross", "tokens"]
RANK, LAYERS, TOKENS = 32, 2, 8


class CrossMixing(nn.Module):
    """[B, X], [B, C, Y] → [B, C, width]; every layer raises the degree of the products by one."""

    def __init__(self, user_width: int, candidate_width: int, width: int) -> None:
        super().__init__()
        columns = user_width + candidate_width
        self.down = nn.ModuleList(nn.Linear(columns, RANK, bias=False) for _ in range(LAYERS))
        self.up = nn.ModuleList(nn.Linear(RANK, columns) for _ in range(LAYERS))
        self.out = nn.Linear(columns, width)

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        first_BCN = torch.cat([user_BX[:, None].expand(-1, candidate_BCY.shape[1], -1), candidate_BCY], -1)
        x_BCN = first_BCN
        for down, up in zip(self.down, self.up, strict=True):
            x_BCN = torch.addcmul(x_BCN, first_BCN, up(down(x_BCN)))
        return self.out(x_BCN)


class TokenMixing(nn.Module):
    """[B, X], [B, C, Y] → [B, C, width], the mean of the tokens after the last layer; D = width."""

    def __init__(self, user_width: int, candidate_width: int, width: int, dropout: nn.Module) -> None:
        super().__init__()
        self.tokens = SplitLinear(user_width, candidate_width, TOKENS * width)
        self.layers = nn.ModuleList(MixingLayer(width, dropout) for _ in range(LAYERS))
        self.width = width

    def forward(self, user_BX: Tensor, candidate_BCY: Tensor) -> Tensor:
        x_BCKD = self.tokens(user_BX, candidate_BCY).unflatten(-1, (TOKENS, self.width))
        for layer in self.layers:
            x_BCKD = layer(x_BCKD)
        return x_BCKD.mean(-2)


class MixingLayer(nn.Module):
    """Tokens exchange parts without weights, token k takes the kth part of all; then a network for each; residual."""

    def __init__(self, width: int, dropout: nn.Module) -> None:
        super().__init__()
        self.exchanged, self.told = nn.LayerNorm(width), nn.LayerNorm(width)
        self.first_KDD = nn.Parameter(torch.randn(TOKENS, width, width) * (2 / width) ** 0.5)
        self.second_KDD = nn.Parameter(torch.randn(TOKENS, width, width) * width**-0.5)
        self.dropout = dropout

    def forward(self, x_BCKD: Tensor) -> Tensor:
        parts = x_BCKD.unflatten(-1, (TOKENS, -1)).transpose(-3, -2).flatten(-2)
        x_BCKD = self.exchanged(x_BCKD + parts)
        x_KMD = x_BCKD.flatten(0, 1).transpose(0, 1)
        told_KMD = torch.bmm(self.dropout(torch.bmm(x_KMD, self.first_KDD).relu()), self.second_KDD)
        return self.told(x_BCKD + told_KMD.transpose(0, 1).view_as(x_BCKD))
