"""Slot 3, history: what a user's past says about each candidate.

An event is an item view, the actions taken, the scenario, and how long ago. Encoders answer with one user vector and
one vector per candidate; a user is encoded once per request.

Shapes: B requests, C candidates, L history length, P real events of the batch, D width, I item view, T tasks.
"""

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from motet.batch import History, Layout
from motet.model.attention import CandidateAttention, CausalBlock, Packing

HistoryEncoder = Literal["attention", "lstm", "mean", "none"]


class Encoder(Protocol):
    """`user_width` and `candidate_width` say how wide the answers are."""

    user_width: int
    candidate_width: int

    def __call__(
        self, events_PI: Tensor, packing: Packing, history: History, item_BCI: Tensor
    ) -> tuple[Tensor, Tensor]:
        """[B, user_width] and [B, C, candidate_width]."""
        ...


class Events(nn.Module):
    """Event vectors: item view + actions + scenario + time gap + recency rank, summed and normalised."""

    def __init__(self, layout: Layout, item_width: int, width: int) -> None:
        super().__init__()
        self.item = nn.Linear(item_width, width)
        self.action = nn.Linear(len(layout.tasks), width, bias=False)
        self.scenario = nn.Embedding(len(layout.scenarios), width)
        self.gap = nn.Linear(3, width)
        self.rank = nn.Embedding(layout.history_length, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, events_PI: Tensor, packing: Packing, history: History) -> Tensor:
        """[P, width]."""
        length = history.item_BL.shape[1]
        rank_BL = (history.length_B[:, None] - 1 - torch.arange(length, device=history.item_BL.device)).clamp(min=0)
        action_PT, gap_P = packing.pack(history.action_BLT), packing.pack(history.gap_BL)
        gap_P3 = torch.stack([gap_P / 10, (gap_P / 10).square(), (-gap_P).exp()], -1)
        x_PD = self.item(events_PI) + self.action(action_PT) + self.gap(gap_P3)
        x_PD = x_PD + self.scenario(packing.pack(history.scenario_BL)) + self.rank(packing.pack(rank_BL))
        return self.norm(x_PD)


class AttentionHistory(nn.Module):
    """Causal self-attention over events (SASRec, ICDM 2018), then candidates attend to it (DIN, KDD 2018)."""

    def __init__(self, layout: Layout, item_width: int, *, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.events = Events(layout, item_width, width)
        self.blocks = nn.ModuleList(CausalBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.attend = CandidateAttention(item_width, width, heads)
        self.user_width = self.candidate_width = width

    def forward(self, events_PI: Tensor, packing: Packing, history: History, item_BCI: Tensor) -> tuple[Tensor, Tensor]:
        x_PD = self.events(events_PI, packing, history)
        for block in self.blocks:
            x_PD = block(x_PD, packing)
        x_PD = self.norm(x_PD)
        return _last(packing.pad(x_PD), history.length_B), self.attend(item_BCI, x_PD, packing)


class LstmHistory(nn.Module):
    """One LSTM (Hochreiter & Schmidhuber 1997) per kind of item over the events of that kind; last states joined."""

    def __init__(self, layout: Layout, item_width: int, *, width: int) -> None:
        super().__init__()
        self.events = Events(layout, item_width, width)
        self.cells = nn.ModuleList(nn.LSTM(width, width, batch_first=True) for _ in layout.kinds)
        self.user_width = width * len(layout.kinds)
        self.candidate_width = 0

    def forward(self, events_PI: Tensor, packing: Packing, history: History, item_BCI: Tensor) -> tuple[Tensor, Tensor]:
        x_BLD = packing.pad(self.events(events_PI, packing, history))
        states = []
        for kind, cell in enumerate(self.cells):
            of_kind_BL = history.mask_BL & (history.kind_BL == kind)
            order_BL = (~of_kind_BL).to(torch.uint8).argsort(dim=1, stable=True)
            moved_BLD = x_BLD.gather(1, order_BL[..., None].expand_as(x_BLD))
            states.append(_last(cell(moved_BLD)[0], of_kind_BL.sum(1)))
        return torch.cat(states, -1), item_BCI[..., :0]


class MeanHistory(nn.Module):
    """The mean of the event vectors."""

    def __init__(self, layout: Layout, item_width: int, *, width: int) -> None:
        super().__init__()
        self.events = Events(layout, item_width, width)
        self.user_width, self.candidate_width = width, 0

    def forward(self, events_PI: Tensor, packing: Packing, history: History, item_BCI: Tensor) -> tuple[Tensor, Tensor]:
        x_BLD = packing.pad(self.events(events_PI, packing, history))
        return x_BLD.sum(1) / history.length_B.clamp(min=1)[:, None], item_BCI[..., :0]


class NoHistory(nn.Module):
    """Nothing is known of the past."""

    user_width = candidate_width = 0

    def forward(self, events_PI: Tensor, packing: Packing, history: History, item_BCI: Tensor) -> tuple[Tensor, Tensor]:
        return item_BCI[:, 0, :0], item_BCI[..., :0]


def _last(x_BLD: Tensor, length_B: Tensor) -> Tensor:
    """The vector at each row's last real position, zero where there is none; L may be 0."""
    if x_BLD.shape[1] == 0:
        return x_BLD.new_zeros(len(x_BLD), x_BLD.shape[2])
    index = (length_B - 1).clamp(min=0)[:, None, None].expand(-1, 1, x_BLD.shape[2])
    return x_BLD.gather(1, index).squeeze(1) * (length_B > 0)[:, None]
