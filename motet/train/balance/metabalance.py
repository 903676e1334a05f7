"""MetaBalance (He et al., WWW 2022): tasks pull equally hard on every layer that they share.

The paper draws auxiliary tasks to the size of one target task's gradient. Here no task is auxiliary: all are drawn to
the mean over tasks, layer by layer, by

    g_t ← g_t · (r · m̄ / m_t + 1 − r),   m ← β m + (1 − β) |g|

Shapes: T tasks, P numbers that are trained, N layers.
"""

import torch
from torch import Tensor

from motet.model.kinds import Trainable
from motet.train.balance.balance import Balance
from motet.train.balance.gradients import Gradients, shared

RELAX, KEEP = 0.7, 0.9
"""The paper's r and β."""


class MetaBalance(Balance):
    """Remembers the size of each task's gradient on each layer. Costs a backward pass per task."""

    def __init__(self, network: Trainable) -> None:
        self.gradients = Gradients(network)
        layers = len(self.gradients.parameters) + 1  # the table's rows together are one
        self.size_NT = torch.zeros(layers, len(network.layout.tasks), device=network.task_index.device)

    def backward(self, losses_T: Tensor) -> None:
        gradient_TP = self.gradients.of_tasks(losses_T)
        between_P = shared(gradient_TP)
        sizes = [leaf.numel() for leaf in self.gradients.leaves()]
        parts = (gradient_TP * between_P).split(sizes, 1)
        now_NT = torch.stack([part.norm(dim=1) for part in parts])
        self.size_NT[: len(sizes)].lerp_(now_NT, 1 - KEEP)
        factor_NT = factors(self.size_NT[: len(sizes)])
        whole = [(part * factor_T[:, None]).sum(0) for part, factor_T in zip(parts, factor_NT, strict=True)]
        self.gradients.leave(torch.where(between_P, torch.cat(whole), gradient_TP.sum(0)))

    def tensors(self) -> dict[str, Tensor]:
        return {"size_NT": self.size_NT}


def factors(size_NT: Tensor) -> Tensor:
    """What each task's gradient on each layer is multiplied by; 1 where it has none. The mean is over those that do."""
    pulls_NT = size_NT > 0
    mean_N1 = size_NT.sum(1, keepdim=True) / pulls_NT.sum(1, keepdim=True).clamp(min=1)
    return torch.where(pulls_NT, RELAX * mean_N1 / size_NT.clamp(min=1e-20) + 1 - RELAX, 1.0)
