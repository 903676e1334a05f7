"""The fair table: everybody on the same rows, settings chosen on valid, distances paired, peers fed what we are fed."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import exported, foreign, quality
from benchmarks.contest import Played, play
from benchmarks.entrants import Watched
from benchmarks.peer_rows import Batches, read
from benchmarks.standings import Play, Standings, entry
from benchmarks.windows import Window, windows
from motet.batch import UNKNOWN
from motet.data.dataset import Dataset
from motet.data.sources.market import Market
from motet.errors import InputError
from motet.evaluate.kept import Kept, Scored, key_of
from motet.evaluate.plan import Evaluate
from motet.evaluate.verdict import VERDICTS

PEERS = foreign.ROOT / ".venv-peers/bin/python"
TINY = Market(users=150, goods=80, content=60, impressions=8_000)


def silent(what: str, share: float) -> None:
    """Tells nobody."""


@pytest.fixture(scope="module")
def two(market: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Window]:
    how = Evaluate(split="test", seeds=2)
    folder = tmp_path_factory.mktemp("windows")
    return windows(market / "motet.toml", {}, folder, [1.0, 0.8], how, silent)


def test_a_shorter_window_is_the_log_as_it_stood_then(two: list[Window]) -> None:
    whole, short = two
    last, first = short.data.times(short.judge.rows), whole.data.times(whole.judge.rows)
    assert last.max() < first.min()
    rows = [sum(window.facts()[split] for split in ("train", "valid", "test")) for window in two]
    assert rows[1] == pytest.approx(0.8 * rows[0], rel=0.01)
    assert short.facts()["until"] == last.max()
    assert "80%" in short.name


def test_valid_chooses_even_where_test_is_judged(two: list[Window]) -> None:
    assert (two[0].judge.how.split, two[0].chooser.how.split) == ("test", "valid")


# Settings and seeds.


@dataclass(frozen=True)
class Guess:
    """A work whose logits are the labels with noise."""

    prepared: Path
    seed: int
    noise: tuple[float, float]  # on valid, on test

    @property
    def key(self) -> str:
        return key_of((), str(self.prepared), self.seed, self.noise)

    def done(self, kept: Kept) -> bool:
        return kept.has(self.key)

    def run(self, kept: Kept) -> None:
        data, rng = Dataset.open(self.prepared), np.random.default_rng(self.seed)
        parts = []
        for split, noise in zip(("valid", "test"), self.noise, strict=True):
            labels_NT = np.nan_to_num(data.labels(data.rows(split)))  # type: ignore[arg-type]
            parts.append((labels_NT + noise * rng.normal(size=labels_NT.shape)).astype(np.float32))
        kept.write(self.key, Scored(parts[0], parts[1], 2.0 + self.seed))


@dataclass(frozen=True)
class Guesser:
    name: str = "motet"
    group: str = "preset"
    package: str | None = None
    trials: Sequence[Any] = ({"noise": (4.0, 0.5)}, {"noise": (1.0, 2.0)})
    seeds: int = 2

    def parts(self, window: Window) -> list[None]:
        return [None]

    def work(self, window: Window, part: None, seed: int, settings: Any) -> Guess:
        return Guess(window.data.folder, seed, settings["noise"])


def played(window: Window, kept: Path, guesser: Guesser) -> Played:
    for seed in range(guesser.seeds):
        for settings in guesser.trials:
            guesser.work(window, None, seed, settings).run(Kept(kept))
    return play(window, [guesser], Kept(kept), 1, silent)[guesser.name]


def test_the_setting_that_is_best_on_valid_is_taken_for_all_seeds(two: list[Window], tmp_path: Path) -> None:
    found = played(two[0], tmp_path, Guesser())
    assert found.chosen == [{"noise": (1.0, 2.0), "parts": 1}]
    assert found.predictions_RNT.shape[:2] == (2, len(two[0].judge.rows))
    assert found.seconds == 2.5


def test_an_entrant_that_failed_is_left_out(two: list[Window], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.contest.run_jobs", lambda works, kept, **more: None)
    assert play(two[0], [Guesser()], Kept(tmp_path), 1, silent) == {}


def test_a_model_that_cannot_be_had_of_the_data_says_so_and_leaves_nothing(
    two: list[Window], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Impossible(Guess):
        def run(self, kept: Kept) -> None:
            raise InputError("no task comes after another")

    work = Watched(Impossible(two[0].data.folder, 0, (1.0, 1.0)))
    work.run(Kept(tmp_path))
    assert "no task comes after another" in capsys.readouterr().err
    assert not work.done(Kept(tmp_path))


# Figures.


def test_a_model_is_as_far_behind_as_its_macro_says_and_not_behind_itself(two: list[Window], tmp_path: Path) -> None:
    better, worse = Guesser(), Guesser(name="worse", trials=({"noise": (1.0, 6.0)},))
    plays: dict[str, list[Play]] = {"motet": [], "worse": [], "same": []}
    for window in two:
        both = {one.name: played(window, tmp_path / one.name, one) for one in (better, worse)}
        standings = Standings(window, both["worse"], None, 100)
        figures = {name: standings.of(one) for name, one in both.items()}
        for name in both:
            plays[name].append(Play(standings, both[name], figures[name], figures["motet"]))
        again = replace(figures["motet"])
        plays["same"].append(Play(standings, both["motet"], again, figures["motet"]))
    ours, theirs, same = entry(better, plays["motet"]), entry(worse, plays["worse"]), entry(better, plays["same"])
    assert ours["behind_default"] is None
    assert same["behind_default"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    behind = theirs["behind_default"]
    assert behind["mean"] == pytest.approx(ours["macro_auc"] - theirs["macro_auc"], abs=2e-4)
    assert 0 < behind["low"] < behind["mean"] < behind["high"]
    assert ours["macro_auc"] == pytest.approx(np.mean([w["macro_auc"] for w in ours["by_window"]]), abs=1e-4)
    assert (ours["seeds"], ours["windows"], ours["cells"]) == (2, 2, [len(p.figures.drawn) for p in plays["motet"]])
    assert set(ours["verdicts"]) == set(VERDICTS)
    assert sum(ours["verdicts"].values()) == 2 * len(ours["matrix"])
    assert theirs["verdicts"] is None  # it is solo itself
    assert ours["informed_share"] > theirs["informed_share"]
    json.dumps([ours, theirs], allow_nan=False)


# What peers are given.


@pytest.fixture(scope="module")
def rows(two: list[Window], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported.export(two[0].data, tmp_path_factory.mktemp("rows") / "rows.npz")


def test_peers_see_our_rows_and_features_and_no_label_of_test(two: list[Window], rows: Path) -> None:
    data, layout = two[0].data, two[0].data.layout
    found = read(rows)
    assert set(found.labels) == {"train", "valid"}
    assert [len(found.inputs[split]["numbers"]) for split in ("train", "valid", "test")] == [
        len(data.rows(split)) for split in ("train", "valid", "test")
    ]  # type: ignore[list-item]
    for column in found.ids:
        for inputs in found.inputs.values():
            ids = inputs[column.name]
            assert 0 <= ids.min() <= ids.max() < column.size
            assert ids.ndim == (2 if column.length else 1)
    batch = data.batch(data.rows("valid"))
    place = next(i for i, field in enumerate(layout.fields) if field.owner == "item")
    own = batch.item_ids_BCK[:, 0, 0].numpy() - layout.fields[place].offset + UNKNOWN
    assert (found.inputs["valid"][f"id{place}"].numpy() == own).all()
    length = batch.history.length_B.numpy()
    assert ((found.inputs["valid"]["history"].numpy() > 0).sum(1) == length).all()
    stars = [t for t, binary in enumerate(found.binary) if not binary]
    train = found.labels["train"].numpy()[:, stars]
    assert np.nanmean(train) == pytest.approx(0, abs=0.2)
    assert np.nanstd(train) == pytest.approx(1, abs=0.2)
    assert (np.isnan(found.labels["valid"].numpy()) == np.isnan(data.labels(data.rows("valid")))).all()


def test_peers_may_leave_out_ids_tasks_and_have_numbers_in_buckets(rows: Path) -> None:
    whole = read(rows)
    bare = whole.without(whole.large)
    assert {column.name for column in whole.ids} - {column.name for column in bare.ids} == whole.large
    assert "history" not in bare.inputs["train"]
    pair = whole.of_tasks([2, 0])
    assert pair.base_rates_ST.shape[1] == 2
    assert (pair.base_rates_ST[:, 1] == whole.base_rates_ST[:, 0]).all()
    cut = whole.in_buckets(5)
    assert (cut.numbers, len(cut.ids)) == (0, len(whole.ids) + whole.numbers)
    assert int(max(cut.inputs["test"][f"number{i}"].max() for i in range(whole.numbers))) <= 4


def test_the_ne_that_peers_stop_by_is_one_for_the_base_rate_and_lower_for_better(rows: Path) -> None:
    data = read(rows)
    rate_NT = data.base_rates_ST[data.scenario_N]
    assert data.macro_ne(rate_NT) == pytest.approx(1, abs=0.15)
    labels_NT = np.nan_to_num(data.labels["valid"].numpy())
    assert data.macro_ne(np.where(np.array(data.binary), 0.9 * rate_NT + 0.1 * labels_NT, rate_NT)) < data.macro_ne(
        rate_NT
    )


def test_no_batch_of_a_peer_is_a_single_row_and_none_is_lost(rows: Path) -> None:
    data = read(rows)
    chosen = np.arange(513)
    sizes = [len(y) for _, y in Batches(data.inputs["train"], data.labels["train"], chosen, 256)]
    assert sum(sizes) == 513
    assert min(sizes) > 1


def test_a_chain_is_the_schemas_or_one_that_train_shows(two: list[Window], good: Path) -> None:
    data = two[0].data
    names = [task.name for task in data.layout.tasks]
    assert foreign.chain_of(data) == (names.index("click"), names.index("purchase"))
    assert foreign.chain_of(Dataset.open(good / "prepared")) is None  # one binary task


# The command.


def table(work: Path, *options: str) -> Any:
    args = quality.arguments().parse_args(["--data", "market", "--quick", "--work", str(work), *options])
    return quality.run(args)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(quality.market.SIZES, "small", TINY)


@pytest.mark.usefixtures("tiny")
def test_the_table_without_peers_and_again_from_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--peers", str(tmp_path), "--models", "popularity", "solo")
    found = table(tmp_path, *options)
    assert (found["benchmark"], found["split"], found["peers_from"]) == ("quality-market-small", "valid", quality.MAKE)
    rows = {row["model"]: row for row in found["table"]}
    assert set(rows) == {"motet", "popularity", "solo"}
    assert rows["motet"]["macro_auc"] > rows["popularity"]["macro_auc"] > 0.5
    assert sum(rows["motet"]["verdicts"].values()) == len(rows["motet"]["matrix"])
    assert all(rows[name]["peak_rss_mb"] > 100 for name in ("motet", "popularity"))
    monkeypatch.setattr("benchmarks.contest.run_jobs", everything_is_done)
    assert table(tmp_path, *options)["table"] == found["table"]
    json.dumps(found, allow_nan=False)


def everything_is_done(works: Any, kept: Kept, **more: Any) -> None:
    assert all(work.done(kept) for work in works)


@pytest.mark.usefixtures("tiny")
def test_every_package_has_learnt_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not PEERS.exists():
        pytest.skip(f"needs {quality.MAKE}")
    monkeypatch.setattr(quality, "QUICK_EPOCHS", 8)
    models = ["torch-rechub/mmoe", "torch-rechub/esmm", "deepctr-torch/mmoe", "fuxictr/mmoe"]
    found = table(tmp_path, "--models", *models)
    rows = {row["model"]: row for row in found["table"]}
    assert found["failed"] == []
    assert set(rows) == {"motet", *models}
    assert all(row["macro_auc"] > 0.55 for row in rows.values())
    told = {cell["task"] for cell in rows["torch-rechub/esmm"]["matrix"] if cell["value"] is not None}
    assert told == {"click", "purchase"}  # the market's chain
    assert rows["fuxictr/mmoe"]["package"].startswith("fuxictr 2")
    assert rows["deepctr-torch/mmoe"]["peak_rss_mb"] > 100


def test_rankings_stand_in_a_table_of_the_same_form() -> None:
    told = [("knn", "Beauty", 0.2), ("knn", "Toys", 0.4), ("popularity", "Beauty", 0.1), ("popularity", "Toys", 0.1)]
    entries = [{"model": m, "scenario": s, "hit@10": v, "ndcg@10": v / 2} for m, s, v in told]
    found = quality.ranked({"ranking": entries, "split": "valid", "seconds": 1.0})
    assert [(row["model"], row["hit@10"], row["ndcg@10"]) for row in found["table"]] == [
        ("knn", pytest.approx(0.3), pytest.approx(0.15)),
        ("popularity", 0.1, 0.05),
    ]
    assert found["benchmark"] == "quality-amazon3"


def test_quick_is_one_seed_one_window_and_nothing_tuned() -> None:
    plan = quality.plan_of(
        Namespace(data="kuairand", quick=True, models=None, final=True, seeds=3, windows=3, trials=4)
    )
    assert (plan.seeds, plan.shares, len(plan.ours), len(plan.theirs), plan.final) == (1, (0.4,), 1, 1, True)
    whole = quality.plan_of(
        Namespace(data="kuairand", quick=False, models=None, final=False, seeds=4, windows=2, trials=4)
    )
    assert (whole.seeds, whole.shares, len(whole.ours), len(whole.theirs)) == (4, (1.0, 0.9), 4, 4)
