"""The fast bootstrap equals drawing users by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motet.evaluate import bootstrap
from motet.evaluate.bootstrap import Auc, RelativeRmse, resample, user_weights
from motet.scoring import metrics
from motet.scoring.order import ScoreOrder

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.integers(0, 5)), min_size=1, max_size=50)


def auc(labels, scores, user):
    return Auc(ScoreOrder.of(labels, scores), user)


def draws(users, resamples, seed):
    return torch.cat(list(user_weights(users, resamples, seed)), 1).float().numpy()


def by_hand(metric, user, weights_UB):
    """The metric on rows repeated as often as their user was drawn."""
    return [metric(np.repeat(np.arange(len(user)), weights[user].astype(int))) for weights in weights_UB.T]


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(0, 5))
def test_auc_with_ties_equals_brute_force_resampling(rows, seed):
    labels, scores, user = np.array(rows, np.int64).reshape(-1, 3).T
    expected = by_hand(lambda drawn: metrics.auc(labels[drawn], scores[drawn]), user, draws(6, 7, seed))
    actual = resample([auc(labels, scores, user)], users=6, resamples=7, seed=seed)[0]
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


def test_auc_of_many_untied_rows_equals_brute_force_resampling():
    rng = np.random.default_rng(0)
    labels, scores, user = rng.random(4000) < 0.2, rng.normal(size=4000), rng.integers(0, 300, 4000)
    expected = by_hand(lambda drawn: metrics.auc(labels[drawn], scores[drawn]), user, draws(300, 20, 1))
    actual = resample([auc(labels, scores, user)], users=300, resamples=20, seed=1)[0]
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


@pytest.mark.parametrize(("rate", "digits"), [(0.01, 9), (0.01, 1), (0.5, 0)], ids=["long runs", "ties", "two scores"])
def test_long_bags_and_large_ties_are_summed_whole(rate, digits):
    rng = np.random.default_rng(0)
    labels, scores, user = rng.random(6000) < rate, rng.random(6000).round(digits), rng.integers(0, 40, 6000)
    expected = by_hand(lambda drawn: metrics.auc(labels[drawn], scores[drawn]), user, draws(40, 9, 1))
    actual = resample([auc(labels, scores, user)], users=40, resamples=9, seed=1)[0]
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


def test_relative_rmse_equals_brute_force_resampling():
    rng = np.random.default_rng(0)
    labels, values, user = rng.normal(size=500), rng.normal(size=500), rng.integers(10, 40, 500)
    expected = by_hand(lambda drawn: metrics.relative_rmse(labels[drawn], values[drawn], 0.3), user, draws(50, 20, 2))
    actual = resample([RelativeRmse(labels, values, user, mean=0.3)], users=50, resamples=20, seed=2)[0]
    np.testing.assert_allclose(actual, expected)


def test_statistics_share_their_draws_so_equal_models_never_differ():
    rng = np.random.default_rng(0)
    labels, scores, user = rng.random(200) < 0.5, rng.normal(size=200), rng.integers(0, 40, 200)
    one, same = resample([auc(labels, scores, user), auc(labels, np.exp(scores), user)], users=40, resamples=100)
    np.testing.assert_array_equal(one, same)
    assert one.std() > 0.01


def test_each_resample_draws_as_many_users_as_there_are_and_all_alike():
    weights = draws(500, 2000, 0)
    np.testing.assert_array_equal(weights.sum(0), 500)
    np.testing.assert_allclose(weights.mean(1), 1, atol=0.15)
    assert weights.var() == pytest.approx(1 - 1 / 500, abs=0.01)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_draws_do_not_depend_on_the_chunk(chunk):
    chunked = torch.cat(list(user_weights(33, 100, 5, chunk)), 1)
    torch.testing.assert_close(chunked, next(user_weights(33, 100, 5, 100)), rtol=0, atol=0)


def test_a_bound_on_memory_does_not_change_the_numbers(monkeypatch):
    rng = np.random.default_rng(0)
    statistic = auc(rng.random(900) < 0.5, rng.normal(size=900).round(2), rng.integers(0, 20, 900))
    whole = resample([statistic], users=20, resamples=50)
    monkeypatch.setattr(bootstrap, "FLOATS_AT_ONCE", 500)
    monkeypatch.setattr(bootstrap, "SUMMED", 10)
    np.testing.assert_array_equal(resample([statistic], users=20, resamples=50), whole)


def test_the_spread_is_that_of_new_users():
    rng = np.random.default_rng(3)

    def world():
        user = np.repeat(np.arange(150), 6)
        labels = rng.random(900) < 0.3
        return labels, labels + rng.normal(size=900) + 0.7 * rng.normal(size=150)[user], user

    across = np.std([metrics.auc(*world()[:2]) for _ in range(300)])
    within = np.mean([resample([auc(*world())], users=150, resamples=200).std() for _ in range(10)])
    assert within == pytest.approx(across, rel=0.15)


def test_a_cell_without_rows_or_with_one_class_is_nan_not_a_crash():
    none, one = np.zeros(0), np.ones(5)
    statistics = [auc(none, none, none), auc(one, one, np.arange(5)), auc(1 - one, one, np.arange(5))]
    statistics += [RelativeRmse(none, none, none.astype(int), mean=0.0)]
    assert np.isnan(resample(statistics, users=5, resamples=10)).all()
    assert resample([], users=5, resamples=10).shape == (0, 10)
