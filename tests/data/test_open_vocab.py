"""Open vocabularies: ids that are admitted have rows, all others share some, in prepare, requests and training."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import small_log
import torch
from command import contents, done, refused

from motet.batch import Field
from motet.data.dataset import Dataset
from motet.data.hashing import buckets_of
from motet.model.ranker import resolve
from motet.train.run import load_run, new_network

FEATURES = """\
[features.user]
user = { form = "categorical", min_count = 28, buckets = 3 }

[features.context]
campaign = { form = "categorical", min_count = 20, buckets = 4 }
words = { form = "tags", min_count = 20, buckets = 4 }

[features.item]
item = { form = "categorical", min_count = 12, buckets = 5 }
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open")
    config = small_log.write(folder)
    rng = np.random.default_rng(1)
    campaigns = [f"c{n}" for n in rng.zipf(1.3, 400) % 60]
    words = [f"w{n}|w{n * 7 % 50}" for n in rng.zipf(1.3, 400) % 50]
    small_log.edit(folder / "log.csv", campaign=pl.Series(campaigns), words=pl.Series(words))
    small_log.change(config, "[features.item]\n", FEATURES)
    done("prepare", config, "--prepared", folder / "prepared")
    return folder


@pytest.fixture(scope="module")
def data(base: Path) -> Dataset:
    return Dataset.open(base / "prepared")


def field(data: Dataset, name: str) -> Field:
    return next(field for field in data.layout.fields if field.name == name)


def bucket(data: Dataset, name: str, key: str) -> int:
    """The embedding row of a key's bucket: the last rows of its field."""
    of, count = field(data, name), {"user": 3, "item": 5, "campaign": 4, "words": 4}[name]
    return of.offset + of.size - count + int(buckets_of(pl.Series([key]), count)[0])


def test_rare_users_items_and_values_share_rows_and_the_others_have_their_own(data: Dataset, base: Path) -> None:
    log, train = pl.read_csv(base / "log.csv"), data.rows("train")
    looked_up = {
        "user": data.user_ids_UK[data.users(np.arange(400)), 0],
        "item": data.items.ids_IK[data.item_rows(np.arange(400)), 0],
        "campaign": data.impressions.context_ids[:, 1],
    }
    for name, least in (("user", 28), ("item", 12), ("campaign", 20)):
        keys, of = log[name], field(data, name)
        seen = dict(keys[train].value_counts().iter_rows())
        own = {key for key in keys.unique() if seen.get(key, 0) >= least}
        assert 0 < len(own) < keys.n_unique()
        assert len(set(looked_up[name][[key in own for key in keys]].tolist())) == len(own)
        for key, row in zip(keys, looked_up[name].tolist(), strict=True):
            assert (row < of.offset + of.size - {"user": 3, "item": 5, "campaign": 4}[name]) == (key in own)
            assert key in own or row == bucket(data, name, key)


def test_tags_without_a_row_share_rows_too(data: Dataset, base: Path) -> None:
    words, of = pl.read_csv(base / "log.csv")["words"].str.split("|"), field(data, "words")
    ids = data.impressions.context_ids[:, 2:].numpy()
    for place in range(0, 400, 20):
        assert of.offset not in ids[place], "no tag is unknown"
        for word in words[place]:
            assert bucket(data, "words", word) in ids[place] or ids[place].min() < of.offset + of.size - 4


def test_the_say_of_a_shared_row_follows_its_count_as_that_of_every_row(data: Dataset) -> None:
    of = field(data, "user")
    shared = np.arange(of.offset + of.size - 3, of.offset + of.size)
    rows = data.user_ids_UK[data.users(data.rows("train")), 0].numpy()
    count = np.bincount(rows, minlength=data.layout.table_rows)[shared]
    assert count.sum() > 0
    np.testing.assert_array_equal(data.counts_V.numpy()[shared], count)
    say_V = new_network(data, resolve({}), 0).inputs.table.say_V.numpy()
    np.testing.assert_allclose(say_V[shared], count / (count + 100), rtol=1e-6)
    assert say_V[of.offset] == 0


