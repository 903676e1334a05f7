"""Scaled dot-product attention, softmax(Q Kᵀ / √d_k) V (Vaswani et al., NeurIPS 2017), for histories and candidates.

Shapes: B requests, C candidates, L history length, D width, H heads.
"""

import torch
from torch import Tensor, nn

from motet.model.dropout import Dropout


class CausalBlock(nn.Module):
    """One pre-norm block: causal self-attention over a history, then a feed-forward layer, both residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = Dropout(dropout)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """Padding stands at the end, so the causal mask alone keeps it from every real position."""
        q, k, v = (_heads(part, self.heads) for part in self.qkv(self.norm(x_BLD)).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BLD = x_BLD + self.dropout(self.out(_join(mixed)))
        return x_BLD + self.dropout(self.feed(x_BLD))


class CandidateAttention(nn.Module):
    """Candidates attend to one encoded history (DIN, KDD 2018, with dot products).

    Keys and values are computed once per request and shared by its C candidates; nothing of size B·C·L·D exists. A
    learned null event takes the weight when nothing in the history matters, and all of it when there is none.
    """

    def __init__(self, query_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(query_width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.null = nn.Parameter(torch.randn(2, width) * 0.02)
        self.out = nn.Linear(width, width)

    def forward(self, query_BCQ: Tensor, history_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """What each candidate finds in the history, [B, C, D]."""
        batch = len(history_BLD)
        key, value = self.key_value(history_BLD).chunk(2, -1)
        null_key, null_value = (row.expand(batch, 1, -1) for row in self.null)
        key, value = torch.cat([null_key, key], 1), torch.cat([null_value, value], 1)
        allowed = torch.cat([mask_BL.new_ones(batch, 1), mask_BL], 1)[:, None, None]
        q, k, v = (_heads(part, self.heads) for part in (self.query(query_BCQ), key, value))
        return self.out(_join(nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)))


def _heads(x_BLD: Tensor, heads: int) -> Tensor:
    """[B, L, D] to [B, H, L, D / H]."""
    return x_BLD.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join(x_BHLd: Tensor) -> Tensor:
    return x_BHLd.transpose(1, 2).flatten(-2)
