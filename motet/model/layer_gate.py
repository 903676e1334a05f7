"""PEPNet's second half (KDD 2023), the gate on every hidden layer of the experts.

PPNet scales each unit of each layer by δ = 2·sigmoid(MLP([prior ‖ user ‖ candidate])), the prior being the scenario's,
the user's and the item's. Embeddings of ids are part of the prior and learn through the gate; all other columns are
cut off from it, as in the paper. δ ≥ 0, so that to scale before a ReLU is to scale behind it. Identity at the start.

Shapes: B requests, C candidates, X user and Y candidate width, U hidden units of all experts, both layers.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from motet.model.experts import Film, Seen, Sizes, SplitLinear


class LayerGates(nn.Module):
    """One gate network for both layers of all experts, [B, C, U]."""

    def __init__(self, sizes: Sizes, units: tuple[int, int], hidden: int = 32) -> None:
        super().__init__()
        self.units, self.embedded_XY = units, sizes.embedded_XY
        self.prior = nn.Linear(sizes.prior, hidden)
        self.features = SplitLinear(sizes.user, sizes.candidate, hidden)
        self.out = nn.Linear(hidden, sum(units))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, seen: Seen) -> Seen:
        user, candidate = (
            _cut(x, embedded) for x, embedded in zip((seen.user_BX, seen.candidate_BCY), self.embedded_XY, strict=True)
        )
        hidden_BCH = torch.relu(self.features(user, candidate) + self.prior(seen.prior_BP)[:, None])
        first, second = self.out(hidden_BCH).sigmoid().mul(2).split(self.units, -1)
        return replace(seen, films=(Film(first), Film(second)))


def _cut(x: Tensor, embedded: int) -> Tensor:
    """The same values; only the first `embedded` columns send a gradient."""
    return torch.cat([x[..., :embedded], x[..., embedded:].detach()], -1)