def test_whatever_the_memory_the_folder_is_the_same(base: Path, tmp_path: Path) -> None:
    done("prepare", base / "motet.toml", "--prepared", tmp_path / "p", "--memory", "1GB")
    skipped = {"manifest.json"}  # its seconds
    first, again = (
        {k: v for k, v in contents(f).items() if k not in skipped} for f in (base / "prepared", tmp_path / "p")
    )
    assert first == again


def test_a_new_user_a_new_item_in_a_history_and_a_new_value_are_hashed_in_a_request(data: Dataset) -> None:
    items, s = data.catalogue(0)[:4], np.array([0, 0, 0])
    events = data.events_of([{"item": "brand new", "click": 1}, {"item": "i3"}, {"item": "another"}])
    told = {"campaign": "never seen"}
    users, keys = np.array([1, 1, data.user_row("u3")]), ["stranger", None, "u3"]
    batch = data.request(users, s, items, history=events, context=told, keys=keys)
    known = int(data.user_ids_UK[data.user_row("u3"), 0])
    assert batch.user_ids_BK[:, 0].tolist() == [bucket(data, "user", "stranger"), field(data, "user").offset, known]
    assert set(batch.context_ids_BK[:, 1].tolist()) == {bucket(data, "campaign", "never seen")}
    ids = [
        bucket(data, "item", "brand new"),
        int(data.items.ids_IK[data.item_row("i3"), 0]),
        bucket(data, "item", "another"),
    ]
    assert batch.history.item_ids_BLK[:, :, 0].tolist() == [ids] * 3
    item_BL = batch.history.item_BL
    assert len(set(item_BL[0].tolist())) == len(set(ids)), "equal ids are one item, different ones are not"
    unknown = data.request(users[:1], s[:1], items, history=events, context=told)
    assert unknown.user_ids_BK[0, 0] == field(data, "user").offset


def test_a_log_without_buckets_keeps_unknown_for_all_that_is_new(good: Path) -> None:
    data = Dataset.open(good / "prepared")
    history = data.events_of([{"item": "brand new", "click": 1}])
    batch = data.request(np.array([1]), np.array([0]), data.catalogue(0)[:2], history=history, keys=["stranger"])
    assert batch.user_ids_BK[0, 0] == data.layout.of("user")[0].offset
    assert batch.history.item_BL.tolist() == [[1]]


def test_it_trains_serves_and_goes_on_with_newer_logs(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(base, folder)
    done("train", folder / "motet.toml", "--prepared", folder / "prepared", "--run", folder / "run")
    run = load_run(folder / "run")
    slates = done("recommend", folder / "run", "--user", "stranger", "--context", "campaign=never seen", "--json").json
    assert slates["slates"][0]["known_user"] is False
    nobody = done("recommend", folder / "run", "--context", "campaign=never seen", "--json").json
    assert slates["slates"] != nobody["slates"], "a new user is scored by the row of a bucket"
    of, table = field(run.data, "user"), run.network.inputs.table
    shared = table([torch.arange(of.offset + of.size - 3, of.offset + of.size)])[0]
    assert bool((shared != 0).any())

    small_log.go_on(folder)
    done("prepare", folder / "motet.toml", "--prepared", folder / "next", "--from", folder / "run")
    now = field(Dataset.open(folder / "next"), "user")
    assert now.size > of.size
    small_log.change(folder / "motet.toml", "buckets = 3", "buckets = 4")
    told = refused("prepare", folder / "motet.toml", "--prepared", folder / "next-2", "--from", folder / "run")
    assert "buckets of 'user' were 3 and are 4" in told
    done("train", folder / "motet.toml", "--prepared", folder / "next", "--run", folder / "run-2", "--from",
         folder / "run", "--set", "features.user.user.buckets=3")  # fmt: skip


def test_fewer_than_no_buckets_are_refused(base: Path, tmp_path: Path) -> None:
    config = small_log.write(tmp_path)
    small_log.change(
        config, "[features.item]\n", '[features.user]\nuser = { form = "categorical", buckets = -1 }\n[features.item]\n'
    )
    assert "buckets should not be negative" in refused("check", config)
