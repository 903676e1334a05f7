"""Dropout (Srivastava et al., JMLR 2014) from random bytes: on a CPU an order cheaper than one random number each."""

import torch
from torch import Tensor, nn


def keep(shape: torch.Size, rate: float, device: torch.device) -> Tensor:
    """True with probability 1 - rate, which is rounded to 1/256."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64, device=device).random_(-(2**63), None)
    return words.view(torch.uint8)[:count].view(shape) >= round(rate * 256)


class Dropout(nn.Module):
    """x with each element zeroed with probability `rate` and the rest scaled up, in training only."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or round(self.rate * 256) == 0:
            return x
        return x * keep(x.shape, self.rate, x.device) * (256 / (256 - round(self.rate * 256)))
