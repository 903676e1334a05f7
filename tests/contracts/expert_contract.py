"""What every expert scheme promises beside the ranker's contract, as tests to inherit.

class TestMine(ExpertContract):
    scheme = "mine"
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from contracts.networks import network, of_cells
from contracts.ranker_contract import RankerContract, same, scores
from contracts.toy import Toy, toy

from motet.batch import Batch, Ranker
from motet.model import tiles
from motet.model.experts import Seen, Sizes
from motet.model.kinds import build
from motet.model.ranker import Network, resolve
from motet.model.schemes import OWN_EMBEDDINGS, SCHEMES, ExpertScheme
from motet.settings import parse
from motet.train.loop import Train, train
from motet.train.weights import read_network, write_weights

PLAIN = {"fusion": "none", "scenario": "none", "wide": False, "interaction": 0}
"""All that could learn in the experts' place is off."""


class ExpertContract(RankerContract):
    """A subclass names the scheme."""

    scheme: ClassVar[ExpertScheme]

    def make(self, data: Toy) -> Ranker:
        return network(resolve({"experts": self.scheme}))

    @pytest.mark.parametrize("tasks", [1, 3])
    def test_every_task_has_a_voice_and_a_fusion_gets_those_of_all_and_of_the_scenario(self, tasks: int) -> None:
        sizes, seen = said(self.scheme, tasks)
        voices = SCHEMES[self.scheme](sizes)(seen)
        assert voices.task_BCTD.shape == (5, 2, tasks, 6)
        assert voices.shared_BCD.shape == voices.scenario_BCD.shape == (5, 2, 6)
        alone = SCHEMES[self.scheme](replace(sizes, fused=False))(seen)
        assert alone.task_BCTD.shape == (5, 2, tasks, 6)
        assert alone.shared_BCD.numel() == alone.scenario_BCD.numel() == 0

    @pytest.mark.parametrize(("scenarios", "tasks"), [(1, 1), (200, 30)])
    @pytest.mark.parametrize("fusion", ["weighted", "none"])
    def test_one_cell_is_enough_and_thousands_stay_small(self, scenarios: int, tasks: int, fusion: str) -> None:
        layout, batch = of_cells(scenarios, tasks)
        made = Network(layout, toy().counts_V, resolve({"experts": self.scheme, "fusion": fusion}))
        assert torch.isfinite(scores(made, batch)).all()
        assert sum(parameter.numel() for parameter in made.dense_parameters().values()) < 3_000_000

    @pytest.mark.parametrize("scenario", ["star", "layer-gate"])
    def test_a_scenario_can_condition_its_layers(self, scenario: Literal["star", "layer-gate"], batch: Batch) -> None:
        made = network(resolve({"experts": self.scheme, "scenario": scenario}))
        assert isinstance(made, Network)
        before = scores(made, batch)
        for parameter in made.layers.parameters():
            parameter.data.mul_(-1)
        assert not torch.allclose(scores(made, batch), before)

    def test_it_learns_alone_and_is_read_back_as_it_was(self, tmp_path: Path, batch: Batch) -> None:
        data = Toy(rows=2000)
        torch.manual_seed(0)
        model = resolve({"experts": self.scheme} | PLAIN)
        made = build(data.layout, data.counts_V, model)
        outcome = train(made, data, parse(Train, {"epochs": 2, "batch_size": 64, "threads": 1}))
        assert outcome.macro_ne < 0.9
        write_weights(tmp_path, made)
        again = read_network(tmp_path, data.layout, data.counts_V, model)
        torch.testing.assert_close(scores(again, batch), scores(made, batch), rtol=0, atol=0)

    def test_tiles_change_nothing(self, ranker: Ranker, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = scores(ranker, batch)
        monkeypatch.setattr(tiles, "PAIRS", 10)
        same(scores(ranker, batch), whole)


def said(scheme: ExpertScheme, tasks: int) -> tuple[Sizes, Seen]:
    """Five requests with two candidates: a user is one field of ids and three numbers, an item two fields."""
    own = tasks if scheme in OWN_EMBEDDINGS else 0
    user, candidate = 4 * (1 + own) + 3, 8 * (1 + own)
    sizes = Sizes(
        user=user, candidate=candidate, prior=4, scenarios=3, tasks=tasks, experts=2, widths=(8, 6), dropout=0.0,
        dim=4, embedded_XY=(4, 8), groups_XY=((3,), ()),
    )  # fmt: skip
    torch.manual_seed(1)
    seen = Seen(torch.randn(5, user), torch.randn(5, 2, candidate), torch.randn(5, 4), torch.arange(5) % 3)
    return sizes, seen
