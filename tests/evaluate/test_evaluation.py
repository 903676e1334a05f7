"""The report as a whole: its parts agree with each other and with what can be computed beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import done

from motet import experiment as stages
from motet.evaluate.compared import references
from motet.evaluate.evaluation import evaluate, fusion
from motet.evaluate.judge import Judge, positives
from motet.schema import Reference
from motet.scoring import metrics
from motet.train.run import Run, load_run, new_network
from motet.train.score import score_rows


@pytest.fixture(scope="module")
def run(evaluated: Path) -> Run:
    return load_run(evaluated)


@pytest.fixture(scope="module")
def report(evaluated: Path) -> Any:
    return json.loads((evaluated / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def twice(good: Path) -> Any:
    """The small log judged with two seeds, on valid."""
    run, experiment = stages.of_run(good / "run", {"evaluate.presets": ["mmoe"]})
    experiment = stages.with_evaluate(experiment, seeds=2, split="valid")
    return run, evaluate(run, experiment.evaluate, stages.blend_of(run.data, experiment))


def test_a_cell_is_the_runs_own_calibrated_predictions(report: Any, run: Run) -> None:
    data, rows = run.data, run.data.rows("test", 0)
    predictions = run.calibration.apply(score_rows(run.network, data, rows), data.scenarios(rows))[:, 0]
    labels = data.labels(rows)[:, 0].astype(np.float64)
    cell = report["cells"][0]
    assert cell["auc"] == pytest.approx(metrics.auc(labels, predictions))
    assert cell["log_loss"] == pytest.approx(metrics.log_loss(labels, predictions))
    assert cell["rows"] == len(rows)
    assert cell["positives"] == labels.sum()


def test_macro_is_the_mean_of_the_cells_that_are_large_enough(report: Any) -> None:
    large = [c for c in report["cells"] if c["auc"] is not None and 50 <= c["positives"] <= c["rows"] - 50]
    assert len(large) >= 1
    assert report["macro"]["auc"] == pytest.approx(np.mean([cell["auc"] for cell in large]))
    assert report["macro"]["ne"] == pytest.approx(np.mean([cell["ne"] for cell in large]))


def test_deltas_are_differences_to_the_solo_control_that_is_shown(report: Any) -> None:
    solo = next(entry for entry in report["controls"] if entry["name"] == "solo")
    beside = {(cell["scenario"], cell["task"]): cell["value"] for cell in solo["cells"]}
    compared = [cell for cell in report["cells"] if cell["delta"] is not None]
    assert len(compared) >= 10
    for cell in compared:
        assert cell["solo"] == pytest.approx(beside[cell["scenario"], cell["task"]])
        assert cell["delta"] == pytest.approx(cell["value"] - cell["solo"])
        assert cell["delta_low"] is None or cell["delta_low"] <= cell["delta"] <= cell["delta_high"]


def test_everything_it_is_compared_with_is_there(report: Any) -> None:
    assert [entry["name"] for entry in report["controls"]] == ["solo", "pooled"]
    assert [entry["name"] for entry in report["presets"]] == ["lstm-fusion"]
    names = {"popularity", "item-knn", "target-encoding-static", "target-encoding-running", "logistic", "boosting"}
    assert {entry["name"] for entry in report["baselines"]} == names
    assert [entry["name"] for entry in report["references"]] == ["informed oracle", "oracle"]
    for entry in [*report["controls"], *report["presets"], *report["baselines"], *report["references"]]:
        assert len(entry["cells"]) == 15
        assert entry["macro"]["auc"] is not None


def test_baselines_are_ranked_for_the_same_users_as_the_model(report: Any) -> None:
    asked = ("scenario", "kind", "relevant_task", "users")
    ours = [tuple(entry[key] for key in asked) for entry in report["ranking"]]
    assert len(ours) == 6
    names = [*(entry["name"] for entry in report["baselines"]), "popularity-counted"]
    for name in names:
        theirs = [tuple(e[key] for key in asked) for e in report["ranking_baselines"] if e["name"] == name]
        assert theirs == ours, name
    assert len(report["ranking_baselines"]) == 6 * len(names)
    by_rate, by_count = ([e["ndcg@10"] for e in report["ranking_baselines"] if e["name"] == name]
                         for name in ("popularity", "popularity-counted"))  # fmt: skip
    assert by_rate != by_count


@pytest.mark.parametrize("split", ["valid", "test"])
def test_slates_are_calibrated_as_the_users_rows_are(split: Any, run: Run) -> None:
    data, rows = run.data, run.data.rows(split)
    judge = Judge(data, stages.Evaluate(split=split), data.rows("valid"), rows)
    valid, logits = (score_rows(run.network, data, some) for some in (judge.valid, rows))
    scenario_B1, user_B = data.scenarios(rows)[:, None], data.users(rows)
    slates_BCT = judge.calibration(valid)(np.repeat(logits[:, None], 3, axis=1), scenario_B1, user_B)
    np.testing.assert_array_equal(slates_BCT[:, 2], judge.calibrated(valid, logits))
    by_run = run.calibration.apply(logits, data.scenarios(rows))
    assert np.allclose(slates_BCT[:, 0], by_run) == (split == "test")  # a valid row's own labels say nothing of it


def test_the_oracle_is_a_ceiling_and_the_share_is_the_way_to_it(report: Any) -> None:
    informed, oracle = report["references"]
    ours, ceiling = report["macro"]["ne"], informed["macro"]["ne"]
    assert ceiling < ours
    assert informed["share"] == pytest.approx((1 - ours) / (1 - ceiling))
    assert (informed["ceiling"], oracle["ceiling"], oracle["share"]) == (True, False, None)


def test_a_reference_that_is_silent_in_some_cells_is_compared_in_the_others(run: Run, monkeypatch: Any) -> None:
    data, rows = run.data, run.data.rows("test")
    judge = Judge(data, stages.Evaluate(), data.rows("valid"), rows)
    predictions = np.full((len(rows), len(data.layout.tasks)), np.nan, np.float32)
    predictions[:, 0] = 0.3
    partial = Reference(name="clicks only", columns={"click": "p"}, ceiling=True)
    monkeypatch.setattr(data, "references", lambda _: [(partial, predictions)])
    cells = judge.cells(np.nan_to_num(predictions)[None].astype(np.float64))
    (entry,) = references(judge, cells)
    values = {cell["task"]: cell["value"] for cell in entry["cells"] if cell["scenario"] == "desktop"}
    assert values["click"] == 0.5
    assert [values[task] for task in ("cart", "purchase", "like", "stars")] == [None] * 4
    assert entry["share"] == pytest.approx(1.0)


def test_positives_count_events_of_binary_tasks_and_labels_of_regressions(run: Run) -> None:
    data, rows = run.data, run.data.rows("train")
    counted = positives(data, rows)
    labels, scenarios = data.labels(rows), data.scenarios(rows)
    assert counted.shape == (3, 5)
    assert counted[1, 0] == (labels[scenarios == 1, 0] == 1).sum()
    assert counted[2, 4] == (~np.isnan(labels[scenarios == 2, 4])).sum()


def test_fusion_weights_stand_for_every_cell_and_sum_to_one(run: Run) -> None:
    found = fusion(run)
    assert len(found) == 15
    assert all(sum(entry["weights"].values()) == pytest.approx(1, abs=1e-3) for entry in found)


def test_curves_only_of_binary_cells_with_both_classes(report: Any) -> None:
    both = {(c["scenario"], c["task"]) for c in report["cells"] if c["positives"] and c["positives"] < c["rows"]}
    assert {(curve["scenario"], curve["task"]) for curve in report["calibration"]} == both
    rows = {(c["scenario"], c["task"]): c["rows"] for c in report["cells"]}
    for curve in report["calibration"]:
        assert sum(point["rows"] for point in curve["curve"]) == rows[curve["scenario"], curve["task"]]


def test_what_was_done_to_the_data_and_how_training_went_is_told(report: Any, run: Run) -> None:
    assert report["data"]["rows"] == run.data.manifest["rows"]
    assert report["data"]["warnings"] == run.data.manifest["warnings"]
    assert {row["split"] for row in report["learning"]} == {"train", "valid"}
    assert report["training"]["parameters"] == new_network(run.data, run.model, 0).parameter_count()
    assert report["sentence"].startswith(f"On {report['rows']} held-out impressions the joint model reaches")


def test_two_seeds_on_valid(twice: Any) -> None:
    run, report = twice
    assert (report["seeds"], report["split"], report["rows"]) == (2, "valid", len(run.data.rows("valid")))
    assert "training noise" not in report["sentence"]
    (preset,) = report["presets"]
    assert preset["name"] == "mmoe"
    cell = report["cells"][0]
    assert cell["positives"] == cell["positives_valid"]


def test_the_first_of_the_seeds_is_the_run_itself(twice: Any) -> None:
    run, report = twice
    _, experiment = stages.of_run(run.folder)
    experiment = stages.with_evaluate(experiment, seeds=1, split="valid")
    once = evaluate(run, experiment.evaluate, stages.blend_of(run.data, experiment))
    assert once["cells"][0]["value"] != report["cells"][0]["value"]
    assert once["seeds"] == 1
    assert once["fusion"] == report["fusion"]


def test_weights_of_kinds_are_told_cell_by_cell(good: Path, tmp_path: Path) -> None:
    how = ("--prepared", good / "prepared", "--run", tmp_path / "run", "--preset", "lstm-weighted")
    done("train", good / "motet.toml", *how)
    run = load_run(tmp_path / "run")
    told, kinds = fusion(run), list(run.data.layout.kinds)
    assert len(told) == len(run.data.layout.scenarios) * len(run.data.layout.tasks)
    assert all(list(entry["weights"]) == kinds for entry in told)
    assert all(sum(entry["weights"].values()) == pytest.approx(1, abs=1e-3) for entry in told)
    assert len({tuple(entry["weights"].values()) for entry in told}) > 1
