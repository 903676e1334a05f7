"""Experts, fusion, heads, scenario gate and table, each against its formula."""

import math

import pytest
import torch
from contracts.toy import Toy
from torch import Tensor

from motet.batch import Field, Layout
from motet.model.experts import Mixture, ProgressiveExtraction, Seen, Sizes, SplitLinear, Voices
from motet.model.fusion import VOICES, AttentionFusion, ConcatFusion, NoFusion, WeightedFusion
from motet.model.heads import Heads, joint_logit
from motet.model.inputs import InputLayer, ItemViews, Table, _pool
from motet.model.interaction import Interaction
from motet.model.scenario import Gate, Prior
from motet.schema import Scenario, Task


def layout(rates: tuple[tuple[float, ...], ...] = ((0.2, 0.05, 3.0), (0.4, 0.1, math.nan))) -> Layout:
    tasks = (
        Task(name="click", label="c"),
        Task(name="buy", label="b", after="click"),
        Task(name="stars", label="s", form="regression"),
    )
    scenarios = (Scenario(name="web", input="pointer"), Scenario(name="voice", input="speech", slate_size=1))
    fields = (Field("user_id", "user", 1, 3),)
    return Layout(scenarios, tasks, ("goods",), fields, (), (), (), (), 4, rates, (1.0, 1.0, 2.0), 5)


def test_split_linear_is_the_linear_layer_of_the_concatenation() -> None:
    layer, user, candidate = SplitLinear(3, 2, 4), torch.randn(2, 3), torch.randn(2, 5, 2)
    weight = torch.cat([layer.user.weight, layer.candidate.weight], 1)
    whole = torch.cat([user[:, None].expand(2, 5, 3), candidate], -1) @ weight.T + layer.user.bias
    torch.testing.assert_close(layer(user, candidate), whole)


def test_an_interaction_multiplies_one_vector_of_the_user_with_one_of_each_candidate() -> None:
    layer, user, candidate = Interaction(3, 2, 4).requires_grad_(False), torch.randn(2, 3), torch.randn(2, 5, 2)
    items = ItemViews(candidate.flatten(0, 1), torch.arange(10).view(2, 5), torch.arange(0))
    found = layer(user, items)
    assert found.shape == (2, 5, 4)
    for b, c, d in ((0, 0, 0), (1, 4, 3), (1, 2, 1)):
        taste = float(layer.user.weight[d] @ user[b] + layer.user.bias[d])
        attribute = float(layer.candidate.weight[d] @ candidate[b, c] + layer.candidate.bias[d])
        assert float(found[b, c, d]) == pytest.approx(taste * attribute, rel=1e-4, abs=1e-6)


def sizes(tasks: int, experts: int) -> Sizes:
    return Sizes(user=3, candidate=2, prior=4, scenarios=2, tasks=tasks, experts=experts, widths=(8, 6), dropout=0.0)


def said() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.randn(2, 3), torch.randn(2, 5, 2), torch.randn(2, 4), torch.tensor([0, 1])


@pytest.mark.parametrize(("scheme", "experts"), [(Mixture, 1), (Mixture, 4), (ProgressiveExtraction, 2)])
def test_expert_mixtures_stay_inside_the_convex_hull_of_their_experts(scheme: type, experts: int) -> None:
    torch.manual_seed(0)
    mixture, seen = scheme(sizes(3, experts)), Seen(*said())
    bank = mixture.bank(seen)
    low, high = bank.amin(2) - 1e-5, bank.amax(2) + 1e-5
    voices = mixture(seen)
    assert voices.task_BCTD.shape == (2, 5, 3, 6)
    for voice in (voices.shared_BCD, voices.scenario_BCD, *voices.task_BCTD.unbind(2)):
        assert bool(((voice >= low) & (voice <= high)).all())


def test_one_expert_is_the_shared_bottom() -> None:
    voices = Mixture(sizes(2, 1))(Seen(*said()))
    torch.testing.assert_close(voices.task_BCTD[:, :, 0], voices.shared_BCD)
    torch.testing.assert_close(voices.task_BCTD[:, :, 1], voices.scenario_BCD)


def voices(batch: int = 4, candidates: int = 3, tasks: int = 2, width: int = 6) -> Voices:
    return Voices(
        torch.randn(batch, candidates, width), torch.randn(batch, candidates, width),
        torch.randn(batch, candidates, tasks, width),
    )  # fmt: skip


