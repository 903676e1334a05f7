"""Full-catalogue ranking with a ranker whose scores are known: the numbers can be worked out by hand."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

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
from motet.evaluate import slates
from motet.evaluate.plan import Evaluate
from motet.evaluate.slates import held_out_ranking, ranking, relevant_task
from motet.schema import Schema
from motet.scoring.blend import Blend
from motet.settings import parse
from motet.train.run import Run

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
class Descending:
    """Likes every item less than the one before it, whoever asks; remembers when it was asked."""

    data: Dataset
    asked: list[float] = field(default_factory=list)

    def predict(self, users: Any, scenario: int, items: Any, at: float) -> Any:
        self.asked.append(at)
        numbers = [ITEMS.index(key) for key in self.data.item_keys(items)]
        return np.tile((1 / (2.0 + np.array(numbers)))[None, :, None], (len(users), 1, 1))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    frame = pl.DataFrame(LOG, schema=["user", "item", "time", "clicked"], orient="row")
    frame.write_csv(tmp_path / "log.csv")
    split = Split(valid_from=LATER - 100, test_from=LATER)
    prepare(parse(Schema, SCHEMA), PrepareSettings(split=split), tmp_path, tmp_path / "p")
    return Dataset.open(tmp_path / "p")


def ranked(data: Dataset, **how: Any) -> tuple[list[dict[str, Any]], Descending]:
    ranker = Descending(data)
    blend = Blend.of(data.layout.tasks, ["all"])
    return ranking(cast(Run, ranker), data.rows("test"), blend, Evaluate(**how)), ranker


def test_the_numbers_by_hand(data: Dataset) -> None:
    (entry,), _ = ranked(data)
    # a has seen i00 and i01, so the list is i02 i03 i04 i05 …: i05 stands fourth, i07 sixth.
    # b has seen i11, so the list is i00 i01 i02 …: i02 stands third. c's only relevant item is no candidate.
    ndcg_a = (1 / math.log2(5) + 1 / math.log2(7)) / (1 / math.log2(2) + 1 / math.log2(3))
    assert entry["ndcg@10"] == pytest.approx((ndcg_a + 1 / math.log2(4)) / 2)
    assert entry["mrr"] == pytest.approx((1 / 4 + 1 / 3) / 2)
    assert entry["recall@10"] == entry["hit@10"] == 1.0
    assert entry["precision@10"] == pytest.approx((2 / 10 + 1 / 10) / 2)
    assert (entry["users"], entry["scenario"], entry["kind"], entry["relevant_task"]) == (2, "all", "item", "click")


def test_every_request_is_made_when_test_begins(data: Dataset) -> None:
    _, ranker = ranked(data)
    assert ranker.asked == [LATER] * 3


def test_what_is_shown_only_in_test_stays_a_candidate(data: Dataset) -> None:
    user = data.user_row("a")
    assert data.item_keys(data.seen(user, before=LATER)) == ["i00", "i01"]
    assert len(data.seen(user)) == 5


def test_users_are_sampled_the_same_way_each_time(data: Dataset) -> None:
    once, ranker = ranked(data, ranking_users=1)
    assert len(ranker.asked) == 1
    assert ranked(data, ranking_users=1)[0] == once


def test_no_users_no_ranking(data: Dataset) -> None:
    assert ranked(data, ranking_users=0)[0] == []


def test_a_catalogue_below_ten_items_is_not_ranked(tmp_path: Path) -> None:
    frame = pl.DataFrame(LOG, schema=["user", "item", "time", "clicked"], orient="row")
    frame.filter(pl.col("item") < "i09").write_csv(tmp_path / "log.csv")
    split = Split(valid_from=LATER - 100, test_from=LATER)
    prepare(parse(Schema, SCHEMA), PrepareSettings(split=split), tmp_path, tmp_path / "p")
    assert ranked(Dataset.open(tmp_path / "p"))[0] == []


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


@dataclass
class FirstComes:
    """Likes every item less than the one before it; remembers the sizes of what it was asked."""

    data: Dataset
    asked: list[tuple[int, ...]] = field(default_factory=list)

    name = "first comes"

    def score(self, batch: Batch) -> CellOutput:
        self.asked.append(tuple(batch.item_BC.shape))
        numbers = [[float(key[1:]) for key in self.data.item_keys(row)] for row in batch.item_BC.numpy()]
        return CellOutput(-torch.tensor(numbers)[..., None])


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
    whole, ranker = held_out(sequences, "web"), FirstComes(sequences)
    monkeypatch.setattr(slates, "_SCORES", 1)
    assert held_out(sequences, "web", ranker) == whole
    assert ranker.asked == [(1, 12)] * 3


def test_what_has_been_seen_or_did_not_happen_is_not_held_out(tmp_path: Path) -> None:
    log = [*LOG, ("e", "i02", LATER + 60, 1), ("e", "i03", LATER + 70, 0)]
    frame = pl.DataFrame(log, schema=["user", "item", "time", "clicked"], orient="row")
    frame.write_csv(tmp_path / "log.csv")
    split = Split(valid_from=LATER - 100, test_from=LATER)
    prepare(parse(Schema, SCHEMA), PrepareSettings(split=split), tmp_path, tmp_path / "p")
    # five of the eight rows are clicked, and c had seen i02 before
    assert held_out(Dataset.open(tmp_path / "p"), "all")["users"] == 4


@pytest.mark.parametrize("name", ["popularity", "item-knn"])
def test_the_baselines_that_need_no_features_can_be_asked(sequences: Dataset, name: str) -> None:
    model = BASELINES[name].fit(sequences)
    assert held_out(sequences, "web", model) == held_out(sequences, "web", model)
    assert held_out(sequences, "web", model)["users"] == 3
