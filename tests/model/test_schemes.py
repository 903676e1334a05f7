"""Every expert scheme keeps the contract; those of one paper each, against its formula."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from contracts.expert_contract import ExpertContract, said
from contracts.toy import Toy

from motet.model.m3oe import ModuleExperts
from motet.model.own import OwnExperts
from motet.model.ranker import Network, resolve
from motet.model.schemes import SCHEMES, ExpertScheme
from motet.model.stem import StemExperts


class TestSharedBottom(ExpertContract):
    scheme = "shared-bottom"


class TestMmoe(ExpertContract):
    scheme = "mmoe"


class TestPle(ExpertContract):
    scheme = "ple"


class TestOwn(ExpertContract):
    scheme = "own"


class TestM3oe(ExpertContract):
    scheme = "m3oe"


class TestStem(ExpertContract):
    scheme = "stem"


def test_every_scheme_of_the_settings_is_there() -> None:
    assert {*SCHEMES, "none"} == set(get_args(ExpertScheme))


def test_own_experts_are_the_voices_of_their_tasks() -> None:
    sizes, seen = said("own", 3)
    experts = OwnExperts(replace(sizes, fused=False))
    torch.testing.assert_close(experts(seen).task_BCTD, experts.bank(seen), rtol=0, atol=0)


@pytest.mark.parametrize("scenarios", [1, 2, 8, 40])
def test_half_of_a_module_is_its_own_expert_at_the_start(scenarios: int) -> None:
    sizes, _ = said("m3oe", 3)
    share_SE = ModuleExperts(replace(sizes, scenarios=scenarios)).share_SE.softmax(-1)
    own = torch.arange(scenarios) % 8
    expected = 0.5 if scenarios > 1 else 1.0
    torch.testing.assert_close(share_SE.gather(1, own[:, None]), torch.full((scenarios, 1), expected))


def test_a_cell_of_m3oe_is_its_modules_in_their_balance() -> None:
    sizes, seen = said("m3oe", 2)
    experts = ModuleExperts(replace(sizes, fused=False))
    assert experts.balance_STM is not None
    for parameter in (experts.balance_STM, experts.share_SE, experts.share_TE):
        parameter.data.normal_()
    common, of_scenarios, of_tasks = experts.bank(seen).split(experts.counts, 2)
    gates = experts.gates(seen.user_BX, seen.candidate_BCY).unflatten(-1, (2, -1)).softmax(-1)
    found = experts(seen).task_BCTD
    for b, scenario in enumerate(seen.scenario_B.tolist()):
        domain = torch.einsum("e,ced->cd", experts.share_SE[scenario].softmax(0), of_scenarios[b])
        for task in range(2):
            shared = torch.einsum("ce,ced->cd", gates[b, :, task], common[b])
            own = torch.einsum("e,ced->cd", experts.share_TE[task].softmax(0), of_tasks[b])
            beta = experts.balance_STM[scenario, task].softmax(0)
            torch.testing.assert_close(found[b, :, task], beta[0] * shared + beta[1] * domain + beta[2] * own)


def test_a_task_of_stem_hears_all_embeddings_and_teaches_the_shared_and_its_own() -> None:
    sizes, seen = said("stem", 3)
    experts = StemExperts(sizes)
    user, candidate = seen.user_BX.clone().requires_grad_(), seen.candidate_BCY.clone().requires_grad_()
    voices = experts(replace(seen, user_BX=user, candidate_BCY=candidate))
    for task in range(3):
        for x, (embedded, other) in ((user, (4, 3)), (candidate, (8, 0))):
            (gradient,) = torch.autograd.grad(voices.task_BCTD[:, :, task].sum(), x, retain_graph=True)
            shared, _, *own = gradient.split([embedded, other, *[embedded] * 3], -1)
            assert bool(shared.abs().sum() > 0)
            assert [bool(part.abs().sum() > 0) for part in own] == [group == task for group in range(3)]
            x.data[..., embedded + other + embedded * ((task + 1) % 3)] += 1.0
        changed = experts(replace(seen, user_BX=user, candidate_BCY=candidate)).task_BCTD[:, :, task]
        assert not torch.allclose(changed, voices.task_BCTD[:, :, task])
        user.data.copy_(seen.user_BX)
        candidate.data.copy_(seen.candidate_BCY)


def test_a_table_of_stem_holds_an_embedding_for_all_and_one_for_each_task_and_history_sees_the_first() -> None:
    data = Toy(seed=1)
    torch.manual_seed(0)
    made = Network(data.layout, data.counts_V, resolve({"preset": "stem", "dim": 4}))
    assert made.inputs.table.weight.shape[1] == 4 * (1 + 3)
    batch = data.batch(data.rows("train")[:64])
    found = made.inputs(batch)
    made.inputs.table.weight.data[:, 4:] += 1.0
    again = made.inputs(batch)
    torch.testing.assert_close(again.user_BX, found.user_BX, rtol=0, atol=0)
    torch.testing.assert_close(again.items.views_UI, found.items.views_UI, rtol=0, atol=0)
    assert [len(x[0].flatten()) for x in found.own] == [3 * 4 * 3, 3 * 4 * 2]  # task × dim × fields of each side
    assert not torch.allclose(again.own[0], found.own[0])


def test_own_embeddings_of_a_task_stand_together_in_the_order_of_the_shared_ones() -> None:
    data = Toy(seed=1)
    made = Network(data.layout, data.counts_V, resolve({"preset": "stem", "dim": 4, "evidence": 0}))
    weight_VGD = made.inputs.table.weight.data.view(-1, 4, 4)
    weight_VGD.copy_(weight_VGD[:, :1] * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None])
    found = made.inputs(data.batch(data.rows("train")[:8]))
    for shared, own in ((found.user_BX[:, : 4 * 3], found.own[0]), (found.candidate[0], found.own[1])):
        for task, part in enumerate(own.chunk(3, -1)):
            torch.testing.assert_close(part, shared * (task + 2))
