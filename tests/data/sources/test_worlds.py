"""The three worlds: honest ceilings, planted effects, tables that fit what is said of them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss

from motet.data.sources import market_oracle
from motet.data.sources.worlds import WORLDS, Size, ecommerce, generate, social, voice
from motet.data.sources.worlds.happens import predict
from motet.data.sources.worlds.world import World
from motet.errors import InputError

Tables = dict[str, pl.DataFrame]
SMALL = Size(users=200, items=150, impressions=9_000)
ALL: dict[str, World] = {"ecommerce": ecommerce.WORLD, "social": social.WORLD, "voice": voice.WORLD}


@pytest.fixture(scope="module")
def worlds() -> dict[str, Tables]:
    return {name: generate(name, SMALL) for name in WORLDS}


def with_kind(tables: Tables) -> pl.DataFrame:
    listed = tables["impressions"].join(tables["items"].select("item_id", "kind"), on="item_id", how="left")
    return listed.with_columns(pl.col("kind").fill_null("friend"))


@pytest.mark.parametrize("name", WORLDS)
def test_the_same_size_gives_the_same_tables_and_another_seed_others(worlds: dict[str, Tables], name: str) -> None:
    again, other = generate(name, SMALL), generate(name, replace(SMALL, seed=1))
    for table, frame in worlds[name].items():
        assert frame.equals(again[table])
        assert not frame.equals(other[table])


@pytest.mark.parametrize(
    ("name", "t"), [(name, t) for name, world in ALL.items() for t, r in enumerate(world.reactions) if not r.stars]
)
def test_ceilings_stand_in_order_above_the_base_rate(worlds: dict[str, Tables], name: str, t: int) -> None:
    reaction = ALL[name].reactions[t]
    rows = worlds[name]["impressions"].filter(pl.col(reaction.label).is_not_null())
    label = rows[reaction.label].to_numpy()
    base = log_loss(label, np.full(len(label), label.mean()))
    informed, oracle = (log_loss(label, rows[f"{kind}_{reaction.task}"].to_numpy()) for kind in ("informed", "oracle"))
    assert 0.02 < label.mean() < 0.5
    assert oracle < informed < 0.97 * base
    expected = rows[f"oracle_{reaction.task}"].to_numpy()
    deviation = np.sqrt((expected * (1 - expected)).sum())
    assert abs(label.sum() - expected.sum()) < 4 * deviation


@pytest.mark.parametrize("name", WORLDS)
def test_labels_stand_where_their_kind_knows_them(worlds: dict[str, Tables], name: str) -> None:
    rows = with_kind(worlds[name])
    for reaction in ALL[name].reactions:
        known = rows["kind"].is_in(reaction.kinds)
        for column in (f"oracle_{reaction.task}", f"informed_{reaction.task}"):
            assert (rows[column].is_not_null() == known).all()
        if not reaction.stars:
            assert (rows[reaction.label].is_not_null() == known).all()
        if reaction.after and not reaction.stars:
            before = next(r.label for r in ALL[name].reactions if r.task == reaction.after)
            assert rows.filter((pl.col(reaction.label) == 1) & (pl.col(before) != 1)).is_empty()


@pytest.mark.parametrize("name", WORLDS)
def test_slates_are_of_the_places_length_and_hold_an_item_once(worlds: dict[str, Tables], name: str) -> None:
    slates = worlds[name]["impressions"].group_by("request_id", "surface").agg(
        pl.len().alias("rows"), pl.col("item_id").n_unique().alias("items"), pl.col("position").max().alias("last")
    )  # fmt: skip
    assert (slates["items"] == slates["rows"]).all()
    assert (slates["last"].cast(pl.UInt32) == slates["rows"]).all()
    for place in ALL[name].places:
        longest = slates.filter(surface=place.name)["rows"].max()
        assert longest == place.slate[1]


def test_a_chain_is_predicted_as_in_the_market() -> None:
    rng = np.random.default_rng(0)
    mean, root = rng.normal(size=(40, 5)), 0.4 * rng.normal(size=(40, 5, 5))
    covariance, chosen = root @ root.transpose(0, 2, 1), [0, 1, 2, 4]  # the market's click, cart, buy and stars
    found = predict(
        replace(ecommerce.WORLD, reactions=tuple(r for r in ecommerce.WORLD.reactions if r.task != "helpful")),
        mean[:, chosen],
        covariance[:, chosen][:, :, chosen],
    )
    np.testing.assert_allclose(found, market_oracle.predict(mean, covariance)[:, chosen], rtol=1e-9)


def test_reviews_are_of_goods_and_the_longer_the_better(worlds: dict[str, Tables]) -> None:
    items, rows = worlds["ecommerce"]["items"], with_kind(worlds["ecommerce"])
    reviews = items.filter(kind="review").join(items, left_on="about", right_on="item_id", suffix="_of")
    assert len(reviews) == (items["kind"] == "review").sum() > 20
    assert (reviews["kind_of"] == "goods").all()
    assert (reviews["category"] == reviews["category_of"]).all()
    assert (reviews["brand"] == reviews["brand_of"]).all()
    assert (items["photo"].is_not_null() == (items["kind"] == "goods")).all()
    assert items["photo"].drop_nulls().list.len().unique().to_list() == [12]
    judged = rows.filter(kind="review").join(items.select("item_id", "words"), on="item_id")
    halves = judged.group_by(pl.col("words") > pl.col("words").median()).agg(pl.col("helped").mean()).sort("words")
    assert halves["helped"][1] > halves["helped"][0] + 0.03


def test_a_photo_tells_of_the_item_what_it_looks_like(worlds: dict[str, Tables]) -> None:
    goods = worlds["ecommerce"]["items"].filter(kind="goods")
    photo = np.column_stack([goods["photo"].to_list(), np.ones(len(goods))])
    price = goods["price"].log().to_numpy()
    fit, *_ = np.linalg.lstsq(photo, price, rcond=None)
    assert np.corrcoef(photo @ fit, price)[0, 1] > 0.6


def test_people_are_shown_others_who_are_no_friends_yet(worlds: dict[str, Tables]) -> None:
    tables = worlds["social"]
    people = with_kind(tables).filter(kind="friend")
    assert people["item_id"].is_in(tables["users"]["user_id"].implode()).all()
    assert (people["item_id"] != people["user_id"]).all()
    assert not (tables["items"]["item_id"].is_in(tables["users"]["user_id"].implode())).any()
    edges = tables["edges"].select("source", "target")
    both = pl.concat([edges, edges.select(source="target", target="source")])
    assert people.join(both, left_on=["user_id", "item_id"], right_on=["source", "target"]).is_empty()
    pairs = people.select("user_id", "item_id", "common_friends").unique()
    shared = (
        pairs.join(both, left_on="user_id", right_on="source")
        .join(both, left_on=["item_id", "target"], right_on=["source", "target"])
        .group_by("user_id", "item_id")
        .len("counted")
    )
    counted = pairs.join(shared, on=["user_id", "item_id"], how="left")
    assert (counted["counted"].fill_null(0) == counted["common_friends"]).all()


def test_common_friends_make_people_follow(worlds: dict[str, Tables]) -> None:
    people = with_kind(worlds["social"]).filter(kind="friend")
    rate = people.group_by(pl.col("common_friends") > 2).agg(pl.col("followed").mean()).sort("common_friends")
    assert rate["followed"][1] > rate["followed"][0] + 0.05


def test_what_fits_the_intent_is_completed_and_what_does_not_asked_again(worlds: dict[str, Tables]) -> None:
    tables = worlds["voice"]
    rows = tables["impressions"].join(tables["items"], on="item_id")
    fits = pl.any_horizontal(
        (pl.col("intent") == intent) & pl.col("category").is_in(categories)
        for intent, categories in voice.FITTING.items()
    )
    rate = rows.group_by(fits.alias("fits")).agg(pl.col("completed", "asked_again").mean()).sort("fits")
    assert rate["completed"][1] > rate["completed"][0] + 0.15
    assert rate["asked_again"][0] > rate["asked_again"][1] + 0.05
    assert tables["impressions"].group_by("request_id").agg(pl.col("intent").n_unique())["intent"].max() == 1


@pytest.mark.parametrize("change", [{"users": 19}, {"items": 59}, {"impressions": 99}, {"days": 0}, {"seed": -1}])
def test_a_world_that_cannot_be_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"Size.{next(iter(change))}"):
        Size(**change)


@pytest.mark.parametrize("name", WORLDS)
def test_the_smallest_worlds_work(name: str) -> None:
    tables = generate(name, Size(users=20, items=60, impressions=100, days=1))
    assert 50 <= len(tables["impressions"]) <= 110


def test_an_unknown_world_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="voice"):
        generate("voise", SMALL)
