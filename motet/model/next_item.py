"""Slot 8, next item: a user's past encoded once, and every item of a scenario scored by its product with it.

Causal self-attention over events (SASRec, ICDM 2018) with the losses that make it strong on small catalogues
(Klenitskiy & Vasilev, RecSys 2023): the softmax over the scenario's whole catalogue, or over the target and uniform
negatives that all targets of a batch share (sampled softmax, Jean et al., ACL 2015). An event is its item and its
scenario; what it is to a later one also depends on how many lie between (relative positions, Raffel et al., JMLR
2020). Input and output share one table of items.

As a ranker it has one task, whose logit is that of p(item): the softmax over the catalogue of the scenario that is
asked for, mixed with what item neighbours say (`neighbour_share`). Without any event p is the item's share of train.

Shapes: B requests, C candidates, L history length, P real events of the batch, Q targets, I items of a catalogue,
K negatives, S scenarios, D width, H heads.
"""

import math
from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from pydantic import field_validator, model_validator
from torch import Tensor, nn

from motet.batch import Batch, CellOutput, History
from motet.model.attention import CausalBlock, Packing
from motet.model.dropout import Dropout
from motet.model.inputs import distinct
from motet.model.neighbour_share import NeighbourShare
from motet.settings import settings

TARGETS_AT_ONCE, REQUESTS_AT_ONCE = 1 << 10, 1 << 8
"""Of a whole catalogue's softmax: their logits stay in bounded memory."""

SMALLEST = 1e-12
"""The least probability: what no catalogue holds gets it."""


@settings
class NextItem:
    """The next-item model and its training, where `tasks = []`; seed and threads are those of `[train]`."""

    width: int = 128  # of items and events
    layers: int = 1  # of self-attention over the past
    heads: int = 2  # of each layer
    dropout: float = 0.5  # of events and of what layers add
    negatives: int = 512  # for each target, shared by those of a batch; 0: all of its scenario's catalogue
    epochs: int = 12  # at most; the learning rate falls to a tenth over them
    batch_size: int = 128  # histories
    lr: float = 0.002  # of both optimizers, after a warm-up of `[train] warmup`
    patience: int = 3  # epochs without a better NDCG@10 on valid before training stops
    neighbours: bool = True  # item neighbours counted in train also say what comes next, as much as helps on valid

    @field_validator("width", "layers", "heads", "epochs", "batch_size", "patience")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("should be at least 1")
        return value

    @model_validator(mode="after")
    def _divisible(self) -> "NextItem":
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be shared by {self.heads} heads")
        if self.negatives < 0 or not 0 <= self.dropout < 1:
            raise ValueError("negatives should not be below 0, dropout in [0, 1)")
        return self


class Nearness(nn.Module):
    """What attention logits gain by the number of events between two, [H, L, L]; −∞ towards later ones."""

    def __init__(self, heads: int, length: int) -> None:
        super().__init__()
        self.gain_HL = nn.Parameter(torch.zeros(heads, length))

    def forward(self, length: int) -> Tensor:
        place_L = torch.arange(length, device=self.gain_HL.device)
        between_LL = place_L[:, None] - place_L
        return self.gain_HL[:, between_LL.clamp(min=0)].masked_fill(between_LL < 0, -torch.inf)


