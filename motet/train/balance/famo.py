"""FAMO (Liu et al., NeurIPS 2023): every task's loss falls at the same rate, by the losses alone.

    min_θ Σ_t (z_t / c) · log L_t,   z = softmax(ξ),   c = Σ_t z_t / L_t (no gradient)
    ξ moves along the gradient of Σ_t z_t · (log L_t before the step − log L_t after it)

A task without a label in a batch takes no part in it. The second losses cost one more forward pass.

Shapes: T tasks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from motet.train.balance.balance import Balance, Learned

LR, DECAY = 0.025, 0.001


class Famo(Balance):
    """ξ starts at zero: equal shares."""

    def __init__(self, learnable_T: Tensor) -> None:
        self.share = Learned(torch.zeros(len(learnable_T), device=learnable_T.device), LR, DECAY)
        self.before_T, self.there_T = torch.zeros_like(self.share.weight), learnable_T
        self.learnable_T = learnable_T

    def backward(self, losses_T: Tensor) -> None:
        self.before_T, self.there_T = losses_T.detach(), self.learnable_T & (losses_T.detach() > 0)
        z_T = self._shares()
        safe_T = torch.where(self.there_T, losses_T, 1.0)
        c = (z_T / safe_T.detach() * self.there_T).sum().clamp(min=1e-8)
        (z_T / c * safe_T.log() * self.there_T).sum().backward()

    @torch.no_grad()
    def after(self, losses: Callable[[], Tensor]) -> None:
        now_T = losses()
        both_T = self.there_T & (now_T > 0)
        fell_T = torch.where(both_T, self.before_T.clamp(min=1e-8).log() - now_T.clamp(min=1e-8).log(), 0.0)
        z_T = self._shares()
        self.share.step(z_T * (fell_T - (z_T * fell_T).sum()))

    def _shares(self) -> Tensor:
        return self.share.weight.masked_fill(~self.learnable_T, float("-inf")).softmax(0)

    def tensors(self) -> dict[str, Tensor]:
        return self.share.tensors()
