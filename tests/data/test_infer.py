"""What `motet init` understands of tables like those that people have, and that the file it writes can be used."""

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.infer import Finding, Inference, infer
from motet.data.infer.words import ITEM, USER, names_key, words
from motet.data.prepare import PrepareSettings, check_tables
from motet.data.split import Split
from motet.data.tables import read_tables
from motet.errors import InputError
from motet.schema import Schema, Task
from motet.settings import parse

START = 1_700_000_000
ROWS = 3000
Columns = Mapping[str, Any]


def schema_of(inference: Inference) -> Schema:
    data = tomllib.loads(inference.toml)
    parse(Split, data.pop("split"))
    return parse(Schema, data)


def split_of(inference: Inference) -> str:
    return parse(Split, tomllib.loads(inference.toml)["split"]).by


def finding(inference: Inference, column: str) -> Finding:
    return next(found for found in inference.findings if found.column == column)


def task_of(inference: Inference, name: str) -> Task:
    return schema_of(inference).task(name)


def assert_runs(inference: Inference, folder: Path) -> None:
    """`motet prepare` would take the file as it is: tables, labels, splits and features, and no outcome among these."""
    split = parse(Split, tomllib.loads(inference.toml)["split"])
    schema = schema_of(inference)
    told = check_tables(schema, PrepareSettings(split=split), folder)
    assert min(told["rows"].values()) > 0
    assert {cell["task"] for cell in told["cells"]} == {task.name for task in schema.tasks}


def written(folder: Path, name: str, columns: Columns | pl.DataFrame) -> Path:
    frame = columns if isinstance(columns, pl.DataFrame) else pl.DataFrame(columns)
    path = folder / name
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".tsv":
            frame.write_csv(path, separator="\t")
        case ".jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_parquet(path)
    return path


