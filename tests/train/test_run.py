"""Run folders: written whole, read back the same, bound to their data and settings."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import contents

from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.train.begin import begin_run, check_learnable
from motet.train.run import load_run

CONFIG: dict[str, Any] = {"train": {"epochs": 1}, "evaluate": {"seeds": 3}, "blend": {}}


@pytest.fixture(scope="module")
def data(good: Path) -> Dataset:
    return Dataset.open(good / "prepared")


def test_a_run_is_read_back_as_it_was(good: Path) -> None:
    first, again = load_run(good / "run"), load_run(good / "run")
    assert first.name == "run"
    assert not first.network.training
    users, items = np.array([2, 3]), first.data.catalogue(0)
    predictions = first.predict(users, 0, items)
    assert predictions.shape == (2, len(items), 2)
    assert ((predictions[..., 0] > 0) & (predictions[..., 0] < 1)).all()
    np.testing.assert_array_equal(predictions, again.predict(users, 0, items))
    np.testing.assert_allclose(predictions, first.predict(users, 0, items, chunk=5), rtol=1e-5)


def test_no_items_no_predictions(good: Path) -> None:
    assert load_run(good / "run").predict(np.array([2]), 0, np.zeros(0, np.int64)).shape == (1, 0, 2)


def test_a_run_and_its_data_can_move_together(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "deep"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    assert load_run(moved / "run").data.folder == (moved / "prepared").resolve()


def test_a_run_without_its_data_tells_where_it_looked(folder: Path) -> None:
    shutil.rmtree(folder / "prepared")
    with pytest.raises(InputError, match="this is no prepared folder") as caught:
        load_run(folder / "run")
    assert caught.value.where == str((folder / "prepared").resolve())


@pytest.mark.parametrize(
    ("name", "text"), [("run.json", "{"), ("calibration.json", "[]"), ("model.safetensors", ""), ("run.json", "{}")]
)
def test_a_damaged_file_is_told_and_how_to_start_over(name: str, text: str, folder: Path) -> None:
    (folder / "run" / name).write_text(text)
    with pytest.raises(InputError) as caught:
        load_run(folder / "run")
    assert caught.value.where == str(folder / "run")
    assert "train" in caught.value.fix


def test_weights_of_another_shape_are_told(folder: Path) -> None:
    path = folder / "run" / "run.json"
    facts = json.loads(path.read_text())
    facts["model"]["dim"] += 1
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match="this run cannot be read"):
        load_run(folder / "run")


def test_a_folder_begins_goes_on_and_keeps_its_settings(data: Dataset, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "new"
    assert begin_run(run, CONFIG, data) is False
    before = contents(run)
    assert set(before) == {"config.toml", "prepared.json"}
    assert begin_run(run, CONFIG, data) is False
    assert contents(run) == before
    with pytest.raises(InputError, match=r"other settings: \[train\]"):
        begin_run(run, {**CONFIG, "train": {"epochs": 2}}, data)
    assert contents(run) == before
    (run / "run.json").write_text("{}")
    assert begin_run(run, CONFIG, data) is True


def test_a_folder_left_after_its_first_file_goes_on(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    assert begin_run(tmp_path / "run", CONFIG, data) is False
    assert (tmp_path / "run" / "prepared.json").exists()


def test_starting_over_removes_the_run_and_nothing_else(data: Dataset, tmp_path: Path) -> None:
    begin_run(tmp_path / "run", CONFIG, data)
    for name in (
        "run.json",
        "model.safetensors",
        "report.html",
        "notes.txt",
        "checkpoint/step-1/state.json",
        "stages/1/checkpoint/step-1/state.json",
    ):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text("x")
    assert begin_run(tmp_path / "run", {**CONFIG, "train": {"epochs": 2}}, data, force=True) is False
    assert set(contents(tmp_path / "run")) == {"config.toml", "prepared.json", "notes.txt"}


class Labels:
    def __init__(self, data: Dataset, values: np.ndarray[Any, Any]) -> None:
        self.layout, self.rows, self.labels = data.layout, data.rows, lambda _: values


@pytest.mark.parametrize(
    ("click", "stars", "told"),
    [
        ([1, 1, 1], [5, 5, 5], "click: always 1, stars: always 5"),
        ([0, 0, 0], [np.nan] * 3, "click: always 0, stars: no label"),
    ],
)
def test_labels_that_never_differ_cannot_be_learnt(data: Dataset, click: Any, stars: Any, told: str) -> None:
    constant: Any = Labels(data, np.array([click, stars], np.float32).T)
    with pytest.raises(InputError, match="nothing to tell apart") as caught:
        check_learnable(constant)
    assert told in caught.value.what


def test_one_task_that_differs_is_enough(data: Dataset) -> None:
    varied: Any = Labels(data, np.array([[1, 1, 1], [5, 4, np.nan]], np.float32).T)
    check_learnable(varied)


def test_no_pickle_is_among_the_artifacts(good: Path) -> None:
    assert {path.suffix for path in (good / "run").rglob("*") if path.is_file()} == {
        ".toml", ".json", ".jsonl", ".safetensors",
    }  # fmt: skip
    assert torch.is_inference_mode_enabled() is False
