"""Sorted once, rows give the same answers as sorted by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motet.scoring.order import ScoreOrder, positions

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), max_size=40)


@given(ROWS)
def test_rows_stand_by_score_and_negatives_before_positives_of_the_same(rows):
    labels, scores = np.array(rows, np.int64).reshape(-1, 2).T
    order = ScoreOrder.of(labels, scores)
    sorted_rows = list(zip(order.score_N, order.positive_N, strict=True))
    assert sorted_rows == sorted(sorted_rows)
    assert sorted(order.row_N) == list(range(len(rows)))
    np.testing.assert_array_equal(scores[order.row_N], order.score_N)
    np.testing.assert_array_equal(labels[order.row_N] > 0, order.positive_N)
    assert order.first_N.sum() == len(set(scores.tolist()))


@given(st.lists(st.integers(-2, 10**6), max_size=30), st.sampled_from([np.int64, np.int32, np.float64]))
def test_positions_count_different_keys_in_their_order(keys, dtype):
    for given_keys in (keys, [key % 7 for key in keys]):  # sorted, or counted
        place, count = positions(np.array(given_keys, dtype))
        expected = sorted(set(given_keys))
        assert count == len(expected)
        assert [expected[p] for p in place] == given_keys
