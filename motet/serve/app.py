"""The service over HTTP: routes, and a process that listens."""

import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from motet import runtime
from motet.errors import InputError
from motet.serve import bundle as bundles
from motet.serve import messages as m
from motet.serve.problems import MEDIA_TYPE, BodyLimit, explain
from motet.serve.service import Service
from motet.version import VERSION

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"content": {MEDIA_TYPE: {"schema": m.Problem.model_json_schema()}}, "description": told}
    for code, told in ((400, "no JSON"), (413, "the body is too large"), (422, "what is wrong, where, and a fix"))
}
_ABOUT = "Slates for people, and events of what they did. What is wrong with a request comes back as problem+json."


def make_app(service: Service) -> FastAPI:
    """The routes of a service."""

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.store.close()

    app = FastAPI(title="Motet", version=VERSION, description=_ABOUT, redoc_url=None, lifespan=closing)
    app.add_middleware(BodyLimit)
    explain(app)

    @app.post("/v1/recommend", response_model=m.Slates, responses=_PROBLEMS)
    def recommend(asked: m.Recommend) -> m.Slates:
        """One slate for each kind, ranked by all that is known of the user."""
        return service.recommend(asked)

    @app.post("/v1/events", response_model=m.Accepted, responses=_PROBLEMS)
    def events(told: m.NewEvents) -> m.Accepted:
        """Tell what happened; it is kept before the answer, and the next request knows of it."""
        return service.add(told)

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz", response_model=m.Status)
    def readyz() -> m.Status:
        """Requests are answered and events are kept."""
        return service.status()

    return app


def events_file(folder: Path) -> Path:
    """Where events are kept unless told otherwise: beside the bundle, which never changes."""
    return folder.resolve().with_name(f"{folder.resolve().name}.events.sqlite")


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    events: Path | None = None,
    patience: float = 0.5,
    ready: Callable[[str, str], None] = lambda url, bundle: None,
) -> None:
    """Answer requests by the bundle of that folder until the process is told to stop; `ready` is called with the URL
    and the bundle's fingerprint.

    The port is taken first, so that a mistake shows at once, and listened on when everything is in memory. Port 0 takes
    a free one.
    """
    runtime.use_threads(1)
    taken = _port(host, port)
    try:
        service = Service(bundles.load(folder), events or events_file(folder), patience=patience)
        service.warm()
        gc.collect()
        gc.freeze()  # what is loaded stays: collections need not look at it
        taken.listen(128)
        config = uvicorn.Config(make_app(service), log_level="warning", access_log=False)
        ready(_url(host, taken.getsockname()[1]), service.bundle.fingerprint)
        uvicorn.Server(config).run(sockets=[taken])
    finally:
        taken.close()


def _port(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # told that it is TCP, asyncio sends each answer at once; else its last packet waits for an acknowledgement: 40 ms
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        message = f"cannot listen there: {error.strerror or error}"
        raise InputError(message, where=f"{host}:{port}", fix="name another --port or --host") from None
    return taken


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
