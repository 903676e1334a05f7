"""Each task's own gradient on everything that is trained, as one row of a matrix.

Shapes: T tasks, P numbers that are trained: the dense parameters, then the table's rows that the batch touched.
"""

import torch
from torch import Tensor

from motet.model.kinds import Trainable


class Gradients:
    """Of a network whose optimizers wait for them in `.grad`."""

    def __init__(self, network: Trainable) -> None:
        self.parameters: list[Tensor] = list(network.dense_parameters().values())
        self.table = network.inputs.table

    def leaves(self) -> list[Tensor]:
        """Everything that is trained, as of the last forward pass."""
        touched = self.table.touched
        return self.parameters if touched is None else [*self.parameters, touched.row_ID]

    def of_tasks(self, losses_T: Tensor) -> Tensor:
        """[T, P]; one backward pass per task."""
        leaves, rows = self.leaves(), []
        for task, loss in enumerate(losses_T):
            found = torch.autograd.grad(
                loss, leaves, retain_graph=task + 1 < len(losses_T), allow_unused=True, materialize_grads=True
            )
            rows.append(torch.cat([gradient.flatten() for gradient in found]))
        return torch.stack(rows)

    def leave(self, gradient_P: Tensor) -> None:
        """Put one gradient where the optimizers take it from."""
        leaves = self.leaves()
        for leaf, part in zip(leaves, gradient_P.split([leaf.numel() for leaf in leaves]), strict=True):
            leaf.grad = part.view_as(leaf)


def shared(gradient_TP: Tensor) -> Tensor:
    """Where more than one task pulls, [P]; the rest, such as a task's own head, is nobody else's."""
    return torch.count_nonzero(gradient_TP, dim=0) > 1
