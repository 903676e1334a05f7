"""PCGrad (Yu et al., NeurIPS 2020): where two tasks' gradients conflict, each loses what pulls against the other.

For every task i and every other j in random order: if g_i · g_j < 0, g_i ← g_i − (g_i · g_j / |g_j|²) g_j with the
unchanged g_j. The step is the sum over tasks. Only what tasks share is compared and projected.

Shapes: T tasks, P numbers that are trained.
"""

import torch
from torch import Tensor

from motet.model.kinds import Trainable
from motet.train.balance.balance import Balance
from motet.train.balance.gradients import Gradients, shared


class PCGrad(Balance):
    """Remembers nothing; the orders come from torch's generator. Costs a backward pass per task."""

    def __init__(self, network: Trainable) -> None:
        self.gradients = Gradients(network)

    def backward(self, losses_T: Tensor) -> None:
        gradient_TP = self.gradients.of_tasks(losses_T)
        self.gradients.leave(projected(gradient_TP).sum(0))


def projected(gradient_TP: Tensor) -> Tensor:
    """Every task's gradient without its conflicts.

    All projections are linear combinations of the given gradients, so that their inner products, [T, T], are enough.
    """
    tasks, between_P = len(gradient_TP), shared(gradient_TP)
    common_TP = gradient_TP * between_P
    inner_TT = (common_TP @ common_TP.T).cpu()
    mix_TT = torch.eye(tasks)
    for i in range(tasks):
        for j in torch.randperm(tasks).tolist():
            if j != i and float(conflict := mix_TT[i] @ inner_TT[:, j]) < 0:
                mix_TT[i, j] -= conflict / inner_TT[j, j].clamp(min=1e-20)
    return torch.where(between_P, mix_TT.to(common_TP) @ common_TP, gradient_TP)
