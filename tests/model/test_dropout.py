"""Dropout keeps the mean and the stated share."""

import pytest
import torch

from motet.model.dropout import Dropout, keep


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_stated_share_is_dropped_evenly_over_all_bytes_of_a_word(rate: float) -> None:
    torch.manual_seed(0)
    kept = keep(torch.Size([50_000, 8]), rate, torch.empty(0)).mean(0)
    torch.testing.assert_close(kept, torch.full((8,), 1 - rate), atol=0.01, rtol=0)


def test_the_mean_is_kept_in_training_and_nothing_happens_when_scoring() -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.25), torch.ones(301, 333)
    assert layer(x).mean().item() == pytest.approx(1.0, abs=0.01)
    assert layer.eval()(x) is x
