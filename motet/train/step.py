"""The training step: what one batch changes. Forward, losses, backward, clipping, both optimizers, in this order.

Shapes: B rows, C = 1, T tasks.
"""

import torch
from torch import Tensor

from motet.batch import Batch, CellOutput
from motet.model.kinds import Trainable
from motet.train.adversary import Adversary
from motet.train.average import Average
from motet.train.balance import Balance
from motet.train.chains import extras_of
from motet.train.device import Place
from motet.train.losses import TaskLosses
from motet.train.optim import DenseAdamW, RowwiseAdagrad
from motet.train.r_drop import disagreement, twice


class Step:
    """A network with its losses and optimizers; call it with one batch after the other."""

    def __init__(
        self, network: Trainable, losses: TaskLosses, weights_T: Tensor, place: Place,
        *, lr: float, table_lr: float, weight_decay: float, table_weight_decay: float = 0.0,
        balance: Balance | None = None, adversarial: float = 0.0, r_drop: float = 0.0,
        average: float = 0.0,
    ) -> None:  # fmt: skip
        self.network, self.losses, self.weights_T, self.place = network, losses, weights_T, place
        self.sparse = RowwiseAdagrad(network.inputs.table, table_lr, table_weight_decay)
        self.dense = DenseAdamW(network, lr, weight_decay)
        self.average = Average([stretches.whole.data for stretches in self.dense.stretches], average)
        self.balance = Balance() if balance is None else balance
        self.extras = extras_of(network, losses.per_task)
        self.adversary = Adversary(network.inputs.table, adversarial) if adversarial else None
        self.r_drop = r_drop

    def __call__(self, batch: Batch, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Losses before the update and labels, [B, C, T]; `scale` multiplies both learning rates."""
        assert batch.labels_BCT is not None
        labels_BCT = batch.labels_BCT[..., self.network.task_index]
        loss_BCT, losses_T = self._losses(batch, labels_BCT)
        self.balance.backward(losses_T)
        if self.adversary is not None:
            self.adversary.backward(lambda: self._losses(batch, labels_BCT)[1])
        self.dense.step(scale)
        self.sparse.step(scale)
        self.balance.after(lambda: self._losses(batch, labels_BCT)[1])
        return loss_BCT.detach(), labels_BCT

    def _losses(self, batch: Batch, labels_BCT: Tensor) -> tuple[Tensor, Tensor]:
        """Of every label, [B, C, T], and of every task with all that is added to it and its loss weight, [T]."""
        if self.r_drop:
            batch, labels_BCT = twice(batch), torch.cat([labels_BCT, labels_BCT])
        with self.place.products():
            output = _exact(self.network(batch))
        loss_BCT: Tensor = self.losses(output.logits_BCT, labels_BCT)
        losses_T = self.losses.per_task(loss_BCT)
        for extra in self.extras:
            losses_T = losses_T + extra(output, labels_BCT)
        if self.r_drop:
            apart_BCT = disagreement(output.logits_BCT, labels_BCT, self.losses.binary_T)
            losses_T, loss_BCT = losses_T + self.r_drop * self.losses.per_task(apart_BCT), loss_BCT.chunk(2)[0]
        return loss_BCT, losses_T * self.weights_T


def _exact(output: CellOutput) -> CellOutput:
    """In fp32, whatever products were made in."""
    given_BCT = output.given_BCT
    return CellOutput(output.logits_BCT.float(), None if given_BCT is None else given_BCT.float())
