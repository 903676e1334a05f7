"""A service as a person meets it: over HTTP, in this process."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motet.serve.app import make_app
from motet.serve.bundle import load
from motet.serve.service import Service

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it would rather have another client
    from starlette.testclient import TestClient


@dataclass(frozen=True)
class Client:
    """Asks the service what it is asked."""

    http: TestClient
    service: Service

    def recommend(self, **asked: Any) -> Any:
        """The answer, which must be one."""
        return self._done("/v1/recommend", asked)

    def tell(self, *events: dict[str, Any]) -> Any:
        return self._done("/v1/events", {"events": list(events)})

    def refused(self, path: str, body: Any, status: int = 422) -> Any:
        """The problem that the body is told; text and bytes are sent as they are."""
        plain = isinstance(body, str | bytes)
        how: dict[str, Any] = {"content": body} if plain else {"content": json.dumps(body)}
        answer = self.http.post(path, headers={"content-type": "application/json"}, **how)
        told = answer.json()
        assert answer.status_code == told["status"] == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(told) == {"type", "title", "status", "detail", "where", "fix"}
        assert told["detail"]
        assert told["fix"]
        return told

    def _done(self, path: str, body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def client(bundle: Path, events: Path, *, patience: float = 5.0) -> Iterator[Client]:
    """A client of a service that reads and keeps its events there; what is not foreseen is answered, not raised."""
    service = Service(load(bundle), events, patience=patience)
    with TestClient(make_app(service), raise_server_exceptions=False) as http:
        yield Client(http, service)
