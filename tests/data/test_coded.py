"""Codes mean the values they stand for, in every type."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.coded import Coded


def meant(coded: Coded) -> list[object]:
    return coded.values.gather(coded.codes).to_list()


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), max_size=20))
def test_whole_numbers_near_and_far(values: list[int | None]) -> None:
    near = [None if value is None else value % 7 for value in values]
    for some in (values, near):
        assert meant(Coded.of(pl.Series(some, dtype=pl.Int64))) == some


@pytest.mark.parametrize(
    "values", [["b", None, "a", "b"], [1.5, None, 1.0, 1.5], [True, None, False], [None, None], []]
)
def test_text_fractions_flags_and_nothing(values: list[object]) -> None:
    assert meant(Coded.of(pl.Series(values))) == values


def test_a_number_that_is_none_is_told_from_a_missing_one_or_taken_for_it() -> None:
    assert all(value is None or math.isnan(value) for value in meant(Coded.of(pl.Series([math.nan, None]))))  # type: ignore[arg-type]


def test_values_that_become_equal_share_a_code() -> None:
    coded = Coded.of(pl.Series(["a", "A", None, "b"]))
    mapped = coded.mapped(coded.values.str.to_lowercase())
    assert meant(mapped) == ["a", "a", None, "b"]
    assert len(set(mapped.codes.tolist())) == 3


def test_occurring_values_come_in_order_of_appearance_and_absent_ones_do_not() -> None:
    coded = Coded.of(pl.Series([5, 3, 5, 9, 3])).where(np.array([False, True, True, False, True]))
    assert coded.values.gather(coded.occurring()).to_list() == [3, 5]


def test_counts_weigh_each_row() -> None:
    coded = Coded.of(pl.Series(["a", "b", "a"]))
    found = dict(zip(coded.values.to_list(), coded.counts(np.array([1.0, 2.0, 4.0])), strict=True))
    assert found == {"a": 5.0, "b": 2.0, None: 0.0}
