"""Context of requests: the request's own is taken from its rows, the items' is not; and what people write."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from motet.data.context import Contexts, pack
from motet.data.dataset import Dataset
from motet.data.prepare import PrepareSettings, prepare
from motet.errors import InputError
from motet.schema import Schema
from motet.settings import parse

REQUESTS, SLOTS = 200, 4
SCHEMA: dict[str, Any] = {
    "columns": {"user": "user", "item": "item", "time": "time", "scenario": "surface", "request": "request",
                "position": "slot"},
    "tasks": [{"name": "click", "label": "clicked"}],
    "features": {
        "context": {
            "device": "categorical",
            "topics": "tags",
            "wait": "numeric",
            "listed": "numeric",
            "badge": "categorical",
            "slot": "categorical",
            "note": "text",
        }
    },
}  # fmt: skip


def log() -> pl.DataFrame:
    """Every fourth row starts a request; `device`, `topics` and `wait` are its own, but for one slip of the log."""
    rng = np.random.default_rng(0)
    rows = np.arange(REQUESTS * SLOTS)
    request = rows // SLOTS
    device = np.array(["phone", "tablet", "laptop"])[rng.integers(0, 3, REQUESTS)][request]
    device[1] = "laptop" if device[0] == "phone" else "phone"
    return pl.DataFrame(
        {
            "user": [f"u{r % 10}" for r in request],
            "item": [f"i{i}" for i in rng.integers(0, 30, len(rows))],
            "time": 1_700_000_000 + request * 3_600,
            "surface": np.array(["web", "app"])[request % 2],
            "request": [f"r{r // 10}" for r in request],  # ids repeat from user to user
            "slot": rows % SLOTS + 1,
            "clicked": rng.integers(0, 2, len(rows)),
            "device": device,
            "topics": np.array(["a|b", "b", "c|a"])[rng.integers(0, 3, REQUESTS)][request],
            "wait": rng.exponential(2.0, REQUESTS)[request],
            "listed": [None if row % 7 == 0 else float(row % 50) for row in rows],
            "badge": np.array(["none", "new"])[rng.integers(0, 2, len(rows))],
            "note": [f"note {row}" for row in rows],
        }
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    log().write_csv(folder / "log.csv")
    return folder


def opened(base: Path, name: str, file: str = "log.csv", **columns: Any) -> Dataset:
    schema = parse(Schema, SCHEMA | {"tables": {"impressions": file}, "columns": SCHEMA["columns"] | columns})
    prepare(schema, PrepareSettings(), base, base / name)
    return Dataset.open(base / name)


@pytest.fixture(scope="module")
def data(base: Path) -> Dataset:
    return opened(base, "p")


def columns(data: Dataset, *features: str) -> tuple[list[int], list[int]]:
    """The places of features among packed ids and among numbers."""
    ids, at = [], 0
    for field in data.layout.of("context"):
        ids += [*range(at, at + field.columns)] if field.name in features else []
        at += field.columns
    numbers = [n for n, name in enumerate(data.layout.context_numbers) if name.removesuffix(" missing") in features]
    return ids, numbers


def test_what_differs_within_a_request_is_left_out_and_the_rest_is_the_rows_own(data: Dataset) -> None:
    rows = data.rows("test")[[0, 5, 9]]
    context, batch = data.logged_context(rows), data.batch(rows)
    missing = data.request(data.users(rows), data.scenarios(rows), np.array([2]), time=float(data.times(rows)[0]))
    ids, numbers = columns(data, "scenario", "device", "topics", "wait", "hour sin", "hour cos", "weekday sin")
    assert len(ids) >= 4
    assert len(numbers) == 4
    np.testing.assert_array_equal(context.ids_RK[:, ids], batch.context_ids_BK[:, ids])
    np.testing.assert_array_equal(context.numbers_RN[:, numbers], batch.context_numbers_BN[:, numbers])
    ids, numbers = columns(data, "slot", "badge", "listed")
    assert (len(ids), len(numbers)) == (2, 2)
    np.testing.assert_array_equal(context.ids_RK[:, ids], missing.context_ids_BK[:, ids])
    np.testing.assert_array_equal(context.numbers_RN[:, numbers], missing.context_numbers_BN[:, numbers])
    assert (context.numbers_RN[:, numbers[1]] == 1).all()  # listed is missing
    asked = data.request(data.users(rows), data.scenarios(rows), np.array([2, 3]), context=context)
    np.testing.assert_array_equal(asked.context_ids_BK, context.ids_RK)


def test_the_position_of_a_request_is_one_for_every_item(data: Dataset) -> None:
    (slot,), _ = columns(data, "slot")
    told = data.request(np.array([2]), np.array([0]), np.array([2]), context={"slot": 1}).context_ids_BK[0, slot]
    assert set(data.logged_context(data.rows("test")).ids_RK[:, slot]) == {int(told)}


def test_without_request_ids_rows_of_one_user_scenario_and_time_are_one_request(base: Path) -> None:
    data = opened(base, "without", request=None)
    rows = data.rows("test")[:4]
    ids, _ = columns(data, "device")
    np.testing.assert_array_equal(data.logged_context(rows).ids_RK[:, ids], data.batch(rows).context_ids_BK[:, ids])
    (badge,), _ = columns(data, "badge")
    assert len(set(data.logged_context(rows).ids_RK[:, badge])) == 1


def test_where_every_row_is_its_own_request_only_the_position_is_left_out(base: Path) -> None:
    frame = log().with_columns(time=1_700_000_000 + pl.int_range(pl.len()) * 60)
    frame.write_csv(base / "apart.csv")
    data = opened(base, "apart", "apart.csv", request=None)
    rows = data.rows("test")
    same = (data.logged_context(rows).ids_RK == data.batch(rows).context_ids_BK.numpy()).all(0)
    (slot,), _ = columns(data, "slot")
    assert [place for place, equal in enumerate(same) if not equal] == [slot]


def test_what_people_write_is_what_the_log_says(data: Dataset) -> None:
    rows = np.arange(REQUESTS * SLOTS)
    row = rows[(log()["device"] == "phone").to_numpy() & (log()["topics"] == "a|b").to_numpy() & (rows % 7 == 0)][0]
    told = {"device": "phone", "topics": "a|b", "wait": repr(log()["wait"][int(row)]), "listed": ""}
    context = data.read_context(told)
    assert context["listed"] is None
    asked = data.request(data.users(rows[[row]]), np.array([0]), np.array([2]), context=context)
    logged = data.batch(rows[[row]])
    ids, numbers = columns(data, *told)
    np.testing.assert_array_equal(asked.context_ids_BK[:, ids], logged.context_ids_BK[:, ids])
    np.testing.assert_allclose(asked.context_numbers_BN[:, numbers], logged.context_numbers_BN[:, numbers], rtol=1e-5)


@pytest.mark.parametrize(
    ("told", "what", "fix"),
    [
        ({"devise": "phone"}, "'devise'", "did you mean 'device'?"),
        ({"device": "fone"}, "never, or too rarely, 'fone'", "known: 'phone'"),
        ({"device": "x"}, "never, or too rarely, 'x'", "'laptop'"),
        ({"topics": "a|d"}, "never, or too rarely, 'd'", "left out, it counts as missing"),
        ({"wait": "long"}, "'wait' is a number, and 'long' is none", "wait=0.5"),
        ({"wait": "inf"}, "'inf' is none", "wait=0.5"),
        ({"note": "hello"}, "'note' is a text, which no model reads", "leave it out"),
        ({"surface": "web"}, "'surface' is the scenario", "--scenario"),
    ],
)
def test_context_that_makes_no_sense_is_told_what_would(
    told: dict[str, str], what: str, fix: str, data: Dataset
) -> None:
    with pytest.raises(InputError, match=what.replace("|", r"\|")) as caught:
        data.read_context(told)
    assert caught.value.where == "--context"
    assert fix in caught.value.fix


@pytest.mark.parametrize("told", [{}, {"device": "phone", "wait": 2.5}, {"wait": None}, {"topics": ["a", "b"]}])
def test_contexts_that_are_kept_are_those_that_are_packed(data: Dataset, told: dict[str, Any]) -> None:
    names = [scenario.name for scenario in data.layout.scenarios]
    contexts, scenarios = Contexts(data.schema, data.features.context, names), np.array([1, 0, 1])
    for at in (1_700_000_000.0, 1_700_040_000.0):
        for _ in range(2):
            found = contexts.of(scenarios, at, told)
            given = {name: [value] * 3 if isinstance(value, list) else value for name, value in told.items()}
            wanted = pack(data.schema, data.features.context, [names[s] for s in scenarios], at, given)
            assert np.array_equal(found.ids_RK, wanted.ids_RK)
            assert np.array_equal(found.numbers_RN, wanted.numbers_RN)
