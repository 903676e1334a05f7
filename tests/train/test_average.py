"""Averaged weights: against the sum they stand for, and where they stand."""

from collections.abc import Sequence

import pytest
import torch
from contracts.toy import Toy
from torch import Tensor
from torch.testing import assert_close

from motet.model.ranker import Network, resolve
from motet.settings import parse
from motet.train import step
from motet.train.average import Average
from motet.train.loop import Train, train


def test_the_average_forgets_by_its_rate_and_at_first_faster() -> None:
    vector = torch.tensor([1.0])
    average, expected = Average([vector], 0.5), 1.0
    for number, value in enumerate((3.0, 5.0, 2.0, 8.0, 1.0, 4.0, 9.0, 6.0, 7.0, 0.0), start=1):
        vector.fill_(value)
        average.add(number)
        kept = min(0.5, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * value
    assert_close(average.means[0], torch.tensor([expected]))
    assert_close(vector, torch.tensor([0.0]))


def test_the_average_stands_in_place_only_as_long_as_it_is_asked_for() -> None:
    vector = torch.tensor([1.0, 2.0])
    average = Average([vector], 0.9)
    vector.fill_(7.0)
    with average.in_place():
        assert vector.tolist() == [1.0, 2.0]
    assert vector.tolist() == [7.0, 7.0]
    with Average([vector], 0.0).in_place():
        assert vector.tolist() == [7.0, 7.0]


def test_the_averaged_weights_are_the_ones_that_are_judged_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Average]()

    def averaging(vectors: Sequence[Tensor], rate: float) -> Average:
        made.append(Average(vectors, rate))
        return made[-1]

    monkeypatch.setattr(step, "Average", averaging)
    data = Toy(rows=2000)
    torch.manual_seed(7)
    network = Network(data.layout, data.counts_V, resolve({"expert_widths": [16, 8]}))
    train(network, data, parse(Train, {"epochs": 1, "batch_size": 64, "threads": 1, "evaluations_per_epoch": 1}))
    (average,) = made
    assert average.rate == 0.98
    for mean, vector in zip(average.means, average.vectors, strict=True):
        assert torch.equal(mean, vector)
