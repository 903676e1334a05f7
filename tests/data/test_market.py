"""The embedded market: honest ceilings, planted effects, an unbiased log, and tables that anyone can read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from motet.data.sources.market import CONFLICT_CELL, SNAPSHOT, TRANSFER_CELLS, Market, Tables, generate, write
from motet.data.sources.market_choice import (
    BUY,
    CLICK,
    LIKE,
    MIX_MOBILE,
    RATING_NOISE,
    REACTIONS,
    STARS,
    conflict_axes,
    logits,
    mean_stars,
    react,
    weights,
)
from motet.data.sources.market_log import DAY, SCENARIOS, policy
from motet.data.sources.market_oracle import DELAY, informed, predict
from motet.data.sources.market_world import Floats
from motet.data.split import Split
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse, read_toml

LABELS = {"click": "clicked", "cart": "carted", "purchase": "bought", "like": "liked"}
GOLDEN = (15480, 2007, 1394, 3960, 5835, 0.259255, 0.0424502, 0.00221534)
SMALL = Market(users=200, goods=60, content=50, impressions=8_000)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return generate(Market())


@pytest.fixture(scope="module")
def small() -> Tables:
    return generate(SMALL)


def observed(tables: Tables, task: str) -> pl.DataFrame:
    return tables.impressions.filter(pl.col(LABELS[task]).is_not_null())


@pytest.mark.parametrize(
    ("task", "low", "high"),
    [("click", 0.15, 0.30), ("cart", 0.04, 0.08), ("purchase", 0.02, 0.05), ("like", 0.08, 0.16)],
)
def test_base_rates_are_those_of_a_shop(tables: Tables, task: str, low: float, high: float) -> None:
    rate = observed(tables, task)[LABELS[task]].to_numpy().mean()
    assert low < rate < high


@pytest.mark.parametrize("task", LABELS)
def test_ceilings_stand_in_order_above_the_base_rate(tables: Tables, task: str) -> None:
    rows = observed(tables, task)
    label = rows[LABELS[task]].to_numpy()
    base = log_loss(label, np.full(len(label), label.mean()))
    history, truth = rows[f"informed_{task}"].to_numpy(), rows[f"oracle_{task}"].to_numpy()
    assert log_loss(label, truth) < log_loss(label, history) - 0.02 * base
    assert log_loss(label, history) < 0.93 * base
    assert 0.70 < roc_auc_score(label, history) < roc_auc_score(label, truth)


def test_stars_are_explained_by_history_and_more_by_the_truth(tables: Tables) -> None:
    rated = tables.impressions.filter(pl.col("rating").is_not_null())
    stars = rated["rating"].to_numpy()
    error = {name: np.mean((stars - rated[f"{name}_stars"].to_numpy()) ** 2) for name in ("informed", "oracle")}
    assert error["oracle"] < error["informed"] < 0.75 * stars.var()
    assert abs(np.mean(stars - rated["oracle_stars"].to_numpy())) < 0.06


@pytest.mark.parametrize("task", LABELS)
@pytest.mark.parametrize("ceiling", ["informed", "oracle"])
def test_ceilings_are_calibrated_in_every_fifth(tables: Tables, task: str, ceiling: str) -> None:
    rows = observed(tables, task).sort(f"{ceiling}_{task}")
    for part in np.array_split(np.arange(len(rows)), 5):
        label, expected = rows[LABELS[task]].to_numpy()[part], rows[f"{ceiling}_{task}"].to_numpy()[part]
        deviation = np.sqrt(np.sum(expected * (1 - expected))) / len(part)
        assert abs(label.mean() - expected.mean()) < 4.5 * deviation + 0.004


def test_informed_oracle_beats_the_one_that_only_knows_the_attributes(tables: Tables) -> None:
    truth = tables.truth
    unlabelled = replace(truth.reactions, label_RT=np.full_like(truth.reactions.label_RT, np.nan))
    unlabelled.label_RT[0, CLICK] = 0
    attributes = informed(truth.shown, unlabelled, truth.users, truth.items)["click"]
    label = tables.impressions["clicked"].to_numpy()
    assert log_loss(label, tables.impressions["informed_click"].to_numpy()) < log_loss(label, attributes) - 0.004


def test_a_label_moves_only_later_predictions_of_its_user(small: Tables) -> None:
    truth = small.truth
    row = 2_000
    flipped = replace(truth.reactions, label_RT=truth.reactions.label_RT.copy())
    flipped.label_RT[row, CLICK] = 1 - flipped.label_RT[row, CLICK]
    before = small.impressions["informed_click"].to_numpy()
    after = informed(truth.shown, flipped, truth.users, truth.items)["click"]
    later = (truth.shown.user == truth.shown.user[row]) & (truth.shown.seconds > truth.shown.seconds[row])
    assert later.any()
    assert (before[later] != after[later]).all()
    np.testing.assert_array_equal(before[~later], after[~later])


def test_a_purchase_moves_predictions_only_after_its_delay(small: Tables) -> None:
    truth = small.truth
    shown = truth.shown
    last = np.zeros(truth.users.count, dtype=np.int64)
    np.maximum.at(last, shown.user, shown.seconds)
    row = np.flatnonzero(~np.isnan(truth.reactions.label_RT[:, BUY]) & (shown.seconds + DELAY < last[shown.user]))[50]
    flipped = replace(truth.reactions, label_RT=truth.reactions.label_RT.copy())
    flipped.label_RT[row, BUY] = 1 - flipped.label_RT[row, BUY]
    after = informed(shown, flipped, truth.users, truth.items)["click"]
    changed = small.impressions["informed_click"].to_numpy() != after
    known = (shown.user == shown.user[row]) & (shown.seconds > shown.seconds[row] + DELAY)
    assert known.any()
    np.testing.assert_array_equal(changed, known)


def test_prediction_agrees_with_sampling_the_state() -> None:
    rng = np.random.default_rng(0)
    mean, root = np.array([-1.0, -2.5, -2.0, -1.5, 3.4]), 0.35 * rng.normal(size=(5, 5))
    eta = mean + rng.normal(size=(400_000, 5)) @ root.T
    p = 1 / (1 + np.exp(-eta))
    both = p[:, CLICK] * p[:, BUY]
    stars = np.average(mean_stars(eta[:, STARS]), weights=both)
    expected = [p[:, 0].mean(), p[:, 1].mean(), both.mean(), p[:, 3].mean(), stars]
    np.testing.assert_allclose(predict(mean[None], (root @ root.T)[None])[0], expected, rtol=0.03)


def test_mean_stars_is_the_mean_of_rounded_and_held_ratings() -> None:
    noise = np.random.default_rng(0).logistic(scale=RATING_NOISE, size=400_000)
    for centre in (0.2, 2.9, 4.8):
        drawn = np.clip(np.round(centre + noise), 1, 5).mean()
        assert mean_stars(np.array([centre]))[0] == pytest.approx(drawn, abs=0.005)


def test_labels_follow_their_true_probability() -> None:
    kind = np.repeat([0, 1], 100_000)
    logit = np.tile([-1.0, -2.0, 0.5, -1.5, 3.0], (200_000, 1))
    label = react(logit, kind, np.random.default_rng(0)).label_RT
    goods = label[kind == 0]
    assert goods[:, CLICK].mean() == pytest.approx(1 / (1 + np.e), abs=0.005)
    assert np.nanmean(goods[:, BUY]) == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.01)
    assert np.isnan(goods[:, LIKE]).all()
    assert np.array_equal(np.isnan(goods[:, BUY]), goods[:, CLICK] == 0)
    assert np.isnan(label[kind == 1][:, [1, 2, 4]]).all()


def conflict_match(tables: Tables) -> Floats:
    """How well each impression fits the user's taste on the axes that the conflict turns round, as on mobile."""
    truth, axes = tables.truth, conflict_axes()
    taste, vector = truth.users.state[truth.shown.user][:, axes], truth.items.vector[truth.shown.item][:, axes]
    match: Floats = (taste * vector) @ MIX_MOBILE[axes]
    return match


