"""Experts in bulk against the formula of each one."""

import pytest
import torch
from torch import Tensor

from motet.model.experts import ExpertBank, Mixture, ProgressiveExtraction, SplitLinear

USER, CANDIDATE, PRIOR, TASKS = 3, 2, 4, 3
Scheme = type[Mixture] | type[ProgressiveExtraction]


def made(scheme: Scheme, experts: int = 4, *, fused: bool = True) -> Mixture | ProgressiveExtraction:
    torch.manual_seed(0)
    return scheme((USER, CANDIDATE), PRIOR, TASKS, experts, (8, 6), 0.0, fused=fused)


def rows(batch: int = 5, candidates: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(batch, USER), torch.randn(batch, candidates, CANDIDATE), torch.randn(batch, PRIOR)


def test_a_lone_candidate_gets_what_it_gets_among_others() -> None:
    layer, (user, candidate, _) = SplitLinear(USER, CANDIDATE, 7), rows(candidates=4)
    torch.testing.assert_close(layer(user, candidate[:, 2:3]), layer(user, candidate)[:, 2:3])


@pytest.mark.parametrize("candidates", [1, 3])
def test_a_bank_is_its_experts_one_by_one_with_their_gradients(candidates: int) -> None:
    torch.manual_seed(0)
    bank, (user, candidate, _) = ExpertBank(USER, CANDIDATE, 2, (8, 6), 0.0), rows(candidates=candidates)
    torch.nn.init.normal_(bank.bias_ED)
    weight = torch.cat([bank.first.user.weight, bank.first.candidate.weight], 1)
    x = torch.cat([user[:, None].expand(-1, candidates, -1), candidate], -1)
    hidden = [torch.relu(x @ w.T + b) for w, b in zip(weight.chunk(2), bank.first.user.bias.chunk(2), strict=True)]
    each = [torch.relu(h @ w + b) for h, w, b in zip(hidden, bank.second_EHD, bank.bias_ED, strict=True)]
    found = bank(user, candidate)
    torch.testing.assert_close(found, torch.stack(each, 2))
    pull, trained = torch.randn_like(found), list(bank.parameters())
    expected = torch.autograd.grad((torch.stack(each, 2) * pull).sum(), trained)
    torch.testing.assert_close(torch.autograd.grad((found * pull).sum(), trained), expected)


def test_a_task_of_ple_mixes_the_shared_experts_and_its_own_by_its_gate() -> None:
    scheme, (user, candidate, prior) = made(ProgressiveExtraction), rows()
    assert isinstance(scheme, ProgressiveExtraction)
    bank, found = scheme.bank(user, candidate), scheme(user, candidate, prior)
    gates = scheme.gates(user, candidate)[..., : TASKS * (scheme.common + scheme.own)].unflatten(-1, (TASKS, -1))
    for task, gate in enumerate(gates.softmax(-1).unbind(2)):
        own = scheme.common + task * scheme.own
        seen = torch.cat([bank[:, :, : scheme.common], bank[:, :, own : own + scheme.own]], 2)
        torch.testing.assert_close(found.task_BCTD[:, :, task], (gate[..., None] * seen).sum(2))


@pytest.mark.parametrize("scheme", [Mixture, ProgressiveExtraction])
def test_the_scenario_voice_follows_the_prior_alone(scheme: Scheme) -> None:
    experts, (user, candidate, prior) = made(scheme), rows()
    gate = experts.scenario_gate(prior).softmax(-1)
    seen = experts.bank(user, candidate)[:, :, : gate.shape[-1]]
    torch.testing.assert_close(experts(user, candidate, prior).scenario_BCD, (gate[:, None, :, None] * seen).sum(2))


@pytest.mark.parametrize("scheme", [Mixture, ProgressiveExtraction])
def test_without_fusion_the_tasks_voices_are_the_same_and_the_others_are_not_computed(scheme: Scheme) -> None:
    whole, bare = made(scheme)(*rows()), made(scheme, fused=False)(*rows())
    torch.testing.assert_close(bare.task_BCTD, whole.task_BCTD)
    assert bare.shared_BCD.numel() == bare.scenario_BCD.numel() == 0
