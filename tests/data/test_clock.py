"""One moment in every spelling is the same number of seconds."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.clock import is_order_index, moment, seconds_of
from motet.errors import InputError

MOMENT = datetime(2022, 4, 10, 8, 59, 9, tzinfo=UTC)
SECONDS = 1_649_581_149.0


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64, pl.String])
def test_unit_is_told_by_the_magnitude(unit: int, dtype: pl.DataType) -> None:
    series = pl.Series("t", [int(SECONDS) * unit, None, (int(SECONDS) + 60) * unit]).cast(dtype)
    assert seconds_of(series, where="").to_list() == pytest.approx([SECONDS, None, SECONDS + 60])


@pytest.mark.parametrize(
    "text",
    [
        "2022-04-10 08:59:09",
        "2022-04-10T08:59:09",
        "2022-04-10T08:59:09Z",
        "2022-04-10 08:59:09.000 UTC",
        "2022-04-10T10:59:09+02:00",
        "2022-04-10T05:29:09.0-0330",
        "2022/04/10 08:59:09",
        " 2022-04-10 08:59:09 ",
    ],
)
def test_iso_text(text: str) -> None:
    assert seconds_of(pl.Series("t", [text, ""]), where="").to_list() == [SECONDS, None]


def test_mixed_text_of_days_minutes_and_fractions() -> None:
    series = pl.Series("t", ["2022-04-10", "2022-04-10 01:00", "2022-04-10T00:00:00.25+00:00"])
    day = datetime(2022, 4, 10, tzinfo=UTC).timestamp()
    assert seconds_of(series, where="").to_list() == [day, day + 3600, day + 0.25]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetimes_of_any_unit_and_zone(unit: Literal["ms", "us", "ns"]) -> None:
    naive = pl.Series("t", [MOMENT.replace(tzinfo=None)], dtype=pl.Datetime(unit))
    assert seconds_of(naive, where="").to_list() == [SECONDS]
    zoned = naive.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Shanghai")
    assert seconds_of(zoned, where="").to_list() == [SECONDS]
    assert seconds_of(pl.Series([date(2022, 4, 10)]), where="").to_list() == [SECONDS - 8 * 3600 - 59 * 60 - 9]


def test_small_numbers_stay_an_order_index() -> None:
    found = seconds_of(pl.Series([3, 1, None, 2]), where="")
    assert found.to_list() == [3.0, 1.0, None, 2.0]
    assert is_order_index(found)
    assert not is_order_index(pl.Series([SECONDS]))


def test_one_wild_value_does_not_change_the_unit() -> None:
    assert seconds_of(pl.Series([0, 10**18, *[int(SECONDS)] * 5]), where="")[2] == SECONDS


def test_seconds_of_seconds_changes_nothing() -> None:
    once = seconds_of(pl.Series(["2022-04-10", "2023-01-01"]), where="")
    assert seconds_of(once, where="").equals(once)


@given(st.datetimes(datetime(1975, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_text_with_an_offset_agrees_with_the_standard_library(when: datetime, minutes: int) -> None:
    zoned = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert seconds_of(pl.Series([zoned.isoformat()]), where="")[0] == pytest.approx(zoned.timestamp(), abs=1e-5)


def test_text_that_is_no_time_is_refused_with_its_row() -> None:
    with pytest.raises(InputError, match="column 't' holds 'soon' in row 2") as caught:
        seconds_of(pl.Series("t", ["2022-04-10", "soon"]), where="log.csv")
    assert caught.value.where == "log.csv"
    assert "ISO" in caught.value.fix


def test_few_bad_texts_are_missing() -> None:
    found = seconds_of(pl.Series("t", ["2022-04-10"] * 40 + ["soon"]), where="")
    assert found.null_count() == 1


@pytest.mark.parametrize("series", [pl.Series("t", [True]), pl.Series("t", [[1]]), pl.Series("t", [timedelta(1)])])
def test_types_that_are_no_time_are_refused(series: pl.Series) -> None:
    with pytest.raises(InputError, match="which is no time"):
        seconds_of(series, where="")


def test_moment_of_a_setting() -> None:
    assert moment("2022-04-10T08:59:09Z", where="x") == SECONDS
    assert moment(int(SECONDS) * 1000, where="x") == SECONDS
    assert moment(12, where="x") == 12
    with pytest.raises(InputError, match="'tomorrow'"):
        moment("tomorrow", where="split.test_from")
    with pytest.raises(InputError, match="is no time"):
        moment("", where="split.test_from")


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["2022-04-10 08:59:09", ""])], ids=str)
def test_text_stored_as_categories_is_read_like_text(dtype: pl.DataType) -> None:
    series = pl.Series("t", ["2022-04-10 08:59:09", ""]).cast(dtype)
    assert seconds_of(series, where="").to_list() == [SECONDS, None]
