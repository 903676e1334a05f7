"""Kinds apart: each network sees its kind's events only, and the weights of their outputs are a convex mixture."""

from dataclasses import fields, replace

import pytest
import torch
from contracts.toy import toy

from motet.batch import Batch
from motet.model.kinds import WeightedKinds, build, of_kind
from motet.model.ranker import Network, resolve


@pytest.fixture
def batch() -> Batch:
    return toy().batch(toy().rows("test"))


def made(**slots: object) -> WeightedKinds:
    torch.manual_seed(0)
    network = build(toy().layout, toy().counts_V, resolve({"preset": "lstm-weighted"} | slots))
    assert isinstance(network, WeightedKinds)
    for part in network.parts():
        for parameter in part.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        part.inputs.table.weight.data[0] = 0
    return network.eval()


def test_a_past_of_one_kind_holds_its_events_in_their_order_and_padding_behind(batch: Batch) -> None:
    history, there = batch.history, 0
    for kind in range(2):
        found = of_kind(history, kind)
        for b in range(len(history.length_B)):
            kept = [e for e in range(int(history.length_B[b])) if history.kind_BL[b, e] == kind]
            assert found.length_B[b] == len(kept)
            there += len(kept)
            for name in ("item_BL", "item_ids_BLK", "scenario_BL", "action_BLT", "gap_BL"):
                row, before = getattr(found, name)[b], getattr(history, name)[b]
                assert torch.equal(row[: len(kept)], before[kept]), name
                assert not row[len(kept) :].any(), name
    assert there == int(history.length_B.sum()) > 0


def test_a_kinds_network_is_blind_to_events_of_other_kinds(batch: Batch) -> None:
    network, history = made(), batch.history
    other_BL = history.kind_BL == 1
    changed = replace(batch, history=replace(history, action_BLT=history.action_BLT + 3.0 * other_BL[..., None]))
    goods, content = (part.score(batch).logits_BCT for part in network.parts())
    goods_after, content_after = (part.score(changed).logits_BCT for part in network.parts())
    torch.testing.assert_close(goods_after, goods, rtol=0, atol=0)
    assert not torch.allclose(content_after, content)


def test_a_kinds_network_says_what_a_network_alone_on_that_kinds_log_says(batch: Batch) -> None:
    part = made().parts()[1]
    alone = Network(replace(toy().layout, kinds=("content",)), toy().counts_V, resolve({"preset": "lstm-fusion"}))
    alone.load_state_dict(part.state_dict())
    log = replace(batch, history=of_kind(batch.history, 1))
    torch.testing.assert_close(alone.score(log).logits_BCT, part.score(batch).logits_BCT, rtol=0, atol=0)


def test_outputs_are_mixed_by_the_weights_of_their_cell(batch: Batch) -> None:
    network = made()
    torch.testing.assert_close(network.alpha_STV(), torch.full((2, 3, 2), 0.5))
    network.weight_STK.data.normal_()
    alpha_STV = network.alpha_STV()
    assert not alpha_STV.requires_grad
    assert bool((alpha_STV >= 0).all())
    torch.testing.assert_close(alpha_STV.sum(-1), torch.ones(2, 3))
    goods, content = (part.score(batch).logits_BCT for part in network.parts())
    alpha_B1TV = alpha_STV[batch.scenario_B][:, None]
    mixed = alpha_B1TV[..., 0] * goods + alpha_B1TV[..., 1] * content
    torch.testing.assert_close(network.score(batch).logits_BCT, mixed)


def test_with_one_kind_its_weight_is_one_and_nothing_is_left_to_fit(batch: Batch) -> None:
    layout = replace(toy().layout, kinds=("item",))
    history = replace(batch.history, kind_BL=torch.zeros_like(batch.history.kind_BL))
    network = build(layout, toy().counts_V, resolve({"preset": "lstm-weighted"}))
    assert isinstance(network, WeightedKinds)
    assert [name for name, _ in network.stages()] == ["item"]
    assert bool((network.alpha_STV() == 1).all())
    (only,) = network.parts()
    logits = network.score(replace(batch, history=history)).logits_BCT
    torch.testing.assert_close(logits, only.score(replace(batch, history=history)).logits_BCT, rtol=0, atol=0)


def test_stage_two_reaches_the_weights_alone_and_drops_nothing(batch: Batch) -> None:
    network = made(dropout=0.5).train()
    first, again = network(batch).logits_BCT, network(batch).logits_BCT
    assert torch.equal(first, again)
    first.sum().backward()
    reached = [name for name, parameter in network.named_parameters() if parameter.grad is not None]
    assert reached == ["weight_STK"]


def test_no_field_of_a_history_is_forgotten_when_a_kind_is_taken_out_of_it(batch: Batch) -> None:
    names = {field.name for field in fields(batch.history)}
    assert {name for name in names if "_BL" not in name} == {"length_B"}
