"""Pairs of request and candidate, tile by tile."""

from collections.abc import Iterator

import pytest
import torch
from contracts.toy import toy

from motet.model import tiles
from motet.model.ranker import Network, resolve
from motet.model.tiles import in_tiles


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("pairs", [1, 7, 12, 40])
def test_every_pair_is_answered_once_whatever_the_tile(
    pairs: int, monkeypatch: pytest.MonkeyPatch, two_threads: None
) -> None:
    monkeypatch.setattr(tiles, "PAIRS", pairs)
    user_BX, scenario_B = torch.arange(9.0)[:, None], torch.arange(9)
    parts = [torch.rand(9, 11, 2), torch.rand(11, 3).expand(9, 11, 3)]
    sizes = []

    def cells(user_bX: torch.Tensor, candidate: list[torch.Tensor], scenario_b: torch.Tensor) -> torch.Tensor:
        sizes.append(candidate[0].shape[0] * candidate[0].shape[1])
        assert not torch.is_grad_enabled()
        return torch.cat([user_bX[:, None] + part for part in candidate], -1) + scenario_b[:, None, None]

    with torch.no_grad():
        expected = cells(user_BX, parts, scenario_B)
        sizes.clear()
        torch.testing.assert_close(in_tiles(cells, user_BX, parts, scenario_B), expected, rtol=0, atol=0)
    assert sum(sizes) == 99
    assert max(sizes) <= pairs


@pytest.mark.parametrize("preset", ["motet", "ple", "lstm-fusion"])
def test_a_network_says_the_same_in_tiles(preset: str, monkeypatch: pytest.MonkeyPatch, two_threads: None) -> None:
    torch.manual_seed(0)
    network = Network(toy().layout, toy().counts_V, resolve({"preset": preset})).eval()
    batch = toy().requests(toy().rows("test")[:6], candidates=20)
    whole = network.score(batch).logits_BCT
    monkeypatch.setattr(tiles, "PAIRS", 16)
    torch.testing.assert_close(network.score(batch).logits_BCT, whole, rtol=1e-4, atol=1e-5)


def test_what_is_trained_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "PAIRS", 1)
    asked = []

    def cells(user_BX: torch.Tensor, candidate: list[torch.Tensor], scenario_B: torch.Tensor) -> torch.Tensor:
        asked.append(len(user_BX))
        return candidate[0]

    in_tiles(cells, torch.zeros(5, 1), [torch.zeros(5, 3, 2)], torch.zeros(5))
    assert asked == [5]
