"""Item neighbours, against the definition spelled out pair by pair, and on a public benchmark."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts.toy import Toy, toy
from numpy.testing import assert_allclose

from motet.baselines import item_knn, neighbours
from motet.baselines.item_knn import DECAY, ItemKNN
from motet.baselines.neighbours import Neighbours
from motet.scoring.metrics import auc

EVENTS = [(2, 2), (2, 3), (2, 4), (3, 2), (3, 3), (4, 3), (4, 5), (2, 3)]


def similarity(i: int, j: int, power: float) -> float:
    """The formula, from sets."""
    users = {u for u, _ in EVENTS}
    items = {u: {x for v, x in EVENTS if v == u} for u in users}
    both = sum(1 / np.log(1 + len(items[u])) for u in users if {i, j} <= items[u])
    counts = [sum(x in items[u] for u in users) for x in (i, j)]
    return float(both / (counts[0] * counts[1]) ** power) if i != j else 0.0


@pytest.mark.parametrize("power", [0.5, 0.3])
def test_similarities_are_those_of_the_formula(power: float) -> None:
    near = Neighbours.of(*np.array(EVENTS).T, power)
    for item in range(2, 6):
        scores = near.score(torch.tensor([[item]]), torch.ones(1, 1))[0]
        assert_allclose(scores[2:], [similarity(item, other, power) for other in range(2, 6)], rtol=1e-5)


def test_neighbours_stand_closest_first_and_only_the_closest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Neighbours.of(*np.array(EVENTS).T, 0.5)
    assert (whole.similarity_IK.diff(dim=1) <= 0).all()
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 1)
    monkeypatch.setattr(neighbours, "ITEMS_PER_PRODUCT", 2)
    assert_allclose(Neighbours.of(*np.array(EVENTS).T, 0.5).similarity_IK, whole.similarity_IK[:, :1])


def test_only_the_last_items_of_a_busy_user_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ITEMS_PER_USER", 2)
    near = Neighbours.of(np.array([2, 2, 2, 2]), np.array([3, 4, 5, 3]), 0.5)  # 3 comes again: 4 is the oldest
    assert near.score(torch.tensor([[3]]), torch.ones(1, 1))[0, 5] > 0
    assert (near.score(torch.tensor([[4]]), torch.ones(1, 1)) == 0).all()


def test_no_positive_event_at_all_scores_zero() -> None:
    near = Neighbours.of(np.empty(0, np.int64), np.empty(0, np.int64), 0.5)
    assert (near.score(torch.tensor([[7, 0]]), torch.ones(1, 2)) == 0).all()


def test_the_raw_score_sums_over_the_history_with_decay() -> None:
    model = ItemKNN.fit(toy())
    batch = toy().requests(toy().rows("test")[:20], 9)
    raw = model.raw_scores(batch)
    for b in range(20):
        events = [(i, a) for i, a in zip(batch.history.item_BL[b], batch.history.action_BLT[b], strict=True) if i > 0]
        liked = [int(i) for i, action in events if (action > 0).any()]
        per_item = [model.neighbours.score(torch.tensor([[i]]), torch.ones(1, 1))[0] for i in liked]
        total = sum(
            (DECAY**age * one for age, one in enumerate(reversed(per_item))), torch.zeros(model.neighbours.items)
        )
        inside = batch.item_BC[b] < model.neighbours.items
        assert_allclose(raw[b], torch.where(inside, total[batch.item_BC[b] * inside], 0), rtol=1e-4, atol=1e-6)


def test_events_that_were_not_positive_do_not_count() -> None:
    model = ItemKNN.fit(toy())
    batch = toy().requests(toy().rows("test")[:5], 9)
    batch.history.action_BLT.clamp_(max=0)
    assert (model.raw_scores(batch) == 0).all()


def test_valid_and_test_rows_teach_no_pairs() -> None:
    data = Toy(rows=600)
    changed = data.labels_NT.copy()
    later = np.concatenate([data.rows("valid"), data.rows("test")])
    changed[later] = changed[later][::-1]
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            item_knn._positive_events(data, ItemKNN.fit(data).links),
            item_knn._positive_events(data.relabelled(changed), ItemKNN.fit(data).links),
            strict=True,
        )
    )


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = ItemKNN.fit(toy()), toy().requests(np.arange(700, 720), 5)
    whole = model.raw_scores(batch)
    monkeypatch.setattr(item_knn, "NUMBERS_PER_CHUNK", 1)
    assert_allclose(model.raw_scores(batch), whole)


def test_taste_that_runs_in_pairs_is_found() -> None:
    """Users like items of their own parity only: an item's neighbours tell, its popularity does not."""
    data = Toy(rows=4000)
    liked = (data.user_N % 2 == data.item_N % 2).astype(float)
    data = data.relabelled(np.stack([liked, liked, np.full(len(liked), np.nan)], axis=1))
    rows = data.rows("test")
    scores = ItemKNN.fit(data).score(data.batch(rows)).logits_BCT[:, 0, 0]
    assert auc(data.labels_NT[rows, 0], scores) > 0.9


BEAUTY = Path(__file__).resolve().parents[2] / "../shared/data/amazon3/Beauty.user_sequence.txt.gz"


@pytest.mark.skipif(not BEAUTY.exists(), reason="needs the Amazon 2014 Beauty sequences in ../shared/data/amazon3")
def test_the_last_item_of_amazon_beauty_is_found_as_often_as_by_published_models() -> None:
    """Hit rate at 10 over the whole catalogue, seen items left out: SASRec .0605, S3-Rec .0647 (Zhou et al., 2020)."""
    with gzip.open(BEAUTY, "rt") as lines:
        sequences = [line.split()[1:] for line in lines]
    names, index = np.unique(np.concatenate(sequences), return_inverse=True)
    ends = np.cumsum([len(sequence) for sequence in sequences])
    items = [part + 2 for part in np.split(index, ends[:-1])]
    train = [sequence[:-2] for sequence in items]
    user_E = np.repeat(np.arange(2, len(train) + 2), [len(sequence) for sequence in train])
    near = Neighbours.of(user_E, np.concatenate(train), 0.3)
    hits = 0.0
    for sequence in items[::8]:
        history = torch.from_numpy(sequence[:-1][::-1].copy())[None]
        scores = near.score(history, DECAY ** torch.arange(history.shape[1])[None])[0]
        own = float(scores[sequence[-1]]) if sequence[-1] < near.items else 0.0
        scores[history[0][history[0] < near.items]] = -1
        above, equal = int((scores > own).sum()), max(int((scores == own).sum()), 1)
        hits += min(max((10 - above) / equal, 0), 1)
    assert len(names) == 12_101
    assert hits / len(items[::8]) > 0.065
