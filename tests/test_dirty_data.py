"""Dirt that is no mistake goes through: it is counted, and what cannot be said of it is null."""

from pathlib import Path
from typing import Any

import polars as pl
from command import done
from small_log import change, edit


def _evaluated(folder: Path) -> Any:
    where = (folder / "motet.toml", "--prepared", folder / "new")
    done("train", *where, "--run", folder / "new-run")
    report = done("evaluate", folder / "new-run", "--json").json
    done("recommend", folder / "new-run", "--json")
    return report


def test_a_few_wrong_labels_are_hidden_and_counted(folder: Path) -> None:
    edit(folder / "log.csv", clicked=pl.when(pl.int_range(pl.len()) == 30).then(7).otherwise("clicked"))
    checked = done("check", folder / "motet.toml")
    assert "! label out of range: click: 1 × value made missing, 'clicked' should be 0, 1, true or false" in checked.out
    report = _evaluated(folder)
    assert [(rule["rule"], rule["rows"]) for rule in report["data"]["removed"]] == [("label out of range: click", 1)]


def test_cells_of_one_class_are_null_and_the_rest_is_judged(folder: Path) -> None:
    edit(folder / "log.csv", clicked=pl.when(pl.col("surface") == "web").then(1).otherwise("clicked"))
    report = _evaluated(folder)
    cells = {(cell["scenario"], cell["task"]): cell for cell in report["cells"]}
    one_class = cells["web", "click"]
    assert one_class["rows"] == one_class["positives"] > 0
    assert [one_class[key] for key in ("value", "auc", "gauc", "solo", "delta", "p_holm")] == [None] * 6
    assert one_class["verdict"] == "unclear"
    assert cells["app", "click"]["value"] is not None
    solo = next(entry for entry in report["controls"] if entry["name"] == "solo")
    values = {(cell["scenario"], cell["task"]): cell["value"] for cell in solo["cells"]}
    assert values["web", "click"] is None
    assert values["app", "click"] is not None


def test_a_cell_without_any_label_is_null(folder: Path) -> None:
    change(folder / "motet.toml", "clicked = 1", "clicked = 1 and surface = 'app'")
    report = _evaluated(folder)
    cell = next(cell for cell in report["cells"] if (cell["scenario"], cell["task"]) == ("web", "stars"))
    assert (cell["rows"], cell["value"], cell["ne"], cell["rmse"], cell["verdict"]) == (0, None, None, None, "unclear")


def test_one_kind_only(folder: Path) -> None:
    change(folder / "motet.toml", 'kind = "kind"\n', "")
    report = _evaluated(folder)
    assert {entry["kind"] for entry in report["ranking"]} == {"item"}
    slates = done("recommend", folder / "new-run", "--json").json["slates"]
    assert [(slate["scenario"], slate["kind"]) for slate in slates] == [("app", "item"), ("web", "item")]
