"""A training computes where it is told to, and rounds nothing but products."""

import json
from pathlib import Path

import pytest
import torch
from contracts.toy import Toy
from torch.testing import assert_close

from motet.errors import InputError
from motet.model.ranker import Network, resolve
from motet.settings import parse
from motet.train.device import Place
from motet.train.loop import Train, train


def made(data: Toy) -> Network:
    torch.manual_seed(7)
    return Network(data.layout, data.counts_V, resolve({"expert_widths": [16, 8]}))


def how(**changes: object) -> Train:
    return parse(Train, {"epochs": 2, "batch_size": 64, "threads": 1, "device": "cpu"} | changes)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU as torch would tell of it."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda emulated=True: emulated)


def test_a_gpu_that_is_asked_for_and_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU") as caught:
        Place.of("cuda", "auto")
    assert caught.value.where == "train.device"
    assert str(Place.of("auto", "auto")) == "cpu fp32"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_is_used_where_there_is_one_and_rounds_only_where_its_hardware_does() -> None:
    assert str(Place.of("auto", "auto")) == "cuda fp32"  # bf16 by emulation does not count
    assert str(Place.of("auto", "bf16")) == "cuda bf16"
    assert str(Place.of("cpu", "auto")) == "cpu fp32"


@pytest.mark.parametrize("preset", ["motet", "pooled", "ple"])
def test_a_training_with_rounded_products_ends_near_the_exact_one_with_whole_weights(preset: str) -> None:
    data, nes = Toy(rows=4000), []
    for precision in ("fp32", "bf16"):
        torch.manual_seed(7)
        network = Network(data.layout, data.counts_V, resolve({"preset": preset, "expert_widths": [16, 8]}))
        nes.append(train(network, data, how(precision=precision)).macro_ne)
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert_close(nes[0], nes[1], rtol=0.02, atol=0)
    assert nes[0] != nes[1]


def test_a_training_that_began_elsewhere_is_not_gone_on_with(tmp_path: Path) -> None:
    data = Toy()
    train(made(data), data, how(), folder=tmp_path)
    (state,) = (tmp_path / "checkpoint").glob("step-*/state.json")
    state.write_text(json.dumps(json.loads(state.read_text("utf-8")) | {"place": "cuda bf16"}), encoding="utf-8")
    with pytest.raises(InputError, match="began on cuda bf16") as caught:
        train(made(data), data, how(), folder=tmp_path)
    assert caught.value.where == "train.device"
