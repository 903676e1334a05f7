"""Friends: users as items, with what is known of them as users, and never recommended to themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_log import CONFIG, change

import motet
from motet.data.dataset import Dataset
from motet.errors import InputError
from motet.evaluate.requests import Requests
from motet.train.run import Run

USERS = 12


def write(folder: Path) -> Path:
    """A log of posts and people; posts have the age of their author, people their own."""
    rng, rows = np.random.default_rng(3), 500
    user, other = rng.integers(0, USERS, rows), rng.integers(1, USERS, rows)
    of_person = rng.random(rows) < 0.5
    item = [f"u{(u + o) % USERS}" if person else f"i{o}" for u, o, person in zip(user, other, of_person, strict=True)]
    log = {
        "user": [f"u{u}" for u in user],
        "item": item,
        "time": 1_714_000_000 + np.arange(rows) * 1000,
        "surface": np.where(rng.random(rows) < 0.5, "web", "app"),
        "clicked": (rng.random(rows) < 0.4).astype(int),
        "rating": rng.integers(1, 6, rows),
    }
    pl.DataFrame(log).write_csv(folder / "log.csv")
    users = {"user": [f"u{u}" for u in range(USERS)], "age": [f"age {u % 3}" for u in range(USERS)], "price": "cheap"}
    pl.DataFrame(users).write_csv(folder / "users.csv")
    items = {"item": [f"i{i}" for i in range(USERS)], "kind": "post", "age": "age 1", "price": 2.5, "title": "Post"}
    pl.DataFrame(items).write_csv(folder / "items.csv")
    text = CONFIG.replace("[tables]", '[tables]\nusers = "users.csv"').replace(
        "[features.item]",
        '[[kinds]]\nname = "post"\n[[kinds]]\nname = "friend"\ntable = "users"\n'
        '[features.user]\nage = "categorical"\nprice = "categorical"\n[features.item]\nage = "categorical"',
    )
    (folder / "motet.toml").write_text(text, encoding="utf-8")
    return folder / "motet.toml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("friends")
    return motet.train(write(folder), folder / "run", prepared=folder / "prepared")


def test_every_user_is_an_item_with_the_users_features_of_that_name_and_form(run: Run) -> None:
    data = run.data
    friend = data.layout.kinds.index("friend")
    rows = np.flatnonzero(data.items.kind_I.numpy() == friend)
    rows = rows[rows > 1]
    assert sorted(data.item_keys(rows)) == sorted(f"u{u}" for u in range(USERS))
    age = next(t for t in data.features.item.ids if t.name == "age")
    ages = data.items.ids_IK.numpy()[:, [field.name for field in data.layout.of("item")].index("age")]
    offset = data.features.item.offsets[data.features.item.ids.index(age)]
    known = {key: age.vocab.keys[int(ages[data.item_row(key)] - offset - 1)] for key in data.item_keys(rows)}
    assert known == {f"u{u}": f"age {u % 3}" for u in range(USERS)}
    place = data.layout.item_numbers.index("price")
    prices = data.items.numbers_IN.numpy()[:, place]
    assert prices[data.item_row("u1")] == prices[1], "a number of the items is not the users' word of that name"


def test_nobody_is_a_candidate_of_an_own_request(run: Run, tmp_path: Path) -> None:
    users = [f"u{u}" for u in range(USERS)]
    ask: dict[str, Any] = {"scenarios": ["web"], "kinds": ["friend"], "n": 100, "seen": True}
    for user in users:
        (slate,) = motet.recommend(run, user=user, **ask)
        assert sorted(place["item"] for place in slate["items"]) == sorted(set(users) - {user})
    motet.recommend_to(tmp_path / "slates.parquet", run, **ask)
    found = pl.read_parquet(tmp_path / "slates.parquet")
    assert len(found) == USERS * (USERS - 1)
    assert not (found["user"] == found["item"]).any()


def test_in_rankings_nobody_is_a_candidate_of_an_own_request_either(run: Run) -> None:
    data, friend = run.data, run.data.layout.kinds.index("friend")
    rows = data.rows("test", 0)[:20]
    none = np.zeros(0, np.int64), np.zeros(0, np.int64)
    asked = Requests.of(data, 0, rows, data.times(rows), none, kind=friend)
    open_UC = asked.open_UC(slice(0, len(rows)))
    for request, user in enumerate(data.user_keys(data.users(asked.row_U))):
        assert user not in data.item_keys(asked.item_C[open_UC[request]])


def test_without_friends_nobody_is_an_item(good: Path) -> None:
    data = Dataset.open(good / "prepared")
    request, item = data.oneself(np.arange(2, 10))
    assert len(request) == len(item) == 0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('users = "users.csv"\n', "", "lives in the users table"),
        ('kind = "kind"\n', "", "lives in the users table"),
        ('name = "post"\n', 'name = "post"\ntable = "users"\n', "both live in the users table"),
    ],
)
def test_what_friends_need_is_said(tmp_path: Path, before: str, after: str, message: str) -> None:
    config = write(tmp_path)
    change(config, before, after)
    if "users" in before:
        change(config, '[features.user]\nage = "categorical"\nprice = "categorical"\n', "")
    with pytest.raises(InputError, match=message):
        motet.check(config)


def test_a_key_of_an_item_and_of_a_user_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path)
    change(tmp_path / "items.csv", "i7,", "u7,")
    with pytest.raises(InputError, match="'u7' is the key of an item and of a user"):
        motet.check(config)
