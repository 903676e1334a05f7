"""Uncertainty weighting (Kendall, Gal and Cipolla, CVPR 2018): a task of large noise σ_t² counts less.

    Σ_t  k_t · e^(−s_t) · L_t + s_t / 2,   s_t = log σ_t²,   k = 1 for a binary task, 1/2 for a regression

Shapes: T tasks.
"""

import torch
from torch import Tensor

from motet.train.balance.balance import Balance, Learned

LR = 0.01


class Uncertainty(Balance):
    """s starts at zero."""

    def __init__(self, regression_T: Tensor, learnable_T: Tensor) -> None:
        self.half_T, self.learnable_T = torch.where(regression_T, 0.5, 1.0), learnable_T
        self.noise = Learned(torch.zeros_like(self.half_T), LR)

    def backward(self, losses_T: Tensor) -> None:
        weighted_T = self.half_T * (-self.noise.weight).exp() * losses_T
        weighted_T.sum().backward()
        self.noise.step((0.5 - weighted_T.detach()) * self.learnable_T)

    def tensors(self) -> dict[str, Tensor]:
        return self.noise.tensors()
