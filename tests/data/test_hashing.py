"""The hash is what is written down, for every key by itself, whatever stands beside it; buckets are evenly filled."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.hashing import buckets_of

ALL = 1 << 64


def slowly(key: str) -> int:
    """The hash, one key and one byte at a time."""
    text, hashed = key.encode(), 0xCBF29CE484222325
    for byte in text[:1024]:
        hashed = (hashed ^ byte) * 0x100000001B3 % ALL
    if len(text) > 1024:
        hashed = (hashed ^ len(text)) * 0x100000001B3 % ALL
    hashed = (hashed ^ hashed >> 30) * 0xBF58476D1CE4E5B9 % ALL
    hashed = (hashed ^ hashed >> 27) * 0x94D049BB133111EB % ALL
    return hashed ^ hashed >> 31


def test_the_same_keys_fall_into_the_same_buckets_for_ever() -> None:
    keys = pl.Series(["", "a", "b", "user 1", "丹摩", "x" * 2000])
    assert buckets_of(keys, 1_000_000).tolist() == [26203, 983736, 322821, 530558, 665594, 985539]


@given(st.lists(st.text(max_size=9)), st.integers(1, 2**40))
def test_it_is_the_hash_of_each_key_by_itself(keys: list[str], buckets: int) -> None:
    found = buckets_of(pl.Series(keys, dtype=pl.String), buckets)
    assert found.tolist() == [slowly(key) % buckets for key in keys]


@pytest.mark.parametrize("size", [1023, 1024, 1025, 5000])
def test_long_keys_are_hashed_by_their_beginning_and_length(size: int) -> None:
    keys = ["y" * size, "y" * (size + 1), "short"]
    assert buckets_of(pl.Series(keys), 1 << 40).tolist() == [slowly(key) % (1 << 40) for key in keys]


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = pl.Series([f"item {n}" for n in range(50)])
    whole = buckets_of(keys, 1000)
    monkeypatch.setattr("motet.data.hashing._AT_ONCE", 7)
    np.testing.assert_array_equal(buckets_of(keys, 1000), whole)


@pytest.mark.parametrize("names", ["{}", "user-{:09}", "{:x}z"])
def test_numbered_keys_fill_buckets_evenly(names: str) -> None:
    counts = np.bincount(buckets_of(pl.Series([names.format(n) for n in range(100_000)]), 100), minlength=100)
    assert abs(counts - 1000).max() < 160  # five standard deviations