class NextItemNetwork(nn.Module):
    """The encoder, the table of items, and of each scenario the catalogue with how often train has its items."""

    name = "next-item"

    def __init__(self, catalogues: Sequence[tuple[Tensor, Tensor]], items: int, length: int, how: NextItem) -> None:
        super().__init__()
        self.scenarios, self.negatives = len(catalogues), how.negatives
        self.item = nn.Embedding.from_pretrained(torch.randn(items, how.width) * 0.02, freeze=False, sparse=True)
        self.scenario_SD = nn.Parameter(torch.zeros(self.scenarios, how.width))
        self.asked_SD = nn.Parameter(torch.zeros(self.scenarios, how.width))
        self.near = nn.ModuleList(Nearness(how.heads, length) for _ in range(how.layers))
        self.blocks = nn.ModuleList(CausalBlock(how.width, how.heads, how.dropout) for _ in range(how.layers))
        self.first, self.last = nn.LayerNorm(how.width), nn.LayerNorm(how.width)
        self.dropout = Dropout(how.dropout)
        self.neighbours: NeighbourShare | None = None
        for s, (item_I, count_I) in enumerate(catalogues):
            self.register_buffer(f"catalogue_{s}", item_I)
            self.register_buffer(f"count_{s}", count_I)

    def catalogue(self, s: int) -> Tensor:
        """Items of a scenario, ascending. [I]"""
        return self.get_buffer(f"catalogue_{s}")

    def encode(self, history: History) -> tuple[Tensor, Packing]:
        """Every real event as what is known when it has just happened, [P, D]."""
        packing = Packing.of(history.mask_BL)
        x_PD = self.first(self.item(packing.pack(history.item_BL)))
        x_PD = self.dropout(x_PD + self.scenario_SD.index_select(0, packing.pack(history.scenario_BL)))
        for near, block in zip(self.near, self.blocks, strict=True):
            x_PD = block(x_PD, packing, near(history.item_BL.shape[1]))
        return self.last(x_PD), packing

    def queries(self, history: History, place_Q: Tensor, scenario_Q: Tensor) -> Tensor:
        """What is sought after those of the B · L places, in those scenarios, [Q, D]."""
        x_PD, packing = self.encode(history)
        event_Q = torch.searchsorted(packing.place_P, place_Q)
        return x_PD.index_select(0, event_Q) + self.asked_SD.index_select(0, scenario_Q)

    def loss(self, history: History, place_Q: Tensor, item_Q: Tensor, scenario_Q: Tensor) -> Tensor:
        """Mean cross-entropy of the targets, each among items of its own scenario."""
        query_QD, total = self.queries(history, place_Q, scenario_Q), self.asked_SD.new_zeros(())
        for s in torch.unique(scenario_Q).tolist():
            of_s = (scenario_Q == s).nonzero()[:, 0]
            query_qD, item_q, item_I = query_QD[of_s], item_Q[of_s], self.catalogue(s)
            sampled = 0 < self.negatives < len(item_I)
            total = total + (self._sampled if sampled else self._full)(query_qD, item_q, item_I)
        return total / len(item_Q)

    def _sampled(self, query_qD: Tensor, item_q: Tensor, item_I: Tensor) -> Tensor:
        """Summed loss against K uniform items that all share; log(I / K) makes up for those that were not drawn."""
        drawn_K = item_I[torch.randint(len(item_I), (self.negatives,), device=item_I.device)]
        table_XD = self.item(torch.cat([drawn_K, item_q]))
        drawn_KD, own_qD = table_XD.split([len(drawn_K), len(item_q)])
        other_qK = query_qD @ drawn_KD.T + math.log(len(item_I) / len(drawn_K))
        other_qK = other_qK.masked_fill(drawn_K == item_q[:, None], -torch.inf)
        own_q1 = (query_qD * own_qD).sum(1, keepdim=True)
        logits_qX = torch.cat([own_q1, other_qK], 1)
        return nn.functional.cross_entropy(logits_qX, item_q.new_zeros(len(item_q)), reduction="sum")

    def _full(self, query_qD: Tensor, item_q: Tensor, item_I: Tensor) -> Tensor:
        """Summed loss over the whole catalogue, some targets at a time."""
        table_ID, place_q = self.item(item_I), torch.searchsorted(item_I, item_q)
        return torch.stack([
            nn.functional.cross_entropy(query_kD @ table_ID.T, place_k, reduction="sum")
            for query_kD, place_k in zip(query_qD.split(TARGETS_AT_ONCE), place_q.split(TARGETS_AT_ONCE), strict=True)
        ]).sum()  # fmt: skip

    @torch.inference_mode()
    def requests(self, history: History, scenario_B: Tensor) -> Tensor:
        """What each request seeks, [B, D]; zero without any event."""
        query_BD = self.asked_SD.new_zeros(len(scenario_B), self.asked_SD.shape[1])
        told_B = (history.length_B > 0).nonzero()[:, 0]
        place_B = told_B * history.item_BL.shape[1] + history.length_B[told_B] - 1
        return query_BD.index_copy(0, told_B, self.queries(history, place_B, scenario_B[told_B]))

    @torch.inference_mode()
    def probabilities(self, history: History, s: int) -> Tensor:
        """The network's p over the catalogue of a scenario, for requests with at least one event, [B, I]."""
        query_BD = self.requests(history, torch.full_like(history.length_B, s))
        return (query_BD @ self.item(self.catalogue(s)).T).softmax(1)

    @torch.inference_mode()
    def score(self, batch: Batch) -> CellOutput:
        """The ranker protocol: logits of p(item), [B, C, 1]."""
        (item_BC,) = distinct(batch.item_BC)
        item_BC = item_BC.expand(len(batch.scenario_B), -1)
        p_BC = self.asked_SD.new_empty(item_BC.shape)
        for s in torch.unique(batch.scenario_B).tolist():
            for of_s in (batch.scenario_B == s).nonzero()[:, 0].split(REQUESTS_AT_ONCE):
                p_BC[of_s] = self._p(history_rows(batch.history, of_s), s, item_BC[of_s])
        p_BC = p_BC.clamp(SMALLEST, 1 - 1e-6)
        return CellOutput((p_BC.log() - torch.log1p(-p_BC))[..., None])

    def _p(self, history: History, s: int, item_BC: Tensor) -> Tensor:
        """p of candidates, [B, C]; 0 of what the scenario's catalogue does not hold."""
        item_I, count_I = self.catalogue(s), self.get_buffer(f"count_{s}") + 1.0
        p_BI = self.probabilities(history, s)
        if (near := self.neighbours) is not None and near.share_S[s] > 0:
            near_BI = near.probabilities(history, item_I)
            p_BI = near.mixed(p_BI, near_BI, near.share_S[s], history, item_I)
        if (strangers_B := history.length_B == 0).any():
            p_BI = torch.where(strangers_B[:, None], count_I / count_I.sum(), p_BI)
        place_BC = torch.searchsorted(item_I, item_BC.contiguous()).clamp(max=len(item_I) - 1)
        return torch.where(item_I[place_BC] == item_BC, p_BI.gather(1, place_BC), 0.0)

    def parameter_count(self) -> int:
        """All trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def history_rows(history: History, rows: Tensor) -> History:
    """Some requests' histories."""
    return replace(history, **{field.name: getattr(history, field.name)[rows] for field in fields(history)})
