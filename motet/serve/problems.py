"""What is wrong with a request, told as problem+json (RFC 9457): what, where, and what would be right."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from motet.errors import InputError, disk_is_full
from motet.serve import messages as m
from motet.settings import nearest

LARGEST_BODY = 10_000_000
"""Bytes."""
MEDIA_TYPE = "application/problem+json"
_BRANCHES = ("str", "int", "float", "bool", "constrained-str")  # of a field that may be one or the other
_DOCS = "see /docs or /openapi.json for what is allowed here"
_MODELS: dict[str, type[BaseModel]] = {"/v1/recommend": m.Recommend, "/v1/events": m.NewEvents}
_INNER: dict[str, type[BaseModel]] = {"history": m.PastEvent, "events": m.NewEvent}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def problem(status: int, detail: str, *, where: str = "", fix: str = "", headers: Any = None) -> Response:
    """One problem."""
    told = m.Problem(
        type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail, where=where, fix=fix
    )
    body = json.dumps(told.model_dump()).encode("ascii")
    return Response(body, status, headers, media_type=MEDIA_TYPE)


def explain(app: FastAPI) -> None:
    """Every error of the app is a problem."""

    @app.exception_handler(InputError)
    async def _mistake(request: Request, error: InputError) -> Response:
        return problem(422, error.what, where=error.where.removeprefix("--"), fix=error.fix)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        unknown = [each for each in found if each["type"] == "extra_forbidden"]  # often why another field is missing
        return _explained(request.url.path, (unknown or found)[0])

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        fix = {404: "see /docs for the routes", 405: "see /docs for the methods"}.get(error.status_code, _DOCS)
        return problem(error.status_code, str(error.detail), where=request.url.path, fix=fix, headers=error.headers)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        if disk_is_full(error) or "disk is full" in str(error):
            return problem(507, "the disk is full: the events are not kept", fix="free some space and send them again")
        return problem(500, "the request could not be answered; the service's log says why")


class BodyLimit:
    """Requests with larger bodies are refused before they are read."""

    def __init__(self, app: Any, limit: int = LARGEST_BODY) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limit:
            await self._refuse(scope, receive, send)
            return
        body, size, more = list[bytes](), 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # who asked has gone
            body.append(message.get("body", b""))
            size += len(body[-1])
            if size > self.limit:
                await self._refuse(scope, receive, send)
                return
            more = message.get("more_body", False)
        whole = iter([{"type": "http.request", "body": b"".join(body), "more_body": False}])

        async def read() -> Message:
            return next(whole, None) or await receive()

        await self.app(scope, read, send)

    async def _refuse(self, scope: Message, receive: Receive, send: Send) -> None:
        fix = "send fewer events, or fewer ids"
        answer = problem(413, f"the body is larger than {self.limit:,} bytes", where="body", fix=fix)
        await answer(scope, receive, send)


def _explained(path: str, error: Any) -> Response:
    """What pydantic or the JSON parser found."""
    keys = list(error["loc"][1:])
    if keys and isinstance(keys[-1], str) and keys[-1] in _BRANCHES:
        keys.pop()
    where, kind, what = ".".join(map(str, keys)), error["type"], error["msg"]
    if kind == "json_invalid":
        told = f"this is no JSON: {error['ctx']['error']}"
        return problem(400, told, where=f"character {error['loc'][-1]} of the body", fix="send one JSON object")
    if kind == "extra_forbidden":
        return problem(422, f"unknown field {str(keys[-1])!r}", where=where, fix=_nearest_field(path, keys))
    if kind == "missing":
        name = f'add "{keys[-1]}"' if keys else "send a JSON object with the header content-type: application/json"
        return problem(422, "it is missing", where=where or "body", fix=name)
    if not keys:
        fix = "send a JSON object with the header content-type: application/json"
        return problem(422, what, where="body", fix=fix)
    return problem(422, what, where=where, fix=_DOCS)


def _nearest_field(path: str, keys: list[Any]) -> str:
    model = _INNER.get(str(keys[0]), _MODELS.get(path)) if len(keys) > 1 else _MODELS.get(path)
    return nearest(str(keys[-1]), list(model.model_fields)) if model else _DOCS
