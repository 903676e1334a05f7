"""A table on the disk gives back what it was given, whatever the types, batches and rows taken."""

from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from stored import stored, unstored

from motet.data.store import HASH, Table, Writer

FRAME = pl.DataFrame(
    {
        "whole": pl.Series([3, None, -1, 3], dtype=pl.Int16),
        "real": [0.5, float("nan"), None, -0.0],
        "flag": [True, None, False, True],
        "day": [date(2024, 1, 1), None, date(2025, 5, 5), date(2024, 1, 1)],
        "when": [datetime(2024, 1, 1, 12), None, datetime(2025, 5, 5), datetime(2024, 1, 1)],
        "text": ["b", None, "a", "b"],
        "kind": pl.Series(["x", None, "y", "x"], dtype=pl.Categorical),
        "tags": [["a", "b"], None, [], ["a"]],
    }
)
PLAIN = FRAME.with_columns(pl.col("kind").cast(pl.String))


def test_every_type_comes_back_in_order_and_categories_as_text() -> None:
    assert_frame_equal(unstored(stored(FRAME)), PLAIN)
    assert_frame_equal(unstored(stored(FRAME, free=frozenset({"text"}))), PLAIN)


def test_batches_are_one_table_even_if_values_are_missing_only_in_some(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for start in (0, 1, 3):
        writer.append(FRAME[start : {0: 1, 1: 3, 3: 4}[start]])
    assert_frame_equal(unstored(writer.table()), PLAIN)


def test_taken_rows_come_in_the_order_asked_for_and_compose() -> None:
    table = stored(FRAME).take(np.array([3, 0, 2])).take(np.array([2, 0]))
    assert table.height == 2
    assert_frame_equal(unstored(table), PLAIN[[2, 3]])
    assert_frame_equal(stored(FRAME).rows(np.array([1])), PLAIN[[1]])


def test_another_column_stands_in_the_taken_rows_only() -> None:
    table = stored(FRAME).take(np.array([2, 0]))
    table = table.with_column(pl.Series("text", ["new", None])).with_column(pl.Series("more", [1, 2]))
    assert table["text"].to_list() == ["new", None]
    assert table.take(np.array([1]))["more"].to_list() == [2]
    assert_frame_equal(table.select(["whole"]), PLAIN[[2, 0]].select("whole"))


def test_a_saved_table_is_loaded_as_it_was_with_the_rows_it_had_taken() -> None:
    table = stored(FRAME).take(np.array([3, 1]))
    table.save()
    again = Table.load(table.folder)
    assert_frame_equal(unstored(again), PLAIN[[3, 1]])
    assert again[HASH].to_list() == table[HASH].to_list()


def test_equal_rows_have_equal_hashes_in_whatever_batch_they_came(tmp_path: Path) -> None:
    writer = Writer(tmp_path, hashed=True)
    for part in (FRAME, FRAME[::-1]):
        writer.append(part)
    hashes = writer.table()[HASH].to_list()
    assert hashes[:4] == hashes[:3:-1]
    assert len(set(hashes)) == 4


@given(st.lists(st.one_of(st.none(), st.text(max_size=2)), max_size=20))
def test_codes_mean_the_text_of_each_row(values: list[str | None]) -> None:
    table = stored(pl.DataFrame({"x": pl.Series(values, dtype=pl.String)}))
    coded = table.coded("x")
    assert coded.values.gather(coded.codes).to_list() == values
    assert coded.values[-1] is None
