"""A run's network is read back with its tables as they are to be held, and nothing larger stays in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.toy import toy
from safetensors.torch import load_file

from motet.errors import InputError
from motet.model.kinds import build
from motet.model.ranker import resolve
from motet.train.run import load_run
from motet.train.score import score_rows
from motet.train.weights import FILE, read_network, write_weights

ROWS = np.arange(64)


def test_fp32_scores_as_the_trained_network_bit_for_bit(good: Path) -> None:
    run = load_run(good / "run")
    trained = build(run.data.layout, run.data.counts_V, run.model)
    trained.load_state_dict(load_file(good / "run" / FILE))
    np.testing.assert_array_equal(score_rows(run.network, run.data, ROWS), score_rows(trained, run.data, ROWS))


@pytest.mark.parametrize(("form", "tolerance"), [("fp16", 1e-3), ("int8", 3e-2)])
def test_smaller_forms_score_nearly_the_same_and_hold_no_fp32_table(form: str, tolerance: float, good: Path) -> None:
    exact, run = load_run(good / "run"), load_run(good / "run", form)
    found, wanted = score_rows(run.network, run.data, ROWS), score_rows(exact.network, run.data, ROWS)
    np.testing.assert_allclose(found, wanted, atol=tolerance)
    assert (found != wanted).any()
    rows = run.data.layout.table_rows
    large = [t for t in (*run.network.parameters(), *run.network.buffers()) if t.ndim == 2 and len(t) == rows]
    assert [t.dtype for t in large] == [torch.float16 if form == "fp16" else torch.int8]


def test_every_network_of_weighted_kinds_gets_its_own_table(tmp_path: Path) -> None:
    data, model = toy(), resolve({"preset": "lstm-weighted"})
    trained = build(data.layout, data.counts_V, model).eval()
    for part in trained.modules():
        if isinstance(part, torch.nn.Linear):
            torch.nn.init.normal_(part.weight)
    write_weights(tmp_path, trained)
    again, rows = read_network(tmp_path, data.layout, data.counts_V, model), data.rows("train")[:20]
    np.testing.assert_array_equal(score_rows(again, data, rows), score_rows(trained, data, rows))


def test_a_form_that_is_none_is_refused(good: Path) -> None:
    with pytest.raises(InputError, match="unknown form of a table 'int4'"):
        load_run(good / "run", "int4")
