"""The AUC of one column against a label, on columns whose AUC is known by hand."""

import numpy as np
import polars as pl
import pytest

from motet.data.leak import SUSPICIOUS, single_column_auc

LABELS = np.array([0.0, 1.0, 0.0, 1.0, np.nan, 1.0])


def test_numbers_by_hand_in_either_direction_and_without_the_unobserved_row() -> None:
    values = pl.Series([1.0, 2.0, 3.0, 4.0, 1e9, 5.0])  # of 2 x 3 pairs only (2, 3) is out of order
    assert single_column_auc(values, LABELS) == pytest.approx(5 / 6)
    assert single_column_auc(-values, LABELS) == pytest.approx(5 / 6)


def test_a_missing_number_is_the_lowest() -> None:
    assert single_column_auc(pl.Series([None, 2.0, float("nan"), 1.0, 0.0, 3.0]), LABELS) == 1.0


def test_times_count_as_numbers() -> None:
    days = pl.Series([1, 5, 2, 6, 0, 7]).cast(pl.Date)
    assert single_column_auc(days, LABELS) == 1.0


def test_a_telling_text_is_suspicious_and_distinct_texts_are_not() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000).astype(np.float64)
    telling = pl.Series(np.where(labels == 1, "bought", "left"))
    assert single_column_auc(telling, labels) == 1.0
    distinct = pl.Series([f"row {place}" for place in range(4000)])
    assert abs(single_column_auc(distinct, labels) - 0.5) < 0.05 < SUSPICIOUS


def test_a_missing_text_is_a_value_of_its_own() -> None:
    labels = np.tile([0.0, 0.0, 1.0, 1.0], 100)
    values = pl.Series([None if label else "x" for label in labels])
    assert single_column_auc(values, labels) == 1.0


@pytest.mark.parametrize("labels", [np.array([]), np.ones(4), np.zeros(4), np.full(4, np.nan)])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.String])
def test_without_both_classes_there_is_no_auc(labels: np.ndarray, dtype: type[pl.DataType]) -> None:
    assert np.isnan(single_column_auc(pl.Series(range(len(labels)), dtype=pl.Int64).cast(dtype), labels))


def test_a_long_table_with_a_period_is_sampled_fairly() -> None:
    labels = np.tile([0.0, 1.0, 1.0], 150_000)
    assert single_column_auc(pl.Series(labels), labels) == 1.0
