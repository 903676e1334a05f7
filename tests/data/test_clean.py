"""Each cleaning rule takes what it should, counts it, and leaves the rest as it was."""

import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError
from stored import tables_of, unstored

from motet.data.clean import Clean, clean
from motet.data.removals import Removal
from motet.data.tables import Tables
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse

START = 1_650_000_000


def schema(**changes: Any) -> Schema:
    data: dict[str, Any] = {
        "tables": {"impressions": "log", "users": "users", "items": "items"},
        "columns": {"user": "user", "item": "item", "time": "time", "scenario": "surface"},
        "tasks": [
            {"name": "click", "label": "click"},
            {"name": "stars", "label": "stars", "form": "regression", "low": 1, "high": 5},
        ],
        "features": {"context": {"price": "numeric"}},
    }
    return parse(Schema, data | changes)


def log(rows: int = 100, **columns: Any) -> pl.DataFrame:
    """Clean rows; `columns` maps a name to {row: value}."""
    frame = {
        "user": [f"u{i % 7}" for i in range(rows)],
        "item": [f"i{i % 11}" for i in range(rows)],
        "time": [START + 60 * i for i in range(rows)],
        "surface": ["tv", "web"] * (rows // 2),
        "click": [i % 2 for i in range(rows)],
        "stars": [float(1 + i % 5) for i in range(rows)],
        "price": [float(i) for i in range(rows)],
    }
    for name, changes in columns.items():
        for row, value in changes.items():
            frame[name][row] = value
    return pl.DataFrame(frame, strict=False)


def run(frame: pl.DataFrame, config: Schema | None = None, **settings: Any) -> tuple[Tables, dict[str, Removal]]:
    tables, removals = clean(tables_of(frame), config or schema(), Clean(**settings))
    return tables, {removal.rule: removal for removal in removals}


def test_clean_rows_pass_unchanged_and_nothing_is_reported() -> None:
    tables, removals = run(log())
    assert removals == {}
    assert unstored(tables.impressions).equals(log().with_columns(pl.col("time").cast(pl.Float64)))


def test_exact_duplicates_keep_the_first() -> None:
    frame = pl.concat([log(), log().head(3)])
    tables, removals = run(frame)
    assert tables.impressions.height == 100
    assert removals["duplicates"].rows == 3
    assert removals["duplicates"].example is not None
    assert removals["duplicates"].example.startswith("row 101: user=u0, item=i0")
    assert run(frame, duplicates=False)[0].impressions.height == 103


def test_each_row_keeps_its_place_in_the_files() -> None:
    tables, _ = run(log(user={4: None}, item={90: None}))
    assert tables.impressions.taken is not None
    assert tables.impressions.taken.tolist() == [row for row in range(100) if row not in {4, 90}]


def test_without_a_time_column_equal_rows_are_different_events() -> None:
    config = schema(columns={"user": "user", "item": "item", "scenario": "surface"})
    frame = pl.concat([log(), log()]).drop("time")
    assert run(frame, config)[0].impressions.height == 200


def test_rows_without_a_key_are_removed_by_key() -> None:
    tables, removals = run(log(user={0: None, 1: None}, item={2: None}, surface={3: None}))
    assert {rule: removal.rows for rule, removal in removals.items()} == {
        "missing user": 2,
        "missing item": 1,
        "missing scenario": 1,
    }
    assert tables.impressions.height == 96


def test_scenarios_that_are_not_listed_are_removed() -> None:
    tables, removals = run(log(), schema(scenarios=[{"name": "tv"}]))
    assert tables.impressions["surface"].unique().to_list() == ["tv"]
    assert removals["scenario not listed"].rows == 50


def test_impossible_times_are_removed() -> None:
    future = time.time() + 3 * 86_400
    _, removals = run(log(time={0: None, 1: -5, 2: float("inf"), 3: float("nan"), 4: future}))
    assert removals["no time"].rows == 4
    assert removals["future time"].rows == 1


def test_snapshot_is_the_last_possible_time() -> None:
    config = schema(tables={"impressions": "log", "snapshot": START + 60 * 89})
    assert run(log(), config)[1]["future time"].rows == 10


def test_min_and_max_time_take_iso_text_and_numbers() -> None:
    _, removals = run(log(), min_time="2022-04-15T05:30:00Z", max_time=START + 60 * 97)
    assert removals["before min_time"].rows == 10
    assert removals["after max_time"].rows == 2


def test_an_order_index_has_no_future() -> None:
    assert run(log().with_columns(time=pl.int_range(100)))[1] == {}


def test_label_out_of_range_becomes_unobserved_and_the_row_stays() -> None:
    tables, removals = run(log(click={7: 2}, stars={8: 5.5, 9: float("inf"), 10: float("nan")}))
    assert tables.impressions.height == 100
    assert tables.impressions["click"][7] is None
    assert tables.impressions["stars"][8] is None
    assert removals["label out of range: click"].rows == 1
    assert removals["label out of range: click"].effect == "value made missing"
    assert removals["label out of range: stars"].rows == 2
    assert set(removals) == {"label out of range: click", "label out of range: stars"}


@pytest.mark.parametrize("values", [["true", "False"], ["0", "1"], ["yes", "no"], [True, False], [0.0, 1.0], [None, 1]])
def test_labels_in_other_spellings_are_in_range(values: list[Any]) -> None:
    assert run(log().with_columns(click=pl.Series(values * 50)))[1] == {}


def test_many_labels_out_of_range_are_a_wrong_column() -> None:
    with pytest.raises(InputError, match=r"'click' holds 3, 4 \(first in row 3\); 10% of its values") as caught:
        run(log(click={2: 3, 4: 4, **dict.fromkeys(range(50, 58), 3)}))
    assert caught.value.where == "task 'click'"
    assert 'positive_when = "click >= 4"' in caught.value.fix


def test_label_of_text_is_a_wrong_column() -> None:
    with pytest.raises(InputError, match="label column 'stars' holds 'good'"):
        run(log().with_columns(stars=pl.lit("good")))


def test_positive_when_frees_the_label_from_its_range() -> None:
    config = schema(tasks=[{"name": "liked", "label": "stars", "positive_when": "stars >= 4"}])
    assert run(log(), config)[1] == {}


def test_numbers_that_are_not_finite_become_missing() -> None:
    tables, removals = run(log(price={1: float("inf"), 2: float("nan"), 3: None}))
    assert tables.impressions["price"].null_count() == 3
    assert removals["number not finite: price"].rows == 2
    assert removals["number not finite: price"].effect == "value made missing"


def test_numeric_feature_in_text_becomes_numbers() -> None:
    tables, removals = run(log().with_columns(price=pl.Series([" 1.5 "] * 98 + ["n/a", ""])))
    assert tables.impressions["price"].to_list() == [1.5] * 98 + [None, None]
    assert removals["number not finite: price"].rows == 1


def test_numeric_feature_of_words_is_refused() -> None:
    with pytest.raises(InputError, match="'price' is declared numeric but holds 'cheap'") as caught:
        run(log().with_columns(price=pl.lit("cheap")))
    assert caught.value.where == "features.context.price"
    with pytest.raises(InputError, match="is declared numeric but holds List"):
        run(log().with_columns(price=pl.lit([1.0])))


def test_users_over_the_daily_limit_are_removed_whole() -> None:
    bot = log(40).with_columns(user=pl.lit("bot"), item=pl.lit("j"), time=pl.int_range(START + 1, START + 41))
    quiet = log(20).with_columns(user=pl.lit("bot"), time=pl.int_range(START + 200_000, START + 200_020))
    tables, removals = run(pl.concat([log(), bot, quiet]), max_user_events_per_day=30)
    assert tables.impressions.height == 100
    assert removals["user rate"].rows == 60
    assert run(pl.concat([log(), bot]), max_item_events_per_day=30)[1]["item rate"].rows == 40


def test_daily_limit_needs_real_times() -> None:
    with pytest.raises(InputError, match="needs times, not an order index"):
        run(log().with_columns(time=pl.int_range(100)), max_user_events_per_day=5)


def attributes(key: str, keys: list[str | None], **columns: Any) -> pl.DataFrame:
    return pl.DataFrame({key: keys, **columns}, schema_overrides={key: pl.String})


def test_users_table_keeps_the_last_row_of_a_key() -> None:
    users = attributes("user", ["u0", "u1", None, "u0"], age=[1.0, 2.0, 3.0, float("inf")])
    raw = tables_of(log(), users=users)
    config = schema(features={"user": {"age": "numeric"}})
    tables, removals = clean(raw, config, Clean())
    assert tables.users is not None
    assert tables.users.rows() == [("u1", 2.0), ("u0", None)]
    assert [(r.rule, r.rows, r.effect) for r in removals] == [
        ("users without a key", 1, "row removed"),
        ("users listed twice", 1, "row removed"),
        ("number not finite: age", 1, "value made missing"),
        ("not in users", 70, "kept"),
    ]
    assert tables.impressions.height == 100


def test_items_without_a_listed_kind_go_with_their_impressions() -> None:
    items = attributes("item", ["i0", "i1", "i2"], kind=["goods", "toy", None])
    config = schema(
        columns={"user": "user", "item": "item", "time": "time", "scenario": "surface", "kind": "kind"},
        kinds=[{"name": "goods"}],
    )
    raw = tables_of(log(), items=items)
    tables, removals = clean(raw, config, Clean())
    assert tables.items is not None
    assert tables.items["item"].to_list() == ["i0"]
    found = {removal.rule: removal.rows for removal in removals}
    assert found["item without a kind"] == 2
    assert found["impression of an item without a kind"] == 18 == 100 - tables.impressions.height


def test_removed_rows_are_written_one_file_per_rule(tmp_path: Path) -> None:
    raw = tables_of(log(user={4: None}, click={7: 9}))
    clean(raw, schema(), Clean(write_removed=True), tmp_path / "removed")
    assert sorted(p.name for p in (tmp_path / "removed").iterdir()) == [
        "label_out_of_range_click.parquet",
        "missing_user.parquet",
    ]
    written = pl.read_parquet(tmp_path / "removed" / "label_out_of_range_click.parquet")
    assert written.select("row", "user", "click").rows() == [(7, "u0", 9)]
    clean(raw, schema(), Clean(), tmp_path / "unwanted")
    assert not (tmp_path / "unwanted").exists()


def test_removing_every_row_is_an_error_with_the_counts() -> None:
    with pytest.raises(InputError, match=r"cleaning removed every row.*scenario not listed: 100"):
        run(log(), schema(scenarios=[{"name": "radio"}]))


def test_winsorise_is_a_quantile() -> None:
    with pytest.raises(ValidationError, match="winsorise should be a quantile"):
        Clean(winsorise=0.5)
