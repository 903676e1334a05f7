"""Full-catalogue ranking with a ranker whose scores are known: the numbers can be worked out by hand."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from motet.baselines import BASELINES
from motet.batch import Batch, CellOutput
from motet.data.dataset import Dataset
from motet.data.history import HistorySettings
from motet.data.prepare import PrepareSettings, prepare
from motet.data.running import Running
from motet.data.split import Split
from motet.evaluate import requests, slates
from motet.evaluate.plan import Evaluate
from motet.evaluate.slates import Asked, Counted, Model, held_out_ranking, ranking, relevant_task
from motet.schema import Schema
from motet.scoring.blend import Blend
from motet.settings import parse

ITEMS = [f"i{number:02d}" for number in range(12)]
LATER = 1_700_000_000
LOG = [
    *((f"x{number}", item, LATER - 900 + number, 0) for number, item in enumerate(ITEMS)),  # shows every item once
    ("a", "i00", LATER - 500, 1),
    ("a", "i01", LATER - 400, 0),
    ("b", "i11", LATER - 300, 1),
    ("c", "i02", LATER - 200, 1),
    ("x0", "i03", LATER - 100, 1),  # the one row of valid
    ("a", "i05", LATER, 1),
    ("b", "i02", LATER + 10, 1),
    ("a", "i07", LATER + 20, 1),
    ("a", "i03", LATER + 30, 0),
    ("c", "i02", LATER + 40, 1),  # shown to c before: no candidate
    ("d", "i06", LATER + 50, 0),
]
SCHEMA: dict[str, Any] = {
    "tables": {"impressions": "log.csv"},
    "columns": {"user": "user", "item": "item", "time": "time"},
    "tasks": [{"name": "click", "label": "clicked"}],
}


@dataclass
class FirstComes:
    """Likes every item less than the one before it, whoever asks; remembers the batches it was asked about."""

    data: Dataset
    asked: list[Batch] = field(default_factory=list)

    name = "first comes"

    def score(self, batch: Batch) -> CellOutput:
        self.asked.append(batch)
        numbers = [[float(key[1:]) for key in self.data.item_keys(row)] for row in batch.item_BC.numpy()]
        return CellOutput(-torch.tensor(numbers)[..., None])


def contender(ranker: Any) -> Model:
    """Probabilities 1/2, 1/3, 1/4 … for i00, i01, i02 …"""
    return Model(
        ranker.name, ranker.name.capitalize(), lambda: ranker, lambda logits, scenario, user: 1 / (2.0 - logits)
    )


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return prepared(tmp_path, LOG)


def ranked(
    data: Dataset, baselines: tuple[Any, ...] = (), **how: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], FirstComes]:
    """The model's entries, the others', and the model."""
    ranker = FirstComes(data)
    blend, contenders = Blend.of(data.layout.tasks, ["all"]), [contender(one) for one in (ranker, *baselines)]
    ours, *others = ranking(data, data.rows("test"), contenders, blend, Evaluate(**how))
    return ours, [entry for entries in others for entry in entries], ranker


def prepared(folder: Path, log: list[tuple[Any, ...]], **settings: Any) -> Dataset:
    frame = pl.DataFrame(log, schema=["user", "item", "time", "clicked"], orient="row")
    frame.write_csv(folder / "log.csv")
    settings = {"split": Split(valid_from=LATER - 100, test_from=LATER)} | settings
    prepare(parse(Schema, SCHEMA), PrepareSettings(**settings), folder, folder / "p")
    return Dataset.open(folder / "p")


def test_the_numbers_by_hand(data: Dataset) -> None:
    (entry,), _, _ = ranked(data)
    # a has seen i00 and i01, so the list is i02 i03 i04 i05 …: i05 stands fourth, i07 sixth.
    # b has seen i11, so the list is i00 i01 i02 …: i02 stands third. c's only relevant item is no candidate.
    ndcg_a = (1 / math.log2(5) + 1 / math.log2(7)) / (1 / math.log2(2) + 1 / math.log2(3))
    assert entry["ndcg@10"] == pytest.approx((ndcg_a + 1 / math.log2(4)) / 2)
    assert entry["mrr"] == pytest.approx((1 / 4 + 1 / 3) / 2)
    assert entry["recall@10"] == entry["hit@10"] == 1.0
    assert entry["precision@10"] == pytest.approx((2 / 10 + 1 / 10) / 2)
    assert (entry["users"], entry["scenario"], entry["kind"], entry["relevant_task"]) == (2, "all", "item", "click")


def test_every_request_is_made_when_test_begins(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    times, request = [], data.request
    monkeypatch.setattr(data, "request", lambda *asked, **how: times.append(how["time"]) or request(*asked, **how))
    ranked(data)
    assert times == [LATER]


def test_what_a_user_is_shown_only_in_test_stays_a_candidate(data: Dataset) -> None:
    user = data.user_row("a")
    assert data.item_keys(data.seen(user, before=LATER)) == ["i00", "i01"]
    assert len(data.seen(user)) == 5


def test_an_item_that_is_first_shown_after_the_request_is_no_candidate_of_it(tmp_path: Path) -> None:
    new = [("d", "i12", LATER, 1), ("d", "i04", LATER + 60, 1), ("d", "i12", LATER + 70, 1)]
    (entry,), _, ranker = ranked(prepared(tmp_path, [*LOG, *new]))
    assert ranker.asked[0].item_BC.shape == (3, 12)
    assert entry["users"] == 3
    # i04 is fifth of d's twelve candidates, and the only relevant one
    assert entry["recall@10"] == 1.0
    assert entry["mrr"] == pytest.approx((1 / 4 + 1 / 3 + 1 / 5) / 3)


def test_each_user_has_the_catalogue_of_its_own_time(tmp_path: Path) -> None:
    log = [
        *((f"x{number}", item, number, 0) for number, item in enumerate(ITEMS)),
        *(("a", item, 20 + place, 0) for place, item in enumerate(["i03", "i04", "i05", "i06"] * 2)),
        ("b", "i12", 30, 0),
        *(("b", item, 40 + place, 0) for place, item in enumerate(["i03", "i04", "i05", "i06", "i03", "i04", "i05"])),
        ("a", "i13", 60, 1),  # a's request: i12 has been shown by now, i13 is first shown by this very request
        ("a", "i12", 61, 1),
        ("b", "i11", 70, 1),  # b's: now i13 is there, too
        ("b", "i00", 71, 0),
    ]
    data = prepared(tmp_path, log, split=Split(by="user_last", valid=0.1, test=0.2))
    (entry,), _, ranker = ranked(data)
    shapes = [tuple(batch.item_BC.shape) for batch in ranker.asked]
    assert shapes == [(1, 14)] * 2
    # a: i00 i01 i02 i07 … i11 i12, ninth; b: i00 i01 i02 i07 … i11, eighth of nine
    assert entry["mrr"] == pytest.approx((1 / 9 + 1 / 8) / 2)
    assert entry["users"] == 2


def test_the_context_is_that_of_the_first_judged_impression(data: Dataset) -> None:
    _, _, ranker = ranked(data)
    (batch,) = ranker.asked
    rows = data.rows("test")
    first = [rows[data.users(rows) == user][0] for user in batch.user_B.numpy()]
    hours = data.batch(np.array(first)).context_numbers_BN
    assert len(hours.unique(dim=0)) == len(first) == 2
    assert torch.equal(batch.context_numbers_BN, hours)


def test_users_are_sampled_the_same_way_each_time(data: Dataset) -> None:
    once, _, ranker = ranked(data, ranking_users=1)
    assert once[0]["users"] == len(ranker.asked[0].user_B) == 1
    assert ranked(data, ranking_users=1)[0] == once


def test_no_users_no_ranking(data: Dataset) -> None:
    assert ranked(data, ranking_users=0)[:2] == ([], [])


def test_baselines_are_asked_for_the_same_slates_as_the_model(data: Dataset) -> None:
    twin = FirstComes(data)
    twin.name = "twin"
    (ours,), (theirs,), ranker = ranked(data, (twin,))
    assert theirs == ours
    assert twin.asked == ranker.asked


def test_items_are_counted_where_the_task_happened_in_train(data: Dataset) -> None:
    batch = data.request(np.array([2]), np.array([0]), data.catalogue(0))
    scores = Counted(data).score(Blend.of(data.layout.tasks, ["all"]), Asked(0, "item", 0))(batch)[0]
    counts = dict(zip(data.item_keys(data.catalogue(0)), scores, strict=True))
    assert {key: count for key, count in counts.items() if count} == {"i00": 1, "i11": 1, "i02": 1}


def test_a_catalogue_below_ten_items_is_not_ranked(tmp_path: Path) -> None:
    assert ranked(prepared(tmp_path, [row for row in LOG if row[1] < "i09"]))[:2] == ([], [])


def test_the_relevant_task_is_the_first_binary_one_of_the_kind_or_the_chosen_one(trained: Path) -> None:
    from motet.train.run import load_run

    data = load_run(trained).data
    names = [task.name for task in data.layout.tasks]
    assert relevant_task(data, "content", {}) == names.index("click")
    assert relevant_task(data, "content", {"content": "like"}) == names.index("like")
    assert relevant_task(data, "goods", {"content": "like"}) == names.index("click")
    assert relevant_task(data, "content", {"content": "purchase"}) is None
    assert relevant_task(data, "goods", {"goods": "stars"}) is None


SEQUENCES = {
    "web": {"a": "i03 i01 i00 i05", "b": "i02 i06 i07 i01 i04", "c": "i08 i09 i10 i11"},
    "app": {"a": "i04 i03 i11", "d": "i00 i01 i02"},
}


@pytest.fixture
def sequences(tmp_path: Path) -> Dataset:
    """Positives only; the time is the place in a user's sequence, and the last event is test."""
    log = [
        (user, item, place, scenario, 1)
        for scenario, users in SEQUENCES.items()
        for user, items in users.items()
        for place, item in enumerate(items.split())
    ]
    frame = pl.DataFrame(log, schema=["user", "item", "place", "surface", "clicked"], orient="row")
    frame.write_csv(tmp_path / "log.csv")
    columns = {"user": "user", "item": "item", "time": "place", "scenario": "surface"}
    history = HistorySettings(length=2, per_scenario=True)
    settings = PrepareSettings(split=Split(by="leave_last_out"), history=history, running=Running(keys=()))
    prepare(parse(Schema, SCHEMA | {"columns": columns}), settings, tmp_path, tmp_path / "p")
    return Dataset.open(tmp_path / "p")


