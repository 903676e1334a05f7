"""What chains of tasks add to the loss: AITM's calibrator and ESCM²'s regularisers, each in units of its task's loss.

Both read probabilities off a network's output while it learns. A layout without a chain has nothing to add.

Shapes: B rows, C = 1, T tasks.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from motet.batch import CellOutput, Layout
from motet.model.ranker import Network
from motet.scoring.metrics import entropy

CALIBRATOR = 0.6
"""Weight of the calibrator, the paper's α."""
REGULARISER = 0.1
"""Weight of ESCM²'s regulariser, the paper's λ_c."""
SMALLEST = 0.02
"""Propensities below it count as it: one row's weight is at most 50."""

Extra = Callable[[CellOutput, Tensor], Tensor]
"""Output and labels [B, C, T] of a batch to what is added to the losses of its tasks, [T]."""


def extras_of(network: object, per_task: Callable[[Tensor], Tensor]) -> list[Extra]:
    """What the slots of that network ask for; `per_task` turns losses of rows [B, C, T] into losses of tasks, [T]."""
    if not isinstance(network, Network) or not parents_of(network.layout):
        return []
    parents, extras = parents_of(network.layout), list[Extra]()
    if network.heads.transfer is not None:
        extras.append(lambda output, labels_BCT: per_task(CALIBRATOR * excess(output.logits_BCT, parents)))
    if network.debias != "none":
        extras.append(Counterfactual(network))
    return extras


def parents_of(layout: Layout) -> dict[int, int]:
    """Task to parent, both as indices of the layout."""
    return {t: parent for t in range(len(layout.tasks)) if (parent := layout.parent(t)) is not None}


def excess(logits_BCT: Tensor, parents: dict[int, int]) -> Tensor:
    """The calibrator (AITM, KDD 2021): max(p_task − p_parent, 0), [B, C, T], 0 for a task without a parent."""
    p_BCT, result = logits_BCT.sigmoid(), [torch.zeros_like(logits_BCT[..., 0])] * logits_BCT.shape[-1]
    for task, parent in parents.items():
        result[task] = (p_BCT[..., task] - p_BCT[..., parent]).relu()
    return torch.stack(result, -1)


class Counterfactual:
    """ESCM² (Wang et al., SIGIR 2022): the conditional task as if every row had been through the parent.

    o says whether a row was, q its predicted probability of it (no gradient), e the cross-entropy of the conditional
    task there and ê what the network guesses of it everywhere:

        ips: mean of o·e / q        dr: mean of ê + o·(e − ê) / q + o·(e − ê)² / q

    over all rows, in units of the conditional base rate's entropy.
    """

    def __init__(self, network: Network) -> None:
        self.heads, self.parents = network.heads, parents_of(network.layout)
        rates_ST = torch.tensor(network.layout.base_rates, dtype=torch.float64)
        rate_T = rates_ST.nanmean(0).nan_to_num(0.0).tolist()
        self.units = {t: entropy(min(1.0, rate_T[t] / max(rate_T[p], 1e-6))) for t, p in self.parents.items()}

    def __call__(self, output: CellOutput, labels_BCT: Tensor) -> Tensor:
        assert output.given_BCT is not None
        result = [labels_BCT.new_zeros(())] * labels_BCT.shape[-1]
        for task, parent in self.parents.items():
            if self.units[task] > 0:
                result[task] = REGULARISER * self._of(task, parent, output, labels_BCT) / self.units[task]
        return torch.stack(result)

    def _of(self, task: int, parent: int, output: CellOutput, labels_BCT: Tensor) -> Tensor:
        assert output.given_BCT is not None
        label_BC = labels_BCT[..., task]
        through_BC = (labels_BCT[..., parent] > 0) & ~label_BC.isnan()
        error_BC = cross_entropy(output.given_BCT[..., task], label_BC.nan_to_num(0.0), reduction="none")
        propensity_BC = output.logits_BCT[..., parent].detach().sigmoid().clamp(min=SMALLEST)
        weight_BC = through_BC / propensity_BC
        if self.heads.imputed_BCT is None:
            return (weight_BC * error_BC).mean()
        guess_BC = self.heads.imputed_BCT[..., task]
        missed_BC = error_BC - guess_BC
        return (guess_BC + weight_BC * (missed_BC + missed_BC.square())).mean()
