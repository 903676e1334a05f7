"""How a scenario conditions the network: star and layer gates against their formulas, and what cannot go together."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from contracts.expert_contract import said
from contracts.networks import network, of_cells
from contracts.ranker_contract import scores
from contracts.toy import toy

from motet.errors import InputError
from motet.model.experts import ExpertBank, Seen
from motet.model.layer_gate import LayerGates
from motet.model.presets import presets
from motet.model.ranker import Network, resolve
from motet.model.star import Auxiliary, StarInputs, StarLayers


def test_a_scenario_of_star_has_the_shared_weights_times_its_own_of_rank_one() -> None:
    sizes, seen = said("own", 3)
    bank, inputs, layers = ExpertBank(sizes, 1), StarInputs(sizes), StarLayers(3, (8, 6))
    torch.testing.assert_close(bank(layers(inputs(seen))), bank(seen))
    for parameter in (*inputs.parameters(), *layers.parameters()):
        parameter.data.normal_()
    found = bank(layers(inputs(seen)))[:, :, 0]
    shared = torch.cat([bank.first.user.weight, bank.first.candidate.weight], 1)
    for b, s in enumerate(seen.scenario_B.tolist()):
        a, b_s = layers.scale_SU[s].split([8, 6]), layers.shift_SU[s].split([8, 6])
        c = torch.cat([inputs.user_SX[s], inputs.candidate_SY[s]])
        x = torch.cat([seen.user_BX[b].expand(2, -1), seen.candidate_BCY[b]], -1)
        hidden = torch.relu(x @ (torch.outer(a[0], c) * shared).T + a[0] * bank.first.user.bias + b_s[0])
        out = hidden @ (bank.second_EHD[0] * a[1]) + a[1] * bank.bias_ED[0] + b_s[1]
        torch.testing.assert_close(found[b], torch.relu(out), rtol=1e-4, atol=1e-5)


def test_the_auxiliary_network_of_star_begins_silent_and_hears_the_scenario() -> None:
    sizes, seen = said("own", 3)
    auxiliary = Auxiliary(sizes)
    assert bool((auxiliary(seen.user_BX, seen.candidate_BCY, seen.prior_BP) == 0).all())
    torch.nn.init.normal_(auxiliary.last.weight)
    told = auxiliary(seen.user_BX, seen.candidate_BCY, seen.prior_BP)
    assert told.shape == (5, 2, 3)
    assert not torch.allclose(auxiliary(seen.user_BX, seen.candidate_BCY, seen.prior_BP + 1), told)


@pytest.mark.parametrize("preset", ["star", "m3oe"])
def test_star_with_one_scenario_is_the_network_without_it(preset: str) -> None:
    layout, batch = of_cells(1, 3)
    made = []
    for scenario in ("star", "none"):
        torch.manual_seed(0)
        made.append(Network(layout, toy().counts_V, resolve({"preset": preset, "scenario": scenario})))
    assert made[0].state_dict().keys() == made[1].state_dict().keys()
    torch.testing.assert_close(scores(made[0], batch), scores(made[1], batch), rtol=0, atol=0)


def gates() -> tuple[Seen, LayerGates]:
    sizes, seen = said("own", 3)
    return seen, LayerGates(sizes, (8, 6))


def test_layer_gates_start_as_identity_and_lie_between_nothing_and_twice() -> None:
    seen, layers = gates()
    assert all(bool((film.scale == 1).all()) for film in layers(seen).films or ())
    torch.nn.init.normal_(layers.out.weight, std=5)
    first, second = layers.requires_grad_(False)(seen).films or ()
    assert (first.scale.shape, second.scale.shape) == ((5, 2, 8), (5, 2, 6))
    for scale in (first.scale, second.scale):
        assert 0 <= float(scale.min()) < 0.5
        assert 1.5 < float(scale.max()) <= 2


def test_layer_gates_follow_user_candidate_and_scenario_and_teach_embeddings_of_ids_only() -> None:
    seen, layers = gates()
    torch.nn.init.normal_(layers.out.weight)
    leaves = {name: getattr(seen, name).clone().requires_grad_() for name in ("user_BX", "candidate_BCY", "prior_BP")}
    films = layers(replace(seen, **leaves)).films or ()
    total = sum(film.scale.square().sum() for film in films)
    user, candidate, prior = torch.autograd.grad(total, list(leaves.values()))  # type: ignore[arg-type]
    assert bool(user[:, :4].abs().sum() > 0)
    assert not user[:, 4:].any()
    assert bool(candidate.abs().sum() > 0)  # all of its columns are embeddings here
    assert bool(prior.abs().sum() > 0)
    other = replace(seen, user_BX=torch.cat([seen.user_BX[:, :4], seen.user_BX[:, 4:] + 1], -1))
    assert not torch.allclose((layers(other).films or ())[0].scale, films[0].scale)


@pytest.mark.parametrize(
    ("slots", "where", "right"),
    [
        ({"scenario": "token"}, "model.experts", 'experts = "none"'),
        ({"experts": "none"}, "model.experts", 'scenario = "token"'),
        ({"preset": "token", "experts": "ple"}, "model.experts", 'experts = "none"'),
        ({"preset": "token", "scenario": "star"}, "model.experts", 'scenario = "token"'),
        ({"preset": "token", "expert_widths": (64, 31)}, "model.expert_widths", "a multiple of 2"),
        ({"history_width": 15}, "model.history_width", "a multiple of 2"),
        ({"expert_count": 0}, "model.expert_count", "at least 1"),
        ({"expert_widths": (0, 32)}, "model.expert_widths", "at least 1"),
        ({"dropout": 1.0}, "model.dropout", "below 1"),
    ],
)
def test_slots_that_do_not_go_together_are_named_with_what_would_be_right(
    slots: dict[str, Any], where: str, right: str
) -> None:
    with pytest.raises(InputError) as error:
        resolve(slots)
    assert error.value.where == where
    assert right in error.value.fix


@pytest.mark.parametrize("preset", presets())
@pytest.mark.parametrize(("scenarios", "tasks"), [(1, 1), (1, 3), (3, 1), (200, 30)])
def test_every_preset_stands_for_any_number_of_cells(preset: str, scenarios: int, tasks: int) -> None:
    layout, batch = of_cells(scenarios, tasks)
    made = Network(layout, toy().counts_V, resolve({"preset": preset}))
    assert torch.isfinite(scores(made, batch)).all()
    assert sum(parameter.numel() for parameter in made.dense_parameters().values()) < 2_000_000


@pytest.mark.parametrize("preset", presets())
def test_every_preset_stands_without_a_history(preset: str) -> None:
    layout, batch = of_cells(2, 2)
    made = Network(layout, toy().counts_V, resolve({"preset": preset, "history": "none"}))
    assert torch.isfinite(scores(made, batch)).all()


def test_scenarios_differ_once_their_conditioning_has_learnt() -> None:
    _, batch = of_cells(2, 3)
    for scenario in ("gate", "layer-gate", "star"):
        made = network(resolve({"scenario": scenario, "fusion": "none"}))
        assert isinstance(made, Network)
        with torch.no_grad():
            made.heads.bias_ST.zero_()
            made.heads.start_ST.zero_()
        one, other = (scores(made, replace(batch, scenario_B=torch.full((4,), s))) for s in range(2))
        assert not torch.allclose(one, other), scenario
