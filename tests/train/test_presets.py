"""Every preset learns, is read back as it was, and stands a catalogue of three items."""

from pathlib import Path

import pytest
import torch
from contracts.toy import Toy

from motet.model.kinds import build
from motet.model.presets import presets
from motet.model.ranker import resolve
from motet.settings import parse
from motet.train.loop import Train
from motet.train.stages import train_stages
from motet.train.weights import read_network, write_weights


@pytest.mark.parametrize("preset", presets())
def test_every_preset_beats_the_base_rate_and_is_read_back_as_it_was(preset: str, tmp_path: Path) -> None:
    data, model = Toy(rows=2000), resolve({"preset": preset})
    torch.manual_seed(0)
    made = build(data.layout, data.counts_V, model)
    outcome = train_stages(made, data, parse(Train, {"epochs": 2, "batch_size": 64, "threads": 1}))
    assert outcome.macro_ne < 0.9
    write_weights(tmp_path, made)
    batch = data.requests(data.rows("test")[:20], 5)
    again = read_network(tmp_path, data.layout, data.counts_V, model).score(batch).logits_BCT
    torch.testing.assert_close(again, made.score(batch).logits_BCT, rtol=0, atol=0)


@pytest.mark.parametrize("preset", presets())
def test_every_preset_stands_a_catalogue_of_three_items(preset: str) -> None:
    data = Toy(rows=300, items=3)
    made = build(data.layout, data.counts_V, resolve({"preset": preset}))
    train_stages(made, data, parse(Train, {"epochs": 1, "batch_size": 64, "threads": 1}))
    assert torch.isfinite(made.score(data.requests(data.rows("test")[:20], 3)).logits_BCT).all()
