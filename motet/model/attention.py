"""Scaled dot-product attention, softmax(Q Kᵀ / √d_k) V (Vaswani et al., NeurIPS 2017), for histories and candidates.

Shapes: B requests, C candidates, L history length, P real events of the batch, D width, H heads.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.model.dropout import Dropout


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the P real events of a batch stand among its B × L places; only they are computed on.

    In a graph that is exported no shape may depend on values: there all B × L places are computed on.
    """

    place_P: Tensor  # int64 into the flattened B · L places
    mask_BL: Tensor

    @classmethod
    def of(cls, mask_BL: Tensor) -> "Packing":
        if torch.compiler.is_exporting():
            return cls(torch.arange(mask_BL.numel(), device=mask_BL.device), mask_BL)
        return cls(mask_BL.flatten().nonzero()[:, 0], mask_BL)

    def pack(self, x_BLx: Tensor) -> Tensor:
        """[B, L, …] to [P, …]."""
        return x_BLx.flatten(0, 1).index_select(0, self.place_P)

    def pad(self, x_PD: Tensor) -> Tensor:
        """[P, D] to [B, L, D], zero where no event stands."""
        if torch.compiler.is_exporting():
            return x_PD.unflatten(0, self.mask_BL.shape).masked_fill(~self.mask_BL[..., None], 0.0)
        padded = x_PD.new_zeros(self.mask_BL.numel(), x_PD.shape[-1])
        return padded.index_copy(0, self.place_P, x_PD).unflatten(0, self.mask_BL.shape)


class CausalBlock(nn.Module):
    """One pre-norm block: causal self-attention over a history, then a feed-forward layer, both residual."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x_PD: Tensor, packing: Packing, bias_HLL: Tensor | None = None) -> Tensor:
        """Padding stands at the end, so the causal mask alone keeps it from every real position.

        A bias is added to the attention logits, and masks what is later itself.
        """
        qkv = packing.pad(self.qkv(self.norm(x_PD)))
        q, k, v = (_heads(part, self.heads) for part in qkv.chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, bias_HLL, is_causal=bias_HLL is None)
        x_PD = x_PD + self.dropout(self.out(packing.pack(_join(mixed))))
        return x_PD + self.dropout(self.feed(x_PD))


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

    def forward(self, query_BCD: Tensor, history_PD: Tensor, packing: Packing) -> Tensor:
        """What each candidate finds in the history, [B, C, D]; `query_BCD` is `self.query` of the candidates."""
        mask_BL, batch = packing.mask_BL, len(query_BCD)
        key, value = packing.pad(self.key_value(history_PD)).chunk(2, -1)
        null_key, null_value = (row.expand(batch, 1, -1) for row in self.null)
        key, value = torch.cat([null_key, key], 1), torch.cat([null_value, value], 1)
        allowed = torch.cat([mask_BL.new_ones(batch, 1), mask_BL], 1)[:, None, None]
        q, k, v = (_heads(part, self.heads) for part in (query_BCD, key, value))
        return self.out(_join(nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)))


def _heads(x_BLD: Tensor, heads: int) -> Tensor:
    """[B, L, D] to [B, H, L, D / H]."""
    return x_BLD.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join(x_BHLd: Tensor) -> Tensor:
    return x_BHLd.transpose(1, 2).flatten(-2)
