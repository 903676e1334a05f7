"""Heads of a chain: presets keep the contract, transfer reaches the child alone, no chain is no change."""

from dataclasses import replace

import pytest
import torch
from contracts.ranker_contract import RankerContract
from contracts.toy import Toy, toy

from motet.batch import Layout, Ranker
from motet.errors import InputError
from motet.model.ranker import Network, resolve
from motet.model.transfer import Transfer


def network(*, layout: Layout | None = None, **slots: object) -> Network:
    """A network with weights far from their start, so that no slot is still identity."""
    torch.manual_seed(0)
    made = Network(layout or toy().layout, toy().counts_V, resolve(slots))
    for parameter in made.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    made.inputs.table.weight.data[0] = 0
    return made


class TestEsmm(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(preset="esmm")


class TestAitm(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(preset="aitm")


class TestDoublyRobust(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(debias="dr", transfer=True)


def unchained() -> Layout:
    layout = toy().layout
    return replace(layout, tasks=tuple(replace(task, after=None) for task in layout.tasks))


@pytest.mark.parametrize("preset", ["esmm", "aitm"])
def test_without_a_chain_a_preset_of_chains_is_the_shared_bottom(preset: str) -> None:
    batch = toy().batch(toy().rows("test"))
    plain = network(preset="shared-bottom", layout=unchained()).score(batch).logits_BCT
    chained = network(preset=preset, layout=unchained()).score(batch).logits_BCT
    torch.testing.assert_close(chained, plain, rtol=0, atol=0)


@pytest.mark.parametrize("preset", ["esmm", "aitm"])
def test_published_chains_have_neither_products_nor_a_wide_part(preset: str) -> None:
    model = resolve({"preset": preset})
    assert (model.interaction, model.wide, model.fusion, model.scenario) == (0, False, "none", "none")


def test_the_head_of_a_chained_task_hears_its_parent_and_nobody_hears_it() -> None:
    batch, made = toy().batch(toy().rows("test")), network(preset="aitm")
    before = made.score(batch).logits_BCT
    made.heads.hidden_TH.data[0] += 1.0  # click
    after = made.score(batch).logits_BCT
    assert not torch.allclose(after[..., 1], before[..., 1])
    torch.testing.assert_close(after[..., 2], before[..., 2], rtol=0, atol=0)
    made.heads.hidden_TH.data[1] += 1.0  # buy
    torch.testing.assert_close(made.score(batch).logits_BCT[..., 0], after[..., 0], rtol=0, atol=0)


def test_transfer_is_attention_over_what_is_told_and_what_is_said() -> None:
    torch.manual_seed(0)
    layer, hidden = Transfer(toy().layout, 4).requires_grad_(False), torch.randn(3, 5, 4)
    told, (unit,) = layer(hidden), layer.units
    for row in range(5):
        heard = torch.stack([unit.told(hidden[0, row]).relu(), hidden[1, row]])
        alike = torch.stack([unit.query(u) @ unit.key(u) / 2 for u in heard])
        torch.testing.assert_close(told[1, row], alike.softmax(0) @ unit.value(heard))
    torch.testing.assert_close(told[[0, 2]], hidden[[0, 2]], rtol=0, atol=0)


def test_a_debiased_task_that_is_not_multiplied_is_an_error() -> None:
    with pytest.raises(InputError, match="no probability of its own") as caught:
        resolve({"entire_space": False, "debias": "ips"})
    assert caught.value.where == "model.debias"
