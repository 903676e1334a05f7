"""Experts in bulk against the formula of each one."""

from dataclasses import replace

import pytest
import torch

from motet.model.experts import ExpertBank, Film, Mixture, ProgressiveExtraction, Seen, Sizes, SplitLinear

USER, CANDIDATE, PRIOR, TASKS = 3, 2, 4, 3
Scheme = type[Mixture] | type[ProgressiveExtraction]


def sizes(experts: int = 4, *, fused: bool = True) -> Sizes:
    return Sizes(user=USER, candidate=CANDIDATE, prior=PRIOR, scenarios=2, tasks=TASKS, experts=experts,
                 widths=(8, 6), dropout=0.0, fused=fused)  # fmt: skip


def made(scheme: Scheme, experts: int = 4, *, fused: bool = True) -> Mixture | ProgressiveExtraction:
    torch.manual_seed(0)
    return scheme(sizes(experts, fused=fused))


def rows(batch: int = 5, candidates: int = 1) -> Seen:
    torch.manual_seed(1)
    user_BX, candidate_BCY = torch.randn(batch, USER), torch.randn(batch, candidates, CANDIDATE)
    return Seen(user_BX, candidate_BCY, torch.randn(batch, PRIOR), torch.arange(batch) % 2)


def test_a_lone_candidate_gets_what_it_gets_among_others() -> None:
    layer, seen = SplitLinear(USER, CANDIDATE, 7), rows(candidates=4)
    user, candidate = seen.user_BX, seen.candidate_BCY
    torch.testing.assert_close(layer(user, candidate[:, 2:3]), layer(user, candidate)[:, 2:3])


@pytest.mark.parametrize("films", [False, True])
@pytest.mark.parametrize("candidates", [1, 3])
def test_a_bank_is_its_experts_one_by_one_with_their_gradients(candidates: int, films: bool) -> None:
    torch.manual_seed(0)
    bank, seen = ExpertBank(sizes(), 2), rows(candidates=candidates)
    user, candidate = seen.user_BX, seen.candidate_BCY
    scales, shifts = (
        [torch.ones(5, 1, 2, width) for width in (8, 6)],
        [torch.zeros(5, 1, 2, width) for width in (8, 6)],
    )
    if films:
        scales, shifts = ([torch.randn_like(x) for x in some] for some in (scales, shifts))
        flat = [Film(a.flatten(-2), b.flatten(-2)) for a, b in zip(scales, shifts, strict=True)]
        seen = replace(seen, films=(flat[0], flat[1]))
    torch.nn.init.normal_(bank.bias_ED)
    weight = torch.cat([bank.first.user.weight, bank.first.candidate.weight], 1)
    x = torch.cat([user[:, None].expand(-1, candidates, -1), candidate], -1)
    each = []
    for e, (first, bias) in enumerate(zip(weight.chunk(2), bank.first.user.bias.chunk(2), strict=True)):
        hidden = torch.relu((x @ first.T + bias) * scales[0][:, :, e] + shifts[0][:, :, e])
        out = hidden @ bank.second_EHD[e] + bank.bias_ED[e]
        each.append(torch.relu(out * scales[1][:, :, e] + shifts[1][:, :, e]))
    found = bank(seen)
    torch.testing.assert_close(found, torch.stack(each, 2))
    pull, trained = torch.randn_like(found), list(bank.parameters())
    expected = torch.autograd.grad((torch.stack(each, 2) * pull).sum(), trained)
    torch.testing.assert_close(torch.autograd.grad((found * pull).sum(), trained), expected)


def test_a_task_of_ple_mixes_the_shared_experts_and_its_own_by_its_gate() -> None:
    scheme, seen = made(ProgressiveExtraction), rows()
    assert isinstance(scheme, ProgressiveExtraction)
    bank, found = scheme.bank(seen), scheme(seen)
    gates = scheme.gates(seen.user_BX, seen.candidate_BCY)[..., : TASKS * (scheme.common + scheme.own)].unflatten(
        -1, (TASKS, -1)
    )
    for task, gate in enumerate(gates.softmax(-1).unbind(2)):
        own = scheme.common + task * scheme.own
        seen = torch.cat([bank[:, :, : scheme.common], bank[:, :, own : own + scheme.own]], 2)
        torch.testing.assert_close(found.task_BCTD[:, :, task], (gate[..., None] * seen).sum(2))


@pytest.mark.parametrize("scheme", [Mixture, ProgressiveExtraction])
def test_the_scenario_voice_follows_the_prior_alone(scheme: Scheme) -> None:
    experts, seen = made(scheme), rows()
    gate = experts.scenario_gate(seen.prior_BP).softmax(-1)
    mixed = experts.bank(seen)[:, :, : gate.shape[-1]]
    torch.testing.assert_close(experts(seen).scenario_BCD, (gate[:, None, :, None] * mixed).sum(2))


@pytest.mark.parametrize("scheme", [Mixture, ProgressiveExtraction])
def test_without_fusion_the_tasks_voices_are_the_same_and_the_others_are_not_computed(scheme: Scheme) -> None:
    whole, bare = made(scheme)(rows()), made(scheme, fused=False)(rows())
    torch.testing.assert_close(bare.task_BCTD, whole.task_BCTD)
    assert bare.shared_BCD.numel() == bare.scenario_BCD.numel() == 0
