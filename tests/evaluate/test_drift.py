"""Drift: the index by hand, flags where something shifted and only there, base rates that moved."""

import json
import math
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from motet.data.dataset import Dataset
from motet.data.prepare import PrepareSettings, prepare
from motet.evaluate.drift import base_rates, by_chance, drift, flag, id_bins, number_bins, psi
from motet.schema import Scenario, Schema, Task
from motet.settings import parse

ROWS = 4000


def test_the_index_by_hand() -> None:
    assert psi([50, 50], [25, 75]) == pytest.approx(0.25 * math.log(3))  # −¼ ln ½ + ¼ ln 3/2
    assert psi([2, 2, 0], [20, 20, 0]) == 0  # shares, not counts; a bin that nobody fills is none
    assert psi([4, 0], [2, 2]) == pytest.approx(0.5 * math.log(2) + (0.5 - 0.125) * math.log(4))  # half a row for none
    assert psi([25, 75], [50, 50]) == pytest.approx(psi([50, 50], [25, 75]))
    assert math.isnan(psi([1, 2], [0, 0]))


def test_equal_distributions_stay_below_chance_in_nineteen_of_twenty_samples() -> None:
    rng = np.random.default_rng(0)
    share = np.full(10, 0.1)
    below = [
        psi(rng.multinomial(3000, share), rng.multinomial(400, share)) < by_chance(10, 3000, 400) for _ in range(2000)
    ]
    assert np.mean(below) == pytest.approx(0.95, abs=0.015)
    assert by_chance(1, 3000, 400) == 0


def test_flags_need_a_large_index_that_is_no_chance() -> None:
    assert [flag(x, 0.01) for x in (0.0, 0.09, 0.1, 0.24, 0.25, 3.0)] == [None, None, *["some shift"] * 2,
                                                                          *["large shift"] * 2]  # fmt: skip
    assert flag(0.3, 0.5) is None
    assert flag(math.nan, 0.0) is None


