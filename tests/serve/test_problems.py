"""What is wrong with a request is told, whatever is sent: what, where, and what would be right; never a 500."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_client import Client, client

import motet

RECOMMEND, EVENTS = "/v1/recommend", "/v1/events"
SOON = 1_714_400_000


@pytest.fixture(scope="module")
def service(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("problems")
    motet.export(good / "run", folder / "bundle")
    with client(folder / "bundle", folder / "events.sqlite") as found:
        yield found


def one(**changes: Any) -> dict[str, Any]:
    made = {"event_id": "e", "user_id": "u1", "item_id": "i1", "scenario": "web", "time": SOON, "labels": {"click": 1}}
    return {"events": [{**made, **changes}]}


def without(name: str) -> dict[str, Any]:
    return {"events": [{key: value for key, value in one()["events"][0].items() if key != name}]}


@pytest.mark.parametrize(
    ("body", "where", "told"),
    [
        ({"scenario": "wab"}, "scenario", "did you mean 'web'?"),
        ({}, "scenario", "one of: "),
        ({"scenario": "web", "kinds": ["contents"]}, "kind", "did you mean 'content'?"),
        ({"scenario": "web", "n": 0}, "n", "greater than or equal to 1"),
        ({"scenario": "web", "n": 1_000_000}, "n", "less than or equal to 1000"),
        ({"scenario": "web", "n": 2.5}, "n", "integer"),
        ({"scenario": "web", "n": True}, "n", "integer"),
        ({"scenario": "web", "weights": {"clicks": 1}}, "blend weights", "did you mean 'click'?"),
        ({"scenario": "web", "weights": {"click": 1e300}}, "weights.click", "less than or equal to"),
        ({"scenario": "web", "weights": {"click": "much"}}, "weights.click", "number"),
        ({"scenario": "web", "weights": {"click": 0, "stars": 0}}, "blend weights", "give one of its tasks a weight"),
        ({"scenario": "web", "exclude": ["i99"]}, "exclude", "did you mean 'i9'?"),
        ({"scenario": "web", "candidates": ["i1", "i23x"]}, "candidates", "did you mean 'i23'?"),
        ({"scenario": "web", "candidates": []}, "candidates", "at least 1 item"),
        ({"scenario": "web", "candidates": ["i1"] * 10_001}, "candidates", "at most 10000 items"),
        ({"scenario": "web", "history": [{"item_id": "i99"}]}, "history.0.item_id", "did you mean 'i9'?"),
        ({"scenario": "web", "history": [{"item_id": "i1"}, {}]}, "history.1.item_id", 'add "item_id"'),
        ({"scenario": "web", "history": [{"item": "i1"}]}, "history.0.item", "did you mean 'item_id'?"),
        ({"scenario": "web", "history": [{"item_id": "i1", "labels": {"klick": 1}}]}, "history.0.labels.klick",
         "did you mean 'click'?"),
        ({"scenario": "web", "history": [{"item_id": "i1", "scenario": "ap"}]}, "history.0.scenario", "'app'?"),
        ({"scenario": "web", "context": {"hour": 3}}, "context", ""),
        ({"scenario": "web", "user": "u1"}, "user", "did you mean 'user_id'?"),
        ({"scenario": "web", "user_id": 7}, "user_id", "string"),
        ({"scenario": "web", "user_id": ""}, "user_id", "at least 1 character"),
        ({"scenario": "web", "user_id": "u" * 513}, "user_id", "at most 512 characters"),
        ({"scenario": "web", "time": "yesterday"}, "time", "give ISO times"),
        ({"scenario": "web", "time": 3}, "time", "seconds since 1970"),
        ({"scenario": "web", "time": 4e9}, "time", "check the clock"),
        ([], "body", "application/json"),
        ("a text", "body", "application/json"),
        (None, "body", ""),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_where_and_how(service: Client, body: Any, where: str, told: str) -> None:
    problem = service.refused(RECOMMEND, json.dumps(body))
    assert problem["where"] == where
    assert told in problem["detail"] + problem["fix"]


@pytest.mark.parametrize(
    ("body", "where", "told"),
    [
        ({"events": []}, "events", "at least 1 item"),
        ({"event": []}, "event", "did you mean 'events'?"),
        (one(scenario="ap"), "events.0.scenario", "did you mean 'app'?"),
        (without("event_id"), "events.0.event_id", 'add "event_id"'),
        (without("time"), "events.0", "tell when it happened"),
        (one(time="soon"), "events.0.time", "give ISO times"),
        (one(time=4e9), "events.0.time", "check the clock"),
        (one(labels={"click": 0.5}), "events.0.labels.click", "0 or 1"),
        (one(labels={"stars": 9}), "events.0.labels.stars", "from 1 to 5"),
        (one(labels={"star": 4}), "events.0.labels.star", "did you mean 'stars'?"),
        (one(labels={"click": None}), "events.0.labels.click", "number"),
        (one(lables={}), "events.0.lables", "did you mean 'labels'?"),
        ({"events": one()["events"] * 1001}, "events", "at most 1000 items"),
    ],
)
def test_a_wrong_event_is_told_and_none_of_its_request_is_kept(
    service: Client, body: Any, where: str, told: str
) -> None:
    before = service.http.get("/readyz").json()["events"]
    if len(body.get("events", [])) == 1:
        body = {"events": [*body["events"], one(event_id="right")["events"][0]]}
    problem = service.refused(EVENTS, body)
    assert problem["where"] == where
    assert told in problem["detail"] + problem["fix"]
    assert service.http.get("/readyz").json()["events"] == before


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "{'scenario': 'web'}", "[" * 100_000, b"\xff\xfe{}", '{"n": ' + "9" * 5000 + "}",
        '{"scenario": "web"} extra', '{"scenario": "web", "weights": {"click": NaN}}',
        '{"scenario": "web", "weights": {"click": Infinity}}', '{"scenario": "web", "user_id": "\\ud800"}',
        '{"scenario": "web", "\\ud800": 1}', '{"scenario": "\\u0000"}',
        '{"scenario": "web", "weights": {"click": 1e999}}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_a_problem(service: Client, body: str | bytes) -> None:
    status = service.http.post(RECOMMEND, content=body, headers={"content-type": "application/json"}).status_code
    assert status in (400, 422)
    service.refused(RECOMMEND, body, status)


def test_a_body_that_is_too_large_is_refused_told_or_not(service: Client) -> None:
    large = b" " * 10_000_001
    assert "larger than 10,000,000 bytes" in service.refused(RECOMMEND, large, 413)["detail"]
    streamed = service.http.post(EVENTS, content=iter([large[:6_000_000], large[:6_000_000]]))
    assert (streamed.status_code, streamed.json()["status"]) == (413, 413)


def test_other_routes_methods_and_media_are_problems_too(service: Client) -> None:
    for answer, status in (
        (service.http.get("/v1/recommended"), 404),
        (service.http.get(RECOMMEND), 405),
        (service.http.post(RECOMMEND, content=b'{"scenario": "web"}', headers={"content-type": "text/plain"}), 422),
    ):
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_not_foreseen_says_nothing_of_the_inside(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.service, "recommend", lambda asked: 1 / 0)
    told = service.http.post(RECOMMEND, json={"scenario": "web"})
    assert told.status_code == 500
    assert "division" not in told.text
    monkeypatch.undo()
    assert service.recommend(scenario="web")["slates"]


def test_a_disk_that_is_full_is_told_and_nothing_counts(service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(events: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(service.service.store, "add", full)
    told = service.http.post(EVENTS, json=one(event_id="unkept"))
    assert (told.status_code, told.json()["status"]) == (507, 507)
    assert service.service.live.clock == service.service.data.end or service.service.live.clock < SOON


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["web", "u1", "i1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(
    ["user_id", "history", "scenario", "kinds", "n", "weights", "context", "exclude", "candidates", "seen", "time",
     "events", "event_id", "item_id", "labels"]
)  # fmt: skip


@given(st.dictionaries(fields, values, max_size=6), st.booleans())
def test_no_body_makes_the_service_fail(service: Client, body: dict[str, Any], right: bool) -> None:
    body = {**body, "scenario": "web"} if right else body
    for path, sent in ((RECOMMEND, body), (EVENTS, body), (EVENTS, {"events": [body]})):
        answer = service.http.post(path, content=json.dumps(sent), headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 422), answer.text


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30), st.integers(0, 10**6))
def test_any_key_can_be_told_and_asked_for(service: Client, user: str, item: str, number: int) -> None:
    given = one(event_id=f"{user}{number}", user_id=user, item_id=item, time=SOON)
    assert service.http.post(EVENTS, json=given).status_code == 200
    assert service.recommend(user_id=user, scenario="web")["user_id"] == user
