"""Transfer between heads (AITM, Xi et al., KDD 2021): the head of a chained task also hears the head of its parent.

    p = relu(W h_parent),  u ∈ {p, h_task}:  w_u = softmax_u(⟨W_q u, W_k u⟩ / √H),  h = Σ_u w_u · W_v u

The paper's calibrator, which keeps a task from being likelier than its parent, is a part of the loss: see
`motet.train.chains`.

Shapes: T tasks, M rows, H head width, U the two that are heard.
"""

import torch
from torch import Tensor, nn

from motet.batch import Layout


class Transfer(nn.Module):
    """Every chain of the layout, parents first; tasks without a parent stay as they are."""

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.parents = {task: parent for task in range(len(layout.tasks))
                        if (parent := layout.parent(task)) is not None}  # fmt: skip
        self.units = nn.ModuleList(_Unit(width) for _ in self.parents)

    def forward(self, hidden_TMH: Tensor) -> Tensor:
        told = list(hidden_TMH.unbind(0))
        for (task, parent), unit in zip(self.parents.items(), self.units, strict=True):
            told[task] = unit(told[parent], told[task])
        return torch.stack(told)


class _Unit(nn.Module):
    """Attention of one head over what it is told and what it says itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.told = nn.Linear(width, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, parent_MH: Tensor, own_MH: Tensor) -> Tensor:
        heard_UMH = torch.stack([self.told(parent_MH).relu(), own_MH])
        alike_UM1 = (self.query(heard_UMH) * self.key(heard_UMH)).sum(-1, keepdim=True)
        weight_UM1 = (alike_UM1 / heard_UMH.shape[-1] ** 0.5).softmax(0)
        return (weight_UM1 * self.value(heard_UMH)).sum(0)
