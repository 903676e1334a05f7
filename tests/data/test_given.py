"""Rows that are no part of the log: they get what logged rows got, and unknown things are unknown."""

import numpy as np
import polars as pl
import pytest
import small_shop as shop
import torch

from motet.batch import UNKNOWN
from motet.data.dataset import Dataset
from motet.data.given import columns_of, given_rows, missing_columns
from motet.errors import InputError

ROWS = np.arange(600)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return shop.prepared(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def data(base):
    return Dataset.open(base / "p")


@pytest.fixture(scope="module")
def log(data, base):
    return pl.read_parquet(base / "impressions.parquet")[data.impressions.row.numpy()]


def given(data, frame, **how):
    return given_rows(data, frame, where="rows", **how)


def tensors(part):
    for name in part.__dataclass_fields__:
        value = getattr(part, name)
        if isinstance(value, torch.Tensor):
            yield name, value
        elif value is not None:
            yield from tensors(value)


def test_rows_of_the_log_get_the_very_batch_that_prepare_made_for_them(data, log):
    before, after = dict(tensors(data.batch(ROWS))), dict(tensors(given(data, log).batch(ROWS)))
    assert set(before) - set(after) == {"labels_BCT", "position_BC"}
    for name, value in after.items():
        assert torch.equal(value, before[name]), name


def test_their_order_does_not_matter(data, log):
    order = np.random.default_rng(1).permutation(600)
    shuffled = dict(tensors(given(data, log[order]).batch(ROWS[:50])))
    for name, value in tensors(given(data, log).batch(order[:50])):
        assert torch.equal(value, shuffled[name]), name


def test_rows_without_a_time_stand_at_the_end_of_the_log_or_where_they_are_told(data, log):
    few = log.head(5).drop("at")
    assert given(data, few).time_N.tolist() == [data.end] * 5
    at = float(log["at"][300])
    told = given(data, few, at=at)
    timed = given(data, few.with_columns(at=pl.lit(at)))
    assert np.array_equal(told.pair_numbers_NP, timed.pair_numbers_NP)
    assert np.array_equal(told.history_N[1], timed.history_N[1])


def test_users_items_and_values_that_the_log_does_not_know_are_unknown(data, log):
    few = log.head(3).with_columns(user_id=pl.lit("nobody"), item_id=pl.lit("nothing"), weather=pl.lit("snow"))
    rows = given(data, few)
    assert rows.user_N.tolist() == rows.item_N.tolist() == [UNKNOWN] * 3
    assert not rows.known_items_N.any()
    batch = rows.batch(np.arange(3))
    assert batch.history.length_B.tolist() == [0, 0, 0]
    weather = next(field for field in data.layout.of("context") if field.name == "weather")
    assert (batch.context_ids_BK == weather.offset).any(1).all()


def test_a_context_that_is_not_told_is_missing_and_the_position_is_the_first(data, log):
    few = log.head(4)
    assert missing_columns(data, ["user_id", "item_id", "surface"]) == ["weather", "queue"]
    told = given(data, few.drop("rank")).context
    first = given(data, few.with_columns(rank=pl.lit(1))).context
    assert np.array_equal(told.ids_RK, first.ids_RK)
    assert np.array_equal(told.numbers_RN, first.numbers_RN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surface": pl.lit("web")}, ("row 11", "'web'", "surface")),
        ({"surface": pl.lit(None, pl.String)}, ("row 11", "surface")),
        ({"at": pl.lit(None, pl.Float64)}, ("row 11", "'at'")),
        ({"at": pl.lit(3.0)}, ("small numbers",)),
        ({"at": pl.lit("soon")}, ("soon",)),
    ],
)
def test_a_row_that_cannot_be_placed_is_named(data, log, change, words):
    with pytest.raises(InputError) as caught:
        given(data, log.head(3).with_columns(**change), first=10)
    assert all(word in str(caught.value) for word in words)


def test_a_missing_key_column_is_named_with_the_nearest(data):
    with pytest.raises(InputError, match="user_id"):
        columns_of(data, ["user_idd", "item_id", "surface"], where="rows")
    found = columns_of(data, ["item_id", "clicked", "user_id", "at", "surface", "weather"], where="rows")
    assert set(found) == {"user_id", "item_id", "surface", "at", "weather"}
