"""The space of a search: read from motet.toml, told to Optuna, and told back as settings."""

from pathlib import Path
from typing import Any

import pytest
from small_log import write

from motet import experiment as stages
from motet.errors import InputError
from motet.model.ranker import resolve
from motet.train.search import Range, Tune
from motet.tune.space import changes_of, current_values, default_space, distributions, params_of

SPACE = {"train.lr": Range(low=0.001, high=0.1, log=True), "model.expert_count": Range(low=2, high=8),
         "model.expert_widths": ([32, 16], [64, 32])}  # fmt: skip


def config(folder: Path, text: str) -> Path:
    file = write(folder)
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    return file


@pytest.mark.parametrize("key", ['"train.lr"', "train.lr"])
def test_a_key_may_be_quoted_or_not(tmp_path: Path, key: str) -> None:
    file = config(tmp_path, f"\n[tune.space]\n{key} = {{ low = 0.001, high = 0.1, log = true }}\n")
    assert stages.read(file).tune.space == {"train.lr": Range(low=0.001, high=0.1, log=True)}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('"split.by" = ["time", "user_last"]', "'split.by' cannot be searched"),
        ('"trian.lr" = [0.1, 0.2]', "train"),
        ('"train.lr" = [0.1]', "nothing to choose from"),
        ('"train.lr" = { low = 2, high = 1 }', "should be below"),
        ('"train.lr" = { low = 0, high = 1, log = true }', "above 0"),
        ('"train.lr" = { low = 0.1, hihg = 1 }', "hihg"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    file = config(tmp_path, f"\n[tune.space]\n{line}\n")
    with pytest.raises(InputError) as caught:
        stages.read(file)
    assert told in f"{caught.value.what} {caught.value.fix}"
    assert f"{file}:" in caught.value.where


def test_a_duration_is_checked() -> None:
    with pytest.raises(ValueError, match="no duration"):
        Tune(timeout="soon")


def test_values_come_back_as_they_were_given() -> None:
    params = {"train.lr": 0.01, "model.expert_count": 4, "model.expert_widths": "[64, 32]"}
    assert changes_of(SPACE, params) == {"train.lr": 0.01, "model.expert_count": 4, "model.expert_widths": [64, 32]}
    assert list(distributions(SPACE)["model.expert_widths"].choices) == ["[32, 16]", "[64, 32]"]  # type: ignore[attr-defined]
    assert type(distributions(SPACE)["model.expert_count"]).__name__ == "IntDistribution"


def test_the_settings_as_they_are_stand_in_the_default_space(tmp_path: Path) -> None:
    experiment = stages.read(config(tmp_path, "\n[model]\ndropout = 0.7\nexpert_widths = [20, 10]\n"))
    tasks = ("click", "stars")
    current = current_values(experiment, resolve(experiment.model), tasks)
    space = default_space(current, tasks)
    first: Any = params_of(space, current)
    assert first == {key: first[key] for key in space}
    assert (first["model.dropout"], first["model.expert_widths"]) == (0.7, "[20, 10]")
    assert first["train.task_weights.click"] == 1.0


def test_settings_outside_a_space_are_no_trial_of_it(tmp_path: Path) -> None:
    experiment = stages.read(write(tmp_path))
    current = current_values(experiment, resolve(experiment.model), ("click",))
    assert params_of({"train.lr": Range(low=0.1, high=0.2)}, current) is None
    assert params_of({"model.dim": (3, 5)}, current) is None