def correlation(x: Floats, label: NDArray[np.float64]) -> float:
    return float(np.corrcoef(x, label)[0, 1])


def test_taste_turns_round_in_the_conflict_cell_and_nowhere_else(tables: Tables) -> None:
    match, truth = conflict_match(tables), tables.truth
    for s, scenario in enumerate(SCENARIOS):
        for t, reaction in enumerate(REACTIONS):
            label = truth.reactions.label_RT[:, t]
            rows = (truth.shown.scenario == s) & ~np.isnan(label)
            if (scenario, reaction) == CONFLICT_CELL:
                assert correlation(match[rows], label[rows]) < -0.1
            elif t in (CLICK, LIKE):
                assert correlation(match[rows], label[rows]) > 0.1


def test_transfer_cells_share_the_direction_of_taste_with_frequent_ones() -> None:
    weight, _ = weights()
    sources = {"purchase": ("click", BUY), "cart": ("cart", REACTIONS.index("cart")), "like": ("like", LIKE)}
    for scenario, task in TRANSFER_CELLS:
        source, reaction = sources[task]
        donor = "mobile" if scenario == "voice" else scenario
        a = weight[SCENARIOS.index(scenario), reaction]
        b = weight[SCENARIOS.index(donor), REACTIONS.index(source)]
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) == pytest.approx(1.0)


