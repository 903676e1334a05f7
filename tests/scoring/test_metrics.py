"""Metrics against hand-worked fractions, scikit-learn, and what must not change them."""

from math import log, log2, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sk_log_loss
from sklearn.metrics import mean_squared_error, ndcg_score, roc_auc_score

from motet.scoring import metrics

ROWS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40)


def test_auc_counts_pairs_and_half_for_ties():
    # positives 3, 2; negatives 2, 1, 4: 3 beats 2 and 1; 2 ties 2 and beats 1
    assert metrics.auc([1, 0, 0, 1, 0], [3, 2, 1, 2, 4]) == (2 + 1 / 2 + 1) / 6


def test_auc_weights_count_a_row_that_often():
    labels, scores, weights = [1, 0, 1, 0], [0.2, 0.2, 0.7, 0.5], [2, 1, 3, 0]
    repeated = np.repeat(np.arange(4), weights)
    assert metrics.auc(labels, scores, weights) == metrics.auc(np.take(labels, repeated), np.take(scores, repeated))
    assert metrics.auc(labels, scores, weights) == (2 * 1 / 2 + 3) / (5 * 1)


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [0, 0]])
def test_auc_of_one_class_is_not_defined(labels):
    assert np.isnan(metrics.auc(labels, np.zeros(len(labels))))


@given(ROWS)
def test_auc_agrees_with_sklearn_and_only_reads_the_order(rows):
    labels, scores = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    if 0 < labels.sum() < len(labels):
        assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    np.testing.assert_equal(metrics.auc(labels, scores), metrics.auc(labels, scores**3 + 7))
    np.testing.assert_equal(metrics.auc(labels[::-1], scores[::-1]), metrics.auc(labels, scores))


def test_gauc_weighs_users_by_impressions_and_leaves_one_class_users_out():
    users = ["a", "b", "a", "b", "a", "c", "b", "b", "b"]
    labels = [1, 1, 0, 0, 0, 1, 0, 1, 0]
    scores = [2, 3, 1, 3, 2, 9, 1, 2, 4]
    a = (1 + 1 / 2) / 2  # positive 2 over negatives 1, 2
    b = (1 / 2 + 1 + 0 + 0 + 1 + 0) / 6  # positives 3, 2 over negatives 3, 1, 4
    assert metrics.gauc(labels, scores, users) == pytest.approx((3 * a + 5 * b) / 8)


@given(st.lists(st.tuples(st.booleans(), st.integers(-2, 2), st.integers(0, 4)), max_size=40))
def test_gauc_is_the_average_of_each_users_auc(rows):
    labels, scores, users = np.array(rows, np.int64).reshape(-1, 3).T
    per_user = [(metrics.auc(labels[users == u], scores[users == u]), (users == u).sum()) for u in np.unique(users)]
    defined = [(value, count) for value, count in per_user if not np.isnan(value)]
    expected = sum(v * n for v, n in defined) / sum(n for _, n in defined) if defined else np.nan
    assert metrics.gauc(labels, scores, users) == pytest.approx(expected, nan_ok=True)


def test_log_loss_and_ne_by_hand_and_against_sklearn():
    labels, probabilities = [1, 0, 0], [1 / 2, 1 / 4, 1 / 8]
    loss = -(log(1 / 2) + log(3 / 4) + log(7 / 8)) / 3
    assert metrics.log_loss(labels, probabilities) == pytest.approx(loss)
    assert metrics.log_loss(labels, probabilities) == pytest.approx(sk_log_loss(labels, probabilities))
    assert metrics.ne(labels, probabilities, 1 / 4) == pytest.approx(loss / (log(4) / 4 + log(4 / 3) * 3 / 4))


def test_ne_of_predicting_the_base_rate_is_one():
    labels = np.array([1, 0, 0, 0, 0])
    assert metrics.ne(labels, np.full(5, 0.2), 0.2) == pytest.approx(1)


@pytest.mark.parametrize("rate", [0.0, 1.0, np.nan])
def test_ne_is_not_defined_where_train_had_one_class(rate):
    assert np.isnan(metrics.ne([0, 1], [0.5, 0.5], rate))


def test_a_certain_mistake_costs_a_finite_loss():
    assert metrics.log_loss([1], [0.0]) == pytest.approx(7 * log(10))
    assert metrics.log_loss([0], [1.0]) == pytest.approx(7 * log(10), rel=1e-6)


def test_ece_by_hand():
    # two bins of two rows: |1/2 - 3/20| and |1 - 7/10|
    assert metrics.ece([0, 1, 1, 1], [0.1, 0.2, 0.6, 0.8], bins=2) == pytest.approx((2 * 7 / 20 + 2 * 3 / 10) / 4)


