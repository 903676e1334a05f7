"""Runs side by side."""

import copy
import io
import json

import pytest
from rich.console import Console
from sample_report import sample_report

from motet.errors import InputError
from motet.evaluate.compare import cells_table, compare, macro_table


def two() -> list[dict[str, object]]:
    first = sample_report(("mobile", "voice"), ("click", "stars"))
    second = copy.deepcopy(first)
    second["run"] = "wider"
    second["macro"]["auc"] = 0.75
    second["cells"][0]["value"] = first["cells"][0]["value"] + 0.012
    del second["cells"][1]
    return [first, second]


def test_each_cell_has_every_runs_value_and_its_distance_to_the_first() -> None:
    found = compare(two())
    assert found["runs"] == ["market-default", "wider"]
    assert found["macro"]["auc"] == [0.742, 0.75]
    cell = found["cells"][0]
    assert (cell["scenario"], cell["task"], cell["metric"]) == ("mobile", "click", "auc")
    assert cell["differences"] == [None, pytest.approx(0.012)]
    assert found["notes"] == []
    json.dumps(found, allow_nan=False)


def test_a_cell_that_a_run_lacks_is_null_and_keeps_the_columns_in_line() -> None:
    missing = compare(two())["cells"][1]
    assert missing["values"][1] is None
    assert missing["differences"] == [None, None]
    assert missing["verdicts"][1] is None


def test_values_of_different_metrics_are_not_subtracted() -> None:
    reports = two()
    reports[1]["cells"][0]["metric"] = "relative_rmse"  # type: ignore[index]
    cell = compare(reports)["cells"][0]
    assert cell["metric"] is None
    assert cell["differences"] == [None, None]


def test_what_makes_runs_incomparable_is_noted() -> None:
    reports = two()
    reports[1] |= {"split": "valid", "rows": 10, "data": {"files": [{"sha256": "other"}]}}
    notes = compare(reports)["notes"]
    assert notes[:2] == ["different splits: test, valid", "different numbers of rows: 6012, 10"]
    assert "made from different source files" in notes


def test_equal_names_are_told_apart() -> None:
    first = two()[0]
    assert compare([first, first])["runs"] == ["market-default (1)", "market-default (2)"]


def test_a_single_run_is_refused_with_the_fix() -> None:
    with pytest.raises(InputError, match="at least two runs"):
        compare([two()[0]])


def test_the_tables_print_values_differences_and_notes_and_survive_empty_reports() -> None:
    out = io.StringIO()
    console = Console(file=out, width=150)
    reports = two()
    reports[1]["split"] = "valid"
    for found in (compare(reports), compare([{}, {}])):
        console.print(macro_table(found))
        console.print(cells_table(found))
    text = out.getvalue()
    assert "(+0.012)" in text
    assert "0.750" in text
    assert "different splits: test, valid" in text
    assert "– (1)" in text
