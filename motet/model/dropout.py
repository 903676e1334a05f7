"""Dropout (Srivastava et al., JMLR 2014) from random bytes: on a CPU an order cheaper than one random number each."""

import torch
from torch import Tensor, nn


def keep(shape: torch.Size, rate: float, like: Tensor) -> Tensor:
    """1 with probability 1 - rate, which is rounded to 1/256, else 0; of the type and on the device of `like`."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64, device=like.device).random_(-(2**63), None)
    kept = torch.empty(shape, dtype=like.dtype, device=like.device)
    return torch.ge(words.view(torch.uint8)[:count].view(shape), round(rate * 256), out=kept)


class Dropout(nn.Module):
    """x with each element zeroed with probability `rate` and the rest scaled up, in training only."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(self.rate * 256)
        if not self.training or dropped == 0:
            return x
        return x * keep(x.shape, self.rate, x).mul_(256 / (256 - dropped))
