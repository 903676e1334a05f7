"""Numbers as embeddings: against their formulas, and beside the number itself."""

import math

import torch
from contracts.networks import network
from contracts.ranker_contract import RankerContract
from contracts.toy import Toy
from torch.testing import assert_close

from motet.batch import Ranker
from motet.model.numbers import BINS, FREQUENCIES, Numbers
from motet.model.ranker import resolve


class TestPiecewise(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"numbers": "piecewise"}))


class TestPeriodic(RankerContract):
    def make(self, data: Toy) -> Ranker:
        return network(resolve({"numbers": "periodic", "number_width": 3}))


def test_plain_numbers_are_the_columns_they_were_and_cost_nothing() -> None:
    numbers, x = Numbers(3, "plain", 4), torch.randn(5, 3)
    assert numbers(x) is x
    assert list(numbers.parameters()) == []


def test_a_bin_is_full_once_it_is_passed_and_shared_where_the_number_lies() -> None:
    numbers = Numbers(1, "piecewise", 1)
    low, high = numbers.edge_J[4], numbers.edge_J[5]
    terms = numbers._terms((low + 0.25 * (high - low)).view(1, 1))[0, 0]
    assert_close(terms, torch.tensor([1.0] * 4 + [0.25] + [0.0] * (BINS - 5)))
    numbers.map_NJW.data.fill_(2.0)
    assert_close(numbers(torch.tensor([[99.0]])), torch.tensor([[99.0, 2.0 * BINS]]))


def test_a_period_after_another_says_the_same() -> None:
    numbers = Numbers(2, "periodic", 3)
    numbers.frequency_NJ.data.copy_(torch.arange(1, FREQUENCIES + 1).expand(2, -1))
    x = torch.rand(4, 2)
    assert_close(numbers(x)[:, 2:], numbers(x + 1)[:, 2:], rtol=1e-3, atol=1e-4)
    angle = 2 * math.pi * x[:, 1:] * torch.arange(1, FREQUENCIES + 1)
    expected = (torch.cat([angle.sin(), angle.cos()], -1) @ numbers.map_NJW[1]).relu()
    assert_close(numbers(x)[:, 5:], expected, rtol=1e-4, atol=1e-5)


def test_a_table_without_numbers_stays_without() -> None:
    assert Numbers(0, "periodic", 4)(torch.zeros(5, 0)).shape == (5, 0)
