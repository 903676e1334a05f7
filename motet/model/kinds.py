"""One network per kind of event in the history, their outputs weighted: the classical fusion in two stages.

Fused[s,t] = Σ_k w_k[s,t] · z_k[s,t] with w ≥ 0, Σ_k w_k = 1, z_k the logit (regression: the value) of kind k's network.
Stage one trains every network as if it were alone: all of its parts are its own, and the past it sees holds events of
its kind only. Stage two leaves the networks as they are and fits w, which starts at equal shares.

Shapes: B requests, C candidates, L history length, S scenarios, T tasks, K kinds.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from motet.batch import Batch, CellOutput, History, Layout
from motet.model.inputs import InputLayer
from motet.model.ranker import Model, Network

PACE = 10
"""The weights' softmax is over so many times their parameters: AdamW moves a parameter by about its rate a step, and
with few steps a weight could not get far from where it starts."""


class OfKind(Network):
    """The network of one kind: of the history it sees that kind's events only."""

    def __init__(
        self, kind: int, layout: Layout, counts_V: Tensor, model: Model, tasks: Sequence[int] | None = None
    ) -> None:
        super().__init__(replace(layout, kinds=(layout.kinds[kind],)), counts_V, model, tasks)
        self.kind = kind

    def given_parents(self, batch: Batch) -> Tensor:
        return super().given_parents(replace(batch, history=of_kind(batch.history, self.kind)))


class WeightedKinds(nn.Module):
    """The networks of all kinds and their weights in every cell; for whoever calls it, a network like any other."""

    def __init__(self, layout: Layout, counts_V: Tensor, model: Model, tasks: Sequence[int] | None = None) -> None:
        super().__init__()
        self.voices = layout.kinds
        self.networks = nn.ModuleList(OfKind(kind, layout, counts_V, model, tasks) for kind in range(len(layout.kinds)))
        first = self.parts()[0]
        self.name, self.task_index = first.name, first.task_index
        self.layout = replace(first.layout, kinds=layout.kinds)
        self.weight_STK = nn.Parameter(torch.zeros(len(layout.scenarios), len(self.layout.tasks), len(layout.kinds)))
        self.networks.eval()

    def parts(self) -> list[OfKind]:
        """The network of each kind."""
        return [cast(OfKind, network) for network in self.networks]

    def stages(self) -> "list[tuple[str, Trainable]]":
        """What is trained one after the other, by name; with one kind there is nothing to weight."""
        alone: list[tuple[str, Trainable]] = list(zip(self.voices, self.parts(), strict=True))
        return alone if len(alone) == 1 else [*alone, ("weights", self)]

    @property
    def inputs(self) -> InputLayer:
        """Those of the first kind, for their table's optimizer: stage two touches no row of any table."""
        return self.parts()[0].inputs

    @torch.inference_mode()
    def alpha_STV(self) -> Tensor:
        """The weights themselves, summing to 1 over kinds."""
        return self._alpha_STV()

    def _alpha_STV(self) -> Tensor:
        return (PACE * self.weight_STK).softmax(-1)

    def forward(self, batch: Batch) -> CellOutput:
        """Logits of the marginal probability, [B, C, T]; chains are multiplied behind the weights."""
        with torch.no_grad():
            told_BCTK = torch.stack([network.given_parents(batch) for network in self.parts()], -1)
        fused_BCT = (told_BCTK * self._alpha_STV()[batch.scenario_B][:, None]).sum(-1)
        return CellOutput(self.parts()[0].heads.marginal(fused_BCT))

    def train(self, mode: bool = True) -> Self:
        """Stage two trains the weights; the networks answer as in use, without dropout."""
        super().train(mode)
        self.networks.eval()
        return self

    @torch.inference_mode()
    def score(self, batch: Batch) -> CellOutput:
        """The ranker protocol: logits without gradient."""
        return self(batch)

    def dense_parameters(self) -> dict[str, nn.Parameter]:
        """What stage two changes: the networks stay as they are."""
        return {"weight_STK": self.weight_STK}

    def parameter_count(self) -> int:
        """All trained numbers of all kinds."""
        return sum(parameter.numel() for parameter in self.parameters())


Trainable = Network | WeightedKinds


def build(layout: Layout, counts_V: Tensor, model: Model, tasks: Sequence[int] | None = None) -> Trainable:
    """The network of these settings, untrained."""
    made = WeightedKinds if model.kind_fusion == "weighted" else Network
    return made(layout, counts_V, model, tasks)


def of_kind(history: History, kind: int) -> History:
    """The events of one kind alone, in their order, as the history of a layout that has no other kind."""
    of_kind_BL = history.mask_BL & (history.kind_BL == kind)
    length_B = of_kind_BL.sum(1)
    longest = max(int(length_B.max()) if len(length_B) else 0, 1)
    order_BL = (~of_kind_BL).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
    there_BL = torch.arange(longest, device=order_BL.device) < length_B[:, None]

    def moved(x_BLx: Tensor) -> Tensor:
        trailing = (1,) * (x_BLx.dim() - 2)
        index_BLx = order_BL.view(*order_BL.shape, *trailing).expand(-1, -1, *x_BLx.shape[2:])
        return x_BLx.gather(1, index_BLx).masked_fill(~there_BL.view(*there_BL.shape, *trailing), 0)

    events = {field.name: moved(getattr(history, field.name)) for field in fields(history) if "_BL" in field.name}
    return replace(history, **events | {"kind_BL": torch.zeros_like(order_BL), "length_B": length_B})