def held_out(data: Dataset, scenario: str, ranker: Any = None) -> dict[str, Any]:
    s = [found.name for found in data.layout.scenarios].index(scenario)
    return held_out_ranking(ranker or FirstComes(data), data, data.rows("test", s), s)


def test_each_held_out_item_is_ranked_among_its_scenarios_whole_catalogue(sequences: Dataset) -> None:
    web = held_out(sequences, "web")
    # a: i02 i04 i05, third; b: i00 i03 i04, third; c: i00 … i07 and then i11, ninth. All of the past is left out,
    # i03 of a too, though a ranker sees two events only.
    assert web["mrr"] == pytest.approx((1 / 3 + 1 / 3 + 1 / 9) / 3)
    assert web["ndcg@10"] == pytest.approx((2 / math.log2(4) + 1 / math.log2(10)) / 3)
    assert (web["users"], web["hit@10"], web["recall@10"]) == (3, 1.0, 1.0)
    app = held_out(sequences, "app")
    # the catalogue is i00 i01 i02 i03 i04 i11. a: i00 i01 i02 i11, fourth; d: i02, first. a's past on the web is none.
    assert (app["users"], app["mrr"]) == (2, pytest.approx((1 / 4 + 1) / 2))


def test_requests_are_scored_in_bounded_memory_with_the_same_outcome(
    sequences: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = held_out(sequences, "web")
    for most, shapes in ((1 << 5, [(2, 12), (1, 12)]), (12, [(1, 12)] * 3), (5, [(1, 5), (1, 5), (1, 2)] * 3)):
        ranker = FirstComes(sequences)
        monkeypatch.setattr(slates, "_CHEAP_PAIRS", most)
        assert held_out(sequences, "web", ranker) == whole
        assert sorted(tuple(batch.item_BC.shape) for batch in ranker.asked) == sorted(shapes)


def test_threads_rank_as_one_does_and_draw_the_same_lots(sequences: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Indifferent(FirstComes):
        def score(self, batch: Batch) -> CellOutput:
            return CellOutput(torch.zeros(*batch.item_BC.shape, 1))

    monkeypatch.setattr(slates, "_CHEAP_PAIRS", 12)
    alone, threads = held_out(sequences, "web", Indifferent(sequences)), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setattr(requests, "CHUNKS", 2)
        assert held_out(sequences, "web", Indifferent(sequences)) == alone
    finally:
        torch.set_num_threads(threads)


def test_what_has_been_seen_or_did_not_happen_is_not_held_out(tmp_path: Path) -> None:
    data = prepared(tmp_path, [*LOG, ("e", "i02", LATER + 60, 1), ("e", "i03", LATER + 70, 0)])
    # five of the eight rows are clicked, and c had seen i02 before
    assert held_out(data, "all")["users"] == 4


@pytest.mark.parametrize("name", ["popularity", "item-knn"])
def test_the_baselines_that_need_no_features_can_be_asked(sequences: Dataset, name: str) -> None:
    model = BASELINES[name].fit(sequences)
    assert held_out(sequences, "web", model) == held_out(sequences, "web", model)
    assert held_out(sequences, "web", model)["users"] == 3