def log(rows: int = ROWS, users: int = 60, items: int = 200, seed: int = 0) -> dict[str, Any]:
    """A plain log: user, item, time in seconds and clicks that depend on the item."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, items, rows)
    return {
        "user_id": rng.integers(0, users, rows),
        "item_id": item,
        "timestamp": START + np.sort(rng.integers(0, 30 * 86_400, rows)),
        "click": (rng.random(rows) < 0.2 + 0.3 * (item % 2)).astype(int),
    }


def kuairand(folder: Path) -> list[Path]:
    rng = np.random.default_rng(1)
    plain = log(seed=1)
    watched = np.where(plain["click"] == 1, rng.integers(5_000, 60_000, ROWS), rng.integers(0, 6_000, ROWS))
    impressions = {
        "user_id": plain["user_id"],
        "video_id": plain["item_id"],
        "date": 20_220_400 + rng.integers(1, 15, ROWS),
        "hourmin": 100 * rng.integers(0, 24, ROWS),
        "time_ms": plain["timestamp"] * 1000,
        "is_click": plain["click"],
        "is_like": (rng.random(ROWS) < 0.1).astype(int),
        "long_view": (watched > 20_000).astype(int),
        "play_time_ms": watched,
        "duration_ms": 1000 * (plain["item_id"] % 50 + 7),
        "comment_stay_time": rng.integers(0, 900, ROWS),
        "tab": rng.choice([0, 1, 4], ROWS, p=[0.2, 0.7, 0.1]),
    }
    users = {
        "user_id": np.arange(60),
        "user_active_degree": rng.choice(["full_active", "high_active", "middle_active"], 60),
        "is_lowactive_period": np.zeros(60, dtype=int),
        "follow_user_num": rng.integers(0, 5000, 60),
        "register_days": rng.integers(10, 3000, 60),
        "onehot_feat3": rng.integers(0, 40, 60),
    }
    return [written(folder, "log.tsv", impressions), written(folder, "users.csv", users)]


def test_a_video_log_with_users(tmp_path: Path) -> None:
    found = infer(kuairand(tmp_path), base=tmp_path)
    schema = schema_of(found)
    assert (schema.tables.impressions, schema.tables.users) == ("log.tsv", "users.csv")
    columns = schema.columns
    assert (columns.user, columns.item, columns.time, columns.scenario) == ("user_id", "video_id", "time_ms", "tab")
    assert [(task.name, task.label) for task in schema.tasks] == [
        ("click", "is_click"),
        ("like", "is_like"),
        ("long_view", "long_view"),
    ]
    forms = {name: feature.form for name, feature in schema.features.of("user").items()}
    assert forms == {
        "user_active_degree": "categorical",
        "follow_user_num": "numeric",
        "register_days": "numeric",
        "onehot_feat3": "categorical",
    }
    assert list(schema.features.of("context")) == ["hourmin"]
    assert split_of(found) == "time"
    assert_runs(found, tmp_path)


def test_an_outcome_is_written_as_a_comment_with_its_auc_and_a_warning(tmp_path: Path) -> None:
    found = infer(kuairand(tmp_path), base=tmp_path)
    play = finding(found, "play_time_ms")
    assert play.warning
    assert play.role == "outcome"
    assert "predicts" in play.why
    assert "an outcome" in play.why
    line = next(line for line in found.toml.splitlines() if "play_time_ms" in line)
    assert line.startswith("# play_time_ms = ")
    assert "warning" in line
    assert finding(found, "comment_stay_time").warning


def test_an_item_constant_number_is_an_attribute_and_an_unchanging_column_nothing(tmp_path: Path) -> None:
    found = infer(kuairand(tmp_path), base=tmp_path)
    assert finding(found, "duration_ms").role == "item attribute"
    assert finding(found, "is_lowactive_period").why == "one value only"
    assert "another form of the time" in finding(found, "date").why


def test_ratings_and_movies(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    ratings = {
        "userId": rng.integers(1, 50, ROWS),
        "movieId": rng.integers(1, 120, ROWS),
        "rating": rng.choice([0.5, 1, 2, 3, 3.5, 4, 4.5, 5], ROWS),
        "timestamp": START + rng.integers(0, 10**7, ROWS),
    }
    genres = ["Action", "Comedy", "Drama", "Horror", "Sci-Fi"]
    movies = {
        "movieId": np.arange(1, 121),
        "title": [f"The {rng.choice(['Long', 'Lost', 'Blue'])} Story {n}, Part (19{n % 90 + 10})" for n in range(120)],
        "genres": ["|".join(rng.choice(genres, rng.integers(1, 4), replace=False)) for _ in range(120)],
    }
    found = infer([written(tmp_path, "movies.csv", movies), written(tmp_path, "ratings.csv", ratings)], base=tmp_path)
    schema = schema_of(found)
    assert (schema.tables.impressions, schema.tables.items) == ("ratings.csv", "movies.csv")
    assert (schema.columns.user, schema.columns.item, schema.columns.time) == ("userId", "movieId", "timestamp")
    stars, liked = schema.tasks
    assert (stars.name, stars.label, stars.form, stars.range) == ("stars", "rating", "regression", (0.5, 5.0))
    assert (liked.name, liked.label, liked.positive_when) == ("liked", "rating", "rating >= 4")
    item = schema.features.of("item")
    assert item["title"].form == "text"
    assert (item["genres"].form, item["genres"].separator) == ("tags", "|")
    assert_runs(found, tmp_path)


def shop(folder: Path) -> list[Path]:
    rng = np.random.default_rng(3)
    kinds = np.array(["goods", "content"])[np.arange(200) % 2]
    item = rng.integers(0, 200, ROWS)
    clicked = rng.random(ROWS) < 0.4
    bought = clicked & (rng.random(ROWS) < 0.4) & (kinds[item] == "goods")
    liked = (rng.random(ROWS) < 0.3) & (kinds[item] == "content")
    shown = [datetime(2024, 3, 1) + timedelta(seconds=int(s)) for s in np.sort(rng.integers(0, 4_000_000, ROWS))]
    later = rng.integers(3600, 45 * 3600, ROWS)
    request = np.arange(ROWS) // 5
    impressions = {
        "request_id": [f"r{n}" for n in request],
        "member": [f"m{n % 40}" for n in request],
        "sku": [f"p{n}" for n in item],
        "shown_at": shown,
        "surface": rng.choice(["desktop", "mobile", "voice"], ROWS // 5, p=[0.3, 0.5, 0.2])[request],
        "pos": np.arange(ROWS) % 5,
        "propensity": rng.uniform(0.01, 0.9, ROWS),
        "clicked": clicked,
        "purchased": bought.astype(int),
        "purchased_at": [
            s + timedelta(seconds=int(d)) if b else None for s, d, b in zip(shown, later, bought, strict=True)
        ],
        "liked": liked.astype(int),
        "is_weekend": (rng.random(ROWS // 5) < 0.3)[request],
        "dwell": np.where(clicked, rng.exponential(30, ROWS), 0.0),
    }
    items = {
        "sku": [f"p{n}" for n in range(200)],
        "kind": kinds,
        "price": rng.lognormal(3, 1, 200),
        "title": [f"{rng.choice(['red', 'blue'])} {rng.choice(['shoe', 'lamp'])} number {n}" for n in range(200)],
        "tags": [rng.choice(["new", "sale", "eco", "kids"], 2, replace=False).tolist() for _ in range(200)],
        "photo": rng.normal(size=(200, 8)).tolist(),
        "brand": rng.choice(["acme", "bolt", "core"], 200),
        "url": [f"https://shop.example/p/{n}" for n in range(200)],
        "listed": [datetime(2023, 1, 1) + timedelta(days=n) for n in range(200)],
        "notes": pl.Series([None] * 200, dtype=pl.String),
    }
    return [written(folder, "items.parquet", items), written(folder, "log.parquet", impressions)]


def test_a_shop_with_kinds_requests_and_delayed_purchases(tmp_path: Path) -> None:
    found = infer(shop(tmp_path), base=tmp_path)
    schema = schema_of(found)
    columns = schema.columns
    assert (columns.user, columns.item, columns.time, columns.scenario) == ("member", "sku", "shown_at", "surface")
    assert (columns.kind, columns.request, columns.position) == ("kind", "request_id", "pos")
    assert columns.propensity == "propensity"
    assert [task.name for task in schema.tasks] == ["clicked", "purchased", "liked"]
    purchase = schema.task("purchased")
    assert (purchase.after, purchase.kinds, purchase.delay) == ("clicked", ("goods",), "45h")
    assert (schema.task("liked").kinds, schema.task("liked").after) == (("content",), None)
    assert_runs(found, tmp_path)


def test_the_forms_of_item_columns(tmp_path: Path) -> None:
    found = infer(shop(tmp_path), base=tmp_path)
    forms = {name: feature.form for name, feature in schema_of(found).features.of("item").items()}
    expected = {"price": "numeric", "title": "text", "tags": "tags", "photo": "vector", "brand": "categorical"}
    assert forms == expected
    assert "8 numbers" in finding(found, "photo").why
    assert "addresses" in finding(found, "url").why
    assert "a date" in finding(found, "listed").why
    assert finding(found, "notes").why == "no value"


def test_what_is_known_before_is_a_feature_and_what_came_after_is_not(tmp_path: Path) -> None:
    found = infer(shop(tmp_path), base=tmp_path)
    assert list(schema_of(found).features.of("context")) == ["is_weekend"]
    assert "known before" in finding(found, "is_weekend").why
    assert finding(found, "dwell").role == "outcome"
    assert "delay of purchased" in finding(found, "purchased_at").why


def test_json_lines_with_iso_times(tmp_path: Path) -> None:
    plain = log()
    plain["timestamp"] = [
        (datetime(2024, 1, 1) + timedelta(seconds=int(t) - START)).isoformat() + "Z" for t in plain["timestamp"]
    ]
    found = infer([written(tmp_path, "log.jsonl", plain)], base=tmp_path)
    assert schema_of(found).columns.time == "timestamp"
    assert "2024-01-01 to 2024-01-3" in finding(found, "timestamp").why
    assert schema_of(found).columns.scenario is None
    assert_runs(found, tmp_path)


def test_one_wide_table_keeps_attributes_and_outcomes_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    plain = log()
    wide = plain | {
        "gender": np.array(["f", "m", "x"])[plain["user_id"] % 3],
        "age": plain["user_id"] % 37 + 18.5,
        "category": np.array(["a", "b", "c", "d"])[plain["item_id"] % 4],
        "price": plain["item_id"] * 1.37,
        "is_new_user": plain["user_id"] % 2,
        "device_os": rng.choice(["ios", "android"], ROWS),
        "mood": rng.choice(["x", "y", "z"], ROWS),
        "basket_value": plain["click"] * rng.uniform(5, 50, ROWS),
        "status": np.where(plain["click"] == 1, "opened", "ignored"),
        "items_seen": rng.integers(0, 9, ROWS),
    }
    found = infer([written(tmp_path, "wide.csv", wide)], base=tmp_path)
    schema = schema_of(found)
    assert [task.name for task in schema.tasks] == ["click"]
    assert list(schema.features.of("context")) == ["gender", "is_new_user", "device_os", "mood"]
    roles = {name: finding(found, name).role for name in ("age", "category", "price", "basket_value", "status")}
    assert roles == {
        "age": "user attribute",
        "category": "item attribute",
        "price": "item attribute",
        "basket_value": "outcome",
        "status": "outcome",
    }
    assert finding(found, "mood").warning
    assert not finding(found, "device_os").warning
    assert "items_seen" not in schema.features.of("context")
    assert_runs(found, tmp_path)


@pytest.mark.parametrize("name", ["is_weekend", "is_holiday", "is_first_visit", "is_new_user", "sponsored", "isVip"])
def test_a_flag_that_is_known_before_is_no_task(tmp_path: Path, name: str) -> None:
    plain = log() | {name: np.random.default_rng(5).integers(0, 2, ROWS)}
    schema = schema_of(infer([written(tmp_path, "log.csv", plain)], base=tmp_path))
    assert [task.label for task in schema.tasks] == ["click"]
    assert list(schema.features.of("context")) == [name]


@pytest.mark.parametrize("name", ["is_favourite", "bought", "Liked", "addToCart", "gekauft", "购买", "isFoo", "label"])
def test_a_flag_of_what_users_did_is_a_task(tmp_path: Path, name: str) -> None:
    plain = log() | {name: np.random.default_rng(5).integers(0, 2, ROWS)}
    schema = schema_of(infer([written(tmp_path, "log.csv", plain)], base=tmp_path))
    assert [task.label for task in schema.tasks] == ["click", name]
    assert not schema.features.of("context")


def test_a_flag_that_is_the_users_own_is_a_feature(tmp_path: Path) -> None:
    plain = log()
    plain["is_foo"] = plain["user_id"] % 2
    schema = schema_of(infer([written(tmp_path, "log.csv", plain)], base=tmp_path))
    assert list(schema.features.of("context")) == ["is_foo"]


def test_yes_and_no_are_a_label(tmp_path: Path) -> None:
    plain = log()
    plain["click"] = np.where(plain["click"] == 1, "yes", "no")
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert [task.label for task in schema_of(found).tasks] == ["click"]
    assert_runs(found, tmp_path)


def test_a_label_with_one_value_is_no_task(tmp_path: Path) -> None:
    found = infer([written(tmp_path, "log.csv", log() | {"bought": np.zeros(ROWS, dtype=int)})], base=tmp_path)
    assert [task.label for task in schema_of(found).tasks] == ["click"]
    assert finding(found, "bought").why == "one value only"


def test_a_purchase_without_a_click_is_no_chain(tmp_path: Path) -> None:
    plain = log()
    plain["purchase"] = plain["click"].copy()
    plain["purchase"][:40] = 1 - plain["click"][:40]
    assert task_of(infer([written(tmp_path, "log.csv", plain)], base=tmp_path), "purchase").after is None


def test_a_chain_names_the_rarest_parent_and_stands_behind_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    plain = log()
    cart = plain["click"] * rng.integers(0, 2, ROWS)
    plain = {"order": cart * rng.integers(0, 2, ROWS), "add_to_cart": cart} | plain
    schema = schema_of(infer([written(tmp_path, "log.csv", plain)], base=tmp_path))
    assert [(task.name, task.after) for task in schema.tasks] == [
        ("click", None),
        ("add_to_cart", "click"),
        ("order", "add_to_cart"),
    ]


def test_a_time_that_every_row_has_is_when_the_label_is_known(tmp_path: Path) -> None:
    plain = log()
    plain["purchase"] = np.random.default_rng(7).integers(0, 2, ROWS)
    plain["purchase_known_at"] = plain["timestamp"] + 86_400
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert task_of(found, "purchase").known_at == "purchase_known_at"
    assert task_of(found, "click").known_at is None
    assert schema_of(found).columns.time == "timestamp"


def test_zero_in_a_rating_means_not_rated(tmp_path: Path) -> None:
    plain = log()
    plain["stars given"] = np.random.default_rng(8).choice([0, 1, 2, 3, 4, 5], ROWS, p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert task_of(found, "stars").observed_when == "`stars given` >= 1"
    assert task_of(found, "liked").positive_when == "`stars given` >= 4"
    assert_runs(found, tmp_path)


@pytest.mark.parametrize(
    ("levels", "threshold"),
    [
        ([1, 2, 3, 4, 5], "4"),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "8"),
        ([0.5, 1, 2.5, 4, 5], "4"),
        ([10, 50, 80, 100], "80"),
    ],
)
def test_the_threshold_is_three_quarters_up_the_scale(tmp_path: Path, levels: list[float], threshold: str) -> None:
    plain = log() | {"score": np.random.default_rng(9).choice(levels, ROWS)}
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert task_of(found, "liked").positive_when == f"score >= {threshold}"


def test_a_threshold_that_nobody_misses_moves_up(tmp_path: Path) -> None:
    plain = log() | {"rating": np.random.default_rng(9).choice([1, 4, 5], ROWS, p=[0.005, 0.5, 0.495])}
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert task_of(found, "liked").positive_when == "rating >= 5"


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


def test_a_split_column_is_obeyed(tmp_path: Path) -> None:
    plain = log() | {"split": ["train"] * 2400 + ["valid"] * 300 + ["test"] * 300}
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert (split_of(found), schema_of(found).columns.split) == ("column", "split")


def test_without_times_the_last_row_of_each_user_is_test(tmp_path: Path) -> None:
    plain = log(rows=600, users=100)
    del plain["timestamp"]
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert (split_of(found), schema_of(found).columns.time) == ("leave_last_out", None)
    plain["step"] = np.arange(600)
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert (split_of(found), schema_of(found).columns.time) == ("leave_last_out", "step")


def test_new_users_at_the_end_of_time_ask_for_a_split_by_user(tmp_path: Path) -> None:
    plain = log(rows=3000)
    plain["user_id"] = np.arange(3000) // 30
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert split_of(found) == "user_last"
    assert "are new then" in next(each.why for each in found.findings if each.role == "split")


def test_a_scenario_that_appears_late_asks_for_a_split_by_user(tmp_path: Path) -> None:
    plain = log() | {"channel": ["web"] * 2800 + ["app"] * 200}
    found = infer([written(tmp_path, "log.csv", plain)], base=tmp_path)
    assert split_of(found) == "user_last"
    assert "scenario app" in next(each.why for each in found.findings if each.role == "split")


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


def test_every_section_starts_with_a_sentence_and_every_setting_has_a_reason(tmp_path: Path) -> None:
    lines = infer(shop(tmp_path), base=tmp_path).toml.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("[") and not line.startswith("[["):
            assert lines[number + 1].startswith("# "), line
        if line.startswith(("user =", "label =", "after =", "delay =", "photo =", "by =")):
            assert "  # " in line, line


def test_findings_and_file_tell_the_same(tmp_path: Path) -> None:
    found = infer(shop(tmp_path), base=tmp_path)
    assert found == infer(shop(tmp_path), base=tmp_path)
    for each in found.findings:
        assert each.why
        assert each.why in found.toml or each.role.startswith("task")


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
    read_tables(schema, folder)


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


SHARED = Path(__file__).resolve().parents[2] / "../shared/data"


def shared(*names: str) -> list[Path]:
    files = [SHARED / name for name in names]
    if not all(file.exists() for file in files):
        pytest.skip("the real data is not beside the repository")
    return files


def test_kuairand_itself() -> None:
    files = shared("kuairand/processed_standard_kcore_15.tsv.gz", "kuairand/user_features_pure.csv.gz")
    found = infer(files, base=SHARED)
    schema = schema_of(found)
    assert (schema.columns.user, schema.columns.item, schema.columns.time) == ("user_id", "video_id", "time_ms")
    labels = {"is_click", "is_follow", "is_comment", "is_forward", "long_view", "is_profile_enter", "label"}
    assert {task.label for task in schema.tasks} == labels
    assert list(schema.features.of("context")) == ["hourmin"]
    assert "predicts long_view with AUC .97" in finding(found, "play_time_ms").why
    assert split_of(found) == "time"
    assert_runs(found, SHARED)


def test_movielens_itself() -> None:
    files = shared(*(f"ml100k/ml-100k.{part}.gz" for part in ("inter", "user", "item", "kg", "link")))
    found = infer(files, base=SHARED)
    schema = schema_of(found)
    assert [task.form for task in schema.tasks] == ["regression", "binary"]
    assert schema.tasks[1].positive_when == "`rating:float` >= 4"
    assert schema.features.of("item")["class:token_seq"].form == "tags"
    assert split_of(found) == "user_last"
    assert_runs(found, SHARED)


@pytest.mark.parametrize(
    ("name", "labels", "scenario"),
    [
        ("kuairand_sample", {"is_click"}, None),
        ("mind_sample", {"label"}, None),
        ("douban_sample", {"rating"}, "domain"),
        ("yidian_news_sampled", {"click"}, "deviceName"),
    ],
)
def test_samples_of_public_logs(name: str, labels: set[str], scenario: str | None) -> None:
    found = infer(shared(f"samples/{name}.csv.gz"), base=SHARED)
    assert {task.label for task in schema_of(found).tasks} == labels
    assert schema_of(found).columns.scenario == scenario
    assert_runs(found, SHARED)


@pytest.mark.parametrize("name", ["aliexpress_train_sample", "ali_ccp_train_sample", "census_income_train_sample"])
def test_samples_without_users_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="no user column found"):
        infer(shared(f"samples/{name}.csv.gz"), base=SHARED)
