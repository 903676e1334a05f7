"""One expert for each task and none in common, as the task towers of PEPNet (KDD 2023): only what is below is shared.

Shapes: B requests, C candidates, T tasks, D expert width.
"""

from torch import nn

from motet.model.experts import ExpertBank, Seen, Sizes, Voices, alone


class OwnExperts(nn.Module):
    """A task's voice is its expert; the shared voice is their mean, the scenario's a mean weighted by its prior."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.bank = ExpertBank(sizes, sizes.tasks)
        self.scenario_gate = nn.Linear(sizes.prior, sizes.tasks)
        self.fused = sizes.fused

    def forward(self, seen: Seen) -> Voices:
        experts_BCTD = self.bank(seen)
        if not self.fused:
            return alone(experts_BCTD)
        gate_BT = self.scenario_gate(seen.prior_BP).softmax(-1)
        return Voices(experts_BCTD.mean(2), (gate_BT[:, None, :, None] * experts_BCTD).sum(2), experts_BCTD)
