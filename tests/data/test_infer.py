"""What `motet init` understands of tables like those that people have, and that the file it writes can be used."""

import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sample_logs import ROWS, START, assert_runs, finding, kuairand, log, schema_of, shop, split_of, written

from motet.data.infer import infer
from motet.data.sources.market import Market, write
from motet.schema import Schema
from motet.settings import parse


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


def test_the_embedded_market_is_understood_as_its_own_file_says(tmp_path: Path) -> None:
    """Roles, labels, kinds and forms as in the hand-written file; no oracle becomes a feature."""
    write(Market(impressions=20_000), tmp_path)
    own = parse(Schema, {k: v for k, v in tomllib.loads((tmp_path / "motet.toml").read_text()).items() if k != "split"})
    found = infer([tmp_path / f"{table}.parquet" for table in ("users", "items", "impressions")], base=tmp_path)
    schema = schema_of(found)
    assert schema.columns == own.columns
    assert {task.label: task.kinds for task in schema.tasks if task.form == "binary" and not task.positive_when} == {
        task.label: task.kinds for task in own.tasks if task.form == "binary"
    }
    assert next(task for task in schema.tasks if task.label == "bought").after == "clicked"
    for owner in ("user", "item"):
        forms = {name: feature.form for name, feature in schema.features.of(owner).items()}
        assert forms == {name: feature.form for name, feature in own.features.of(owner).items()}
    assert set(schema.features.of("context")) <= set(own.features.of("context"))
    assert_runs(found, tmp_path)