def test_lower_positions_are_clicked_less_than_the_item_deserves(tables: Tables) -> None:
    shown, truth = tables.truth.shown, tables.truth
    at_top = logits(replace(shown, position=np.ones_like(shown.position)), truth.users, truth.items)[:, CLICK]
    deserved = 1 / (1 + np.exp(-at_top))
    label = tables.impressions["clicked"].to_numpy()
    ratio = [label[shown.position == p].mean() / deserved[shown.position == p].mean() for p in (1, 3, 6)]
    assert ratio[0] == pytest.approx(1.0, abs=0.05)
    assert ratio[0] > ratio[1] + 0.1 > ratio[2] + 0.15


def test_propensities_are_the_frequencies_of_the_policy(tables: Tables) -> None:
    shown = tables.impressions
    assert shown["propensity"].is_between(0, 1, closed="right").all()
    top = shown.filter(pl.col("position") == 1)
    weighted = (1 / top["propensity"]).sum() / len(top)
    pi = policy(tables.truth.items, Market().days)
    cell = tables.truth.shown.seconds // DAY, tables.truth.shown.scenario
    listed = (pi[cell[0], cell[1]] > 0).sum(axis=1)[tables.truth.shown.position == 1]
    assert weighted == pytest.approx(listed.mean(), rel=0.03)  # E[1 / propensity] = items that could be shown
    np.testing.assert_allclose(pi.sum(axis=2), 1.0)


def test_slates_hold_distinct_items_at_positions_from_one_in_one_place(tables: Tables) -> None:
    slates = tables.impressions.group_by("request_id").agg(
        pl.col("item_id").n_unique().alias("items"),
        pl.len().alias("rows"),
        pl.col("position").max().alias("last"),
        pl.col("user_id", "time", "surface").n_unique(),
        pl.col("surface").first().alias("place"),
    )
    assert (slates["items"] == slates["rows"]).all()
    assert (slates["last"].cast(pl.UInt32) == slates["rows"]).all()
    assert slates.select(pl.col("user_id", "time", "surface").max()).row(0) == (1, 1, 1)
    longest = dict(slates.group_by("place").agg(pl.col("rows").max()).iter_rows())
    assert longest == {"desktop": 10, "mobile": 6, "voice": 3}
    share = dict(tables.impressions["surface"].value_counts(normalize=True).iter_rows())
    assert share == pytest.approx({"desktop": 0.45, "mobile": 0.40, "voice": 0.15}, abs=0.02)


def test_users_and_items_arrive_and_are_never_seen_before(tables: Tables) -> None:
    rows = tables.impressions.join(tables.users, on="user_id").join(tables.items, on="item_id")
    assert len(rows) == len(tables.impressions)
    assert (rows["time"] >= rows["joined"]).all()
    assert (rows["time"] >= rows["listed"]).all()
    cut = tables.impressions["time"].sort()[int(0.8 * len(rows))]  # where a time split would end the training part
    recent = rows.filter(pl.col("time") >= cut)
    assert recent.filter(pl.col("listed") >= cut)["item_id"].n_unique() > 30
    assert recent.filter(pl.col("joined") >= cut)["user_id"].n_unique() > 20


def test_labels_exist_exactly_where_their_kind_knows_them(tables: Tables) -> None:
    rows = tables.impressions.join(tables.items.select("item_id", "kind"), on="item_id")
    goods = rows["kind"] == "goods"
    assert rows["clicked"].null_count() == 0
    for column in ("carted", "bought", "oracle_cart", "oracle_purchase", "informed_purchase", "oracle_stars"):
        assert (rows[column].is_not_null() == goods).all()
    assert (rows["liked"].is_not_null() == ~goods).all()
    assert (rows["rating"].is_not_null() == (rows["bought"] == 1).fill_null(False)).all()
    assert rows.filter((pl.col("bought") == 1) & (pl.col("clicked") == 0)).is_empty()
    assert rows["rating"].drop_nulls().is_between(1, 5).all()
    assert (rows["time"] < SNAPSHOT - DELAY).all()