def test_fusion_weights_are_a_distribution_over_voices_and_start_equal() -> None:
    fusion, prior = WeightedFusion(2, 3, 6, 4, 5), torch.randn(2, 5)
    torch.testing.assert_close(fusion.alpha_STV(prior), torch.full((2, 3, len(VOICES)), 0.25))
    fusion.cell_STV.data.normal_()
    torch.testing.assert_close(fusion.alpha_STV(prior).sum(-1), torch.ones(2, 3))


def test_a_weight_of_one_leaves_that_voice_alone_in_its_cell() -> None:
    fusion, said, prior = WeightedFusion(2, 2, 6, 4, 5), voices(), torch.randn(2, 5)
    fusion.cell_STV.data[1, 0, VOICES.index("task")] = 100
    fused = fusion(said, torch.tensor([0, 1, 0, 1]), prior)
    task = said.task_BCTD[1, :, 0]
    torch.testing.assert_close(fused[1, :, 0], task * (task.square().mean(-1, keepdim=True) + 1e-6).rsqrt())


def test_scaling_a_voice_changes_nothing_or_weights_would_mean_nothing() -> None:
    fusion, said, prior, scenario = (
        WeightedFusion(2, 2, 6, 4, 5),
        voices(),
        torch.randn(2, 5),
        torch.tensor([0, 1, 0, 1]),
    )
    louder = Voices(said.shared_BCD, said.scenario_BCD * 50, said.task_BCTD)
    torch.testing.assert_close(fusion(said, scenario, prior), fusion(louder, scenario, prior), rtol=1e-4, atol=1e-4)


def test_attention_fusion_weighs_the_voices_of_a_row_by_its_cells_query() -> None:
    fusion, said, scenario = AttentionFusion(2, 2, 6, 4, 5), voices(), torch.tensor([0, 1, 0, 1])
    prior = torch.randn(2, 5)
    for parameter in (fusion.task_TR, fusion.cell_STR, fusion.prior.weight, fusion.adapter.core_STR):
        parameter.data.normal_()
    found, cells = fusion(said, scenario, prior), fusion.adapter(said.shared_BCD, scenario)
    for b, s in enumerate(scenario.tolist()):
        for t in range(2):
            query = fusion.task_TR[t] + fusion.prior.weight @ prior[s] + fusion.cell_STR[s, t]
            told = (said.shared_BCD[b], said.scenario_BCD[b], said.task_BCTD[b, :, t], cells[b, :, t])
            x_VCD = torch.stack([x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() for x in told])
            weight_VC = ((x_VCD @ fusion.key.weight.T) @ query / 2).softmax(0)
            torch.testing.assert_close(found[b, :, t], (weight_VC[..., None] * x_VCD).sum(0), rtol=1e-4, atol=1e-5)


def test_attention_fusion_begins_with_equal_weights() -> None:
    said, scenario, prior = voices(), torch.tensor([0, 1, 0, 1]), torch.randn(2, 5)
    fusions = AttentionFusion(2, 2, 6, 4, 5), WeightedFusion(2, 2, 6, 4, 5)
    torch.testing.assert_close(*(fusion(said, scenario, prior) for fusion in fusions))


def test_every_fusion_gives_one_vector_per_row_candidate_and_task() -> None:
    said, scenario, prior = voices(), torch.tensor([0, 1, 0, 1]), torch.randn(2, 5)
    for fusion in (
        WeightedFusion(2, 2, 6, 4, 5),
        ConcatFusion(2, 2, 6, 4, 5),
        AttentionFusion(2, 2, 6, 4, 5),
        NoFusion(),
    ):
        assert fusion(said, scenario, prior).shape == (4, 3, 2, 6)


def test_heads_start_at_each_cells_base_rate_and_chains_at_the_conditional_one() -> None:
    heads = Heads(layout(), 6, 4, 0.0)
    heads.last_TH.data.zero_()
    out = heads(torch.randn(2, 1, 3, 6), torch.tensor([0, 1]))[:, 0]
    expected = [[0.2, 0.05 / 0.2], [0.4, 0.1 / 0.4]]
    torch.testing.assert_close(torch.sigmoid(out[:, :2]), torch.tensor(expected))
    torch.testing.assert_close(out[:, 2], torch.tensor([3.0, 3.0]))  # unobserved in voice: the task's mean
    marginal = torch.sigmoid(heads.marginal(out[:, None])[:, 0, 1])
    torch.testing.assert_close(marginal, torch.tensor([0.05, 0.1]))


