"""Scenario and task tokens that attend to feature tokens layer by layer, one head per task (as in MDL, 2026).

Every field of ids is a token, and every group of numbers or of history a few. The tokens of a user attend to each other
once per request; those of a candidate to the user's, to each other and to the scenario's token; the scenario's token
and one for each task to the same. A user's keys and values are shared by all candidates, and no token of a candidate
sees another candidate. The tokens of the tasks stand where the voices of experts stand in the other models.

Shapes: B requests, C candidates, F fields, I embedding width, K tokens of one side, U tokens of a user, J tokens that
are asked of a pair, Q tokens that ask, D token width, d width of a head, H heads, Z special tokens: one for all (where
a fusion wants its voice), one of the scenario, one for each task.
"""

import torch
from torch import Tensor, nn

from motet.model.dropout import Dropout
from motet.model.experts import Seen, Sizes, Voices, alone


class Tokens(nn.Module):
    """One side's columns as tokens, [..., K, D]: one for each field, one for every `dim` columns of a group."""

    def __init__(self, embedded: int, groups: tuple[int, ...], dim: int, width: int) -> None:
        super().__init__()
        self.columns, self.fields, self.width = [embedded, *groups], (embedded // dim, dim), width
        self.map_FID = nn.Parameter(torch.randn(*self.fields, width) * dim**-0.5)
        counts = [-(-group // dim) for group in groups if group]
        self.groups = nn.ModuleList(
            nn.Linear(group, count * width) for group, count in zip(filter(None, groups), counts, strict=True)
        )
        self.count = self.fields[0] + sum(counts)
        self.name_KD = nn.Parameter(torch.randn(self.count, width) * 0.5)  # which token it is; wide, or it would drown

    def forward(self, x: Tensor) -> Tensor:
        ids, *groups = x.split(self.columns, -1)
        ids_NFI = ids.unflatten(-1, self.fields).flatten(0, -3)
        told_NFD = torch.bmm(ids_NFI.transpose(0, 1), self.map_FID).transpose(0, 1)
        there = [group for group in groups if group.shape[-1]]
        told = [layer(group).unflatten(-1, (-1, self.width)) for layer, group in zip(self.groups, there, strict=True)]
        return torch.cat([told_NFD.unflatten(0, x.shape[:-1]), *told], -2) + self.name_KD


class Attention(nn.Module):
    """softmax(q kᵀ / √d) v over the keys of the request and those of a pair, if any, without copying the former."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, asking_BCQD: Tensor, user_BUD: Tensor, asked_BCJD: Tensor | None = None) -> Tensor:
        candidates, asking = asking_BCQD.shape[1:3]
        q_BHCQd = self._heads(self.query(asking_BCQD)) * (asking_BCQD.shape[-1] // self.heads) ** -0.5
        key_BHUd, value_BHUd = (self._heads(x)[:, :, 0] for x in self.key_value(user_BUD)[:, None].chunk(2, -1))
        of_user = (q_BHCQd.flatten(2, 3) @ key_BHUd.mT).unflatten(2, (candidates, asking))
        if asked_BCJD is None:
            found_BHCQd = (of_user.softmax(-1).flatten(2, 3) @ value_BHUd).unflatten(2, (candidates, asking))
        else:
            key_BHCJd, value_BHCJd = (self._heads(x) for x in self.key_value(asked_BCJD).chunk(2, -1))
            weights = torch.cat([of_user, q_BHCQd @ key_BHCJd.mT], -1).softmax(-1)
            of_user, of_pair = weights.split([user_BUD.shape[1], asked_BCJD.shape[2]], -1)
            found_BHCQd = (of_user.flatten(2, 3) @ value_BHUd).unflatten(
                2, (candidates, asking)
            ) + of_pair @ value_BHCJd
        return self.out(found_BHCQd.permute(0, 2, 3, 1, 4).flatten(-2))

    def _heads(self, x_BCKD: Tensor) -> Tensor:
        return x_BCKD.unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4)


class TokenLayer(nn.Module):
    """One pre-norm layer: attention, then a feed-forward layer, both residual; the same for tokens of all sorts."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.dropout = Dropout(dropout)

    def forward(self, asking_BCQD: Tensor, user_BUD: Tensor, asked_BCJD: Tensor | None = None) -> Tensor:
        asked_BCJD = None if asked_BCJD is None else self.norm(asked_BCJD)
        found = self.attention(self.norm(asking_BCQD), self.norm(user_BUD), asked_BCJD)
        asking_BCQD = asking_BCQD + self.dropout(found)
        return asking_BCQD + self.dropout(self.feed(asking_BCQD))


class TokenLayers(nn.Module):
    """All layers; the special tokens after the last one, normalised, are the voices."""

    def __init__(self, sizes: Sizes, heads: int, layers: int = 2) -> None:
        super().__init__()
        width, first = sizes.widths[1], 1 if sizes.fused else 0
        self.user, self.candidate = (
            Tokens(embedded, groups, sizes.dim, width)
            for embedded, groups in zip(sizes.embedded_XY, sizes.groups_XY, strict=True)
        )
        self.special_ZD = nn.Parameter(torch.randn(first + 1 + sizes.tasks, width) * 0.5)
        self.scenario = nn.Linear(sizes.prior, width)
        self.layers = nn.ModuleList(TokenLayer(width, heads, sizes.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.first, self.fused = first, sizes.fused

    def forward(self, seen: Seen) -> Voices:
        user_B1UD, candidate_BCKD = self.user(seen.user_BX)[:, None], self.candidate(seen.candidate_BCY)
        special_BZD = self.special_ZD + self.scenario(seen.prior_BP)[:, None]
        pair_BCQD = torch.cat([candidate_BCKD, special_BZD[:, None].expand(-1, candidate_BCKD.shape[1], -1, -1)], 2)
        asked = self.candidate.count + self.first + 1
        for place, layer in enumerate(self.layers, start=1):
            user_B1UD = layer(user_B1UD, user_B1UD[:, 0])
            asked_BCJD = pair_BCQD[:, :, :asked]
            if place == len(self.layers):  # nobody hears the candidate's tokens after the last layer
                pair_BCQD = pair_BCQD[:, :, self.candidate.count :]
            pair_BCQD = layer(pair_BCQD, user_B1UD[:, 0], asked_BCJD)
        special_BCZD = self.norm(pair_BCQD)
        if not self.fused:
            return alone(special_BCZD[:, :, 1:])
        return Voices(special_BCZD[:, :, 0], special_BCZD[:, :, 1], special_BCZD[:, :, 2:])
