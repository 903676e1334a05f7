"""Which columns become tasks: outcomes and ratings, with their chains, delays and thresholds."""

from pathlib import Path

import numpy as np
import pytest
from sample_logs import ROWS, assert_runs, finding, log, schema_of, task_of, written

from motet.data.infer import infer


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
