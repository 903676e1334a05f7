"""Times of any spelling into float64 seconds since 1970-01-01 UTC."""

import math

import polars as pl

from motet.errors import InputError

DAY = 86_400.0
ORDER_BELOW = 1e8
"""Numbers below this (1973 in seconds) are an order index: kept as they are, in steps instead of seconds."""

_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_BAD_SHARE = 0.05
_FIX = "give ISO times (2024-05-01 12:30:00), seconds or milliseconds since 1970, or an order index"


def seconds_of(series: pl.Series, *, where: str) -> pl.Series:
    """Float64 seconds since the epoch (null where missing), or the order index itself.

    Numbers: seconds, milli-, micro- or nanoseconds by the magnitude of their median; a median below 1e8 is an order
    index. Dates and datetimes of any zone; text as ISO 8601, without an offset taken as UTC. Text that is no time
    becomes null; more than 5 % of it is an `InputError`.
    """
    dtype = series.dtype
    if dtype == pl.Date or dtype == pl.Datetime:
        return series.dt.epoch("us").cast(pl.Float64) / 1e6
    if dtype.is_numeric():
        return _from_numbers(series.cast(pl.Float64))
    if dtype == pl.Null:
        return series.cast(pl.Float64)
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return _from_text(series.cast(pl.String), where)
    raise InputError(f"column {series.name!r} holds {dtype}, which is no time", where=where, fix=_FIX)


def is_order_index(seconds: pl.Series) -> bool:
    """Whether `seconds_of` kept the numbers as an order index."""
    middle = seconds.drop_nulls().drop_nans().abs().median()
    return isinstance(middle, float) and middle < ORDER_BELOW


def moment(value: int | float | str, *, where: str) -> float:
    """One time of a setting: a number or ISO text, in the same spellings as `seconds_of`."""
    try:
        found = seconds_of(pl.Series([value]), where=where)[0]
    except InputError:
        found = None
    if found is None or not math.isfinite(found):
        raise InputError(f"{value!r} is no time", where=where, fix=_FIX)
    return float(found)


def _from_numbers(numbers: pl.Series) -> pl.Series:
    numbers = numbers.fill_nan(None)
    middle = numbers.abs().median()
    if not isinstance(middle, float) or middle < ORDER_BELOW:
        return numbers
    return numbers / next(unit for limit, unit in _UNITS if middle < limit)


def _from_text(text: pl.Series, where: str) -> pl.Series:
    text = text.str.strip_chars()
    text = text.set(text == "", None)
    given = text.len() - text.null_count()
    numbers = text.cast(pl.Float64, strict=False)
    if given and numbers.len() - numbers.null_count() == given:
        return _from_numbers(numbers)
    found = _parsed(text)
    bad = found.is_null() & text.is_not_null()
    if int(bad.sum()) > _BAD_SHARE * given:
        row = int(bad.arg_true()[0])
        message = f"column {text.name!r} holds {text[row]!r} in row {row + 1}, which is no time"
        raise InputError(message, where=where, fix=_FIX)
    return found


def _parsed(text: pl.Series) -> pl.Series:
    """ISO 8601 with `T` or a blank, with or without a fraction and an offset."""
    plain = (
        text.str.replace(r"^(\d+[-/]\d+[-/]\d+)[tT]", "$1 ")
        .str.replace(r"\s*(UTC|Z|z)$", "+00:00")
        .str.replace_all("/", "-")
    )
    clock = plain.str.replace(r"\s*[+-]\d\d:?\d\d$", "")
    has_clock = plain.str.contains(":")
    sign = plain.str.extract(r"([+-])\d\d:?\d\d$")
    offset = plain.str.extract(r"[+-](\d\d):?\d\d$").cast(pl.Float64) * 3600
    offset = offset + plain.str.extract(r"[+-]\d\d:?(\d\d)$").cast(pl.Float64) * 60
    frame = pl.DataFrame({"plain": plain, "clock": clock, "has": has_clock, "sign": sign, "offset": offset})
    body = pl.when(pl.col("has")).then("clock").otherwise("plain")
    local = pl.coalesce(body.str.to_datetime(form, time_unit="us", strict=False) for form in _FORMATS)
    east = pl.when(pl.col("has") & pl.col("sign").is_not_null()).then(
        pl.when(pl.col("sign") == "-").then(-pl.col("offset")).otherwise(pl.col("offset"))
    )
    utc = local.dt.epoch("us").cast(pl.Float64) / 1e6 - east.fill_null(0.0)
    return frame.select(utc.alias(text.name)).to_series()
