"""No way of splitting leaks, whatever the times; and the check notices when one would."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from motet.data.split import TEST, TRAIN, VALID, Split, Splits, assign, check
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse

SCHEMA = parse(
    Schema,
    {
        "tables": {"impressions": "log"},
        "columns": {"user": "user", "item": "item", "split": "part"},
        "tasks": [{"name": "click", "label": "click"}],
    },
)
ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=120)


def split(
    times: Any, users: Any = None, scenarios: Any = None, column: pl.Series | None = None, **settings: Any
) -> Splits:
    times_N = np.asarray(times, dtype=np.float64)
    zeros_N = np.zeros(times_N.size, dtype=np.int64)
    user_N = zeros_N if users is None else np.asarray(users)
    scenario_N = zeros_N if scenarios is None else np.asarray(scenarios)
    return assign(SCHEMA, Split(**settings), times_N, user_N, scenario_N, column)


def verify(split_N: Any, by: str, times: Any, users: Any = None, scenarios: Any = None) -> None:
    times_N = np.asarray(times, dtype=np.float64)
    zeros_N = np.zeros(times_N.size, dtype=np.int64)
    check(
        np.asarray(split_N, dtype=np.int8),
        Split(by=by),  # type: ignore[arg-type]
        times_N,
        zeros_N if users is None else np.asarray(users),
        zeros_N if scenarios is None else np.asarray(scenarios),
        ["tv", "web"],
    )


def test_time_split_takes_the_last_rows_in_time() -> None:
    times = np.arange(100)[::-1]
    np.testing.assert_array_equal(split(times), [TEST] * 10 + [VALID] * 10 + [TRAIN] * 80)


def test_equal_times_stay_together_at_the_nearest_boundary() -> None:
    times = [0] * 7 + [1] * 9 + [2] * 2 + [3] * 2
    np.testing.assert_array_equal(split(times), [TRAIN] * 16 + [VALID] * 2 + [TEST] * 2)
    np.testing.assert_array_equal(split([0] * 18 + [1, 2]), [TRAIN] * 18 + [VALID, TEST])


@given(ROWS, st.floats(0.01, 0.45), st.floats(0.01, 0.45))
def test_time_split_never_straddles_a_moment_and_leaves_no_split_empty(rows: Any, valid: float, test: float) -> None:
    times = np.array([row[0] for row in rows], dtype=np.float64)
    if np.unique(times).size < 3:
        with pytest.raises(InputError, match="too few to split by time"):
            split(times, valid=valid, test=test)
        return
    found = split(times, valid=valid, test=test)
    assert times[found == TRAIN].max() < times[found == VALID].min()
    assert times[found == VALID].max() < times[found == TEST].min()
    verify(found, "time", times)


def test_dates_override_the_shares() -> None:
    day = 86_400
    times = 1_704_067_200 + np.arange(10) * day
    found = split(times, valid_from="2024-01-05", test_from="2024-01-08")
    np.testing.assert_array_equal(found, [TRAIN] * 4 + [VALID] * 3 + [TEST] * 3)


def test_last_share_of_each_user_by_time_and_then_row() -> None:
    users = [0] * 10 + [1] * 20 + [2] * 9
    found = split(np.r_[np.zeros(10), np.arange(20)[::-1], np.arange(9)], users, by="user_last")
    np.testing.assert_array_equal(found[:10], [TRAIN] * 8 + [VALID, TEST])
    np.testing.assert_array_equal(found[10:30], [TEST] * 2 + [VALID] * 2 + [TRAIN] * 16)
    np.testing.assert_array_equal(found[30:], [TRAIN] * 9)


def test_last_share_counts_decimal_shares_exactly() -> None:
    found = split(np.arange(100), by="user_last", valid=0.29, test=0.07)
    assert np.bincount(found).tolist() == [64, 29, 7]


@given(ROWS)
def test_last_share_never_trains_on_a_users_future(rows: Any) -> None:
    times, users, _ = (np.array(column) for column in zip(*rows, strict=True))
    found = split(times, users, by="user_last", valid=0.2, test=0.2)
    for user in np.unique(users):
        own, when = found[users == user], times[users == user].astype(float)
        order = np.argsort(when, kind="stable")
        assert (np.diff(own[order]) >= 0).all()
        if own.size >= 10:
            assert {TRAIN, VALID, TEST} == set(own.tolist())


@given(ROWS)
def test_leave_last_out_leaves_exactly_two_of_each_user_in_each_scenario(rows: Any) -> None:
    times, users, scenarios = (np.array(column) for column in zip(*rows, strict=True))
    found = split(times, users, scenarios, by="leave_last_out")
    for group in {row[1:] for row in rows}:
        own = (users == group[0]) & (scenarios == group[1])
        order = np.argsort(times[own], kind="stable")
        size = int(own.sum())
        expected = [TRAIN] * (size - 2) + [VALID, TEST] if size >= 3 else [TRAIN] * size
        np.testing.assert_array_equal(found[own][order], expected)


def test_column_names_the_split() -> None:
    words = pl.Series("part", ["train", "Val", "validation", " test ", "VALID"])
    np.testing.assert_array_equal(split(range(5), column=words, by="column"), [0, 1, 1, 2, 1])
    np.testing.assert_array_equal(split(range(3), column=pl.Series([2, 0, 1]), by="column"), [2, 0, 1])
    np.testing.assert_array_equal(split(range(2), column=pl.Series([2.0, 0.0]), by="column"), [2, 0])


@pytest.mark.parametrize("value", ["later", None, "3"])
def test_column_with_another_word_is_refused(value: str | None) -> None:
    with pytest.raises(InputError, match=rf"row 2 holds {value!r}, which is no split") as caught:
        split(range(2), column=pl.Series("part", ["train", value]), by="column")
    assert "'part'" in caught.value.where


def test_split_by_column_needs_one() -> None:
    with pytest.raises(InputError, match="there is no split column"):
        split(range(2), by="column")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"valid": 0.0}, "each be above 0"),
        ({"valid": 0.5, "test": 0.5}, "together below 1"),
        ({"valid_from": "2024-01-01"}, "give both"),
        ({"by": "user_last", "valid_from": 1, "test_from": 2}, "are for by"),
        ({"by": "random"}, "time"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Split(**settings)


def test_dates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InputError, match="valid_from should be before test_from"):
        split(range(5), valid_from="2024-02-01", test_from="2024-01-01")


def test_an_empty_split_is_refused_with_the_counts() -> None:
    with pytest.raises(InputError, match=r"the valid split is empty \(train 2, valid 0, test 1 rows\)"):
        verify([0, 0, 2], "time", [1, 2, 3])
    with pytest.raises(InputError, match="the test split is empty") as caught:
        verify([0, 1], "user_last", [1, 2])
    assert "fewer than 10 rows" in caught.value.fix


def test_a_leak_in_time_is_noticed() -> None:
    verify([0, 1, 2], "time", [1, 2, 3])
    with pytest.raises(InputError, match=r"valid rows lie at or before train rows.*train up to 2, valid from 2"):
        verify([0, 0, 1, 2], "time", [1, 2, 2, 3])
    with pytest.raises(InputError, match="test rows lie at or before valid rows"):
        verify([0, 1, 2, 1], "time", [1, 2, 3, 4])


def test_a_users_test_row_before_his_train_rows_is_noticed() -> None:
    verify([0, 1, 2, 0], "user_last", [1, 2, 3, 9], users=[0, 0, 0, 1])
    verify([0, 1, 2], "user_last", [1, 1, 1])
    with pytest.raises(InputError, match="valid rows of a user lie at or before train rows"):
        verify([0, 1, 2, 0], "user_last", [1, 2, 3, 9], users=[0, 0, 0, 0])


def test_leave_last_out_is_checked_per_user_and_scenario() -> None:
    verify([0, 1, 2, 0], "leave_last_out", [1, 2, 3, 9], scenarios=[0, 0, 0, 1])
    with pytest.raises(InputError, match="of a user in a scenario"):
        verify([0, 1, 2, 0], "leave_last_out", [1, 2, 3, 9], scenarios=[0, 0, 0, 0])


@given(ROWS, st.randoms(use_true_random=False))
def test_any_train_row_moved_behind_a_test_row_is_noticed(rows: Any, random: Any) -> None:
    times = np.array([row[0] for row in rows], dtype=np.float64)
    if np.unique(times).size < 3:
        return
    found = split(times)
    train, test = np.flatnonzero(found == TRAIN), np.flatnonzero(found == TEST)
    times[random.choice(train.tolist())] = times[random.choice(test.tolist())]
    with pytest.raises(InputError, match="in time"):
        verify(found, "time", times)


def test_a_scenario_outside_train_is_noticed() -> None:
    with pytest.raises(InputError, match=r"scenario 'web' is seen only in valid \(1 rows\) and test \(2 rows\)"):
        verify([0, 1, 1, 2, 2], "time", [1, 2, 2, 3, 3], scenarios=[0, 0, 1, 1, 1])
