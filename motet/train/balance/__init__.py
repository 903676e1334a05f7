"""How the tasks' losses become one gradient: the protocol is `Balance`; each balancer has a file and a line here.

To add one: write its file, add its name and its line.
"""

from typing import Literal

import torch
from torch import Tensor

from motet.model.kinds import Trainable
from motet.train.balance.balance import Balance
from motet.train.balance.famo import Famo
from motet.train.balance.gradnorm import GradNorm
from motet.train.balance.metabalance import MetaBalance
from motet.train.balance.pcgrad import PCGrad
from motet.train.balance.uncertainty import Uncertainty

__all__ = ["Balance", "Balancer", "balance_of"]

Balancer = Literal["static", "uncertainty", "gradnorm", "pcgrad", "famo", "metabalance"]


def balance_of(name: Balancer, network: Trainable, learnable_T: Tensor) -> Balance:
    """The balancer of that name; `learnable_T` is False for a task whose loss is always zero."""
    regression_T = torch.tensor([task.form == "regression" for task in network.layout.tasks], device=learnable_T.device)
    match name:
        case "static":
            return Balance()
        case "uncertainty":
            return Uncertainty(regression_T, learnable_T)
        case "gradnorm":
            return GradNorm(network, learnable_T)
        case "pcgrad":
            return PCGrad(network)
        case "famo":
            return Famo(learnable_T)
        case "metabalance":
            return MetaBalance(network)