def test_numbers_fall_into_the_deciles_of_train_or_on_its_few_values() -> None:
    train, judged = number_bins(np.arange(1000.0), np.array([-5.0, 99.0, 100.0, 950.0, 5000.0, np.nan]))
    counts = np.bincount(train)[1:]
    assert (len(counts), counts.min(), counts.max()) == (10, 100, 100)
    assert judged.tolist() == [1, 1, 2, 10, 10, 0]
    _, few = number_bins(np.array([0.0, 0.0, 1.0]), np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    assert len(set(few.tolist())) == 5  # a constant column that is another constant later has drifted


def test_ids_have_a_bin_each_up_to_the_commonest() -> None:
    train = np.repeat(np.arange(2, 52), np.arange(50, 0, -1))
    bins, judged = id_bins(train, np.array([0, 1, 2, 21, 22, 51, 60]))
    assert bins.max() == 22
    assert judged.tolist() == [0, 1, 2, 21, 22, 22, 22]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A log whose last tenth has dearer rows, gaps, another device, a new item, and the same weather."""
    folder, rng = tmp_path_factory.mktemp("drift"), np.random.default_rng(3)
    late = np.arange(ROWS) >= 0.9 * ROWS
    item = np.where(late & (rng.random(ROWS) < 0.3), 99, rng.integers(0, 20, ROWS))
    price = rng.normal(0, 1, ROWS) + 2 * late
    log = pl.DataFrame(
        {
            "user": [f"u{u}" for u in rng.integers(0, 50, ROWS)],
            "item": [f"i{i}" for i in item],
            "time": 1_700_000_000 + np.arange(ROWS) * 60.0,
            "click": (rng.random(ROWS) < np.where(late, 0.45, 0.3)).astype(int),
            "like": (rng.random(ROWS) < 0.3).astype(int),
            "price": np.where(rng.random(ROWS) < np.where(late, 0.5, 0.05), np.nan, price),
            "wind": rng.normal(0, 1, ROWS),
            "device": np.where(late & (rng.random(ROWS) < 0.6), "watch", rng.choice(["phone", "desk"], ROWS)),
            "weather": [(None, "sun", "rain")[i] for i in rng.integers(3, size=ROWS)],
        }
    )
    log.write_parquet(folder / "log.parquet")
    schema = parse(Schema, {
        "tables": {"impressions": "log.parquet"},
        "columns": {"user": "user", "item": "item", "time": "time"},
        "tasks": [{"name": name, "label": name} for name in ("click", "like")],
        "features": {"context": {"price": "numeric", "wind": "numeric", "device": "categorical",
                                 "weather": "categorical"}},
    })  # fmt: skip
    prepare(schema, PrepareSettings(), folder, folder / "p")
    data = Dataset.open(folder / "p")
    return drift(data, data.rows("test"))


def feature(told: Any, name: str) -> dict[str, Any]:
    (entry,) = [entry for entry in told["features"] if entry["feature"] == name]
    return cast(dict[str, Any], entry)


def test_what_shifted_is_flagged_and_what_did_not_is_not(told: Any) -> None:
    assert {name: feature(told, name)["flag"] for name in ("price", "device", "item", "wind", "weather")} == {
        "price": "large shift", "device": "large shift", "item": "large shift", "wind": None, "weather": None,
    }  # fmt: skip
    assert feature(told, "wind")["psi"] < feature(told, "wind")["by_chance"] * 2
    order = [entry["psi"] for entry in told["features"]]
    assert order == sorted(order, reverse=True)


def test_coverage_is_told_where_it_means_something(told: Any) -> None:
    price, device, item, weather = (feature(told, name) for name in ("price", "device", "item", "weather"))
    assert (price["missing_train"], price["missing"]) == (pytest.approx(0.05, abs=0.02), pytest.approx(0.5, abs=0.06))
    assert (price["unknown"], price["new"]) == (None, None)
    assert (device["unknown_train"], device["missing"]) == (0.0, None)  # train has no gap, so none can be told apart
    assert device["unknown"] == pytest.approx(0.6, abs=0.06)
    assert item["new"] == item["unknown"] == pytest.approx(0.3, abs=0.06)
    assert weather["missing"] == pytest.approx(1 / 3, abs=0.06)
    counts = feature(told, "user: impressions")
    assert (counts["of"], counts["missing"], counts["flag"]) == ("counts", None, "large shift")
    assert feature(told, "events in the history")["of"] == "history"
    assert {feature(told, name)["of"] for name in ("hour (UTC)", "weekday (UTC)")} == {"context"}


def test_a_rate_that_moved_is_told_from_one_that_did_not(told: Any) -> None:
    click, like = told["cells"]
    assert (click["task"], click["flag"], like["flag"]) == ("click", "moved", None)
    assert click["judged"] - click["train"] == pytest.approx(0.15, abs=0.06)
    assert click["p_holm"] < 0.05 < like["p_holm"]
    json.dumps(told, allow_nan=False)


class Log:
    """Users of opposite minds with hundreds of rows each: few people, whose rows say one thing."""

    class Layout:
        scenarios = (Scenario(name="all"),)
        tasks = (Task(name="click", label="c"), Task(name="stars", label="s", form="regression"))

    layout = Layout()

    def __init__(self, users: int) -> None:
        rng = np.random.default_rng(1)
        self.user = np.repeat(np.arange(users), 100)
        mind_U = rng.random(users) < np.where(np.arange(users) < users // 2, 0.4, 0.6)
        self.label = np.stack([mind_U[self.user], np.full(len(self.user), np.nan)], 1).astype(np.float32)

    def users(self, rows: Any) -> Any:
        return self.user[rows]

    def labels(self, rows: Any) -> Any:
        return self.label[rows]

    def scenarios(self, rows: Any) -> Any:
        return np.zeros(len(rows), np.int64)


def test_rows_of_one_user_are_no_independent_witnesses() -> None:
    log = Log(80)
    halves = np.arange(4000), np.arange(4000, 8000)
    click, stars = base_rates(cast(Dataset, log), *halves)
    assert abs(click["judged"] - click["train"]) > 0.05  # as independent rows this would be significant
    assert click["p_holm"] > 0.05
    assert {stars[key] for key in ("train", "judged", "p_holm", "flag")} == {None}


def test_few_users_are_not_tested() -> None:
    click, _ = base_rates(cast(Dataset, Log(40)), np.arange(2000), np.arange(2000, 4000))
    assert click["p_holm"] is None
