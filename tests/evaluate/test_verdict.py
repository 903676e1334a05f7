"""Verdicts by hand: the normal tail, Holm over the testable cells, a tie only inside the simultaneous interval."""

from math import nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from motet.evaluate.verdict import holm, judge, standard_error


def verdicts(*cells):
    return [judged.verdict for judged in judge(*zip(*cells, strict=True))]


def test_holm_by_hand():
    # sorted .01 .02 .03 .04, times 4 3 2 1, and never below an earlier one
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])
    assert len(holm(np.zeros(0))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_raw_and_the_bonferroni_p(values):
    p = np.array(values)
    assert (holm(p) >= p).all()
    assert (holm(p) <= np.minimum(1, p * len(p))).all()
    assert (np.diff(holm(p)[np.argsort(p)]) >= 0).all()


def test_the_four_verdicts():
    cells = [(0.05, 0.01, True), (-0.05, 0.01, True), (0.001, 0.002, True), (0.02, 0.02, True)]
    assert verdicts(*cells) == ["gain", "loss", "tie", "unclear"]


def test_a_small_but_certain_difference_is_not_a_tie():
    assert verdicts((0.004, 0.0005, True), (-0.004, 0.0005, True)) == ["gain", "loss"]


def test_p_is_the_normal_tail_and_the_interval_is_simultaneous():
    one, two, skipped = judge([0.02, 0.01, 0.5], [0.01, 0.01, 0.001], [True, True, False])
    assert one.p_holm == pytest.approx(2 * norm.sf(2) * 2)
    assert two.p_holm == pytest.approx(2 * norm.sf(1))
    width = norm.ppf(1 - 0.05 / 2 / 2) * 0.01
    assert (one.low, one.high) == pytest.approx((0.02 - width, 0.02 + width))
    assert np.isnan(skipped.p_holm)
    assert skipped.verdict == "unclear"


def test_more_tests_make_the_same_difference_unclear():
    cell = (0.022, 0.01, True)
    assert verdicts(cell) == ["gain"]
    assert verdicts(cell, *[(0.0, 0.02, True)] * 9)[0] == "unclear"
    assert verdicts(cell, *[(0.0, 0.02, False)] * 9)[0] == "gain"  # cells that are not tested do not count


def test_a_tie_needs_the_whole_interval_inside_the_margin():
    z = norm.ppf(0.975)
    assert verdicts((0.0, 0.0099 / z, True)) == ["tie"]
    assert verdicts((0.0, 0.0101 / z, True)) == ["unclear"]
    assert verdicts((0.005, 0.0051 / z, True)) == ["unclear"]


def test_no_spread_means_certainty():
    same, better = judge([0.0, 0.3], [0.0, 0.0], [True, True])
    assert (same.p_holm, same.verdict) == (1, "tie")
    assert (better.p_holm, better.verdict) == (0, "gain")


@pytest.mark.parametrize(("delta", "error"), [(nan, 0.1), (0.1, nan)])
def test_an_undefined_cell_is_unclear_and_not_counted_as_a_test(delta, error):
    undefined, other = judge([delta, 0.02], [error, 0.01], [True, True])
    assert undefined.verdict == "unclear"
    assert other.p_holm == pytest.approx(2 * norm.sf(2))


def test_standard_error_adds_the_seeds_variance_to_the_users():
    delta_RB = np.array([[1.0, 3, 2], [3, 5, nan]])  # means over seeds 2 and 4; the last resample is not defined
    assert standard_error(np.array([0.1, 0.5]), delta_RB) == pytest.approx(sqrt(2 + 0.08 / 2))
    assert standard_error(np.array([0.1]), delta_RB[:1]) == pytest.approx(1)
    assert np.isnan(standard_error(np.array([0.1]), np.full((1, 4), nan)))
