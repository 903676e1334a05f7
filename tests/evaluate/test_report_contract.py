"""`report.json` has exactly the fields that others read it by; what does not apply is null, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest

TOP = [
    "format",
    "run",
    "split",
    "rows",
    "seeds",
    "cells",
    "macro",
    "verdicts",
    "ranking",
    "ranking_baselines",
    "slices",
    "importance",
    "drift",
    "fusion",
    "training",
]
MORE = {"title", "preset", "folder", "machine", "controls", "presets", "baselines", "references", "calibration",
        "learning", "data", "seconds", "sentence"}  # fmt: skip
CELL = ["scenario", "task", "kind", "metric", "value", "low", "high", "rows", "users", "positives", "positives_valid",
        "auc", "gauc", "log_loss", "ne", "ece", "accuracy", "majority", "rmse", "solo", "delta", "delta_low",
        "delta_high", "p_holm", "verdict"]  # fmt: skip
MACRO = {"auc", "gauc", "log_loss", "ne", "ece", "rmse"}
RANKING = {"scenario", "kind", "relevant_task", "users", "ndcg@10", "recall@10", "precision@10", "hit@10", "mrr",
           "coverage@10", "diversity@10", "novelty@10"}  # fmt: skip
SLICE = {"slice", "scenario", "task", "metric", "value", "rows"}
WORTH = {"group", "loss", "low", "high"}
DRIFT = {"feature", "of", "psi", "by_chance", "missing_train", "missing", "unknown_train", "unknown", "new", "flag"}
TRAINING = {"rows_per_second", "seconds", "epochs", "peak_rss_mb", "parameters"}


@pytest.fixture(scope="module")
def report(evaluated: Path) -> Any:
    return json.loads((evaluated / "report.json").read_text(encoding="utf-8"))


def test_the_report_has_exactly_the_fields_of_the_contract(report: Any, trained: Path) -> None:
    assert [key for key in report if key not in MORE] == TOP
    assert set(report) == {*TOP, *MORE}
    assert report["format"] == "motet-report/1"
    assert (report["run"], report["split"], report["seeds"]) == ("small", "test", 1)
    assert report["rows"] == report["data"]["rows"]["test"]
    assert all(list(cell) == CELL for cell in report["cells"])
    assert [(c["scenario"], c["task"]) for c in report["cells"]][:2] == [("desktop", "click"), ("desktop", "cart")]
    assert set(report["macro"]) == MACRO
    assert list(report["verdicts"]) == ["gain", "tie", "loss", "unclear"]
    assert sum(report["verdicts"].values()) == len(report["cells"]) == 15
    assert all(set(entry) == RANKING for entry in report["ranking"])
    assert {entry["kind"] for entry in report["ranking"]} == {"goods", "content"}
    assert all(set(entry) == {"name", "label", *RANKING} for entry in report["ranking_baselines"])
    assert all(set(entry) == SLICE for entry in report["slices"])
    assert {entry["slice"] for entry in report["slices"]} >= {"new items", "new users", "rare items"}
    assert all(list(e["weights"]) == ["shared", "scenario", "task", "cell"] for e in report["fusion"])
    assert all(abs(sum(e["weights"].values()) - 1) < 1e-3 for e in report["fusion"])
    assert set(report["training"]) == TRAINING
    worth, drift = report["importance"], report["drift"]
    assert list(worth) == ["rows", "repeats", "macro", "cells"]
    assert all(set(entry) == {*WORTH, "of", "metric", "cells"} for entry in worth["macro"])
    for entry, cell in zip(worth["cells"], report["cells"], strict=True):
        assert set(entry) == {"scenario", "task", "metric", "value", "rows", "losses"}
        assert [entry[key] for key in ("scenario", "task", "metric")] == [
            cell[key] for key in ("scenario", "task", "metric")
        ]
    click = worth["cells"][0]["losses"]
    assert all(set(loss) == WORTH for loss in click)
    expected = {"user_id", "language (user)", "language (item)", "price", "hour (UTC)", "history"}
    assert {loss["group"] for loss in click} > expected
    assert list(drift) == ["features", "cells"]
    assert all(set(entry) == DRIFT for entry in drift["features"])
    assert [(c["scenario"], c["task"]) for c in drift["cells"]] == [(c["scenario"], c["task"]) for c in report["cells"]]
    assert all(set(entry) == {"scenario", "task", "train", "judged", "p_holm", "flag"} for entry in drift["cells"])


def test_what_does_not_apply_is_null_and_what_does_is_not(report: Any) -> None:
    cells = {(cell["scenario"], cell["task"]): cell for cell in report["cells"]}
    click, stars = cells["desktop", "click"], cells["desktop", "stars"]
    assert all(click[key] is not None for key in CELL if key not in {"kind", "rmse", "p_holm"})
    assert (click["kind"], click["rmse"]) == (None, None)
    binary_only = ("positives", "positives_valid", "auc", "gauc", "log_loss", "ece", "accuracy", "majority")
    assert [stars[key] for key in binary_only] == [None] * len(binary_only)
    assert stars["kind"] == "goods"
    assert stars["metric"] == "relative_rmse"
    assert report["macro"]["auc"] is not None
