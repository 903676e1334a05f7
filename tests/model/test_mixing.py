"""Feature mixing: against its formulas, and what it may not be joined with."""

import pytest
import torch
from contracts.networks import network
from contracts.ranker_contract import RankerContract
from contracts.toy import Toy
from torch import nn
from torch.testing import assert_close

from motet.batch import Ranker
from motet.errors import InputError
from motet.model.mixing import TOKENS, CrossMixing, MixingLayer, TokenMixing
from motet.model.ranker import resolve


class TestCross(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"mixing": "cross"}))


class TestTokens(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"mixing": "tokens", "mixing_width": 16, "scenario": "star"}))


def test_two_cross_layers_make_products_of_three_columns() -> None:
    torch.manual_seed(0)
    mixing, user, candidate = CrossMixing(2, 3, 4), torch.randn(5, 2), torch.randn(5, 6, 3)
    x0 = torch.cat([user[:, None].expand(-1, 6, -1), candidate], -1)
    x = x0
    for down, up in zip(mixing.down, mixing.up, strict=True):
        x = x0 * (x @ down.weight.T @ up.weight.T + up.bias) + x
    assert_close(mixing(user, candidate), x @ mixing.out.weight.T + mixing.out.bias, rtol=1e-4, atol=1e-5)


def test_a_token_takes_its_part_of_every_token() -> None:
    layer = MixingLayer(2 * TOKENS, nn.Identity())
    layer.exchanged, layer.told = nn.Identity(), nn.Identity()  # type: ignore[assignment]
    nn.init.zeros_(layer.second_KDD)
    x = torch.arange(TOKENS * 2 * TOKENS, dtype=torch.float32).view(1, 1, TOKENS, 2 * TOKENS)
    exchanged = (layer(x) - x)[0, 0]
    for token in range(TOKENS):
        assert_close(exchanged[token].view(TOKENS, 2), x[0, 0, :, 2 * token : 2 * token + 2])


def test_every_column_of_user_and_candidate_reaches_the_mixed_ones() -> None:
    torch.manual_seed(0)
    for mixing in (CrossMixing(3, 2, 8), TokenMixing(3, 2, 8, nn.Identity())):
        user, candidate = torch.randn(1, 3, requires_grad=True), torch.randn(1, 1, 2, requires_grad=True)
        for gradient in torch.autograd.grad(mixing(user, candidate).square().sum(), [user, candidate]):
            assert bool((gradient != 0).all())


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"mixing": "cross", "preset": "stem"}, "model.mixing"),
        ({"mixing": "tokens", "mixing_width": 12}, "model.mixing_width"),
        ({"number_width": 0}, "model.number_width"),
    ],
)
def test_what_cannot_be_mixed_is_named(given: dict[str, object], where: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(given)
    assert caught.value.where == where
