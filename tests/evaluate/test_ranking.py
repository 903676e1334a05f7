"""Top-K lists: ties at random but repeatable, masks respected, and the entries by hand."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.errors import InputError
from motet.evaluate.ranking import hits, ranking_metrics, top_k

rng = np.random.default_rng


def test_top_k_without_ties_is_a_sort():
    scores = rng(0).permuted(np.tile(np.arange(40.0), (9, 1)), axis=1)
    np.testing.assert_array_equal(top_k(scores, 7, rng(1)), np.argsort(-scores, axis=1)[:, :7])


@given(st.integers(0, 8), st.integers(1, 7), st.integers(0, 10**6))
def test_top_k_takes_the_best_allowed_scores_each_once_in_order(k, candidates, seed):
    random = rng(seed)
    scores = random.choice([-np.inf, -1.0, 0, 2], (5, candidates))
    mask = random.random((5, candidates)) < 0.6
    top = top_k(scores, k, random, mask)
    for row, own, allowed in zip(top, scores, mask, strict=True):
        filled = row[row >= 0]
        n = min(k, allowed.sum())
        assert len(filled) == n == len(set(filled.tolist()))
        assert (row[n:] == -1).all()
        assert allowed[filled].all()
        np.testing.assert_array_equal(own[filled], np.sort(own[allowed])[::-1][:n])


def test_ties_draw_lots_for_each_user_and_repeat_with_the_seed():
    scores = np.zeros((6000, 6))
    scores[:, 2] = 1
    top = top_k(scores, 3, rng(0))
    assert (top[:, 0] == 2).all()
    share = np.bincount(top[:, 1:].ravel(), minlength=6) / 6000
    np.testing.assert_allclose(share[[0, 1, 3, 4, 5]], 2 / 5, atol=0.03)
    second = np.bincount(top[:, 1], minlength=6) / 6000
    np.testing.assert_allclose(second[[0, 1, 3, 4, 5]], 1 / 5, atol=0.03)
    np.testing.assert_array_equal(top, top_k(scores, 3, rng(0)))


def test_a_score_that_is_nan_is_refused():
    with pytest.raises(InputError, match="NaN"):
        top_k(np.array([[0.0, np.nan]]), 1, rng(0))


LISTS = np.array([[4, 0, 2], [1, 3, -1], [0, 1, 2]])
INDPTR, ITEMS = np.array([0, 3, 4, 4]), np.array([2, 9, 4, 0])  # user 2 has nothing relevant


def test_hits_look_up_each_users_own_items_and_count_them_once():
    relevant, count = hits(LISTS, np.array([0, 4, 5, 5]), np.array([2, 9, 4, 2, 0]))
    assert relevant.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert count.tolist() == [3, 1, 0]


def test_the_entry_by_hand():
    entry = ranking_metrics(
        LISTS, INDPTR, ITEMS, catalogue_size=10, item_popularity=np.array([6, 2, 2, 2, 0, 0, 0, 0, 0, 0]), k=2
    )
    novelty = [-(log2(1 / 22) + log2(7 / 22)) / 2, -log2(3 / 22), -(log2(7 / 22) + log2(3 / 22)) / 2]
    assert entry == {
        "users": 2,
        "ndcg@2": pytest.approx(1 / (1 + 1 / log2(3)) / 2),
        "recall@2": pytest.approx((1 / 3 + 0) / 2),
        "precision@2": pytest.approx((1 / 2 + 0) / 2),
        "hit@2": 1 / 2,
        "mrr": 1 / 2,
        "coverage@2": 4 / 10,
        "diversity@2": None,
        "novelty@2": pytest.approx(np.mean(novelty)),
    }


def test_short_lists_are_filled_with_empty_places_and_diversity_needs_vectors():
    vectors = np.eye(10)
    entry = ranking_metrics(
        LISTS[:, :1], INDPTR, ITEMS, catalogue_size=10, item_popularity=np.ones(10), item_vectors=vectors, k=10
    )
    assert entry["precision@10"] == pytest.approx((1 / 10 + 0) / 2)
    assert entry["diversity@10"] is None  # a single item has no pair
    full = ranking_metrics(LISTS, INDPTR, ITEMS, catalogue_size=10, item_popularity=np.ones(10), item_vectors=vectors)
    assert full["diversity@10"] == pytest.approx(1)


def test_no_relevant_items_or_no_users_give_nulls():
    for lists, indptr in ((LISTS, np.zeros(4, int)), (LISTS[:0], np.zeros(1, int))):
        entry = ranking_metrics(lists, indptr, np.zeros(0, int), catalogue_size=5, item_popularity=np.ones(5))
        assert (entry["users"], entry["ndcg@10"], entry["mrr"], entry["hit@10"]) == (0, None, None, None)


def test_relevant_items_of_other_users_than_the_lists_are_refused():
    with pytest.raises(InputError, match="3 lists"):
        hits(LISTS, INDPTR[:-1], ITEMS)
