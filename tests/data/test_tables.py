"""Tables arrive with the schema's columns and text keys, or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from stored import stored, unstored

from motet.data.tables import Tables, read_tables, scenario_of, times_of
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse


def schema(**changes: Any) -> Schema:
    data: dict[str, Any] = {
        "tables": {"impressions": "log.csv", "users": "users.csv", "items": "items.parquet"},
        "columns": {"user": "user", "item": "item", "time": "time", "scenario": "surface", "kind": "kind"},
        "tasks": [{"name": "click", "label": "click"}],
        "features": {"user": {"age": "numeric"}, "item": {"price": "numeric"}, "context": {"hour": "categorical"}},
    }
    return parse(Schema, data | changes)


def read(schema: Schema, base: Path) -> Tables:
    return read_tables(schema, base, base / "stored")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(
        "time,user,item,surface,click,hour,unused\n5,007,1,tv,1,3,x\n6,8,,tv,0,4,x\n7,,2,,1,5,x\n"
    )
    (tmp_path / "users.csv").write_text("user,age,name\n007,30,Bond\n8,31,M\n")
    items = pl.DataFrame({"item": [1.0, 2.0, None], "kind": ["goods", "", "goods"], "price": [1.5, 2.0, 3.0]})
    items.write_parquet(tmp_path / "items.parquet")
    return tmp_path


def test_keys_are_text_missing_keys_null_and_rows_in_order(folder: Path) -> None:
    tables = read(schema(), folder)
    assert tables.impressions["user"].to_list() == ["007", "8", None]
    assert tables.impressions["item"].to_list() == ["1", None, "2"]
    assert tables.impressions["surface"].to_list() == ["tv", "tv", None]
    assert tables.users is not None
    assert tables.users.to_dict(as_series=False) == {"user": ["007", "8"], "age": [30, 31]}
    assert tables.items is not None
    assert tables.items["item"].to_list() == ["1", "2", None]
    assert tables.items["kind"].to_list() == ["goods", None, "goods"]


def test_only_the_schemas_columns_are_kept(folder: Path) -> None:
    tables = read(schema(), folder)
    assert tables.impressions.columns == ["user", "item", "time", "surface", "click", "hour"]
    assert [file.path for file in tables.files] == ["log.csv", "users.csv", "items.parquet"]
    assert tables.edges is None


def test_keys_of_different_spellings_are_the_same_user(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("time,user,item,surface,click,hour\n5,7.0,1,tv,1,3\n6,8.0,2,tv,0,4\n")
    pl.DataFrame({"user": [7, 8], "age": [1, 2]}).write_csv(tmp_path / "users.csv")
    pl.DataFrame({"item": [1, 2], "kind": ["a", "b"], "price": [1.0, 2.0]}).write_parquet(tmp_path / "items.parquet")
    tables = read(schema(), tmp_path)
    assert tables.users is not None
    assert tables.impressions["user"].to_list() == tables.users["user"].to_list() == ["7", "8"]


def test_fractional_and_categorical_keys_stay_distinct(tmp_path: Path) -> None:
    log = pl.DataFrame({"u": [1.5, 1.0], "i": pl.Series(["a", "b"], dtype=pl.Categorical), "c": [0, 1]})
    log.write_parquet(tmp_path / "log.parquet")
    plain = parse(
        Schema,
        {
            "tables": {"impressions": "log.parquet"},
            "columns": {"user": "u", "item": "i"},
            "tasks": [{"name": "c", "label": "c"}],
        },
    )
    found = read(plain, tmp_path).impressions
    assert unstored(found).rows() == [("1.5", "a", 0), ("1.0", "b", 1)]
    assert times_of(found, plain).tolist() == [0.0, 1.0]
    scenarios = scenario_of(found, plain)
    assert scenarios.values.gather(scenarios.codes).to_list() == ["all", "all"]


def test_times_are_seconds_with_nan_where_missing(folder: Path) -> None:
    frame = stored(pl.DataFrame({"time": ["2022-04-10T08:59:09Z", None]}))
    np.testing.assert_array_equal(times_of(frame, schema()), [1_649_581_149.0, np.nan])


def test_edges_are_read(folder: Path) -> None:
    (folder / "edges.csv").write_text("source,relation,target,since\n1,friend,2,2020\n")
    tables = {"impressions": "log.csv", "users": "users.csv", "items": "items.parquet", "edges": "edges.csv"}
    found = read(schema(tables=tables), folder).edges
    assert found is not None
    assert found.rows() == [("1", "friend", "2")]


@pytest.mark.parametrize(
    ("changes", "message", "fix"),
    [
        ({"tasks": [{"name": "click", "label": "clik"}]}, "there is no column 'clik'", "did you mean 'click'"),
        ({"features": {"user": {"aeg": "numeric"}}}, "there is no column 'aeg'", "did you mean 'age'"),
        ({"features": {"item": {"zzz": "text"}}}, "there is no column 'zzz'", "known: item, kind, price"),
        ({"tables": {"impressions": "log.csv", "users": "users.csv"}}, "features.item needs the items table", "add"),
        (
            {"tables": {"impressions": "log.csv", "items": "items.parquet"}},
            "features.user needs the users table",
            "add",
        ),
        (
            {"tables": {"impressions": "log.csv"}, "features": {}},
            "kind 'kind' needs an items table",
            "leave columns.kind out",
        ),
        ({"tables": {"impressions": "x.csv"}}, "no such file", "relative to the folder"),
        ({"tables": {"impressions": "x", "reader": "kuairandd"}}, "no reader is called", "did you mean 'kuairand'"),
        ({"tables": {"impressions": ["x"], "reader": "kuairand"}}, "a reader takes one folder", "impressions ="),
        ({"tables": {"impressions": "x", "reader": "kuairand"}}, "no such folder", "log_standard"),
    ],
)
def test_what_does_not_fit_is_named_with_a_fix(folder: Path, changes: dict[str, Any], message: str, fix: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(schema(**changes), folder)
    assert fix in caught.value.fix


def test_table_without_rows_is_refused(folder: Path) -> None:
    (folder / "log.csv").write_text("time,user,item,surface,click,hour\n")
    with pytest.raises(InputError, match="has no rows"):
        read(schema(), folder)


def test_key_column_of_lists_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"u": [[1]], "i": [1], "c": [1]}).write_parquet(tmp_path / "log.parquet")
    data = {
        "tables": {"impressions": "log.parquet"},
        "columns": {"user": "u", "item": "i"},
        "tasks": [{"name": "c", "label": "c"}],
    }
    with pytest.raises(InputError, match="which is no key"):
        read(parse(Schema, data), tmp_path)
