"""The schema: DESIGN's example is read whole, and what contradicts itself is refused in words."""

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import InputError
from motet.schema import Feature, Schema, Task, seconds
from motet.settings import parse, plain

EXAMPLE = """
[tables]
impressions = ["day1.parquet", "day2.parquet"]
users = "users.parquet"
items = "items.parquet"
edges = "edges.parquet"
[columns]
user = "user_id"
item = "item_id"
time = "timestamp"
scenario = "surface"
kind = "kind"
request = "request_id"
[[scenarios]]
name = "mobile"
input = "touch"
screen = "small"
[[scenarios]]
name = "desktop"
[[kinds]]
name = "goods"
[[kinds]]
name = "friend"
table = "users"
[[tasks]]
name = "click"
label = "clicked"
[[tasks]]
name = "purchase"
label = "bought"
after = "click"
kinds = ["goods"]
delay = "2d"
[[tasks]]
name = "stars"
label = "rating"
form = "regression"
observed_when = "rating is not null and clicked = 1"
scenarios = ["desktop", "mobile"]
utility = "linear"
low = 1
high = 5
[features.user]
age_band = "categorical"
[features.item]
price = { form = "numeric", transform = "log" }
title = "text"
[features.context]
hour = "categorical"
"""


def example() -> dict[str, Any]:
    return tomllib.loads(EXAMPLE)


def test_the_example_is_read_whole() -> None:
    schema = parse(Schema, example())
    assert [task.name for task in schema.tasks] == ["click", "purchase", "stars"]
    assert schema.task("purchase").delay_seconds == 2 * 86_400
    assert schema.task("click").range == (0.0, 1.0)
    assert schema.task("stars").range == (1.0, 5.0)
    assert schema.features.of("item") == {
        "price": Feature(form="numeric", transform="log"),
        "title": Feature(form="text"),
    }
    assert schema.scenarios[0].slate_size == 10


def test_a_schema_survives_being_written_and_read() -> None:
    schema = parse(Schema, example())
    assert parse(Schema, plain(schema)) == schema


def test_impression_columns_are_those_that_are_read_each_once() -> None:
    found = parse(Schema, example()).impression_columns()
    assert found == ["user_id", "item_id", "timestamp", "surface", "request_id", "clicked", "bought", "rating", "hour"]


def test_impression_columns_hold_those_of_conditions_and_references() -> None:
    data = example()
    data["tasks"][0]["observed_when"] = "`was shown` = 1"
    data["references"] = [{"name": "oracle", "columns": {"click": "p_click"}}]
    assert {"was shown", "p_click"} <= set(parse(Schema, data).impression_columns())


def test_a_regression_without_bounds_takes_any_value() -> None:
    assert Task(name="watch", label="seconds", form="regression").range == (-float("inf"), float("inf"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tasks": [{"name": "a", "label": "x"}, {"name": "a", "label": "y"}]}, "task 'a' is defined twice"),
        ({"tasks": [{"name": "a", "label": "x", "after": "b"}, {"name": "b", "label": "y"}]}, "define 'b' first"),
        ({"tasks": [{"name": "a", "label": "x", "after": "a"}]}, "define 'a' first"),
        ({"tasks": [{"name": "a", "label": "x", "after": "zz"}]}, "'zz' is not defined; defined: a"),
        ({"tasks": [{"name": "a", "label": "x", "kinds": ["good"]}]}, "kind 'good' is not defined"),
        ({"tasks": [{"name": "a", "label": "x", "scenarios": ["tv"]}]}, "defined: mobile, desktop"),
        ({"tasks": [{"name": "a", "label": "x", "delay": "2 days"}]}, "'2 days' is no duration"),
        ({"tasks": [{"name": "a", "label": "x", "delay": "2d", "known_at": "t"}]}, "both delay and known_at"),
        ({"tasks": [{"name": "a", "label": "x", "form": "regression", "positive_when": "x > 1"}]}, "is a regression"),
        ({"tasks": [{"name": "a", "label": "x", "observed_when": "x >"}]}, "does not parse at position 4"),
        ({"scenarios": [{"name": "a"}, {"name": "a"}]}, "scenario 'a' is defined twice"),
        ({"scenarios": [{"name": "a", "slate_size": 0}]}, "slate_size should be at least 1"),
        ({"kinds": [{"name": "goods"}, {"name": "goods"}]}, "kind 'goods' is defined twice"),
        ({"references": [{"name": "r", "columns": {"clik": "p"}}]}, "task 'clik' is not defined"),
    ],
)
def test_a_contradiction_is_refused_in_words(change: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(Schema, example() | change)
    assert what in caught.value.what


def test_a_parent_must_be_binary() -> None:
    data = example()
    data["tasks"] = [
        {"name": "stars", "label": "r", "form": "regression"},
        {"name": "buy", "label": "b", "after": "stars"},
    ]
    with pytest.raises(InputError, match="parent 'stars' should be binary"):
        parse(Schema, data)


@pytest.mark.parametrize("feature", ["number", {"form": "numeric", "transfrom": "log"}, {"transform": "log"}, 3])
def test_a_wrong_feature_names_its_column_even_if_capitalised(feature: object) -> None:
    data = example()
    data["features"]["item"]["Unit price"] = feature
    with pytest.raises(InputError, match=r"features\.item\.Unit price"):
        parse(Schema, data)


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), (" 2 d ", 172_800), ("1w", 604_800)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@given(st.text(alphabet="0123456789. smhdwx-", max_size=6))
def test_a_duration_is_a_number_and_a_unit_or_refused_in_words(text: str) -> None:
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*[smhdw]\s*", text):
        assert seconds(text) >= 0
    else:
        with pytest.raises(ValueError, match="is no duration"):
            seconds(text)
