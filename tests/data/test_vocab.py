import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from motet.data.coded import Coded
from motet.data.vocab import Vocab, key_strings


def test_the_commonest_key_comes_first_and_a_rare_one_is_unknown():
    vocab = Vocab.fit(Coded.of(pl.Series(["b", "a", "a", "c", "b", "a"])), min_count=2)
    assert vocab.keys.to_list() == ["a", "b"]
    assert vocab.counts.tolist() == [3, 2]
    assert vocab.indices(Coded.of(pl.Series(["a", "b", "c", "new"]))).tolist() == [2, 3, 1, 1]


def test_weights_count_a_row_that_often():
    vocab = Vocab.fit(Coded.of(pl.Series(["a", "b"])), np.array([1.0, 5.0]), min_count=2)
    assert vocab.keys.to_list() == ["b"]


def test_a_number_is_the_same_key_in_every_type():
    vocab = Vocab.fit(Coded.of(pl.Series([3, 3, 4])))
    assert (
        vocab.indices(Coded.of(pl.Series([3.0, 4.0]))).tolist()
        == vocab.indices(Coded.of(pl.Series(["3", "4"]))).tolist()
        == [2, 3]
    )


def test_a_null_is_the_key_missing():
    vocab = Vocab.fit(Coded.of(pl.Series([None, None, "a"], dtype=pl.String)), min_count=2)
    assert vocab.indices(Coded.of(pl.Series([None, "a"], dtype=pl.String))).tolist() == [2, 1]


def test_keys_without_a_row_share_buckets_and_a_missing_one_does_not():
    keys = Coded.of(pl.Series(["a", "a", "b", None], dtype=pl.String))
    vocab = Vocab.fit(keys, min_count=2, buckets=3)
    assert vocab.size == 1 + 1 + 3
    asked = vocab.indices(Coded.of(pl.Series(["a", "b", "new", "b", None, *map(str, range(60))])))
    assert asked[0] == 2
    assert asked[1] == asked[3]
    assert set(asked[[1, 2]].tolist()) <= {3, 4, 5}
    assert asked[4] == 1
    assert set(asked[5:].tolist()) == {3, 4, 5}


def test_an_extended_vocab_keeps_its_keys_in_place_and_its_buckets_last():
    first = Vocab.fit(Coded.of(pl.Series(["a", "a", "b"])), buckets=2)
    second = Vocab.fit(Coded.of(pl.Series(["c", "c", "c", "b", "b"])), buckets=2)
    both = first.extended(second)
    assert both.keys.to_list() == ["a", "b", "c"]
    assert both.counts.tolist() == [2, 1, 3]
    before, now = (vocab.indices(Coded.of(pl.Series(["new"])))[0] for vocab in (first, both))
    assert now == before + 1


def test_an_empty_vocab_knows_nothing():
    vocab = Vocab.fit(Coded.of(pl.Series([], dtype=pl.String)))
    assert vocab.size == 1
    assert vocab.indices(Coded.of(pl.Series(["a"]))).tolist() == [1]


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=30))
def test_indices_point_back_at_their_keys_and_the_file_keeps_them(tmp_path_factory, keys):
    series = pl.Series(keys, dtype=pl.String)
    vocab = Vocab.fit(Coded.of(series))
    path = tmp_path_factory.mktemp("vocab") / "v.parquet"
    vocab.save(path)
    again = Vocab.load(path)
    indices = again.indices(Coded.of(series))
    assert [again.keys[int(i) - 2] for i in indices] == key_strings(series).to_list()
    assert again.counts.sum() == len(keys)
