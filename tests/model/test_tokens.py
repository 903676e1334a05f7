"""Tokens: attention against the framework's, and who sees whom."""

from dataclasses import replace

import torch
from contracts.expert_contract import said

from motet.model.tokens import Attention, TokenLayers, Tokens


def test_attention_to_request_and_pair_is_attention_to_both_together() -> None:
    torch.manual_seed(0)
    attention = Attention(6, 2)
    asking, user, asked = torch.randn(2, 3, 4, 6), torch.randn(2, 5, 6), torch.randn(2, 3, 7, 6)
    keys = torch.cat([user[:, None].expand(-1, 3, -1, -1), asked], 2)
    q, (k, v) = attention.query(asking), attention.key_value(keys).chunk(2, -1)
    q, k, v = (x.unflatten(-1, (2, 3)).transpose(2, 3) for x in (q, k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(2, 3).flatten(-2)
    torch.testing.assert_close(attention(asking, user, asked), attention.out(expected))


def test_a_field_is_a_token_and_a_group_one_for_every_width_of_an_embedding() -> None:
    torch.manual_seed(0)
    tokens, x = Tokens(8, (0, 3, 9), 4, 6), torch.randn(2, 5, 20)
    assert tokens.count == 2 + 1 + 3
    found = tokens(x) - tokens.name_KD
    assert found.shape == (2, 5, 6, 6)
    torch.testing.assert_close(found[..., 1, :], x[..., 4:8] @ tokens.map_FID[1])
    torch.testing.assert_close(found[..., 2, :], tokens.groups[0](x[..., 8:11]))
    torch.testing.assert_close(found[..., 3:, :].flatten(-2), tokens.groups[1](x[..., 11:]))


def test_task_tokens_are_the_voices_and_hear_user_candidate_and_scenario() -> None:
    sizes, seen = said("own", 3)
    layers = TokenLayers(sizes, heads=2)
    layers.eval()
    voices, alone = layers(seen), TokenLayers(replace(sizes, fused=False), heads=2)(seen)
    assert voices.task_BCTD.shape == alone.task_BCTD.shape == (5, 2, 3, 6)
    assert voices.shared_BCD.shape == voices.scenario_BCD.shape == (5, 2, 6)
    assert alone.shared_BCD.numel() == 0
    for changed in (
        replace(seen, user_BX=seen.user_BX + 1),
        replace(seen, candidate_BCY=seen.candidate_BCY + 1),
        replace(seen, prior_BP=seen.prior_BP + 1),
    ):
        assert not torch.allclose(layers(changed).task_BCTD, voices.task_BCTD)


def test_the_users_tokens_are_computed_once_for_all_candidates() -> None:
    sizes, seen = said("own", 3)
    layers, asked = TokenLayers(sizes, heads=2), []
    layers.layers[0].attention.register_forward_pre_hook(lambda _, given: asked.append(given[0].shape))
    layers(seen)
    assert asked == [(5, 1, layers.user.count, 6), (5, 2, layers.candidate.count + 5, 6)]
