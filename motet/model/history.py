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
from motet.model.inputs import ItemViews

PRIOR_EVENTS = 10
"""A mean over events is shrunk to zero as if this many events had said nothing."""

HistoryEncoder = Literal["attention", "lstm", "mean", "none"]
KindFusion = Literal["none", "weighted"]


class Encoder(Protocol):
    """`user_width` and `candidate_width` say how wide the answers are."""

    user_width: int
    candidate_width: int

    def __call__(self, items: ItemViews, packing: Packing, history: History) -> tuple[Tensor, Tensor]:
        """[B, user_width] and [B, C, candidate_width]."""
        ...


class Events(nn.Module):
    """Event vectors: the item view turned by what happened, plus scenario, time gap and recency rank.

    What happened is counted from its base rate: at a click rate of 0.2 a click says +0.8 and a skip -0.2, and the sum
    of item views weighted so is, up to scale, what a linear model of taste learns from them.
    """

    def __init__(self, layout: Layout, item_width: int, width: int) -> None:
        super().__init__()
        self.item = nn.Linear(item_width, width)
        self.action = nn.Linear(len(layout.tasks), width)
        nn.init.ones_(self.action.weight)
        nn.init.zeros_(self.action.bias)
        self.scenario = nn.Embedding(len(layout.scenarios), width)
        self.gap = nn.Linear(3, width)
        self.rank = nn.Embedding(layout.history_length, width)
        for table in (self.scenario, self.rank):
            nn.init.normal_(table.weight, std=0.02)
        rates_ST = torch.tensor(layout.base_rates)
        binary_T = torch.tensor([task.form == "binary" for task in layout.tasks])
        self.register_buffer("rate_T", torch.where(binary_T, rates_ST.nanmean(0).nan_to_num(0.0), 0.0))
        self.rate_T: Tensor

    def forward(self, event_PD: Tensor, packing: Packing, history: History) -> tuple[Tensor, Tensor]:
        """Item views turned by actions, and whole event vectors; both [P, width]."""
        length = history.item_BL.shape[1]
        rank_BL = (history.length_B[:, None] - 1 - torch.arange(length, device=history.item_BL.device)).clamp(min=0)
        action_PT, gap_P = packing.pack(history.action_BLT) - self.rate_T, packing.pack(history.gap_BL)
        gap_P3 = torch.stack([gap_P / 10, (gap_P / 10).square(), (-gap_P).exp()], -1)
        taste_PD = event_PD * self.action(action_PT)
        x_PD = taste_PD + self.gap(gap_P3)
        for table, index_BL in ((self.scenario, history.scenario_BL), (self.rank, rank_BL)):
            x_PD = x_PD + table.weight.index_select(0, packing.pack(index_BL))  # its gradient is faster than a lookup's
        return taste_PD, x_PD

    def taste(self, taste_PD: Tensor, packing: Packing, history: History) -> Tensor:
        """[B, width], the sum of turned item views, shrunk by its evidence: n / (n + prior) of their mean."""
        return packing.pad(taste_PD).sum(1) / (history.length_B[:, None] + PRIOR_EVENTS)


class AttentionHistory(nn.Module):
    """Causal self-attention over events (SASRec, ICDM 2018), then candidates attend to it (DIN, KDD 2018)."""

    def __init__(self, layout: Layout, item_width: int, *, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.events = Events(layout, item_width, width)
        self.blocks = nn.ModuleList(CausalBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.attend = CandidateAttention(item_width, width, heads)
        self.user_width, self.candidate_width = 2 * width, 2 * width

    def forward(self, items: ItemViews, packing: Packing, history: History) -> tuple[Tensor, Tensor]:
        view_UD = self.events.item(items.views_UI)
        taste_PD, x_PD = self.events(items.of_events(view_UD), packing, history)
        for block in self.blocks:
            x_PD = block(x_PD, packing)
        x_PD = self.norm(x_PD)
        found_BCD = self.attend(items.of_candidates(self.attend.query(items.views_UI)), x_PD, packing)
        taste_BD = self.events.taste(taste_PD, packing, history)
        met_BCD = taste_BD[:, None] * items.of_candidates(view_UD)
        user_BD = torch.cat([_last(packing.pad(x_PD), history.length_B), taste_BD], -1)
        return user_BD, torch.cat([found_BCD, met_BCD], -1)


class LstmHistory(nn.Module):
    """One LSTM (Hochreiter & Schmidhuber 1997) per kind of item over the events of that kind; last states joined."""

    def __init__(self, layout: Layout, item_width: int, *, width: int) -> None:
        super().__init__()
        self.events = Events(layout, item_width, width)
        self.cells = nn.ModuleList(nn.LSTM(width, width, batch_first=True) for _ in layout.kinds)
        self.user_width = width * len(layout.kinds)
        self.candidate_width = 0

    def forward(self, items: ItemViews, packing: Packing, history: History) -> tuple[Tensor, Tensor]:
        view_UD = self.events.item(items.views_UI)
        x_BLD = packing.pad(self.events(items.of_events(view_UD), packing, history)[1])
        states = []
        for kind, cell in enumerate(self.cells):
            of_kind_BL = history.mask_BL & (history.kind_BL == kind)
            order_BL = (~of_kind_BL).to(torch.uint8).argsort(dim=1, stable=True)
            moved_BLD = x_BLD.gather(1, order_BL[..., None].expand_as(x_BLD))
            states.append(_last(cell(moved_BLD)[0], of_kind_BL.sum(1)))
        return torch.cat(states, -1), _nothing(items)


class MeanHistory(nn.Module):
    """The mean of the event vectors."""

    def __init__(self, layout: Layout, item_width: int, *, width: int) -> None:
        super().__init__()
        self.events = Events(layout, item_width, width)
        self.user_width = self.candidate_width = width

    def forward(self, items: ItemViews, packing: Packing, history: History) -> tuple[Tensor, Tensor]:
        view_UD = self.events.item(items.views_UI)
        taste_PD, _ = self.events(items.of_events(view_UD), packing, history)
        taste_BD = self.events.taste(taste_PD, packing, history)
        return taste_BD, taste_BD[:, None] * items.of_candidates(view_UD)


class NoHistory(nn.Module):
    """Nothing is known of the past."""

    user_width = candidate_width = 0

    def forward(self, items: ItemViews, packing: Packing, history: History) -> tuple[Tensor, Tensor]:
        nothing_BC0 = _nothing(items)
        return nothing_BC0[:, 0], nothing_BC0


def _nothing(items: ItemViews) -> Tensor:
    """[B, C, 0]."""
    return items.views_UI.new_empty(*items.candidate_BC.shape, 0)


def _last(x_BLD: Tensor, length_B: Tensor) -> Tensor:
    """The vector at each row's last real position, zero where there is none; L may be 0."""
    if x_BLD.shape[1] == 0:
        return x_BLD.new_zeros(len(x_BLD), x_BLD.shape[2])
    index = (length_B - 1).clamp(min=0)[:, None, None].expand(-1, 1, x_BLD.shape[2])
    return x_BLD.gather(1, index).squeeze(1) * (length_B > 0)[:, None]