@given(ROWS, st.randoms(use_true_random=False))
def test_ece_of_ties_does_not_depend_on_the_order_of_rows(rows, random):
    def ece(rows):
        labels, scores = zip(*rows, strict=True)
        return metrics.ece(np.array(labels), (np.array(scores) + 3) / 6, bins=5)

    shuffled = random.sample(rows, len(rows))
    assert ece(rows) == pytest.approx(ece(shuffled))
    assert 0 <= ece(rows) <= 1


def test_equal_mass_bins_hold_equally_many_rows_and_keep_ties_together():
    assert np.bincount(metrics.equal_mass_bins(np.random.default_rng(0).random(100), 8)).tolist() == [13, 12] * 4
    assert set(metrics.equal_mass_bins(np.full(9, 0.3), 4)) == {0}


def test_accuracy_and_the_majority_it_has_to_beat():
    assert metrics.accuracy([1, 0, 1, 0], [0.5, 0.4, 0.1, 0.9]) == 2 / 4
    assert metrics.majority([1, 0, 0], 0.1) == 2 / 3
    assert metrics.majority([1, 0, 0], 0.9) == 1 / 3
    assert np.isnan(metrics.majority([1, 0], np.nan))


def test_regression_metrics_by_hand_and_against_sklearn():
    labels, values = [1, 2, 5], [2, 2, 3]
    assert metrics.rmse(labels, values) == pytest.approx(sqrt(5 / 3))
    assert metrics.rmse(labels, values) == pytest.approx(sqrt(mean_squared_error(labels, values)))
    assert metrics.relative_mse(labels, values, 2) == 5 / 10
    assert metrics.relative_rmse(labels, values, 2) == pytest.approx(1 - sqrt(5 / 10))
    assert metrics.relative_rmse(labels, [2, 2, 2], 2) == 0
    assert metrics.relative_rmse(labels, labels, 2) == 1


@pytest.mark.parametrize("mean", [3.0, np.nan])
def test_relative_rmse_is_not_defined_without_spread_or_mean(mean):
    assert np.isnan(metrics.relative_rmse([3, 3], [1, 2], mean))


def test_metrics_of_no_rows_are_not_defined():
    none = np.zeros(0)
    values = [metrics.log_loss(none, none), metrics.ece(none, none), metrics.accuracy(none, none)]
    assert np.isnan([*values, metrics.rmse(none, none), metrics.gauc(none, none, none)]).all()


RELEVANT = np.array([[True, False, True], [False, True, False], [False, False, False], [False, False, False]])
COUNT = np.array([2, 5, 1, 0])


def test_ranking_metrics_by_hand():
    best = [1 + 1 / log2(3), 1 + 1 / log2(3) + 1 / 2]
    expected = {
        metrics.ndcg_at: [(1 + 1 / 2) / best[0], (1 / log2(3)) / best[1], 0, np.nan],
        metrics.recall_at: [2 / 2, 1 / 5, 0, np.nan],
        metrics.precision_at: [2 / 3, 1 / 3, 0, np.nan],
        metrics.hit_at: [1, 1, 0, np.nan],
        metrics.mrr: [1, 1 / 2, 0, np.nan],
    }
    for metric, values in expected.items():
        np.testing.assert_allclose(metric(RELEVANT, COUNT), values, err_msg=metric.__name__)


def test_ndcg_agrees_with_sklearn():
    rng = np.random.default_rng(1)
    relevance, scores = rng.random((6, 12)) < 0.4, rng.random((6, 12))
    top = np.argsort(-scores, axis=1)[:, :5]
    ours = metrics.ndcg_at(np.take_along_axis(relevance, top, 1), relevance.sum(1))
    assert ours.mean() == pytest.approx(ndcg_score(relevance, scores, k=5))


def test_coverage_counts_distinct_items_and_not_empty_places():
    assert metrics.coverage_at(np.array([[0, 1], [1, -1]]), 8) == 2 / 8
    assert np.isnan(metrics.coverage_at(np.array([[-1]]), 0))


def test_diversity_is_the_mean_distance_of_pairs():
    vectors = np.array([[2.0, 0], [0, 3], [-1, 0], [0, 0]])
    lists = np.array([[0, 1, 2], [0, 0, -1], [1, 3, 0], [2, 3, -1]])
    # cosines 0, -1, 0; the same item twice; item 3 has no vector; a single item has no pair
    np.testing.assert_allclose(metrics.diversity_at(lists, vectors), [(1 + 2 + 1) / 3, 0, 1, np.nan], atol=1e-12)


def test_novelty_is_in_bits_and_finite_for_an_unseen_item():
    popularity = np.array([3, 0, 1, 0])  # (count + 1) / 8
    values = metrics.novelty_at(np.array([[0, 1], [2, -1], [-1, -1]]), popularity)
    np.testing.assert_allclose(values, [(1 + 3) / 2, 2, np.nan])
