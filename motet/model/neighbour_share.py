"""Item neighbours beside the next-item network: p ∝ (1 − w) p_network + w p_neighbours, w chosen on valid.

What was taken together is remembered exactly by counts (`baselines.neighbours`), which a network of few dimensions must
learn; the network reads the sequence. A mixture takes what both are good at, as Wide & Deep does (Cheng et al., DLRS
2016), and stays a distribution:

    p_neighbours(i) ∝ (Σ_h 0.85^age(h) sim(h, i))^1.5

among the items that the history does not hold; those that it does keep the network's p, and the others share the rest.
The power makes the sums of similarities about as peaked as the network's softmax. Train alone is counted; w is one
number for each scenario.

Shapes: B requests, L history length, I items of a catalogue, K neighbours, S scenarios.
"""

import torch
from torch import Tensor, nn

from motet.baselines.neighbours import Neighbours
from motet.batch import History

DECAY, POWER = 0.85, 1.5
COSINE = 0.3
"""The power of popularity in `sim`."""
MOST = 100
"""Neighbours of an item."""


class NeighbourShare(nn.Module):
    """The closest items of each item, and how much they say in each scenario."""

    item_IK: Tensor
    similarity_IK: Tensor
    share_S: Tensor

    def __init__(self, item_IK: Tensor, similarity_IK: Tensor, share_S: Tensor) -> None:
        super().__init__()
        for name, tensor in (("item_IK", item_IK), ("similarity_IK", similarity_IK), ("share_S", share_S)):
            self.register_buffer(name, tensor)

    @classmethod
    def of(cls, near: Neighbours, scenarios: int) -> "NeighbourShare":
        """With a share of nothing yet."""
        item_IK, similarity_IK = (x_IK[:, :MOST].contiguous() for x_IK in (near.item_IK, near.similarity_IK))
        return cls(item_IK, similarity_IK, torch.zeros(scenarios))

    def probabilities(self, history: History, item_I: Tensor) -> Tensor:
        """p_neighbours over a catalogue, [B, I]; all zero where nothing is near."""
        mask_BL, item_BL = history.mask_BL, history.item_BL
        age_BL = (history.length_B[:, None] - 1 - torch.arange(item_BL.shape[1])).clamp(min=0)
        near = Neighbours(self.item_IK, self.similarity_IK)
        near_BJ = near.score(item_BL, torch.where(mask_BL, DECAY**age_BL, 0.0))
        near_BJ = near_BJ.scatter(1, torch.where(item_BL < near.items, item_BL, 0), 0.0)
        known_I = torch.where(item_I < near.items, item_I, 0)  # no item: nothing is near to it
        told_BI = near_BJ.index_select(1, known_I).pow_(POWER)
        return told_BI / told_BI.sum(1, keepdim=True).clamp(min=1e-12)

    def mixed(
        self, network_BI: Tensor, near_BI: Tensor, share: float | Tensor, history: History, item_I: Tensor
    ) -> Tensor:
        """p of both; the network's alone where nothing is near, and of the items of the history."""
        item_BL, (batch, items) = history.item_BL, network_BI.shape
        place_BL = torch.searchsorted(item_I, item_BL).clamp(max=items - 1)
        here_E = ((item_I[place_BL] == item_BL) & history.mask_BL).flatten()
        seen_E = (place_BL + torch.arange(batch)[:, None] * items).flatten()[here_E]
        seen_BI = torch.zeros_like(network_BI).view(-1).index_fill_(0, seen_E, 1.0).view_as(network_BI)
        others_B1 = 1 - (network_BI * seen_BI).sum(1, keepdim=True)
        share_B1 = share * (near_BI.amax(1, keepdim=True) > 0)
        mixed_BI = torch.lerp(network_BI, near_BI * others_B1, share_B1.expand_as(near_BI))
        return mixed_BI.view(-1).index_copy_(0, seen_E, network_BI.view(-1)[seen_E]).view_as(network_BI)
