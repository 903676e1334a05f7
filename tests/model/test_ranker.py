"""Every preset keeps the ranker's contract; slots do what they say."""

import pytest
import torch
from contracts.networks import network, parts
from contracts.ranker_contract import RankerContract
from contracts.toy import Toy, toy

from motet.batch import Ranker
from motet.errors import InputError
from motet.model.presets import presets
from motet.model.ranker import Model, Network, resolve, restrict


class TestMotet(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({}))


class TestLstmFusion(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "lstm-fusion"}))


class TestLstmWeighted(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "lstm-weighted"}))


class TestChainedAttentionOfEachKind(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"kind_fusion": "weighted"}))


class TestPle(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "ple"}))


class TestMmoe(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "mmoe"}))


class TestSharedBottom(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "shared-bottom"}))


class TestPooled(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "pooled"}))


class TestStar(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "star"}))


class TestPepnet(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "pepnet"}))


class TestM3oe(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "m3oe"}))


class TestStem(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "stem"}))


class TestToken(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"preset": "token"}))


class TestTokensAsVoices(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"scenario": "token", "experts": "none"}))


class TestLayerGatesAndAttention(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"scenario": "layer-gate", "fusion": "attention"}))


class TestMeanHistoryAndConcat(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"history": "mean", "fusion": "concat"}))


class TestNoHistory(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"history": "none", "experts": "ple"}))


@pytest.mark.parametrize("name", presets())
def test_every_preset_resolves_to_a_complete_model(name: str) -> None:
    model = resolve({"preset": name, "head_width": 24})
    assert (model.preset, model.head_width) == (name, 24)


def test_an_unknown_preset_is_an_error_naming_the_nearest() -> None:
    with pytest.raises(InputError, match="shared-bottom"):
        resolve({"preset": "shared_bottom"})


def test_an_unknown_key_of_the_model_is_an_error_naming_the_nearest() -> None:
    with pytest.raises(InputError, match="expert_count"):
        resolve({"expert_counts": 3})


@pytest.mark.parametrize("kind_fusion", ["none", "weighted"])
def test_a_chained_task_is_never_likelier_than_its_parent(kind_fusion: str) -> None:
    batch = toy().batch(toy().rows("test"))
    click, buy = network(resolve({"kind_fusion": kind_fusion})).score(batch).logits_BCT[..., :2].unbind(-1)
    assert bool((buy <= click + 1e-4).all())


def test_a_solo_network_has_one_task_and_the_whole_history() -> None:
    solo = network(resolve({}), [1])
    assert [task.after for task in solo.layout.tasks] == [None]
    assert solo.score(toy().batch(toy().rows("test"))).logits_BCT.shape[-1] == 1
    assert solo.history.events.action.in_features == len(toy().layout.tasks)


def test_ids_without_evidence_do_not_speak() -> None:
    batch = toy().batch(toy().rows("test"))
    blind = network(resolve({}), counts=0)
    before = blind.score(batch).logits_BCT
    blind.inputs.table.weight.data.normal_()
    torch.testing.assert_close(blind.score(batch).logits_BCT, before)


def test_restricting_a_layout_keeps_a_chain_only_when_the_parent_is_kept() -> None:
    layout = toy().layout
    assert restrict(layout, [0, 1]).tasks[1].after == "click"
    assert restrict(layout, [1]).tasks[0].after is None
    assert restrict(layout, [2, 0]).label_scales == (layout.label_scales[2], layout.label_scales[0])


def test_dropout_is_for_training_only() -> None:
    made, batch = network(resolve({"dropout": 0.5})), toy().batch(toy().rows("test"))
    made.train()
    first, second = made(batch).logits_BCT, made(batch).logits_BCT
    assert not torch.allclose(first, second)
    torch.testing.assert_close(made.score(batch).logits_BCT, made.score(batch).logits_BCT, rtol=0, atol=0)


def plain(model: Model) -> Network:
    """A network as it starts, its table far from its start."""
    torch.manual_seed(0)
    made = Network(toy().layout, toy().counts_V, model)
    made.inputs.table.weight.data.normal_()
    made.inputs.table.weight.data[0] = 0
    return made


def test_a_width_of_zero_means_no_products_and_a_candidate_as_narrow_as_without_them() -> None:
    without, width = plain(resolve({"interaction": 0})), 7
    assert without.interaction is None
    with_products = plain(resolve({"interaction": width}))
    found, before = (made.experts.bank.first.candidate.in_features for made in (with_products, without))
    assert found == before + width


def test_products_reach_the_logits_through_the_user_and_through_the_candidate() -> None:
    made, batch = network(resolve({})), toy().batch(toy().rows("test"))
    before = made.score(batch).logits_BCT
    for side in (made.interaction.user, made.interaction.candidate):
        kept = side.weight.data.clone()
        side.weight.data.mul_(-1)
        assert not torch.allclose(made.score(batch).logits_BCT, before)
        side.weight.data.copy_(kept)


def test_the_wide_part_starts_at_zero_so_that_a_new_network_says_the_same_without_it() -> None:
    batch = toy().batch(toy().rows("test"))
    wide, narrow = plain(resolve({"wide": True})), plain(resolve({"wide": False}))
    assert narrow.wide is None
    shared = narrow.state_dict()
    missing, unexpected = wide.load_state_dict(shared, strict=False)
    assert (set(missing), unexpected) == ({"wide.user.weight", "wide.user.bias", "wide.candidate.weight"}, [])
    torch.testing.assert_close(wide.score(batch).logits_BCT, narrow.score(batch).logits_BCT, rtol=0, atol=0)


def test_the_wide_part_is_added_to_the_logits_of_its_task_before_the_chain() -> None:
    batch = toy().batch(toy().rows("test"))
    made = plain(resolve({"entire_space": False}))
    before = made.score(batch).logits_BCT
    made.wide.user.bias.data[1] = 0.75
    after = made.score(batch).logits_BCT
    torch.testing.assert_close(after[..., 1], before[..., 1] + 0.75)
    torch.testing.assert_close(after[..., [0, 2]], before[..., [0, 2]], rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in presets() if name not in ("motet", "pooled")])
def test_published_models_have_neither_products_nor_a_wide_part(name: str) -> None:
    model = resolve({"preset": name})
    assert (model.interaction, model.wide) == (0, False)


def test_pooled_has_the_parts_of_the_default() -> None:
    model, default = resolve({"preset": "pooled"}), resolve({})
    assert (model.interaction, model.wide) == (default.interaction, default.wide)


@pytest.mark.parametrize("name", presets())
def test_an_untrained_network_predicts_each_cells_base_rate(name: str) -> None:
    made = network(resolve({"preset": name}))
    for part in parts(made):
        added = [layer for layer in (part.wide, part.auxiliary and part.auxiliary.last) if layer]
        for tensor in (part.heads.last_TH, part.heads.bias_ST, *(p for layer in added for p in layer.parameters())):
            tensor.data.zero_()
    batch = toy().batch(toy().rows("test"))
    rates_ST = torch.tensor(toy().layout.base_rates)
    probability = torch.sigmoid(made.score(batch).logits_BCT)[:, 0, :2]
    torch.testing.assert_close(probability, rates_ST[batch.scenario_B, :2], rtol=1e-3, atol=1e-4)
