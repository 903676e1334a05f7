import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motet.data.arrays import Grouped, bisect_before, dense_codes, load_array, save_array, segment_sums


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=40), st.integers(-1, 8))
def test_before_counts_exactly_the_events_of_the_group_that_are_strictly_earlier(events, at):
    group, time = np.array([g for g, _ in events], int), np.array([float(t) for _, t in events])
    grouped = Grouped.of(group, time, 4)
    start, end = grouped.before(np.arange(4), np.full(4, float(at)))
    for g in range(4):
        seen = grouped.order_E[start[g] : end[g]]
        assert sorted(seen) == [i for i, (eg, et) in enumerate(events) if eg == g and et < at]
        assert np.all(np.diff(time[seen]) >= 0)


def test_events_of_equal_time_keep_their_given_order():
    grouped = Grouped.of(np.array([1, 0, 1, 1]), np.array([5.0, 5.0, 5.0, 1.0]), 2)
    assert grouped.order_E.tolist() == [1, 3, 0, 2]


def test_bisect_before_in_an_empty_segment_stays_at_its_start():
    at = bisect_before(np.array([1.0, 2.0]), np.array([0, 2, 1]), np.array([0, 2, 2]), np.array([9.0, 9.0, 2.0]))
    assert at.tolist() == [0, 2, 1]


def test_segment_sums_are_the_sums_of_the_segments():
    sums = segment_sums(np.array([[1.0], [2.0], [4.0]]), np.array([0, 1, 3]), np.array([2, 3, 3]))
    assert sums.ravel().tolist() == [3.0, 6.0, 0.0]


def test_dense_codes_differ_for_different_parts_and_are_minus_one_outside_their_size():
    codes = dense_codes([np.array([[0], [1], [2]]), np.array([[0, 2]])], [2, 3])
    assert codes.tolist() == [[0, 2], [3, 5], [-1, -1]]


def test_a_loaded_array_may_be_written_to_without_changing_the_file(tmp_path):
    save_array(tmp_path / "a.npy", np.arange(4))
    load_array(tmp_path / "a.npy")[0] = 9
    assert load_array(tmp_path / "a.npy").tolist() == [0, 1, 2, 3]


def test_an_empty_array_survives_saving(tmp_path):
    save_array(tmp_path / "a.npy", np.zeros((0, 3), np.float32))
    assert load_array(tmp_path / "a.npy").shape == (0, 3)
