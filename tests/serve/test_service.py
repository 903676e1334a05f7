"""The service: its slates are those of `motet recommend`, events count at once and are never lost."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import small_log
from command import refused
from service_client import Client, client

import motet
from motet import experiment as stages
from motet.data.dataset import Dataset
from motet.serve.bundle import export
from motet.serve.pipeline import recommend
from motet.serve.popular import Popular
from motet.train.run import load_run

END = 1_714_000_000 + 399 * 1000
"""The time of the small log's last row."""
SOON = END + 60


@pytest.fixture(scope="module")
def bundle(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service") / "bundle"
    motet.export(good / "run", folder)
    return folder


@pytest.fixture
def service(bundle: Path, tmp_path: Path) -> Iterator[Client]:
    with client(bundle, tmp_path / "events.sqlite") as found:
        yield found


def event(number: int, **changes: Any) -> dict[str, Any]:
    made = {"event_id": f"e{number}", "user_id": "u3", "item_id": f"i{number}", "scenario": "web",
            "time": SOON + number, "labels": {"click": 1, "stars": 5}}  # fmt: skip
    return made | changes


def ids(slates: Any) -> list[str]:
    return [place["item_id"] for slate in slates["slates"] for place in slate["items"]]


def test_slates_are_those_of_recommend(service: Client, good: Path) -> None:
    run = load_run(good / "run")
    for user in ("u1", "u4", "stranger", None):
        for more in ({}, {"seen": True, "n": 24}, {"weights": {"click": 3}}, {"exclude": ["i3", "i5"]}):
            told = {name: value for name, value in more.items() if name != "weights"}
            wanted = motet.recommend(run, user=user, scenarios=["app"], weights=more.get("weights"), **told)  # type: ignore[arg-type]
            found = service.recommend(user_id=user, scenario="app", **more)
            assert [slate["kind"] for slate in found["slates"]] == [slate["kind"] for slate in wanted]
            for mine, theirs in zip(found["slates"], wanted, strict=True):
                assert mine["answer"] == ("personal" if user in ("u1", "u4") else "unknown_user")
                assert [place["item_id"] for place in mine["items"]] == [place["item"] for place in theirs["items"]]
                assert [place["text"] for place in mine["items"]] == [place["text"] for place in theirs["items"]]
                for place, other in zip(mine["items"], theirs["items"], strict=True):
                    assert place["score"] == pytest.approx(other["score"], abs=1e-6)
                    assert place["predictions"] == pytest.approx(other["predictions"], abs=1e-6)


def test_candidates_get_what_predict_says_of_them_and_no_others_are_ranked(service: Client, good: Path) -> None:
    items = [f"i{i}" for i in (3, 17, 8, 1, 22, 9)]
    rows = pl.DataFrame({"user": "u5", "item": items, "surface": "web"})
    scores = motet.predict(rows, good / "run")
    wanted = {row["item"]: row["click"] for row in scores.iter_rows(named=True)}
    found = service.recommend(user_id="u5", scenario="web", candidates=[*items, "i3"], n=24)
    assert sorted(ids(found)) == sorted(items)
    for slate in found["slates"]:
        for place in slate["items"]:
            assert place["predictions"]["click"] == pytest.approx(wanted[place["item_id"]], abs=1e-6)


def test_a_history_that_is_told_stands_for_the_users_own(service: Client, good: Path) -> None:
    events = [{"item_id": "i2", "scenario": "web", "labels": {"click": 1}}, {"item_id": "i4", "time": SOON}]
    plain = [{"item": "i2", "scenario": "web", "click": 1}, {"item": "i4", "time": SOON}]
    found = service.recommend(user_id="u3", scenario="web", history=events, n=24)
    wanted = motet.recommend(good / "run", user="u3", scenarios=["web"], history=plain, n=24)
    assert ids(found) == [place["item"] for slate in wanted for place in slate["items"]]
    assert all(slate["answer"] == "personal" for slate in found["slates"])
    assert not {"i2", "i4"} & set(ids(found))


def test_a_log_told_as_events_gives_the_slates_of_the_log_that_holds_them(folder: Path, tmp_path: Path) -> None:
    """No skew: the network sees the same whether `prepare` has read a row or the service was told of it."""
    full, whole = load_run(folder / "run"), pl.read_csv(folder / "log.csv")
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in ("items.csv", "motet.toml"):
        (begun / name).write_bytes((folder / name).read_bytes())
    whole.head(300).write_csv(begun / "log.csv")
    part = motet.prepare(begun / "motet.toml", begun / "prepared", start=folder / "run")
    blend = stages.blend_of(full.data, stages.settings_of(full.folder))
    export(replace(full, data=part), blend, Popular.of(part, [0, 0]), tmp_path / "bundle")
    rest = [
        event(n, user_id=row["user"], item_id=row["item"], scenario=row["surface"], time=row["time"],
              labels={"click": row["clicked"]} | ({"stars": row["rating"]} if row["clicked"] else {}))
        for n, row in enumerate(whole.tail(100).iter_rows(named=True))
    ]  # fmt: skip
    with client(tmp_path / "bundle", tmp_path / "e.sqlite") as service:
        before = service.recommend(user_id="u3", scenario="web", n=24, seen=True)
        assert service.tell(*rest[:60])["accepted"] == 60
        assert service.tell(*rest[60:])["accepted"] == 40
        for user in ("u3", "u7"):
            for scenario in ("web", "app"):
                found = service.recommend(user_id=user, scenario=scenario, n=24, seen=True)
                wanted = recommend(full, blend, user=user, scenario=scenario, n=24, seen=True)
                for mine, theirs in zip(found["slates"], wanted, strict=True):
                    scores = {place.item: place.score for place in theirs.items}
                    assert {p["item_id"]: p["score"] for p in mine["items"]} == pytest.approx(scores, abs=1e-5)
    assert before != found


def test_an_event_counts_in_the_very_next_request(service: Client) -> None:
    before = service.recommend(user_id="u3", scenario="web", n=24, seen=True)
    told = service.tell(event(1), event(2, item_id="brand new"))
    assert told == {"accepted": 2, "duplicates": 0, "unknown_items": 1}
    after = service.recommend(user_id="u3", scenario="web", n=24, seen=True)
    assert before["slates"] != after["slates"]
    assert "i1" in ids(after)
    assert "i1" not in ids(service.recommend(user_id="u3", scenario="web", n=24))
    clock = service.http.get("/readyz").json()["clock"]
    assert clock == pytest.approx(SOON + 2)


def test_a_stranger_becomes_a_person(service: Client) -> None:
    asked = {"user_id": "newcomer", "scenario": "web", "n": 24}
    assert {slate["answer"] for slate in service.recommend(**asked)["slates"]} == {"unknown_user"}
    service.tell(event(4, user_id="newcomer", item_id="i5"))
    found = service.recommend(**asked)
    assert {slate["answer"] for slate in found["slates"]} == {"personal"}
    assert "i5" not in ids(found)


def test_telling_an_event_again_changes_nothing(service: Client) -> None:
    asked = {"user_id": "u3", "scenario": "web", "n": 24}
    service.tell(event(1), event(2))
    once = service.recommend(**asked)
    told = service.tell(event(2), event(1, item_id="i9"), event(2))
    assert told == {"accepted": 0, "duplicates": 3, "unknown_items": 0}
    assert service.recommend(**asked) == once
    assert service.http.get("/readyz").json()["events"] == 2


def test_events_are_there_after_a_restart(bundle: Path, tmp_path: Path) -> None:
    asked = {"user_id": "newcomer", "scenario": "app", "n": 24}
    with client(bundle, tmp_path / "e.sqlite") as service:
        service.tell(*(event(n, user_id="newcomer") for n in range(5)))
        wanted = service.recommend(**asked)
    with client(bundle, tmp_path / "e.sqlite") as service:
        assert service.recommend(**asked) == wanted
        assert service.tell(event(3))["duplicates"] == 1


def test_a_later_bundle_takes_only_what_its_log_cannot_hold(bundle: Path, tmp_path: Path) -> None:
    with client(bundle, tmp_path / "e.sqlite") as service:
        service.tell(event(1, user_id="early", time=END - 5000), event(2, user_id="late"))
    with sqlite3.connect(tmp_path / "e.sqlite") as file:
        file.execute("UPDATE events SET bundle = 'another'")
    file.close()
    with client(bundle, tmp_path / "e.sqlite") as service:
        answers = [service.recommend(user_id=user, scenario="web")["slates"][0]["answer"] for user in ("early", "late")]
    assert answers == ["unknown_user", "personal"]


def test_one_service_uses_a_file_of_events(service: Client, bundle: Path) -> None:
    assert "events cannot be kept here" in refused("serve", bundle, "--port", 0, "--events", service.service.store.path)


def test_another_sqlite_file_and_no_sqlite_file_are_refused(bundle: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.sqlite") as file:
        file.execute("CREATE TABLE events (x)")
    file.close()
    said = refused("serve", bundle, "--port", 0, "--events", tmp_path / "other.sqlite")
    assert "holds something else" in said
    (tmp_path / "text").write_text("no database " * 100, encoding="utf-8")
    assert "cannot be kept here" in refused("serve", bundle, "--port", 0, "--events", tmp_path / "text")


def test_popular_items_are_answered_when_the_ranker_is_busy(bundle: Path, tmp_path: Path) -> None:
    with client(bundle, tmp_path / "e.sqlite", patience=0.01) as service:
        service.tell(event(1))
        data = service.service.data
        with service.service._ranking:
            found = service.recommend(user_id="u3", scenario="web", n=24, exclude=["i7"])
            given = service.recommend(user_id="u3", scenario="web", candidates=["i1", "i6"])
        left_out = {"i7", "i1", *data.item_keys(data.seen(data.user_row("u3")))}
        for k, slate in enumerate(found["slates"]):
            popular = data.item_keys(service.service.bundle.popular.items[data_scenario(data, "web"), k])
            assert slate["answer"] == "fallback"
            assert [place["item_id"] for place in slate["items"]] == [key for key in popular if key not in left_out]
            assert all(place["score"] is None and place["predictions"] == {} for place in slate["items"])
        assert sorted(ids(given)) == ["i1", "i6"]
        assert service.recommend(user_id="u3", scenario="web")["slates"][0]["answer"] == "personal"


def data_scenario(data: Dataset, name: str) -> int:
    return [scenario.name for scenario in data.layout.scenarios].index(name)


def test_the_routes_describe_themselves(service: Client) -> None:
    assert service.http.get("/livez").json() == {"status": "alive"}
    assert service.http.get("/readyz").json()["status"] == "ready"
    assert service.http.get("/docs").status_code == 200
    told = service.http.get("/openapi.json").json()
    assert {"/v1/recommend", "/v1/events", "/livez", "/readyz"} == set(told["paths"])
    answers = told["paths"]["/v1/recommend"]["post"]["responses"]
    assert list(answers["200"]["content"]) == ["application/json"]
    assert all(list(answers[code]["content"]) == ["application/problem+json"] for code in ("400", "413", "422"))


def test_people_at_the_same_time_do_not_disturb_each_other(service: Client) -> None:
    def visit(person: int) -> tuple[int, bool]:
        told, fresh, user = 0, True, f"person {person}"
        for step in range(6):
            item = f"i{(person + 5 * step) % 24}"
            told += service.tell(event(step, event_id=f"{user} {step}", user_id=user, item_id=item))["accepted"]
            fresh &= item not in ids(service.recommend(user_id=user, scenario="web", n=24))
        return told, fresh

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(visit, range(16))) == [(6, True)] * 16
    assert service.http.get("/readyz").json()["events"] == 16 * 6


def test_a_process_serves_and_what_it_answered_survives_being_killed(bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "motet", "serve", bundle, "--port", "0", "--events", tmp_path / "e", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def started() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())["url"]

    def post(url: str, body: Any) -> Any:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    process, url = started()
    assert post(f"{url}/v1/events", {"events": [event(1, user_id="newcomer")]})["accepted"] == 1
    process.kill()
    process.communicate()
    process, url = started()
    found = post(f"{url}/v1/recommend", {"user_id": "newcomer", "scenario": "web"})
    assert found["slates"][0]["answer"] == "personal"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


def test_a_port_that_is_taken_is_told(bundle: Path, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen there" in refused("serve", bundle, "--port", taken.getsockname()[1])


def test_a_log_without_times_counts_on(tmp_path: Path) -> None:
    config = small_log.write(tmp_path)
    small_log.change(config, 'time = "time"\n', "")
    small_log.change(config, 'by = "time"', 'by = "user_last"')
    run = motet.train(config, tmp_path / "run", prepared=tmp_path / "prepared")
    motet.export(run, tmp_path / "bundle")
    with client(tmp_path / "bundle", tmp_path / "e.sqlite") as service:
        untimed = [{key: value for key, value in event(n).items() if key != "time"} for n in range(3)]
        assert service.tell(*untimed)["accepted"] == 3
        assert service.service.live.clock == float(np.nextafter(402.0, np.inf))
        assert not {"i0", "i1", "i2"} & set(ids(service.recommend(user_id="u3", scenario="web", n=24)))
