"""The form that a users' or items' column is given, by its name and values."""

from datetime import date
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from motet.data.infer.column import Table, depends_on, describe
from motet.data.infer.features import Value, find_features, form_of
from motet.data.tags import SEPARATORS

ROWS = 200
RNG = np.random.default_rng(0)
NUMBERS = range(ROWS)
COLUMNS: dict[str, tuple[object, Value | None]] = {
    "price": (RNG.lognormal(size=ROWS), "numeric"),
    "amount": ([Decimal(n) / 7 for n in NUMBERS], "numeric"),
    "age": (RNG.integers(18, 30, ROWS), "numeric"),
    "stock": (RNG.integers(0, 5000, ROWS), "numeric"),
    "colour_code": (RNG.integers(0, 90, ROWS), "categorical"),
    "seller_id": (RNG.integers(0, 60, ROWS), "categorical"),
    "grade": (RNG.integers(0, 9, ROWS), "categorical"),
    "grade_or_null": ([float(n % 5) if n % 3 else None for n in NUMBERS], "categorical"),
    "adult": ([n % 2 == 0 for n in NUMBERS], "categorical"),
    "city": ([["New York", "Los Angeles", "Rome"][n % 3] for n in NUMBERS], "categorical"),
    "shelf": (pl.Series([["a", "b"][n % 2] for n in NUMBERS], dtype=pl.Categorical), "categorical"),
    "bars": ([f"{'ab'[n % 2]}|{'cd'[n % 3 % 2]}" for n in NUMBERS], {"form": "tags", "separator": "|"}),
    "commas": ([f"t{n % 7}, t{n % 5}" for n in NUMBERS], {"form": "tags", "separator": ","}),
    "blanks": ([f"Drama{n % 7} Sci{n % 5}" for n in NUMBERS], {"form": "tags", "separator": " "}),
    "title, with comma": ([f"Godfather {n}, The (19{n % 90 + 10})" for n in NUMBERS], "text"),
    "标题": ([f"红色的鞋子很好看第{n}款" for n in NUMBERS], "text"),
    "body": ([f"a {'very ' * 8} long text about thing {n % 9}" for n in NUMBERS], "text"),
    "array": (pl.Series(RNG.normal(size=(ROWS, 4)), dtype=pl.Array(pl.Float64, 4)), "vector"),
    "list": (RNG.normal(size=(ROWS, 3)).tolist(), "vector"),
    "ragged": ([[0.5] * (n % 3 + 1) for n in NUMBERS], None),
    "listed tags": ([["x", "y"][: n % 3] for n in NUMBERS], "tags"),
    "listed ids": ([[n % 4, n % 7] for n in NUMBERS], "tags"),
    "written": ([f"[0.{n}, 1.5, -2e-3, {n}]" for n in NUMBERS], None),
    "link": ([f"https://example.org/{n}" for n in NUMBERS], None),
    "uuid": ([f"{n:08x}-aaaa" for n in NUMBERS], None),
    "row_id": (NUMBERS, None),
    "released": ([date(2020, 1, 1 + n % 28) for n in NUMBERS], None),
    "joined": ([f"2020-01-{1 + n % 28:02d}" for n in NUMBERS], None),
    "start_date": ([20200101 + n % 28 for n in NUMBERS], None),
    "same": (["x"] * ROWS, None),
    "empty": (pl.Series([None] * ROWS, dtype=pl.String), None),
    "not a number": ([float("nan")] * ROWS, None),
    "struct": ([{"a": n} for n in NUMBERS], None),
}
FRAME = pl.DataFrame({name: values for name, (values, _) in COLUMNS.items()})


@pytest.mark.parametrize("name", COLUMNS)
def test_each_sort_of_column_gets_its_form_and_a_reason(name: str) -> None:
    form, why = form_of(describe(FRAME.select(name))[name])
    assert form == COLUMNS[name][1]
    assert why


def test_a_total_of_outcomes_is_a_feature_with_a_warning() -> None:
    frame = pl.DataFrame({"like_cnt": RNG.integers(0, 900, ROWS), "page_count": RNG.integers(0, 900, ROWS)})
    likes, pages = find_features(Table((), frame, describe(frame)), "item", set())
    assert likes.active
    assert likes.warning
    assert not pages.warning


@pytest.mark.parametrize("separator", SEPARATORS)
def test_every_separator_that_features_try_is_found(separator: str) -> None:
    frame = pl.DataFrame({"x": [separator.join(f"tag{n % k}" for k in (5, 7, 9)) for n in NUMBERS]})
    assert form_of(describe(frame)["x"])[0] == {"form": "tags", "separator": separator}


def test_an_attribute_is_told_from_a_value_that_varies_and_from_chance() -> None:
    key = RNG.integers(0, 100, 3000)
    frame = pl.DataFrame(
        {
            "key": key,
            "own": key % 7,
            "own with a slip": np.where(np.arange(3000) == 5, 9, key % 7),
            "varies": RNG.integers(0, 7, 3000),
            "rarely": (RNG.random(3000) < 0.001).astype(int),
            "single": np.zeros(3000, dtype=int),
        }
    )
    found = {name: depends_on(frame, "key", name) for name in frame.columns[1:]}
    assert found == {"own": True, "own with a slip": True, "varies": False, "rarely": False, "single": False}


def test_a_key_that_never_repeats_proves_nothing() -> None:
    frame = pl.DataFrame({"key": range(500), "value": [n % 3 for n in range(500)]})
    assert not depends_on(frame, "key", "value")
