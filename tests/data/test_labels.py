"""Where a label is observed, what it is, and when it is known."""

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import stored

from motet.condition import parse_condition
from motet.data.coded import Coded
from motet.data.labels import Labels, condition_expr, label_values, labels_of
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse

NAN = float("nan")
FRAME = pl.DataFrame(
    {
        "n": [1.0, None, NAN, 3.0],
        "i": [1, 2, None, 4],
        "text": ["a", None, "b", "10"],
        "flag": [True, False, None, True],
        "when": [datetime(2024, 1, 1), None, datetime(2024, 6, 1), datetime(2025, 1, 1)],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("n = 1", [True, False, False, False]),
        ("n != 1", [False, False, False, True]),
        ("n >= 1", [True, False, False, True]),
        ("n < 2", [True, False, False, False]),
        ("not n = 1", [False, True, True, True]),
        ("n is null", [False, True, True, False]),
        ("n is not null", [True, False, False, True]),
        ("i in (1, 4)", [True, False, False, True]),
        ("i not in (1, 4)", [False, True, True, False]),
        ('text = "a" or i = 2', [True, True, False, False]),
        ('text in ("a", "10") and flag = true', [True, False, False, True]),
        ("flag = 0", [False, True, False, False]),
        ("flag != true", [False, True, False, False]),
        ("i = true", [True, False, False, False]),
        ('when >= "2024-06-01"', [False, False, True, True]),
        ('when < "2024-06-01T00:00:00Z"', [True, False, False, False]),
    ],
)
def test_condition_holds_where_it_should_and_is_never_null(condition: str, expected: list[bool]) -> None:
    found = FRAME.select(condition_expr(parse_condition(condition), FRAME.schema).alias("x"))["x"]
    assert found.to_list() == expected


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=8), st.integers(-3, 3))
def test_a_comparison_and_its_opposite_never_both_hold_and_miss_only_nulls(
    values: list[int | None], limit: int
) -> None:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Int64)})
    below, above = (
        frame.select(condition_expr(parse_condition(f"x {sign} {limit}"), frame.schema).alias("h"))["h"]
        for sign in ("<", ">=")
    )
    assert not (below & above).any()
    assert ((below | above) == frame["x"].is_not_null()).all()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("text = 1", "'text' holds text, but is compared with 1"),
        ("text >= true", "'text' holds text, but is compared with true"),
        ('i = "1"', "'i' holds Int64, but is compared with the text '1'"),
        ('flag in ("x")', "'flag' holds Boolean"),
        ("when > 3", "'when' holds Datetime"),
        ('when > "soon"', "'soon' is no time"),
        ("nope = 1", "there is no column 'nope'"),
        ("nope is null", "there is no column 'nope'"),
    ],
)
def test_condition_of_the_wrong_type_names_the_column(condition: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        condition_expr(parse_condition(condition), FRAME.schema)


def schema(*tasks: dict[str, Any], **changes: Any) -> Schema:
    data: dict[str, Any] = {
        "tables": {"impressions": "log"},
        "columns": {"user": "user", "item": "item", "time": "time", "scenario": "surface"},
        "tasks": list(tasks),
    }
    return parse(Schema, data | changes)


LOG = pl.DataFrame(
    {
        "user": list("abcdef"),
        "surface": ["tv", "web", "tv", "web", "tv", None],
        "click": [1, 0, None, 1, 0, 1],
        "rating": [5.0, 3.0, None, NAN, 4.0, 1.0],
        "paid_at": [100.0, None, 400.0, 200.0, None, 500.0],
    }
)
TIMES = np.arange(6, dtype=np.float64) * 100


def run(*tasks: dict[str, Any], kinds: list[str] | None = None, **changes: Any) -> Labels:
    return labels_of(
        stored(LOG), schema(*tasks, **changes), TIMES, None if kinds is None else Coded.of(pl.Series(kinds))
    )


def test_missing_labels_are_unobserved() -> None:
    found = run({"name": "click", "label": "click"}, {"name": "stars", "label": "rating", "form": "regression"})
    np.testing.assert_array_equal(found.values_TN[0], [1, 0, NAN, 1, 0, 1])
    np.testing.assert_array_equal(found.values_TN[1], [5, 3, NAN, NAN, 4, 1])
    assert found.values_TN[0].dtype == np.float32
    assert all(known_N is TIMES for known_N in found.known_at_TN)


def test_positive_when_makes_the_label_only_where_its_column_stands() -> None:
    found = run({"name": "liked", "label": "rating", "positive_when": "rating >= 4"})
    np.testing.assert_array_equal(found.values_TN[0], [1, 0, NAN, NAN, 1, 0])


def test_observed_when_scenarios_and_kinds_restrict() -> None:
    task = {"name": "stars", "label": "rating", "form": "regression"}
    found = run(task | {"observed_when": "click = 1"})
    np.testing.assert_array_equal(found.values_TN[0], [5, NAN, NAN, NAN, NAN, 1])
    found = run(task | {"scenarios": ["tv"]})
    np.testing.assert_array_equal(found.values_TN[0], [5, NAN, NAN, NAN, 4, NAN])
    found = run(task | {"kinds": ["goods"]}, kinds=["goods", "goods", "goods", "x", "x", "x"])
    np.testing.assert_array_equal(found.values_TN[0], [5, 3, NAN, NAN, NAN, NAN])


def test_delay_and_known_at_say_from_when_a_label_is_known() -> None:
    found = run(
        {"name": "slow", "label": "click", "delay": "2m"}, {"name": "paid", "label": "click", "known_at": "paid_at"}
    )
    np.testing.assert_array_equal(found.known_at_TN[0], TIMES + 120)
    np.testing.assert_array_equal(found.known_at_TN[1], [100, 500, 400, 300, 500, 500])


def test_label_that_matures_after_the_snapshot_is_unobserved() -> None:
    tables = {"impressions": "log", "snapshot": 350}
    found = run({"name": "slow", "label": "click", "delay": "2m"}, tables=tables)
    np.testing.assert_array_equal(found.values_TN[0], [1, 0, NAN, NAN, NAN, NAN])
    found = run({"name": "slow", "label": "click", "delay": "2m"})
    np.testing.assert_array_equal(found.values_TN[0], [1, 0, NAN, 1, 0, 1])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"observed_when": "click = 7"}, "no label is observed: observed_when leave no row"),
        ({"scenarios": ["radio"]}, "no label is observed: scenarios leave no row"),
        ({"kinds": ["goods"]}, "the items have no kind"),
        ({"observed_when": 'click = "1"'}, "is compared with the text"),
        ({"positive_when": "surface > 3"}, "'surface' holds text"),
    ],
)
def test_task_that_cannot_be_observed_is_refused(task: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run({"name": "click", "label": "click"} | task)
    assert caught.value.where.startswith("task 'click'")


def test_label_column_without_any_value_is_refused() -> None:
    frame = LOG.with_columns(click=pl.lit(None, pl.Int64))
    with pytest.raises(InputError, match="its label column 'click' holds no value"):
        labels_of(stored(frame), schema({"name": "click", "label": "click"}), TIMES, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["true", "FALSE", " yes ", "no", "1", "0.0", "", "maybe", None], [1, 0, 1, 0, 1, 0, None, None, None]),
        ([True, False, None], [1, 0, None]),
        ([1, 0, None], [1, 0, None]),
        ([1.5, NAN, None], [1.5, None, None]),
        ([None], [None]),
        ([[1]], [None]),
    ],
)
def test_label_values(values: list[Any], expected: list[float | None]) -> None:
    assert label_values(pl.Series("x", values)).to_list() == expected


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["yes", "no", "1"])], ids=str)
def test_labels_stored_as_categories_are_read_like_text(dtype: pl.DataType) -> None:
    assert label_values(pl.Series("x", ["yes", "no", "1", None]).cast(dtype)).to_list() == [1.0, 0.0, 1.0, None]


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["web", "app"])], ids=str)
def test_a_condition_compares_categories_with_text(dtype: pl.DataType) -> None:
    frame = pl.DataFrame({"surface": pl.Series(["web", "app", None]).cast(dtype)})
    found = frame.select(condition_expr(parse_condition("surface = 'app'"), frame.schema))
    assert found.to_series().to_list() == [False, True, False]