def test_joint_logit_is_the_product_of_probabilities_even_far_out() -> None:
    a, b = torch.tensor([-40.0, -2.0, 0.0, 3.0, 40.0]), torch.tensor([40.0, 1.0, 0.0, -3.0, 40.0])
    product = torch.sigmoid(a.double()) * torch.sigmoid(b.double())
    torch.testing.assert_close(torch.sigmoid(joint_logit(a, b)).double(), product, rtol=1e-4, atol=1e-12)
    assert torch.isfinite(joint_logit(torch.tensor(-500.0), torch.tensor(-500.0)))


def test_the_scenario_gate_starts_as_identity_and_sends_no_gradient_into_its_features() -> None:
    gate, x = Gate(4, 6, 8), torch.randn(2, 3, 6, requires_grad=True)
    prior = torch.randn(2, 4)
    torch.testing.assert_close(gate(x, prior), x)
    torch.nn.init.normal_(gate.out.weight)
    (gradient,) = torch.autograd.grad(gate(x, prior).sum(), x)
    hidden = torch.relu(gate.features(x.detach()) + gate.prior(prior)[:, None])
    torch.testing.assert_close(gradient, 2 * torch.sigmoid(gate.out(hidden)))


def test_the_prior_holds_each_scenarios_interaction_mode() -> None:
    prior = Prior(layout(), learned=2)
    touch_pointer_speech = prior()[:, 2:5]
    torch.testing.assert_close(touch_pointer_speech, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert prior().shape == (2, prior.width)


def test_an_ids_say_grows_with_its_evidence_and_padding_is_silent() -> None:
    table = Table(torch.tensor([7, 0, 10, 1000]), 4, evidence=10).eval()
    (found,) = table([torch.tensor([0, 1, 2, 3])])
    torch.testing.assert_close(found[:2], torch.zeros(2, 4))
    torch.testing.assert_close(found[2], table.weight[2] / 2)
    torch.testing.assert_close(found[3], table.weight[3] * 1000 / 1010)


def test_training_lookup_equals_plain_lookup_and_remembers_every_id() -> None:
    table = Table(torch.full((9,), 5), 4, evidence=0)
    ids = [torch.tensor([[3, 3], [1, 0]], dtype=torch.int32), torch.tensor([8, 3], dtype=torch.int32)]
    first, second = table(ids)
    assert table.touched is not None
    assert table.touched.ids_I.tolist() == [3, 3, 1, 0, 8, 3]
    table.train(False)
    for trained, plain in zip((first, second), table(ids), strict=True):
        torch.testing.assert_close(trained, plain)


def test_a_bag_is_its_sum_over_the_root_of_its_tags() -> None:
    fields = (Field("id", "item", 1, 2), Field("tags", "item", 3, 4, columns=3))
    embedded = torch.zeros(2, 4, 2)
    embedded[0, 0], embedded[0, 1], embedded[0, 2] = 1.0, 2.0, 4.0  # two of three tags present
    pooled = _pool(embedded, fields)
    torch.testing.assert_close(pooled[0], torch.tensor([1.0, 1.0, 6 / 2**0.5, 6 / 2**0.5]))
    torch.testing.assert_close(pooled[1], torch.zeros(4))


def test_an_item_that_stands_in_several_places_is_looked_up_once_and_found_in_all_of_them() -> None:
    data = Toy(seed=1)
    batch = data.batch(data.rows("train")[:64])
    layer = InputLayer(data.layout, data.counts_V, 4, 10.0)
    found = layer(batch)
    rows = torch.cat([batch.item_BC.flatten(), found.packing.pack(batch.history.item_BL)])
    assert len(found.items.views_UI) == len(rows.unique()) < len(rows)
    for place, ids_BxK in (
        (found.items.of_candidates(found.items.views_UI).flatten(0, 1), batch.item_ids_BCK.flatten(0, 1)),
        (found.items.of_events(found.items.views_UI), found.packing.pack(batch.history.item_ids_BLK)),
    ):
        torch.testing.assert_close(place, _pool(layer.table([ids_BxK])[0], layer.item))
