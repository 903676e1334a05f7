"""What a balancer is, and the static one: losses are summed as they are, in units of their base rates.

Tuned static weights match the others (Kurin et al., NeurIPS 2022; Xin et al., NeurIPS 2022); `train.task_weights` are
multiplied in before any balancer sees the losses.

Shapes: T tasks.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Balance:
    """Static; the others override what they do otherwise."""

    def backward(self, losses_T: Tensor) -> None:
        """Leave a gradient on every trained weight and on the touched rows of the table."""
        losses_T.sum().backward()

    def after(self, losses: Callable[[], Tensor]) -> None:
        """The weights have moved; `losses` gives the losses of the same batch as they are now, [T]."""

    def tensors(self) -> dict[str, Tensor]:
        """All that it remembers from step to step, changed in place: a checkpoint stores it and copies it back."""
        return {}


class Learned:
    """A few weights with an Adam of their own, whose state exists from the start so that it can be put back."""

    def __init__(self, start: Tensor, lr: float, weight_decay: float = 0.0) -> None:
        self.weight = nn.Parameter(start.clone(), requires_grad=False)
        self.adam = torch.optim.Adam([self.weight], lr=lr, weight_decay=weight_decay)
        names = ("exp_avg", "exp_avg_sq")
        self.adam.state[self.weight] = {"step": torch.tensor(0.0)} | {n: torch.zeros_like(start) for n in names}

    def step(self, gradient: Tensor) -> None:
        """One update by that gradient."""
        self.weight.grad = gradient
        self.adam.step()

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight.data} | dict(self.adam.state[self.weight])
