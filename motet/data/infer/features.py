"""The form of each users' or items' column: categorical, numeric, tags, text or vector; or why it is left out."""

import polars as pl

from motet.data.infer.choice import Choice, left_out
from motet.data.infer.column import Column, Table, is_calendar, number, seconds
from motet.data.infer.words import CODE, ID, OUTCOME, QUANTITY, TIME, TOTAL, any_means
from motet.data.tags import SEPARATORS

_FEW_VALUES = 50
_SAMPLE = 20_000
_WRITTEN_LIST = r"^\s*\[?\s*-?\d+(\.\d+)?([eE][+-]?\d+)?(\s*[,; ]\s*-?\d+(\.\d+)?([eE][+-]?\d+)?){3,}\s*\]?\s*$"
_ADDRESS = r"^(https?://|www\.|s3://|/)"

Value = str | dict[str, str]


def find_features(table: Table, owner: str, skipped: set[str]) -> list[Choice]:
    """One line per column of a side table that is no key or kind."""
    role = f"{owner} feature"
    found = []
    for column in table.columns.values():
        if column.name in skipped:
            continue
        value, why = form_of(column)
        if value is None:
            found.append(left_out(role, column.name, why, warning=False))
            continue
        warning = _is_total(column)
        if warning:
            why += "; a total: make sure that it does not count what happened after the impressions"
        found.append(Choice(role=role, column=column.name, key=column.name, value=value, why=why, warning=warning))
    return found


def _is_total(column: Column) -> bool:
    """A count or rate of outcomes, such as `like_cnt` or `avg_rating`."""
    return column.sort in {"whole", "number"} and any_means(column.words, OUTCOME) and any_means(column.words, TOTAL)


def form_of(column: Column) -> tuple[Value | None, str]:
    """The feature as the schema writes it and why; None and why not where it is none."""
    if column.sort == "other":
        return None, "no value" if column.filled == 0 else f"{column.values.dtype} is no form of a feature"
    if column.is_constant:
        return None, "one value only"
    if column.sort == "list":
        return _list_form(column)
    if (
        column.sort == "moment"
        or seconds(column) is not None
        or (is_calendar(column) and any_means(column.words, TIME))
    ):
        return None, "a date: turn it into a number, such as an age in days, to use it"
    return _text_form(column) if column.sort == "text" else _number_form(column)


def _list_form(column: Column) -> tuple[Value | None, str]:
    dtype = column.values.dtype
    inner = getattr(dtype, "inner", pl.Null())
    if dtype == pl.Array:
        return (
            ("vector", f"arrays of {column.values.arr.len()[0]} numbers") if inner.is_numeric() else (None, f"{dtype}")
        )
    lengths = column.values.drop_nulls().list.len()
    if inner.is_float():
        if lengths.n_unique() == 1:
            return "vector", f"lists of {lengths[0]} numbers each"
        return None, "lists of numbers of different lengths are no vector"
    if inner == pl.String or inner.is_integer():
        return "tags", f"lists of {float(lengths.sum()) / len(lengths):.3g} values on average"
    return None, f"{dtype} is no form of a feature"


def _number_form(column: Column) -> tuple[Value | None, str]:
    values = f"{column.distinct:,} values"
    if column.sort == "flag":
        return "categorical", "two values"
    if column.sort == "number":
        return "numeric", f"numbers from {number(column.low)} to {number(column.high)}"
    if set(column.words) & ID and column.is_key_like:
        return None, "an id: nearly every row has its own"
    coded = any_means(column.words, CODE) or bool(set(column.words) & ID)
    measured = any_means(column.words, QUANTITY) and not coded
    if coded or (column.distinct <= _FEW_VALUES and not measured):
        if column.is_key_like and column.rows > _FEW_VALUES:
            return None, "an id: nearly every row has its own"
        return "categorical", f"{values}: codes"
    return "numeric", f"{values} from {number(column.low)} to {number(column.high)}"


def _text_form(column: Column) -> tuple[Value | None, str]:
    text = column.values.drop_nulls().head(_SAMPLE).str.strip_chars()
    if _part(text.str.contains(_WRITTEN_LIST)) > 0.95:
        return None, "lists of numbers written as text: write the table as Parquet with a list column to use them"
    if _part(text.str.contains(_ADDRESS)) > 0.9:
        return None, "addresses of files or pages"
    if separator := _separator(text, column.distinct):
        tags = text.str.split(separator).explode(empty_as_null=True, keep_nulls=False).str.strip_chars()
        shown = "blanks" if separator == " " else separator
        why = f"{tags.n_unique():,} tags parted by {shown}, {len(tags) / len(text):.3g} a row"
        return {"form": "tags", "separator": separator}, why
    length, blanks = _mean_length(text), _part(text.str.contains(r"\s"))
    varied = column.distinct > max(20.0, 0.5 * column.filled)
    wordy = blanks > 0.5 or (length >= 4 and _part(text.str.contains(r"[\u3040-\u30ff\u3400-\u9fff]")) > 0.5)
    if (length >= 30 and blanks > 0.5) or (varied and wordy):
        return "text", f"{column.distinct:,} different texts of {length:.0f} characters on average"
    if column.is_key_like and column.rows > 20:
        return None, "nearly every row has its own value: an id"
    return "categorical", f"{column.distinct:,} values"


def _separator(text: pl.Series, distinct: int) -> str | None:
    """The sign that cuts the values into tags which repeat: | ; , or a blank."""
    for separator in SEPARATORS:
        if _part(text.str.contains(separator, literal=True)) < 0.2:
            continue
        tags = text.str.split(separator).explode(empty_as_null=True, keep_nulls=False).str.strip_chars()
        tags = tags.filter(tags != "")
        different = max(tags.n_unique(), 1)
        repeated = len(tags) / different
        short = _mean_length(tags) <= 24
        combined = different <= 100 and different < 0.7 * distinct and repeated >= 5
        if short and (combined or (separator in "|;" and repeated >= 2)):
            return separator
    return None


def _part(holds: pl.Series) -> float:
    """The share of true."""
    return float(holds.sum()) / max(holds.len(), 1)


def _mean_length(text: pl.Series) -> float:
    """Characters."""
    return float(text.str.len_chars().sum()) / max(text.len(), 1)
