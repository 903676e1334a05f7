"""Where a training computes and how exactly: a GPU where there is one, products in bf16 where its hardware has them.

Weights, sums of losses and both optimizers stay in fp32; only products are rounded. Nothing but training moves: a run
is saved from, loaded into and served from the memory of the processor.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from motet.errors import InputError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Place:
    """A device, and whether products there are made in bf16."""

    device: torch.device
    bf16: bool

    @classmethod
    def of(cls, device: Device, precision: Precision) -> "Place":
        """The device that was asked for; an `InputError` where there is none."""
        found = torch.cuda.is_available()
        if device == "cuda" and not found:
            fix = 'set it to "auto" or "cpu", or install a torch that sees the GPU (`motet doctor`)'
            raise InputError("torch sees no GPU on this machine", where="train.device", fix=fix)
        on_gpu = found and device != "cpu"
        bf16 = precision == "bf16" or (precision == "auto" and on_gpu and torch.cuda.is_bf16_supported(False))
        return cls(torch.device("cuda" if on_gpu else "cpu"), bf16)

    def products(self) -> AbstractContextManager[Any]:
        """A context in which matrix products are made as this place makes them."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def random_state(self) -> dict[str, Tensor]:
        """That of every generator a training draws from."""
        own = {"rng.cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {}
        return {"rng": torch.get_rng_state()} | own

    def restore_random_state(self, state: dict[str, Tensor]) -> None:
        """Draw on from there."""
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng.cuda"], self.device)

    def __str__(self) -> str:
        return f"{self.device.type} {'bf16' if self.bf16 else 'fp32'}"
