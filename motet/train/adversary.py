"""Adversarial training of embeddings: APR (He et al., SIGIR 2018) by the fast gradient (Miyato et al., ICLR 2017).

    min_θ L(θ) + L(θ + Δ),   Δ_v = ε · g_v / |g_v| for every id v of the batch, g = ∂L/∂θ

A step costs a second forward and backward pass, whose tasks are summed by their loss weights whatever the balancer.

Shapes: I ids of the batch, U different ones, D embedding width, T tasks.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from motet.model.inputs import Table
from motet.train.optim import add_up


class Adversary:
    """Moves the batch's ids by `reach` in the direction that hurts most."""

    def __init__(self, table: Table, reach: float) -> None:
        self.table, self.reach = table, reach

    def backward(self, losses: Callable[[], Tensor]) -> None:
        """Add the gradients of the moved ids to those that are there; `losses` makes the batch's anew, [T]."""
        first = self.table.touched
        if first is None or first.row_ID.grad is None:
            return
        weight = self.table.weight.data
        rows_U, gradient_UD = add_up(first.ids_I, first.row_ID.grad)
        there_UD = weight.index_select(0, rows_U)
        longest_U1 = gradient_UD.norm(dim=1, keepdim=True).clamp(min=torch.finfo().tiny)
        weight.index_copy_(0, rows_U, there_UD + self.reach * gradient_UD / longest_U1)
        losses().sum().backward()
        weight.index_copy_(0, rows_U, there_UD)
        second = self.table.touched
        assert second is not None
        assert second.row_ID.grad is not None
        second.row_ID.grad += first.row_ID.grad
