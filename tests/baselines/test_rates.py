"""Smoothed effects, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from contracts.toy import toy
from numpy.testing import assert_allclose

from motet.baselines.rates import Links, Sums

RATES = ((0.2, 0.5, 3.0), (0.4, np.nan, np.nan))


@pytest.fixture
def links() -> Links:
    """Two scenarios; click .2 and .4, buy .5, stars 3."""
    return Links.of(replace(toy().layout, base_rates=RATES, label_scales=(1.0, 1.0, 2.0)))


def test_a_cell_without_labels_takes_the_mean_of_its_task(links: Links) -> None:
    assert_allclose(links.base_ST, [[np.log(1 / 4), 0, 3], [np.log(2 / 3), 0, 3]])


def test_a_task_never_observed_is_even_or_zero() -> None:
    nothing = Links.of(replace(toy().layout, base_rates=((np.nan,) * 3,) * 2))
    assert_allclose(nothing.base_ST, np.zeros((2, 3)))


def test_a_key_seen_in_one_cell_gets_its_smoothed_log_odds(links: Links) -> None:
    # 3 of 5 positive where 0.2 was expected; the prior says 0.3 (mean of .2 and .4) with 10 rows
    labels = np.array([[1, np.nan, 4.0]] * 3 + [[0, np.nan, np.nan]] * 2)
    sums = Sums.of(np.full(5, 7), labels, links.rates(links.base_ST[np.zeros(5, int)]))
    effect = links.effects(sums.at(np.array([7])), 10.0)[0]
    expected = np.log((3 + 10 * 0.3) / (1 + 10 * 0.3)) - np.log((2 + 10 * 0.7) / (4 + 10 * 0.7))
    assert_allclose(effect, [expected, 0, (12 - 9) / (3 + 10)], rtol=1e-5)


def test_the_effect_turns_the_expected_rate_into_the_smoothed_one() -> None:
    even = Links.of(replace(toy().layout, base_rates=((0.3, 0.5, 0.0),) * 2))
    labels = np.column_stack([[1, 1, 1, 0, 0], np.zeros(5), np.zeros(5)])
    sums = Sums.of(np.zeros(5, int), labels, even.rates(even.base_ST[np.zeros(5, int)]))
    score = even.base_ST[:1] + even.effects(sums.at(np.array([0])), 10.0)
    assert_allclose(even.rates(score)[0, 0], (3 + 10 * 0.3) / (5 + 10), rtol=1e-5)


def test_an_unseen_key_has_no_effect(links: Links) -> None:
    sums = Sums.of(np.array([3, 9]), np.ones((2, 3)), np.full((2, 3), 0.5))
    assert_allclose(links.effects(sums.at(np.array([0, 5, 10])), 5.0), np.zeros((3, 3)))


def test_effects_worked_out_once_are_those_of_each_row(links: Links) -> None:
    labels = np.array([[1, 0, 4.0], [0, 1, np.nan], [1, np.nan, 2.0]])
    sums = Sums.of(np.array([7, 7, 9]), labels, links.rates(links.base_ST[np.zeros(3, int)]))
    keys, strength = np.array([9, 3, 7, 12, 7]), np.array([3.0, 10.0, 30.0])
    assert_allclose(links.effects_of(sums, strength).at(keys), links.effects(sums.at(keys), strength), rtol=0, atol=0)


def test_no_rows_at_all_is_no_evidence(links: Links) -> None:
    sums = Sums.of(np.empty(0, np.int64), np.empty((0, 3)), np.empty((0, 3)))
    assert_allclose(links.effects(sums.at(np.array([0, 5])), 5.0), np.zeros((2, 3)))


def test_in_all_positive_data_the_effect_is_the_log_of_the_count() -> None:
    sure = Links.of(replace(toy().layout, base_rates=((1.0, 1.0, 0.0),) * 2))
    key = np.repeat([1, 2], [30, 3])
    sums = Sums.of(key, np.ones((33, 3)), sure.rates(sure.base_ST[np.zeros(33, int)]))
    assert_allclose(sure.effects(sums.at(np.array([1, 2])), 10.0)[:, 0], [np.log(1 + 3), np.log(1 + 0.3)], rtol=1e-2)
