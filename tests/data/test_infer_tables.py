"""Which file is which table, which columns are keys, names of any spelling, and bad input."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_logs import ROWS, assert_runs, finding, log, schema_of, written

from motet.data.infer import infer
from motet.data.infer.words import ITEM, USER, names_key, words
from motet.data.tables import read_tables
from motet.errors import InputError


def test_files_with_the_same_columns_are_one_table(tmp_path: Path) -> None:
    frame = pl.DataFrame(log())
    days = [written(tmp_path, f"day{n}.csv", frame[n * 1000 : n * 1000 + 1000]) for n in range(3)]
    users = pl.DataFrame({"user_id": range(60), "plan": ["free", "paid"] * 30})
    parts = [written(tmp_path, f"users-{n}.csv", users[n * 30 : n * 30 + 30]) for n in range(2)]
    found = infer([*days, *parts], base=tmp_path)
    schema = schema_of(found)
    assert schema.tables.impressions == ("day0.csv", "day1.csv", "day2.csv")
    assert schema.tables.users == "users-*.csv"
    assert_runs(found, tmp_path)


def test_edges_are_used_when_named_right_and_explained_when_not(tmp_path: Path) -> None:
    main = written(tmp_path, "log.csv", log())
    right = written(tmp_path, "kg.csv", {"source": ["a"], "relation": ["r"], "target": ["b"]})
    assert schema_of(infer([main, right], base=tmp_path)).tables.edges == "kg.csv"
    wrong = written(tmp_path, "friends.csv", {"follower": [1], "followee": [2]})
    found = infer([main, wrong], base=tmp_path)
    assert schema_of(found).tables.edges is None
    assert "rename its columns to source, relation and target" in finding(found, "friends.csv").why


def test_a_side_table_with_another_key_name_is_explained(tmp_path: Path) -> None:
    main = written(tmp_path, "log.csv", log())
    items = written(tmp_path, "products.csv", {"id": range(200), "colour": ["red", "blue"] * 100})
    found = infer([main, items], base=tmp_path)
    assert schema_of(found).tables.items is None
    assert "rename it to 'item_id'" in finding(found, "products.csv").why


def test_keys_without_a_name_are_told_by_their_side_tables(tmp_path: Path) -> None:
    plain = log()
    renamed = {"a": plain["user_id"], "b": plain["item_id"], "clicked": plain["click"]}
    files = [
        written(tmp_path, "events.csv", renamed),
        written(tmp_path, "customers.csv", {"a": range(60), "plan": ["free", "paid"] * 30}),
        written(tmp_path, "articles.csv", {"b": range(200), "colour": ["red", "blue"] * 100}),
    ]
    schema = schema_of(infer(files, base=tmp_path))
    assert (schema.columns.user, schema.columns.item) == ("a", "b")
    assert (schema.tables.users, schema.tables.items) == ("customers.csv", "articles.csv")


@pytest.mark.parametrize(
    "name", ["userId", "uid", "User_ID", "member", "customer_id", "用户ID", "user_id:token", "reviewerID"]
)
def test_spellings_of_the_user(name: str) -> None:
    assert names_key(words(name), USER) > 0
    assert names_key(words(name), ITEM) == 0


@pytest.mark.parametrize(
    "name", ["video_id", "sku", "asin", "movieId", "productID", "news-id", "商品编号", "artikel_nr"]
)
def test_spellings_of_the_item(name: str) -> None:
    assert names_key(words(name), ITEM) > 0
    assert names_key(words(name), USER) == 0


@pytest.mark.parametrize(
    "name", ["user_age", "num_items", "follow_user_num", "video_type", "item_price", "id", "", "时间"]
)
def test_what_names_no_key(name: str) -> None:
    assert names_key(words(name), USER) == names_key(words(name), ITEM) == 0


def test_a_file_outside_of_the_folder_is_written_with_its_whole_path(tmp_path: Path) -> None:
    path = written(tmp_path, "log.csv", log())
    (tmp_path / "project").mkdir()
    found = infer([path], base=tmp_path / "project")
    assert schema_of(found).tables.impressions == path.as_posix()
    assert_runs(found, tmp_path / "project")


odd_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(names=st.lists(odd_names, min_size=6, max_size=6, unique=True))
def test_any_column_name_survives_into_the_file(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    flag, grade, number, code, tags, title = (f"{name} {place}" for place, name in enumerate(names))
    rng = np.random.default_rng(10)
    plain = log(rows=200, users=10, items=20) | {
        f"click {flag}": rng.integers(0, 2, 200),
        f"rating {grade}": rng.integers(1, 6, 200),
        f"dwell {number}": rng.normal(size=200),
        f"city {code}": rng.choice(["a", "b"], 200),
    }
    items = {
        "item_id": range(20),
        tags: ["red|blue", "blue|green"] * 10,
        title: [f"a long text with many words number {n}" for n in range(20)],
    }
    folder = tmp_path_factory.mktemp("odd")
    found = infer([written(folder, "log.parquet", plain), written(folder, "items.parquet", items)], base=folder)
    schema = schema_of(found)
    assert {f"click {flag}", f"rating {grade}"} <= {task.label for task in schema.tasks}
    assert f"dwell {number}" not in schema.features.of("context")
    assert set(schema.features.of("item")) == {tags, title}
    read_tables(schema, folder, folder / "stored")


def test_bad_input_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file given"):
        infer([], base=tmp_path)


def test_bad_input_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        infer([tmp_path / "absent.csv"], base=tmp_path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is empty"):
        infer([tmp_path / "empty.csv"], base=tmp_path)
    (tmp_path / "header.csv").write_text("user_id,item_id,click\n")
    with pytest.raises(InputError, match="no rows"):
        infer([tmp_path / "header.csv"], base=tmp_path)


def test_bad_input_no_user_names_the_columns_and_the_fix(tmp_path: Path) -> None:
    plain = log()
    path = written(tmp_path, "log.csv", {"who": plain["user_id"], "item_id": plain["item_id"], "click": plain["click"]})
    with pytest.raises(InputError, match="no user column found") as caught:
        infer([path], base=tmp_path)
    assert "who, item_id, click" in caught.value.fix
    assert "`user_id`" in caught.value.fix


def test_bad_input_no_item(tmp_path: Path) -> None:
    plain = log()
    path = written(tmp_path, "log.csv", {"user_id": plain["user_id"], "click": plain["click"]})
    with pytest.raises(InputError, match="no item column found"):
        infer([path], base=tmp_path)


def test_bad_input_users_alone(tmp_path: Path) -> None:
    users = written(tmp_path, "users.csv", {"user_id": range(50), "age": range(50)})
    with pytest.raises(InputError, match="is a users table; a log of impressions is needed"):
        infer([users], base=tmp_path)
    items = written(tmp_path, "items.csv", {"item_id": range(50), "price": range(50)})
    with pytest.raises(InputError, match="no table names both users and items"):
        infer([users, items], base=tmp_path)


def test_bad_input_no_label_names_the_other_columns(tmp_path: Path) -> None:
    plain = log() | {"weight": np.arange(ROWS) * 1.5}
    del plain["click"]
    with pytest.raises(InputError, match="no label found") as caught:
        infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert "weight" in caught.value.fix
