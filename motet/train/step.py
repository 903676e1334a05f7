"""The training step: what one batch changes. Forward, losses, backward, clipping, both optimizers, in this order.

Shapes: B rows, C = 1, T tasks.
"""

from torch import Tensor

from motet.batch import Batch
from motet.model.kinds import Trainable
from motet.train.balance import Balance
from motet.train.chains import extras_of
from motet.train.losses import TaskLosses
from motet.train.optim import DenseAdamW, RowwiseAdagrad


class Step:
    """A network with its losses and optimizers; call it with one batch after the other."""

    def __init__(
        self, network: Trainable, losses: TaskLosses, weights_T: Tensor,
        *, lr: float, table_lr: float, weight_decay: float, table_weight_decay: float = 0.0,
        balance: Balance | None = None,
    ) -> None:  # fmt: skip
        self.network, self.losses, self.weights_T = network, losses, weights_T
        self.sparse = RowwiseAdagrad(network.inputs.table, table_lr, table_weight_decay)
        self.dense = DenseAdamW(network, lr, weight_decay)
        self.balance = Balance() if balance is None else balance
        self.extras = extras_of(network, losses.per_task)

    def __call__(self, batch: Batch, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Losses before the update and labels, [B, C, T]; `scale` multiplies both learning rates."""
        assert batch.labels_BCT is not None
        labels_BCT = batch.labels_BCT[..., self.network.task_index]
        loss_BCT, losses_T = self._losses(batch, labels_BCT)
        self.balance.backward(losses_T)
        self.dense.step(scale)
        self.sparse.step(scale)
        self.balance.after(lambda: self._losses(batch, labels_BCT)[1])
        return loss_BCT.detach(), labels_BCT

    def _losses(self, batch: Batch, labels_BCT: Tensor) -> tuple[Tensor, Tensor]:
        """Of every label, [B, C, T], and of every task with all that is added to it and its loss weight, [T]."""
        output = self.network(batch)
        loss_BCT: Tensor = self.losses(output.logits_BCT, labels_BCT)
        losses_T = self.losses.per_task(loss_BCT)
        for extra in self.extras:
            losses_T = losses_T + extra(output, labels_BCT)
        return loss_BCT, losses_T * self.weights_T
