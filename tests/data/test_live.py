"""Events told to a data set: everything is as if the log had held them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import small_shop as shop
import torch

from motet.data.dataset import Dataset
from motet.data.history import HistorySettings
from motet.data.live import Live, Told
from motet.data.prepare import PrepareSettings, prepare
from motet.data.running import Running

CUT = 470
DAY = 86_400.0


@pytest.fixture(scope="module", params=["all", "positive", "per scenario"])
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`full` holds the whole log, `part` its beginning, by the same transforms; the rest tells no context."""
    folder = tmp_path_factory.mktemp("live")
    frames = shop.write(folder)
    log = frames["impressions"].with_columns(weather=pl.when(pl.int_range(pl.len()) < CUT).then(pl.col("weather")))
    log.write_parquet(folder / "impressions.parquet")
    for name, frame in {**frames, "impressions": log.head(CUT)}.items():
        (folder / "begun").mkdir(exist_ok=True)
        frame.write_parquet(folder / "begun" / f"{name}.parquet")
    kept = "positive" if request.param == "positive" else "all"
    history = HistorySettings(length=6, events=kept, per_scenario=request.param == "per scenario")
    settings = PrepareSettings(history=history, running=Running(keys=shop.KEYS))
    prepare(shop.schema(), settings, folder, folder / "full")
    prepare(shop.schema(), settings, folder / "begun", folder / "part", extends=folder / "full")
    return folder


def told(full: Dataset, rows: slice, **changes: Any) -> Told:
    """Those rows of the log as events."""
    at = np.arange(len(full.log_rows.time))[rows]
    log = full.running.log
    given = {
        "users": full.user_keys(full.users(at)),
        "items": full.item_keys(full.item_rows(at)),
        "scenario_N": full.scenarios(at),
        "time_N": full.times(at),
        "labels_NT": np.stack([labels_N[at] for labels_N in log.labels_TN], 1),
    }
    return Told(**(given | changes))


def same(live: Live, full: Dataset, key: str, scenario: int, time: float) -> None:
    """The batch of a request, what was seen and the catalogue are those of the full log."""
    items, past = full.catalogue(scenario), live.past(key, scenario, time)
    assert np.array_equal(live.catalogue(scenario), items)
    assert np.array_equal(past.seen, full.seen(full.user_row(key)))
    users, scenarios = np.array([full.user_row(key)]), np.array([scenario])
    found = live.data.request(users, scenarios, items, time=past.at, **past.request())
    wanted = full.request(users, scenarios, items, time=time)
    torch.testing.assert_close(found.pair_numbers_BCN, wanted.pair_numbers_BCN, atol=1e-5, rtol=0)
    for name in ("item_BL", "item_ids_BLK", "kind_BL", "scenario_BL", "action_BLT", "gap_BL", "length_B"):
        mine, theirs = getattr(found.history, name), getattr(wanted.history, name)
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0, check_dtype=False)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_rest_of_a_log_that_is_told_is_as_if_it_had_been_there(folders: Path, size: int) -> None:
    full, live = Dataset.open(folders / "full"), Live(Dataset.open(folders / "part"))
    for start in range(CUT, 600, size):
        live.tell(told(full, slice(start, start + size)))
    assert live.clock == full.end
    for time in (full.end, full.end + DAY / 3, full.end + 3 * DAY):  # purchases become known after a day
        for key in ("u0", "u1", "u7", "u29"):
            for scenario in (0, 1):
                same(live, full, key, scenario, time)


def test_the_order_in_which_events_are_told_does_not_matter(folders: Path) -> None:
    full, live = Dataset.open(folders / "full"), Live(Dataset.open(folders / "part"))
    for rows in (slice(560, 600), slice(CUT, 520), slice(520, 560)):
        live.tell(told(full, rows))
    same(live, full, "u3", 0, full.end)


def test_until_something_is_told_the_log_speaks(folders: Path) -> None:
    data = Dataset.open(folders / "part")
    live = Live(data)
    past = live.past("u3", 0)
    assert (past.at, past.history, live.clock) == (data.end, None, data.end)
    assert not live.past("nobody", 0).known
    same(live, data, "u3", 1, data.end)


def test_a_time_before_the_clock_counts_as_the_clock(folders: Path) -> None:
    live = Live(Dataset.open(folders / "part"))
    assert live.past("u3", 0, live.clock - DAY).at == live.clock
    assert live.past("u3", 0, live.clock + DAY).at == live.clock + DAY
    assert live.clock == live.data.end


def test_a_new_user_has_a_past_from_the_first_event_on(folders: Path) -> None:
    full, data = Dataset.open(folders / "full"), Dataset.open(folders / "part")
    live, stranger = Live(data), told(full, slice(CUT, CUT + 1), users=["new"])
    before = data.request(np.array([1]), np.array([0]), data.catalogue(0), **live.past("new", 0).request())
    live.tell(stranger)
    past = live.past("new", 0)
    assert past.known
    assert data.item_keys(past.seen) == list(stranger.items)
    after = data.request(np.array([1]), np.array([0]), data.catalogue(0), **past.request())
    shown = data.layout.pair_numbers.index("user: impressions")
    assert (after.pair_numbers_BCN[..., shown] > before.pair_numbers_BCN[..., shown]).all()
    another = data.request(np.array([1]), np.array([0]), data.catalogue(0), **live.past("another", 0).request())
    assert torch.equal(another.pair_numbers_BCN[..., shown], before.pair_numbers_BCN[..., shown])


def test_an_item_that_is_not_known_is_an_event_of_the_user_and_of_no_item(folders: Path) -> None:
    full, data = Dataset.open(folders / "full"), Dataset.open(folders / "part")
    live = Live(data)
    seen, items = live.past("u3", 0).seen, live.catalogue(0)
    unknown = told(full, slice(CUT, CUT + 1), users=["u3"], items=["?"], labels_NT=np.array([[1, 0, 5]], np.float32))
    unknown = Told(unknown.users, unknown.items, np.array([0]), unknown.time_N, unknown.labels_NT)
    live.tell(unknown)
    past = live.past("u3", 0)
    assert past.history is not None
    assert (past.history.item[-1], past.history.keys[-1]) == (1, "?")
    assert np.array_equal(past.seen, seen)
    assert np.array_equal(live.catalogue(0), items)
    found = data.request(np.array([data.user_row("u3")]), np.array([0]), items, **past.request())
    wanted = data.request(np.array([data.user_row("u3")]), np.array([0]), items, time=past.at)
    counts = [data.layout.pair_numbers.index(f"{who}: impressions") for who in ("user", "item")]
    assert (found.pair_numbers_BCN[..., counts[0]] > wanted.pair_numbers_BCN[..., counts[0]]).all()
    assert torch.equal(found.pair_numbers_BCN[..., counts[1]], wanted.pair_numbers_BCN[..., counts[1]])
