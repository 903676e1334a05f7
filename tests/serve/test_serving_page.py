"""The examples of docs/serving.md are requests that are answered, and answers of that shape."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from service_client import Client, client

import motet

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(`POST (\S+)`[^\n]*|It [^\n]*):\n\n```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("page")
    motet.export(trained, folder / "bundle")
    with client(folder / "bundle", folder / "events.sqlite") as found:
        yield found


def shape(value: Any) -> Any:
    """Keys and types; of a list its first element's."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value).__name__


def test_requests_are_answered_as_the_page_says(service: Client) -> None:
    path, body, compared = "", {}, 0
    for said, to, text in BLOCKS:
        if said.startswith("`POST"):
            path, body = to, json.loads(text)
            refused = "It is refused" in PAGE[PAGE.index(text) + len(text) :][:80]
            assert service.http.post(path, json=body).status_code == (422 if refused else 200), text
            continue
        found, wanted = service.http.post(path, json=body), json.loads(text)
        if found.status_code == 422:
            assert found.json() == wanted
        elif path == "/v1/events":
            assert set(found.json()) == set(wanted)
        else:
            assert shape(found.json()) == shape(wanted)
        compared += 1
    assert compared == 3


def test_every_field_of_a_request_is_explained(service: Client) -> None:
    schemas = service.http.get("/openapi.json").json()["components"]["schemas"]
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert listed == set(schemas["Recommend"]["properties"])
