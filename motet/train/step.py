"""The training step: what one batch changes. Forward, losses, backward, clipping, both optimizers, in this order.

Shapes: B rows, C = 1, T tasks.
"""

from torch import Tensor

from motet.batch import Batch
from motet.model.kinds import Trainable
from motet.train.device import Place
from motet.train.losses import TaskLosses
from motet.train.optim import DenseAdamW, RowwiseAdagrad


class Step:
    """A network with its losses and optimizers; call it with one batch after the other."""

    def __init__(
        self, network: Trainable, losses: TaskLosses, weights_T: Tensor, place: Place,
        *, lr: float, table_lr: float, weight_decay: float, table_weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.network, self.losses, self.weights_T, self.place = network, losses, weights_T, place
        self.sparse = RowwiseAdagrad(network.inputs.table, table_lr, table_weight_decay)
        self.dense = DenseAdamW(network, lr, weight_decay)

    def __call__(self, batch: Batch, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Losses before the update and labels, [B, C, T]; `scale` multiplies both learning rates."""
        assert batch.labels_BCT is not None
        labels_BCT = batch.labels_BCT[..., self.network.task_index]
        with self.place.products():
            logits_BCT = self.network(batch).logits_BCT
        loss_BCT = self.losses(logits_BCT.float(), labels_BCT)
        (self.losses.per_task(loss_BCT) * self.weights_T).sum().backward()
        self.dense.step(scale)
        self.sparse.step(scale)
        return loss_BCT.detach(), labels_BCT
