"""Slot 1, inputs: packed ids, numbers and bags of a batch become one user vector and one vector per candidate.

All categorical fields live in one table. In training the embeddings of a batch are a leaf tensor of their own, so
gradients, optimizer state and cost depend on the batch and never on the vocabulary.

Shapes: B requests, C candidates, P real history events, K packed id columns, F fields, D embedding width, N numbers,
in the table I ids of a batch and V rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from motet.batch import Batch, Field, Layout
from motet.model.attention import Packing
from motet.model.numbers import NumberForm, Numbers


@dataclass(slots=True)
class Touched:
    """All ids of one forward pass, repeated ones too; their rows are the leaf whose gradient is wanted."""

    ids_I: Tensor
    row_ID: Tensor


class Table(nn.Module):
    """The one embedding table, [rows, D]; row 0 is padding and stays zero.

    An id's say grows with its evidence: row v is scaled by n_v / (n_v + evidence), n_v being how often it occurs in
    train, so an unseen id is exactly zero and a rare one nearly so. Unknown rows count as never seen: those that train
    shows are rare ids, those that come later are new ones, and what holds for the first misleads about the second.

    In training an id may be dropped whole (DropoutNet, NIPS 2017), the rarer the likelier: with probability
    `dropout` · (1 − say), so that the network does not come to lean on ids that later ones will not have.
    """

    def __init__(self, counts_V: Tensor, dim: int, evidence: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        drawn_VD = torch.randn(len(counts_V), dim, device=counts_V.device).mul_(0.05)
        self.weight = nn.Parameter(drawn_VD, requires_grad=False)
        self.weight.data[0] = 0
        say_V = counts_V.float() / (counts_V.float() + evidence) if evidence else (counts_V >= 0).float()
        say_V[0] = 0
        self.register_buffer("say_V", say_V, persistent=True)
        self.say_V: Tensor
        self.touched: Touched | None = None

    def forward(self, ids: list[Tensor]) -> list[Tensor]:
        """Embeddings [..., D] of several id tensors [...], looked up together."""
        ids_I = together(ids)
        row_ID = self.weight.index_select(0, ids_I)
        if self.training and torch.is_grad_enabled():
            self.touched = Touched(ids_I, row_ID.requires_grad_())
        say_I = self.say_V.index_select(0, ids_I)
        if self.training and self.dropout:
            kept_I = 1 - self.dropout * (1 - say_I)
            say_I = say_I * (torch.rand_like(kept_I) < kept_I) / kept_I
        return apart(row_ID * say_I[:, None], ids)


def together(ids: list[Tensor]) -> Tensor:
    """All ids of several tensors in one row, [I]."""
    return torch.cat([tensor.reshape(-1) for tensor in ids])


def apart(embedded_ID: Tensor, ids: list[Tensor]) -> list[Tensor]:
    """What was looked up of each tensor, in its shape [..., D]."""
    parts, width = embedded_ID.split([tensor.numel() for tensor in ids]), embedded_ID.shape[1]
    return [part.reshape(*tensor.shape, width) for part, tensor in zip(parts, ids, strict=True)]


@dataclass(frozen=True, slots=True)
class ItemViews:
    """Views of the U different items of a batch, candidates and events alike: each is looked up and projected once."""

    views_UI: Tensor
    candidate_BC: Tensor  # int64 into the U items
    event_P: Tensor

    def of_candidates(self, x_UD: Tensor) -> Tensor:
        """What was computed of each item, for the candidates, [B, C, D]; one row for all requests that share theirs."""
        (own_BC,) = distinct(self.candidate_BC)
        x_BCD = x_UD.index_select(0, own_BC.flatten()).unflatten(0, own_BC.shape)
        return x_BCD.expand(len(self.candidate_BC), -1, -1)

    def of_events(self, x_UD: Tensor) -> Tensor:
        """What was computed of each item, for the real events, [P, D]."""
        return x_UD.index_select(0, self.event_P)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the other slots read."""

    user_BX: Tensor  # user and context: embeddings and numbers
    candidate: tuple[Tensor, ...]  # item and pair: embeddings and numbers, [B, C, …] each; views where items are shared
    items: ItemViews
    packing: Packing
    own: tuple[Tensor, ...] = ()  # every task's own embeddings of user and context, and of the candidates; or nothing


