"""A log without tasks: the next item is learnt, judged and recommended; a training that was killed goes on exactly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import small_sequences
import torch
from command import done, refused
from small_log import change

import motet
from motet import experiment as stages
from motet.baselines.neighbours import Neighbours
from motet.batch import History
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.model.neighbour_share import NeighbourShare
from motet.model.next_item import NextItem, NextItemNetwork
from motet.train.next_item import SHARES, HeldOut, new_next_item, train_next_item
from motet.train.windows import Windows


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    small_sequences.write(folder)
    done("train", folder / "motet.toml", "--prepared", folder / "prepared", "--run", folder / "runs" / "next")
    return folder


@pytest.fixture(scope="module")
def data(shop: Path) -> Dataset:
    return Dataset.open(shop / "prepared")


def test_the_next_step_is_found_and_baselines_stand_beside_it(shop: Path) -> None:
    report = done("evaluate", shop / "runs" / "next", "--json").json
    assert report["cells"] == []
    hits = {entry["scenario"]: entry["hit@10"] for entry in report["ranking"]}
    assert set(hits) == {"web", "app"}
    assert min(hits.values()) > 0.95
    assert {entry["name"] for entry in report["ranking_baselines"]} == {"popularity", "item-knn"}
    assert "first ten" in report["sentence"]
    assert "Item k-nearest neighbours" in done("evaluate", shop / "runs" / "next").out
    assert "<html" in (shop / "runs" / "next" / "report.html").read_text(encoding="utf-8")


def test_recommended_is_what_comes_next_with_a_probability(shop: Path) -> None:
    events = [{"item": f"web {i}"} for i in (3, 4, 5)]
    (shop / "events.json").write_text(json.dumps(events), encoding="utf-8")
    asked = "recommend", shop / "runs" / "next", "--history", shop / "events.json"
    (slate,) = done(*asked, "--scenario", "web", "--json").json["slates"]
    assert slate["items"][0]["item"] == "web 6"
    assert 0 < slate["items"][0]["predictions"]["next"] < 1
    for stranger in done("recommend", shop / "runs" / "next", "--json").json["slates"]:
        shares = [item["predictions"]["next"] for item in stranger["items"]]
        assert shares == sorted(shares, reverse=True)


def test_a_bundle_and_given_rows_are_answered_alike(shop: Path) -> None:
    done("export", shop / "runs" / "next", "-o", shop / "bundle")
    asked = {"user": "u3", "scenarios": ["web"], "n": 3}
    assert motet.recommend(shop / "bundle" / "run", **asked) == motet.recommend(shop / "runs" / "next", **asked)
    (shop / "rows.csv").write_text("user,item,surface\nu3,web 4,web\nnobody,web 5,web\n", encoding="utf-8")
    done("predict", shop / "rows.csv", "--run", shop / "runs" / "next", "-o", shop / "scores.parquet")
    assert 0 < pl.read_parquet(shop / "scores.parquet")["next"].min() < 1  # type: ignore[operator]


def test_nothing_is_warned_of_and_nothing_tuned(shop: Path) -> None:
    assert done("check", shop / "motet.toml", "--json").json["warnings"] == []
    assert "judged on cells" in refused("tune", shop / "motet.toml", "--study", shop / "tune")


def test_every_train_row_with_a_past_is_a_target_of_the_event_before_it(data: Dataset) -> None:
    windows = Windows.of(data)
    rows = data.rows("train")
    start, end = data.impressions.history_start.numpy()[rows], data.impressions.history_end.numpy()[rows]
    assert len(windows.item_Q) == (end > start).sum()
    seen = 0
    for some in windows.batches(16, seed=0, epoch=0):
        lesson = windows.lesson(some)
        before_Q = lesson.history.item_BL.flatten()[lesson.place_Q]
        kept = data.stored_events.item_E.numpy()
        pairs = {(int(kept[e - 1]), int(i)) for e, i in zip(end, data.item_rows(rows), strict=True)}
        assert all((int(b), int(i)) in pairs for b, i in zip(before_Q, lesson.item_Q, strict=True))
        assert lesson.history.item_BL.shape[1] <= data.layout.history_length
        seen += len(lesson.item_Q)
    assert seen == len(windows.item_Q)
    assert (windows.stop_W - windows.start_W).max() == data.layout.history_length


def test_an_event_sees_nothing_later_and_no_padding(data: Dataset) -> None:
    network = new_next_item(data, NextItem(width=16), seed=0).eval()
    windows = Windows.of(data)
    history = windows.lesson(np.arange(6)).history
    x_PD, packing = network.encode(history)
    first = int(history.length_B[0])
    alone = {
        name: getattr(history, name)[:1, :first]
        for name in ("item_BL", "item_ids_BLK", "kind_BL", "scenario_BL", "action_BLT", "gap_BL")
    }
    assert torch.allclose(network.encode(History(**alone, length_B=history.length_B[:1]))[0], x_PD[:first], atol=1e-5)
    cut = {name: x[:, : first - 1] for name, x in alone.items()}
    shorter = network.encode(History(**cut, length_B=history.length_B[:1] - 1))[0]
    assert torch.allclose(shorter, x_PD[: first - 1], atol=1e-5)
    assert len(packing.place_P) == int(history.length_B.sum())


def test_as_many_negatives_as_items_are_the_whole_softmax(data: Dataset) -> None:
    lesson = Windows.of(data).lesson(np.arange(40))
    told = lesson.history, lesson.place_Q, lesson.item_Q, lesson.scenario_Q
    whole = new_next_item(data, NextItem(width=16, negatives=0), seed=0).eval()
    sampled = new_next_item(data, NextItem(width=16, negatives=19), seed=0).eval()
    with torch.no_grad():
        losses = torch.stack([sampled.loss(*told) for _ in range(200)])
        exact = float(whole.loss(*told))
    assert float(losses.mean()) == pytest.approx(exact, rel=0.01)


def test_a_candidates_logit_depends_on_no_other_and_is_that_of_the_softmax(data: Dataset) -> None:
    network = new_next_item(data, NextItem(width=16), seed=0).eval()
    users, items = data.users(data.rows("test"))[:5], data.catalogue(0)
    all_BC = network.score(data.request(users, np.zeros(5, np.int64), items)).logits_BCT[..., 0]
    assert torch.allclose(all_BC.sigmoid().sum(1), torch.ones(5), atol=1e-4)
    some_BC = network.score(data.request(users[2:3], np.zeros(1, np.int64), items[3:6])).logits_BCT[..., 0]
    assert torch.allclose(some_BC, all_BC[2:3, 3:6], atol=1e-4)


def test_ndcg_on_valid_is_that_of_the_report_and_neighbours_only_add_to_it(shop: Path, data: Dataset) -> None:
    run = stages.load_run(shop / "runs" / "next")
    assert isinstance(run.network, NextItemNetwork)
    assert run.network.neighbours is not None
    held_out = HeldOut.of(data, data.rows("valid"))
    found = held_out.ndcg(run.network)
    assert found == pytest.approx(run.facts["training"]["ndcg@10"], abs=1e-6)
    report = done("evaluate", shop / "runs" / "next", "--split", "valid", "--json").json
    for s, entry in enumerate(report["ranking"]):
        ndcg_W = held_out.ndcg_of_shares(run.network, run.network.neighbours, s).tolist()
        of_shares = dict(zip(SHARES, ndcg_W, strict=True))
        share = run.network.neighbours.share_S[s]
        assert entry["ndcg@10"] == pytest.approx(max(of_shares.values()), abs=1e-6)
        assert of_shares[round(float(share), 1)] == max(of_shares.values())
    alone = [held_out.ndcg_of_shares(run.network, run.network.neighbours, s)[0] for s in range(2)]
    assert np.mean(alone) == pytest.approx(found, abs=1e-6)


def test_what_is_near_is_a_distribution_without_the_history(data: Dataset) -> None:
    near = NeighbourShare.of(Neighbours.of(np.array([2, 2, 3, 3]), np.array([2, 3, 3, 4]), 0.3), 2)
    lesson = Windows.of(data).lesson(np.arange(4))
    history = replace(
        lesson.history, item_BL=torch.tensor([[2], [3], [3], [9]]), length_B=torch.ones(4, dtype=torch.int64)
    )
    item_I = torch.tensor([2, 3, 4, 40])
    p_BI = near.probabilities(history, item_I)
    assert torch.allclose(p_BI[0], torch.tensor([0.0, 1.0, 0.0, 0.0]))
    assert torch.allclose(p_BI[1], torch.tensor([0.5, 0.0, 0.5, 0.0]))
    assert float(p_BI[3].sum()) == 0  # an item that train does not know has no neighbours
    network_BI = torch.full((4, 4), 0.25)
    mixed_BI = near.mixed(network_BI, p_BI, 0.4, history, item_I)
    assert torch.allclose(mixed_BI[0], torch.tensor([0.25, 0.45, 0.15, 0.15]))  # 0.25 of it is the history's
    assert torch.allclose(mixed_BI.sum(1), torch.ones(4))
    assert torch.equal(mixed_BI[3], network_BI[3])


def test_a_killed_training_goes_on_to_the_same_weights(data: Dataset, tmp_path: Path) -> None:
    how, base = NextItem(width=16, epochs=3, batch_size=16, negatives=10), stages.Train(threads=1, checkpoint_every=7)
    whole = new_next_item(data, how, 0)
    train_next_item(whole, data, how, base, folder=tmp_path / "whole")

    def killed(done: int, total: int, note: str) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_next_item(new_next_item(data, how, 0), data, how, base, folder=tmp_path / "cut", progress=killed)
    resumed = new_next_item(data, how, 5)
    train_next_item(resumed, data, how, base, folder=tmp_path / "cut")
    assert all(torch.equal(x, y) for x, y in zip(whole.parameters(), resumed.parameters(), strict=True))
    with pytest.raises(InputError, match="other settings"):
        train_next_item(resumed, data, NextItem(width=16, epochs=4), base, folder=tmp_path / "cut")


@pytest.mark.parametrize("change_", ["width=0", "heads=3", "epochs=0", "negatives=-1", "dropout=1.0", "widht=8"])
def test_impossible_settings_are_named(change_: str, shop: Path) -> None:
    assert "next_item" in refused("train", shop / "motet.toml", "--set", f"next_item.{change_}")


def test_a_catalogue_of_three_items_and_one_scenario_work(tmp_path: Path) -> None:
    config = small_sequences.write(tmp_path)
    lines = [f"u{u},i{(u + k) % 3},{k},all" for u in range(6) for k in range(4)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,time,surface", *lines]) + "\n", encoding="utf-8")
    done("train", config, "--prepared", tmp_path / "prepared", "--run", tmp_path / "runs" / "a")
    assert done("recommend", tmp_path / "runs" / "a", "--seen", "--json").json["slates"][0]["items"]


def test_sections_that_mean_nothing_are_refused(shop: Path, tmp_path: Path) -> None:
    config = small_sequences.write(tmp_path)
    assert "[next_item] sets" in refused("train", config, "--preset", "mmoe")
    change(config, "tasks = []\n", "")
    config.write_text(
        config.read_text(encoding="utf-8") + '\n[[tasks]]\nname = "a"\nlabel = "item"\n', encoding="utf-8"
    )
    assert "tasks = []" in refused("check", config)
