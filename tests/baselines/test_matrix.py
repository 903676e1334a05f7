"""Flattening: nothing may be lost, mixed up or read twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.toy import Toy, toy
from numpy.testing import assert_array_equal

from motet.baselines import matrix
from motet.baselines.matrix import flatten, number_names, read, score_flat
from motet.batch import Split


def test_rows_stand_request_by_request_with_their_candidate_and_user() -> None:
    batch = toy().requests(np.array([3, 8]), 4)
    flat = flatten(batch)
    assert_array_equal(flat.user_N, np.repeat(batch.user_B.numpy(), 4))
    assert_array_equal(flat.scenario_N, np.repeat(batch.scenario_B.numpy(), 4))
    assert_array_equal(flat.item_N, batch.item_BC.numpy().ravel())
    assert_array_equal(
        flat.ids_NK[5], torch.cat([batch.user_ids_BK[1], batch.item_ids_BCK[1, 1], batch.context_ids_BK[1]])
    )
    assert flat.labels_NT.shape == (8, 0)


def test_numbers_stand_under_their_names() -> None:
    batch = toy().batch(np.array([3, 8]))
    place = number_names(toy().layout).index("item: buy")
    assert_array_equal(flatten(batch).numbers_NF[:, place], batch.pair_numbers_BCN[:, 0, -2])
    assert len(number_names(toy().layout)) == flatten(batch).numbers_NF.shape[1]


def test_reading_in_pieces_equals_reading_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(toy(), "valid")
    monkeypatch.setattr(matrix, "ROWS_PER_BATCH", 17)
    pieces = read(toy(), "valid")
    for name in ("user_N", "item_N", "scenario_N", "kind_N", "ids_NK", "numbers_NF", "labels_NT"):
        assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_a_sample_keeps_the_order_and_takes_no_row_twice() -> None:
    place = number_names(toy().layout).index("hour")  # sin(row): tells the row
    all_rows = read(toy(), "train").numbers_NF[:, place]
    sample = read(toy(), "train", limit=100, seed=1).numbers_NF[:, place]
    places = np.array([np.flatnonzero(all_rows == value)[0] for value in sample])
    assert len(places) == 100
    assert (np.diff(places) > 0).all()
    assert_array_equal(sample, read(toy(), "train", limit=100, seed=1).numbers_NF[:, place])


def test_an_empty_split_has_the_right_columns() -> None:
    class Unsplit(Toy):
        def rows(self, split: Split, scenario: int | None = None) -> np.ndarray:  # type: ignore[type-arg]
            return super().rows(split, scenario)[:0] if split == "valid" else super().rows(split, scenario)

    nothing, train = read(Unsplit(), "valid"), read(Unsplit(), "train")
    for name in ("ids_NK", "numbers_NF", "labels_NT"):
        assert getattr(nothing, name).shape == (0, getattr(train, name).shape[1])


def test_scores_come_back_to_their_candidates_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = toy().requests(np.arange(5), 3)
    monkeypatch.setattr(matrix, "ROWS_PER_CHUNK", 6)
    logits = score_flat(batch, lambda flat: flat.item_N[:, None] + 100.0 * flat.user_N[:, None]).logits_BCT
    assert_array_equal(logits[..., 0], batch.item_BC + 100 * batch.user_B[:, None])


def test_no_request_gives_no_score() -> None:
    batch = toy().requests(np.arange(2), 3)
    none = replace(toy()._batch(np.arange(0), np.empty((0, 3), np.int64)), history=batch.history)
    assert score_flat(none, lambda flat: flat.labels_NT[:, :0]).logits_BCT.shape[:2] == (0, 3)
