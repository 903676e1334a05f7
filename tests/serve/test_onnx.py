"""The ONNX file answers as the run does, for any number of requests, candidates and events."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from command import done, motet, refused
from contracts.toy import Toy

from motet import onnx_inputs
from motet.batch import Batch
from motet.model.ranker import Network, resolve
from motet.scoring.calibrate import Calibration
from motet.scoring.sampled import Sampled
from motet.serve.onnx import Ranker, traced
from motet.train.run import load_run

CLOSE = 1e-5


def answers(model: bytes, batch: Batch) -> Any:
    """What an ONNX runtime makes of the batch."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["predictions_BCT"], onnx_inputs(batch))[0]


def test_it_predicts_what_the_run_predicts(good: Path, tmp_path: Path) -> None:
    run, file = load_run(good / "run"), tmp_path / "ranker.onnx"
    told = done("export", good / "run", "--onnx", file, "--json").json
    model, data = file.read_bytes(), run.data
    for rows in (data.rows("test"), data.rows("train")[:5], data.rows("valid")[-1:]):
        batch = data.batch(rows)
        wanted = run.calibration.apply(run.network.score(batch).logits_BCT[:, 0].numpy(), data.scenarios(rows))
        np.testing.assert_allclose(answers(model, batch)[:, 0], wanted, rtol=0, atol=CLOSE)
    items = np.arange(2, len(data.items.ids_IK))
    catalogue = data.request(np.array([1, 3, 4]), np.array([0, 1, 1]), items)
    wanted = run.calibration.apply(run.network.score(catalogue).logits_BCT.numpy(), catalogue.scenario_B[:, None])
    np.testing.assert_allclose(answers(model, catalogue), wanted, rtol=0, atol=CLOSE)

    assert told["tasks"] == ["click", "stars"]
    assert told["inputs"].keys() == onnx_inputs(catalogue).keys()
    said = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map["motet"]
    assert json.loads(said) == {key: value for key, value in told.items() if key != "file"}
    assert "this file exists" in refused("export", good / "run", "--onnx", file)
    assert [path.name for path in tmp_path.iterdir()] == ["ranker.onnx"]


def test_the_example_of_the_page_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/serving.md").read_text(encoding="utf-8")
    (example,) = [body for body in re.findall(r"```py\n(.*?)```", page, re.DOTALL) if "onnxruntime" in body]
    (folder / "runs").mkdir()
    (folder / "runs/default").symlink_to(folder / "run")
    monkeypatch.chdir(folder)
    made: dict[str, Any] = {}
    exec(compile(example, "docs/serving.md", "exec"), made)
    run, rows = made["run"], made["rows"]
    logits_BT = run.network.score(run.data.batch(rows)).logits_BCT[:, 0].numpy()
    wanted = run.calibration.apply(logits_BT, run.data.scenarios(rows))
    np.testing.assert_allclose(made["predictions_BCT"][:, 0], wanted, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("preset", ["motet", "ple", "token"])
def test_bags_chains_regressions_and_sampled_negatives_are_in_the_graph(preset: str) -> None:
    toy = Toy()
    torch.manual_seed(0)
    network = Network(toy.layout, toy.counts_V, resolve({"preset": preset})).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    forms = [task.form for task in toy.layout.tasks]
    cells = np.random.default_rng(0).uniform(0.5, 1.5, (2, len(toy.layout.scenarios), len(forms)))
    kept_ST = np.ones(cells.shape[1:])
    kept_ST[0, 0], kept_ST[1, forms.index("binary", 1)] = 0.2, 0.5
    sampled = Sampled(kept_ST=kept_ST, parents=tuple(toy.layout.parent(t) for t in range(len(forms))))
    calibration = Calibration(slopes_ST=cells[0], intercepts_ST=cells[1], forms=tuple(forms), sampled=sampled)
    model = traced(Ranker(network, calibration), toy.layout).model_proto.SerializeToString()
    for requests, candidates in ((1, 1), (7, 5), (2, 3), (1, 30)):
        batch = toy.requests(toy.rows("test")[:requests], candidates)
        wanted = calibration.apply(network.score(batch).logits_BCT.numpy(), batch.scenario_B.numpy()[:, None])
        np.testing.assert_allclose(answers(model, batch), wanted, rtol=CLOSE, atol=CLOSE)


def test_what_cannot_be_exported_is_told(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, file = good / "run", tmp_path / "ranker.onnx"
    assert "blend weights are not in an ONNX file" in refused("export", run, "--onnx", file, "--set", "blend.click=2")
    known = importlib.util.find_spec
    monkeypatch.setattr("motet.serve.onnx.find_spec", lambda name: None if name == "onnxscript" else known(name))
    answer = motet("export", run, "--onnx", file)
    assert answer.code == 2
    assert "pip install 'motet[onnx]'" in answer.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("preset", ["lstm-fusion", "lstm-weighted"])
def test_a_preset_with_an_lstm_is_refused_before_anything_is_traced(good: Path, tmp_path: Path, preset: str) -> None:
    run = tmp_path / "run"
    few = ("--set", "train.epochs=1", "--preset", preset)
    done("train", good / "motet.toml", "--prepared", good / "prepared", "--run", run, *few)
    assert "an LSTM is not exported" in refused("export", run, "--onnx", tmp_path / "ranker.onnx")
    assert not (tmp_path / "ranker.onnx").exists()
