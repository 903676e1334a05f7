import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motet.data.arrays import bisect_before, dense_codes, load_array, ordered_by, save_array


@given(st.lists(st.integers(0, 3), max_size=40), st.sampled_from([4, 2**60]))
def test_positions_come_in_order_of_group_and_keep_their_order_within_it(group, groups):
    assert ordered_by(np.array(group, np.int64), groups).tolist() == sorted(range(len(group)), key=lambda i: group[i])


def test_bisect_before_in_an_empty_segment_stays_at_its_start():
    at = bisect_before(np.array([1.0, 2.0]), np.array([0, 2, 1]), np.array([0, 2, 2]), np.array([9.0, 9.0, 2.0]))
    assert at.tolist() == [0, 2, 1]


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