class InputLayer(nn.Module):
    """Looks up and concatenates; bags are summed over their tags.

    With `own` tasks a row of the table holds the shared embedding and then one of each of them.
    """

    def __init__(
        self, layout: Layout, counts_V: Tensor, dim: int, evidence: float, own: int = 0,
        numbers: NumberForm = "plain", number_width: int = 4, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        counts_V = counts_V.clone()
        counts_V[[field.offset for field in layout.fields]] = 0  # what is unknown in train is rare, later it is new
        self.table = Table(counts_V, dim * (1 + own), evidence, dropout)
        self.dim, self.own = dim, own
        self.user, self.item, self.context = layout.of("user"), layout.of("item"), layout.of("context")
        self.view_width = len(self.item) * dim
        self.user_numbers, self.context_numbers, self.item_numbers, self.pair_numbers = (
            Numbers(len(names), numbers, number_width)
            for names in (layout.user_numbers, layout.context_numbers, layout.item_numbers, layout.pair_numbers)
        )
        self.user_width = (len(self.user) + len(self.context)) * dim
        self.user_width += self.user_numbers.out + self.context_numbers.out
        self.candidate_width = self.view_width + self.item_numbers.out + self.pair_numbers.out

    def forward(self, batch: Batch) -> Inputs:
        packing = Packing.of(batch.history.mask_BL)
        item_ids_UK, candidate_BC, event_P = _different_items(batch, packing)
        looked_up = self.table([batch.user_ids_BK, batch.context_ids_BK, item_ids_UK])
        user, context, item = (x[..., : self.dim] for x in looked_up) if self.own else looked_up
        numbers = self.user_numbers(batch.user_numbers_BN), self.context_numbers(batch.context_numbers_BN)
        user_BX = torch.cat([_pool(user, self.user), _pool(context, self.context), *numbers], -1)
        items = ItemViews(_pool(item, self.item), candidate_BC, event_P)
        candidate = (
            items.of_candidates(items.views_UI),
            _once(self.item_numbers, batch.item_numbers_BCN),
            _once(self.pair_numbers, batch.pair_numbers_BCN),
        )
        return Inputs(user_BX, candidate, items, packing, self._own(looked_up, items) if self.own else ())

    def _own(self, looked_up: list[Tensor], items: ItemViews) -> tuple[Tensor, ...]:
        """The own embeddings of task after task: of user and context, [B, …], and of the candidates, [B, C, …]."""
        user, context, item = (
            [_pool(x[..., self.dim * (1 + task) :][..., : self.dim], fields) for task in range(self.own)]
            for x, fields in zip(looked_up, (self.user, self.context, self.item), strict=True)
        )
        user_BX = torch.cat([part for pair in zip(user, context, strict=True) for part in pair], -1)
        return user_BX, items.of_candidates(torch.cat(item, -1))


def _different_items(batch: Batch, packing: Packing) -> tuple[Tensor, Tensor, Tensor]:
    """Packed ids of the different items, [U, K], and which of them each candidate and each real event is.

    An item is its row of the items table: equal rows have equal ids. In a graph that is exported, where no shape may
    depend on values, every candidate and event is an item of its own.
    """
    item_BC, ids_BCK = distinct(batch.item_BC, batch.item_ids_BCK)
    candidates = item_BC.numel()
    ids = torch.cat([ids_BCK.flatten(0, 1), packing.pack(batch.history.item_ids_BLK)])
    if torch.compiler.is_exporting():
        each = torch.arange(len(ids), device=ids.device)
        return ids, each[:candidates].view(item_BC.shape), each[candidates:]
    rows = torch.cat([item_BC.flatten(), packing.pack(batch.history.item_BL)])
    rows_U, which = torch.unique(rows, return_inverse=True)
    somewhere_U = torch.empty_like(rows_U).scatter_(0, which, torch.arange(len(rows), device=rows.device))
    candidate_BC = which[:candidates].view(item_BC.shape).expand_as(batch.item_BC)
    return ids[somewhere_U], candidate_BC, which[candidates:]


def distinct(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The first request's candidates alone where all share them (expanded views), else those of all; [B, C, …] each."""
    shared = all(x_BCx.stride(0) == 0 for x_BCx in tensors)
    return tuple(x_BCx[:1] for x_BCx in tensors) if shared else tensors


def _once(numbers: Numbers, x_BCN: Tensor) -> Tensor:
    """Numbers of candidates; where all requests share them, of the first request's alone."""
    (own_BCN,) = distinct(x_BCN)
    return numbers(own_BCN).expand(len(x_BCN), -1, -1)


def _pool(embedded: Tensor, fields: tuple[Field, ...]) -> Tensor:
    """[..., K, D] to [..., F·D]: single ids as they are, a bag as its sum over √(number of tags present)."""
    if all(not field.is_bag for field in fields):
        return embedded.flatten(-2)
    parts = []
    for field, columns in zip(fields, embedded.split([field.columns for field in fields], dim=-2), strict=True):
        present = (columns != 0).any(-1).sum(-1, keepdim=True).clamp(min=1) if field.is_bag else None
        parts.append(columns.sum(-2) if present is None else columns.sum(-2) / present.sqrt())
    return torch.cat(parts, -1)
