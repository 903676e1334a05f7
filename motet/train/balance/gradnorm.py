"""GradNorm (Chen et al., ICML 2018): tasks that learn slowly pull harder on the last shared layer.

    G_t = w_t |∇_W L_t|,   r_t = L_t / mean L,   minimise over w: Σ_t |G_t − mean(G) · r_t^α|,   then Σ w = T

A loss in units of its base rate begins at about 1, so that L_t itself is the paper's inverse rate of training; it is
a running mean over batches, which are small for rare labels.

Shapes: T tasks.
"""

import torch
from torch import Tensor, nn

from motet.errors import InputError
from motet.model.kinds import Trainable
from motet.train.balance.balance import Balance, Learned

ALPHA, LR, KEEP, SMALLEST = 1.5, 0.01, 0.98, 0.05


class GradNorm(Balance):
    """Weights start at 1. Costs a backward pass through the heads per task."""

    def __init__(self, network: Trainable, learnable_T: Tensor) -> None:
        self.layer, self.learnable_T = last_shared(network), learnable_T
        ones_T = torch.ones(len(learnable_T), device=learnable_T.device)
        self.loss_weight, self.loss_T = Learned(ones_T, LR), ones_T.clone()

    def backward(self, losses_T: Tensor) -> None:
        norm_T = torch.stack([self._pull(loss) for loss in losses_T])
        weight_T = self.loss_weight.weight
        (weight_T * losses_T).sum().backward()
        self.loss_T.lerp_(losses_T.detach(), 1 - KEEP)
        there_T = self.learnable_T & (norm_T > 0)
        pull_T, there = weight_T * norm_T, there_T.sum().clamp(min=1)
        rate_T = (self.loss_T / ((self.loss_T * there_T).sum() / there).clamp(min=1e-8)).clamp(min=0) ** ALPHA
        wanted_T = (pull_T * there_T).sum() / there * rate_T
        self.loss_weight.step((pull_T - wanted_T).sign() * norm_T * there_T)
        weight_T.clamp_(min=SMALLEST)
        weight_T.mul_(len(weight_T) / weight_T.sum())

    def _pull(self, loss: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(loss, self.layer, retain_graph=True, allow_unused=True, materialize_grads=True)
        return found.norm()

    def tensors(self) -> dict[str, Tensor]:
        return {"loss_T": self.loss_T} | self.loss_weight.tensors()


def last_shared(network: Trainable) -> nn.Parameter:
    """The experts' last layer; the weights of kinds where they are all that is trained."""
    trained = network.dense_parameters()
    last = [name for name in trained if name.endswith("second_EHD")] or [n for n in trained if n == "weight_STK"]
    if not last:
        raise InputError("these experts have no last layer that all tasks share", where="train.balance",
                         fix='another balance, such as "static", or other experts')  # fmt: skip
    return trained[last[-1]]
