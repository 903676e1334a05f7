"""The file as a whole: changes on top of it, names checked before anything runs, a JSON Schema that agrees with it."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import small_log
from command import SHARED, done
from small_log import change

from motet import experiment as stages
from motet.data.sources import READERS
from motet.errors import InputError
from motet.model.presets import presets


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return small_log.write(tmp_path)


@pytest.fixture(scope="module")
def schema() -> Any:
    return done("check", "--schema").json


def test_changes_override_the_file_and_what_is_not_in_it(config: Path) -> None:
    changes = {"train.epochs": 3, "model.dim": 4, "split.by": "user_last", "train.task_weights": {"click": 2}}
    experiment = stages.read(config, changes)
    assert (experiment.train.epochs, experiment.train.threads) == (3, 1)
    assert experiment.model == {"dim": 4}
    assert experiment.split.by == "user_last"
    assert experiment.train.task_weights == {"click": 2.0}
    assert stages.read(config).train.epochs == 1


def test_each_stage_gets_its_own_settings(config: Path) -> None:
    experiment = stages.read(config, {"history.length": 7, "clean.winsorise": 0.01})
    assert not hasattr(experiment.schema, "train")
    assert experiment.schema.tasks == experiment.tasks
    assert (experiment.preparation.history.length, experiment.preparation.clean.winsorise) == (7, 0.01)


def test_names_are_only_checked_against_lists_that_are_there(config: Path) -> None:
    stages.read(config, {"blend.web": {"click": 2.0}, "evaluate.relevant_task": {"goods": "click"}})
    change(config, '[[tasks]]\nname = "click"', '[[scenarios]]\nname = "web"\n[[tasks]]\nname = "click"')
    stages.read(config, {"blend.web": {"click": 2.0}})
    with pytest.raises(InputError, match="unknown scenario 'app'") as caught:
        stages.read(config, {"blend.app": {"click": 2.0}})
    assert "blend.app" in caught.value.where


def test_how_a_run_is_judged_is_checked_like_the_file(good: Path) -> None:
    _, experiment = stages.of_run(good / "run", {"evaluate.seeds": 4})
    assert experiment.evaluate.seeds == 4
    assert stages.with_evaluate(experiment, seeds=None, split="valid").evaluate.seeds == 4
    with pytest.raises(InputError, match="should be at least 1") as caught:
        stages.with_evaluate(experiment, seeds=0)
    assert caught.value.where == "evaluate.seeds"
    with pytest.raises(InputError, match="is a setting of training"):
        stages.of_run(good / "run", {"model.dim": 3})


def test_the_blend_centres_regressions_by_their_train_labels(good: Path) -> None:
    run, experiment = stages.of_run(good / "run", {"blend": {"stars": 2.0, "web": {"click": 3.0}}})
    blend = stages.blend_of(run.data, experiment)
    stars = next(task for task in blend.tasks if task.name == "stars")
    labels = run.data.labels(run.data.rows("train"))[:, 1]
    assert stars.center == pytest.approx(float(labels[labels == labels].mean()), abs=0.2)
    weights = dict(zip(blend.scenarios, blend.weights, strict=True))
    assert weights == {"web": (3.0, 2.0), "app": (1.0, 2.0)}


def test_the_json_schema_accepts_every_file_that_motet_writes(schema: Any, config: Path, market: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (config, market / "motet.toml"):
        validator.validate(tomllib.loads(path.read_text(encoding="utf-8")))
    for name, folder in (("kuairand", "kuairand"), ("movielens", "ml100k"), ("amazon", "amazon3")):
        if (SHARED / folder).is_dir():
            validator.validate(tomllib.loads(READERS[name].schema_toml(SHARED / folder)))


def test_the_json_schema_accepts_a_resolved_run(schema: Any, good: Path) -> None:
    resolved = tomllib.loads((good / "run" / "config.toml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(resolved)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("epochs = 1", "epoch = 1"),
        ("epochs = 1", 'epochs = "one"'),
        ('form = "regression"', 'form = "ranking"'),
        ('user = "user"', ""),
        ("[train]", "[trian]"),
        ("[train]", "[model]\ndims = 3\n[train]"),
        ("[train]", '[model]\nhistory = "gru"\n[train]'),
        ('price = "numeric"', 'price = "number"'),
    ],
)
def test_the_json_schema_refuses_what_motet_refuses(before: str, after: str, schema: Any, config: Path) -> None:
    change(config, before, after)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(tomllib.loads(config.read_text(encoding="utf-8")))
    with pytest.raises(InputError):
        stages.read(config)


@pytest.mark.parametrize("preset", presets())
def test_every_preset_is_read(preset: str, config: Path) -> None:
    assert stages.read(config, {"model.preset": preset}).model == {"preset": preset}


@pytest.mark.parametrize(
    ("scenarios", "tasks", "words"), [(1, 1, "1 scenario × 1 task"), (3, 2, "3 scenarios × 2 tasks")]
)
def test_the_shape_in_words(scenarios: int, tasks: int, words: str) -> None:
    assert stages.shape_of(scenarios, tasks) == words


def test_sampled_negatives_are_undone_by_a_run_and_a_model_of_positions_needs_positions(config: Path) -> None:
    change(config, '[[tasks]]\nname = "click"', '[[tasks]]\nname = "click"\nnegatives_kept = 0.25')
    experiment, folder = stages.read(config), config.parent
    data = stages.prepare(experiment, folder, folder / "prepared")
    with pytest.raises(InputError, match="tells no positions") as caught:
        stages.train(stages.read(config, {"model.position": True}), data, folder / "run")
    assert caught.value.where == "model.position"
    run = stages.train(experiment, data, folder / "run")
    assert run.calibration.sampled is not None
    click = [task.name for task in data.layout.tasks].index("click")
    before = replace(run.calibration, sampled=None).apply([[0.0] * len(data.layout.tasks)], 0)[0, click]
    after = run.calibration.apply([[0.0] * len(data.layout.tasks)], 0)[0, click]
    assert after / (1 - after) == pytest.approx(0.25 * before / (1 - before))