def test_text_speaks_both_languages_and_the_truth(tables: Tables) -> None:
    items = tables.items
    chinese = items["description"].str.contains(r"\p{Han}")
    assert (chinese == (items["language"] == "zh")).all()
    assert 0.3 < chinese.sum() / len(chinese) < 0.6
    assert items.select(pl.col("title", "description").str.len_chars().min()).row(0) > (2, 8)
    assert not items["description"].str.contains(r"[{}]").any()
    lively = items["description"].str.contains("(?i)lively|energetic|fast-paced|活力|动感|快节奏").to_numpy()
    pace = tables.truth.items.vector[:, 3]
    assert pace[lively].min() > pace[~lively].mean()
    praised = items["description"].str.contains("praise|Outstanding|best of|好评如潮|出众|最佳").to_numpy()
    assert tables.truth.items.quality[praised].mean() > tables.truth.items.quality[~praised].mean() + 0.5


def test_vectors_are_mostly_told_by_what_is_observed(tables: Tables) -> None:
    items = tables.items
    price = items["price"].log().fill_null(3.2).to_frame()
    tags = pl.DataFrame(tables.truth.items.tags.astype(np.int8))
    design = pl.concat([items.select("category", "brand").to_dummies(), price, tags], how="horizontal").to_numpy()
    vector = tables.truth.items.vector
    fit, *_ = np.linalg.lstsq(design, vector, rcond=None)
    unexplained = np.mean((vector - design @ fit) ** 2) / vector.var(axis=0).mean()
    assert 0.02 < unexplained < 0.15


def test_same_seed_same_tables_and_another_seed_others(small: Tables) -> None:
    again, other = generate(SMALL), generate(replace(SMALL, seed=1))
    for name in ("impressions", "users", "items"):
        frame: pl.DataFrame = getattr(small, name)
        assert frame.equals(getattr(again, name))
        assert not frame.equals(getattr(other, name))


def test_version_1_is_frozen(tables: Tables) -> None:
    """A change here is a new market: raise VERSION, and every number measured on the old one is void."""
    measured = tables.impressions.select(
        pl.col("clicked", "carted", "bought", "liked", "rating").sum(),
        pl.col("informed_click", "oracle_purchase", "propensity").mean(),
    ).row(0)
    assert measured == pytest.approx(GOLDEN, rel=2e-3)


@pytest.mark.parametrize(
    "market", [Market(users=1, goods=20, content=20, impressions=1, days=1), replace(SMALL, days=1)]
)
def test_the_smallest_markets_work(market: Market) -> None:
    tables = generate(market)
    assert len(tables.impressions) == market.impressions
    assert tables.impressions["informed_click"].is_between(0, 1).all()


@pytest.mark.parametrize("change", [{"users": 0}, {"goods": 19}, {"impressions": 0}, {"days": 0}, {"seed": -1}])
def test_a_market_that_cannot_be_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"Market.{next(iter(change))}"):
        Market(**change)


def test_written_schema_fits_the_written_tables(tmp_path: Path) -> None:
    path = write(replace(SMALL, impressions=500), tmp_path / "shop")
    config = read_toml(path)
    split = parse(Split, config.pop("split"), path=path, prefix=("split",))
    schema = parse(Schema, config, path=path)
    frames = {name: pl.read_parquet(path.parent / config["tables"][name]) for name in ("impressions", "users", "items")}
    assert set(schema.impression_columns()) <= set(frames["impressions"].columns)
    assert {schema.columns.user, *schema.features.of("user")} <= set(frames["users"].columns)
    assert {schema.columns.item, schema.columns.kind, *schema.features.of("item")} <= set(frames["items"].columns)
    assert [reference.name for reference in schema.references if reference.ceiling] == ["informed oracle"]
    assert all(set(reference.columns) == {task.name for task in schema.tasks} for reference in schema.references)
    assert schema.tables.snapshot == SNAPSHOT
    assert schema.task("purchase").delay_seconds == schema.task("stars").delay_seconds == DELAY
    assert tuple(scenario.name for scenario in schema.scenarios) == SCENARIOS
    assert (split.by, split.valid, split.test) == ("time", 0.1, 0.1)
    assert frames["items"].schema["tags"] == pl.List(pl.String)
    assert frames["items"].schema["photo"] == pl.List(pl.Float32)
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([*(f"{n}.parquet" for n in frames), "motet.toml"])


def test_a_failed_write_leaves_the_old_market_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(replace(SMALL, impressions=200), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write(replace(SMALL, impressions=300), path.parent)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
