import math

import numpy as np
import polars as pl
import pytest
import small_shop as shop
import torch

from motet.batch import Rows
from motet.data.dataset import Dataset
from motet.data.history import HistorySettings
from motet.data.layout import layout_from_dict, layout_to_dict
from motet.data.prepare import PrepareSettings, prepare
from motet.errors import InputError


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return shop.prepared(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def data(base):
    return Dataset.open(base / "p")


def log(data, base):
    """The raw impressions in the data set's order."""
    return pl.read_parquet(base / "impressions.parquet")[data.impressions.row.numpy()]


def test_it_is_what_training_asks_for(data):
    rows: Rows = data
    assert rows.batch(rows.rows("valid")).user_B.shape == rows.rows("valid").shape


def test_rows_are_split_in_time_order_and_by_scenario(data):
    parts = [data.rows(split) for split in ("train", "valid", "test")]
    assert np.concatenate(parts).tolist() == list(range(600))
    assert (np.diff(data.times(np.arange(600))) >= 0).all()
    both = np.concatenate([data.rows("train", s) for s in (0, 1)])
    assert sorted(both) == parts[0].tolist()
    assert set(data.scenarios(data.rows("train", 1))) == {1}


def test_a_batch_holds_the_rows_values(data, base):
    rows = np.array([5, 590, 17])
    batch, frame = data.batch(rows), log(data, base)[rows]
    assert data.user_keys(batch.user_B.numpy()) == frame["user_id"].to_list()
    assert data.item_keys(batch.item_BC[:, 0].numpy()) == frame["item_id"].to_list()
    assert [data.layout.scenarios[s].name for s in batch.scenario_B] == frame["surface"].to_list()
    kinds = [data.layout.kinds[k] for k in batch.kind_BC[:, 0]]
    assert kinds == ["goods" if int(key[1:]) % 4 else "content" for key in frame["item_id"]]
    assert batch.labels_BCT[:, 0, 0].tolist() == frame["clicked"].to_list()
    stars = batch.labels_BCT[:, 0, 2].tolist()
    for star, clicked, rating in zip(stars, frame["clicked"], frame["rating"], strict=True):
        assert star == rating if clicked else math.isnan(star)


def test_shapes_and_types_are_the_contracts(data):
    layout, batch = data.layout, data.batch(torch.arange(40))
    assert batch.user_ids_BK.shape == (40, layout.columns("user"))
    assert batch.context_ids_BK.shape == (40, layout.columns("context"))
    assert batch.item_ids_BCK.shape == (40, 1, layout.columns("item"))
    assert batch.user_numbers_BN.shape == (40, len(layout.user_numbers))
    assert batch.item_numbers_BCN.shape == (40, 1, len(layout.item_numbers))
    assert batch.context_numbers_BN.shape == (40, len(layout.context_numbers))
    assert batch.pair_numbers_BCN.shape == (40, 1, len(layout.pair_numbers))
    assert batch.labels_BCT.shape == (40, 1, 3)
    assert {t.dtype for t in (batch.user_B, batch.scenario_B, batch.item_BC, batch.kind_BC)} == {torch.int64}
    assert {t.dtype for t in (batch.user_ids_BK, batch.context_ids_BK, batch.item_ids_BCK)} == {torch.int32}
    assert batch.history.action_BLT.dtype == batch.history.gap_BL.dtype == torch.float32
    assert data.counts_V.shape == (layout.table_rows,)
    for ids in (batch.user_ids_BK, batch.context_ids_BK, batch.item_ids_BCK):
        assert 0 <= ids.min() <= ids.max() < layout.table_rows


def test_the_layout_survives_json(data):
    assert layout_from_dict(layout_to_dict(data.layout)) == data.layout


def test_counts_are_the_lookups_of_train(data):
    rows = data.rows("train")
    batch, counts = data.batch(rows), np.zeros(data.layout.table_rows)
    for ids in (batch.user_ids_BK, batch.context_ids_BK, batch.item_ids_BCK):
        np.add.at(counts, ids.numpy().ravel(), 1)
    counts[0] = 0
    assert data.counts_V.tolist() == counts.tolist()


def test_base_rates_are_trains_means(data):
    rows = data.rows("train", 1)
    np.testing.assert_allclose(data.layout.base_rates[1], np.nanmean(data.labels(rows), axis=0), rtol=1e-6)
    stars = data.labels(data.rows("train"))[:, 2]
    assert data.layout.label_scales == pytest.approx((1.0, 1.0, float(np.nanstd(stars))), rel=1e-5)


def test_a_history_holds_the_last_events_known_before_the_row(data, base):
    frame = log(data, base)
    goods = np.array([int(key[1:]) % 4 > 0 for key in frame["item_id"]])
    time, user, item = frame["at"].to_numpy(), frame["user_id"].to_numpy(), frame["item_id"].to_numpy()
    click, buy = frame["clicked"].to_numpy() == 1, (frame["bought"].to_numpy() == 1) & goods
    for row in (60, 300, 599):
        past = [(t, i, 0) for t, u, i, c in zip(time, user, item, click, strict=True) if c and u == user[row]]
        past += [(t + 86_400, i, 1) for t, u, i, b in zip(time, user, item, buy, strict=True) if b and u == user[row]]
        past = sorted(event for event in past if event[0] < time[row])[-6:]
        history = data.batch(np.array([row])).history
        length = int(history.length_B[0])
        assert length == len(past)
        assert data.item_keys(history.item_BL[0, :length].numpy()) == [event[1] for event in past]
        assert history.action_BLT[0, :length, :2].argmax(1).tolist() == [event[2] for event in past]
        gaps = [math.log1p(time[row] - event[0]) for event in past]
        np.testing.assert_allclose(history.gap_BL[0, :length], gaps, rtol=1e-5)


def test_with_all_events_every_impression_is_one_and_what_becomes_known_later_another(tmp_path):
    shop.write(tmp_path)
    settings = PrepareSettings(history=HistorySettings(length=8, events="all"))
    prepare(shop.schema(), settings, tmp_path, tmp_path / "p")
    data = Dataset.open(tmp_path / "p")
    frame = log(data, tmp_path)
    goods = np.array([int(key[1:]) % 4 > 0 for key in frame["item_id"]])
    time, user, item = frame["at"].to_numpy(), frame["user_id"].to_numpy(), frame["item_id"].to_numpy()
    click, buy = frame["clicked"].to_numpy(), (frame["bought"].to_numpy() == 1) & goods
    for row in (60, 300, 599):
        past = [(t, i, [c, 0]) for t, u, i, c in zip(time, user, item, click, strict=True) if u == user[row]]
        past += [(t + 86_400, i, [0, 1]) for t, u, i, b in zip(time, user, item, buy, strict=True)
                 if b and u == user[row]]  # fmt: skip
        past = sorted(event for event in past if event[0] < time[row])[-8:]
        history = data.batch(np.array([row])).history
        length = int(history.length_B[0])
        assert length == len(past)
        assert data.item_keys(history.item_BL[0, :length].numpy()) == [event[1] for event in past]
        assert history.action_BLT[0, :length, :2].tolist() == [event[2] for event in past]


def test_histories_are_as_long_as_the_longest_and_padded_behind(data):
    history = data.batch(np.arange(600)).history
    assert history.item_BL.shape[1] == int(history.length_B.max()) == 6
    assert (history.mask_BL.sum(1) == history.length_B).all()
    assert (history.mask_BL.int().diff(dim=1) <= 0).all()
    assert (history.action_BLT[~history.mask_BL] == 0).all()
    assert data.batch(np.array([0])).history.item_BL.shape == (1, 1)


@pytest.mark.parametrize("row", [80, 401, 599])
def test_a_request_at_the_time_of_a_row_is_that_row(data, base, row):
    frame, stored = log(data, base), data.batch(np.array([row]))
    context = {name: frame[name][row] for name in ("weather", "queue", "rank")}
    asked = data.request(
        stored.user_B.numpy(), stored.scenario_B.numpy(), stored.item_BC[:, 0].numpy(),
        time=float(data.times(np.array([row]))[0]), context=context,
    )  # fmt: skip
    for name in ("user_ids_BK", "user_numbers_BN", "context_ids_BK", "item_BC", "kind_BC", "item_ids_BCK"):
        assert torch.equal(getattr(asked, name), getattr(stored, name)), name
    for name in ("context_numbers_BN", "item_numbers_BCN", "pair_numbers_BCN"):
        torch.testing.assert_close(getattr(asked, name), getattr(stored, name), atol=1e-5, rtol=1e-5)
    for name in ("item_BL", "scenario_BL", "kind_BL", "action_BLT", "gap_BL", "length_B"):
        assert torch.equal(getattr(asked.history, name), getattr(stored.history, name)), name
    assert asked.labels_BCT is None


def test_a_request_crosses_users_and_items_without_copies(data):
    items = data.catalogue(0)
    batch = data.request(np.array([2, 3, 1]), np.array([0, 1, 0]), items)
    assert batch.item_ids_BCK.shape[:2] == batch.pair_numbers_BCN.shape[:2] == (3, len(items))
    assert batch.item_ids_BCK.stride(0) == 0
    assert batch.history.length_B[2] == 0
    assert torch.isfinite(batch.pair_numbers_BCN).all()


def test_a_request_in_one_scenario_knows_what_one_in_several_does(data):
    users, items = np.arange(1, 5), data.catalogue(0)
    mixed = data.request(users, np.array([0, 1, 0, 1]), items).pair_numbers_BCN
    for s in (0, 1):
        alone = data.request(users, np.full(4, s), items).pair_numbers_BCN
        assert torch.equal(alone[s::2], mixed[s::2])


def test_the_default_time_of_a_request_is_the_end_of_the_data(data):
    late = data.request(np.array([2]), np.array([0]), np.array([2]))
    at = data.request(np.array([2]), np.array([0]), np.array([2]), time=data.end)
    assert torch.equal(late.pair_numbers_BCN, at.pair_numbers_BCN)
    assert data.end > data.times(np.arange(600)).max()


def test_context_that_is_not_told_is_missing_and_the_position_is_one(data):
    batch = data.request(np.array([2]), np.array([0]), np.array([2]))
    fields = {field.name: (place, field) for place, field in enumerate(data.layout.of("context"))}
    place, weather = fields["weather"]
    assert batch.context_ids_BK[0, place] == weather.offset
    told = data.request(np.array([2]), np.array([0]), np.array([2]), context={"rank": 1, "weather": "sun"})
    assert (
        batch.context_ids_BK[0, fields["rank"][0]]
        == told.context_ids_BK[0, fields["rank"][0]]
        != fields["rank"][1].offset
    )
    names = data.layout.context_numbers
    assert batch.context_numbers_BN[0, names.index("queue missing")] == 1
    with pytest.raises(InputError, match="wether"):
        data.request(np.array([2]), np.array([0]), np.array([2]), context={"wether": "sun"})


def test_context_may_differ_by_request(data):
    asked = data.request(np.array([2, 2]), np.array([0, 0]), np.array([2]), context={"weather": ["sun", "rain"]})
    assert not torch.equal(asked.context_ids_BK[0], asked.context_ids_BK[1])


def test_a_history_may_come_with_the_request(data):
    mean, scale = np.nanmean(data.labels(data.rows("train"))[:, 2]), data.layout.label_scales[2]
    events = data.events_of(
        [
            {"item": "i1", "click": 1, "time": data.end - 100},
            {"item": "new", "scenario": "voice", "stars": 5, "click": 1},
        ]
    )
    history = data.request(np.array([1, 3]), np.array([0, 1]), np.array([2]), history=events).history
    assert history.item_BL.tolist() == [[data.item_row("i1"), 1]] * 2
    assert history.scenario_BL.tolist() == [[0, 1], [1, 1]]
    assert history.action_BLT[0, 1].tolist() == pytest.approx([1, 0, (5 - mean) / scale], rel=1e-5)
    np.testing.assert_allclose(history.gap_BL[0], [math.log(101), math.log(61)], rtol=1e-5)
    assert history.length_B.tolist() == [2, 2]


def test_an_empty_history_may_come_with_the_request(data):
    history = data.request(np.array([3]), np.array([0]), np.array([2]), history=data.events_of([])).history
    assert history.length_B.tolist() == [0]
    assert not history.mask_BL.any()


@pytest.mark.parametrize(
    ("event", "word"),
    [({"click": 1}, "no item"), ({"item": "i1", "clik": 1}, "clik"), ({"item": "i1", "scenario": "tv"}, "tv"),
     ({"item": "i1", "click": "yes"}, "yes")],
)  # fmt: skip
def test_an_event_that_makes_no_sense_is_named(data, event, word):
    with pytest.raises(InputError, match=word):
        data.events_of([event])


def test_only_the_last_events_of_a_long_history_are_kept(data):
    assert data.events_of([{"item": f"i{n}"} for n in range(20)]).item.tolist() == [
        data.item_row(f"i{n}") for n in range(14, 20)
    ]


def test_a_catalogue_holds_what_was_shown_in_the_scenario(data, base):
    frame = log(data, base)
    voice = frame.filter(pl.col("surface") == "voice")
    items = data.catalogue(1)
    assert (np.diff(items) > 0).all()
    assert set(data.item_keys(items)) == set(voice["item_id"])
    content = data.catalogue(1, kind=data.layout.kinds.index("content"))
    assert set(data.item_keys(content)) == {key for key in voice["item_id"] if int(key[1:]) % 4 == 0}
    before = shop.START + 86_400
    assert set(data.item_keys(data.catalogue(1, before=before))) == set(voice.filter(pl.col("at") < before)["item_id"])


def test_seen_items_are_those_shown_before(data, base):
    frame, user = log(data, base), data.user_row("u7")
    mine = frame.filter(pl.col("user_id") == "u7")
    assert set(data.item_keys(data.seen(user))) == set(mine["item_id"])
    at = float(mine["at"][5])
    assert set(data.item_keys(data.seen(user, before=at))) == set(mine.filter(pl.col("at") < at)["item_id"])
    assert data.seen(1).tolist() == []


def test_keys_and_rows_are_each_others_inverse_and_strangers_unknown(data):
    assert data.item_keys(np.array([data.item_row("i21")])) == ["i21"]
    assert data.user_row("nobody") == data.item_row("nothing") == 1
    assert data.item_texts(np.array([data.item_row("i3")])) == ["Title 3"]
    np.testing.assert_array_equal(data.vectors("item", "photo")[data.item_row("i3")], [3.0, 1.0])
    np.testing.assert_array_equal(data.vectors("item", "photo")[1], [0.0, 0.0])


def test_profiles_are_alike_for_items_that_share_features(data):
    rows = np.array([data.item_row(key) for key in ("i5", "i9", "i6", "i4")])
    profiles = data.item_profiles(rows)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    assert profiles[0] @ profiles[1] > profiles[0] @ profiles[2] > profiles[0] @ profiles[3]


def test_references_stand_beside_the_rows(data, base):
    rows = data.rows("test")
    [(reference, predictions)] = data.references(rows)
    assert reference.name == "oracle"
    np.testing.assert_allclose(predictions[:, 0], log(data, base)["best"].to_numpy()[rows], rtol=1e-6)
    assert np.isnan(predictions[:, 1:]).all()


def test_requests_positions_and_propensities_are_carried(data, base):
    frame, columns = log(data, base), data.impressions
    same = (
        frame.with_columns(code=pl.Series(columns.request.numpy())).group_by("request").agg(pl.col("code").n_unique())
    )
    assert same["code"].to_list() == [1] * same.height
    assert len(columns.request.unique()) == same.height
    np.testing.assert_allclose(columns.propensity, frame["p"].to_numpy(), rtol=1e-6)
    assert columns.position.tolist() == frame["rank"].to_list()


def test_an_item_is_first_shown_in_a_scenario_by_its_first_row_there(data):
    rows = data.rows("train", 0)
    item = int(data.item_rows(rows)[7])
    first, never = data.shown.first(0, np.array([item, 10**6]))
    assert first == min(data.times(np.arange(600))[(data.item_rows(np.arange(600)) == item)
                                                   & (data.scenarios(np.arange(600)) == 0)])  # fmt: skip
    assert never == np.inf


def test_what_many_users_have_seen_is_what_each_has_seen(data):
    users, at = np.array([4, 1, 9, 4]), data.times(np.array([500, 500, 300, 100]))
    request, item = data.shown.to(users, at)
    assert (np.diff(request) >= 0).all()
    for place, (user, time) in enumerate(zip(users, at, strict=True)):
        assert np.unique(item[request == place]).tolist() == data.seen(int(user), before=float(time)).tolist()
    assert len(data.seen(4, before=float(at[0]))) > len(data.seen(4, before=float(at[3])))
    in_one = [data.shown.to(users, at, scenario)[1] for scenario in (0, 1)]
    assert sorted(np.concatenate(in_one)) == sorted(item)


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="no prepared folder"):
        Dataset.open(tmp_path / "nowhere")


def test_the_end_is_the_snapshot_where_the_log_was_taken_later(tmp_path):
    shop.write(tmp_path)
    tables = {name: f"{name}.parquet" for name in ("impressions", "users", "items")}
    later = shop.START + 30 * 86_400
    prepare(shop.schema(tables=tables | {"snapshot": later}), PrepareSettings(), tmp_path, tmp_path / "p")
    assert Dataset.open(tmp_path / "p").end == pytest.approx(later)


def test_counts_of_train_are_the_evidence_and_those_of_scenarios_add_up_to_it(data):
    np.testing.assert_array_equal(data.counts(data.rows("train")), data.counts_V)
    parts = [data.counts(data.rows("train", s)) for s in range(len(data.layout.scenarios))]
    np.testing.assert_array_equal(sum(parts), data.counts_V)
