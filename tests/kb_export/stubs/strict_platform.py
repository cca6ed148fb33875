"""A platform's HTTP API on loopback that refuses every request of another shape.

A refusal is also a violation, and the fixture that made the stub fails the test for it: a client
must not be able to swallow it. Faults are injected on the wire: before the work is done (the
request was lost) or after (the answer was lost).
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-test-5f0c1d7e9a"


class Violation(Exception):
    """A request that the real platform's documents do not show."""


@dataclass
class Fault:
    """What happens to the next requests that fit.

    Attributes:
        after: the work is done, and then this is answered instead.
        status: 0 = the connection is cut.
        drip: bytes of an endless answer, one every few milliseconds.
    """

    method: str
    path: str
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "injected"}'
    after: bool = False
    times: int = 1
    drip: bool = False

    def fits(self, request: Request) -> bool:
        return (
            self.times > 0
            and request.method == self.method
            and re.search(self.path, request.url.path) is not None
        )


class StrictPlatform:
    """Base of the stubs: routes, the key, faults, a log of requests."""

    ROUTES: ClassVar[Mapping[tuple[str, str], str]] = {}

    def __init__(self) -> None:
        self.key = KEY
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.encodings: set[str] = set()
        self.url = ""
        self.breaking = ""  # a request with this in its body is answered with 500

    def unauthorized(self) -> Response:
        """Return what the platform answers to a wrong key."""
        raise NotImplementedError

    def refused(self, message: str) -> Response:
        """Return what the platform answers to a malformed request."""
        return JSONResponse({"message": message}, 422)

    def writes(self) -> list[tuple[str, str]]:
        """Return the requests that were not questions."""
        return [(method, path) for method, path in self.requests if method != "GET"]

    async def handle(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path))
        self.encodings.add(request.headers.get("accept-encoding", ""))
        if self.breaking and self.breaking.encode() in await request.body():
            return JSONResponse({"message": "Internal Server Error"}, 500)
        fault = next((each for each in self.faults if each.fits(request)), None)
        if fault is not None:
            fault.times -= 1
            if fault.after:
                await self._answer(request)
            return _injected(fault)
        return await self._answer(request)

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.unauthorized()
        try:
            for (method, pattern), name in self.ROUTES.items():
                found = re.fullmatch(pattern, request.url.path)
                if found is not None and method == request.method:
                    return await getattr(self, name)(request, **found.groupdict())
            raise Violation("no such route")
        except Violation as error:
            self.violations.append(f"{request.method} {request.url.path}: {error}")
            return self.refused(str(error))


def _injected(fault: Fault) -> Response:
    if fault.drip:

        async def drops() -> Any:
            while True:
                yield b" "
                await asyncio.sleep(0.005)

        return StreamingResponse(drops(), 200, media_type="application/json")
    if fault.status == 0:

        async def cut() -> Any:
            yield b"{"
            raise ConnectionAbortedError

        return StreamingResponse(cut(), 200, headers={"content-length": "1000"})
    return Response(fault.body, fault.status, fault.headers, media_type="application/json")


def demand(condition: object, message: str) -> None:
    """Refuse the request unless the condition holds."""
    if not condition:
        raise Violation(message)


async def json_of(
    request: Request, required: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """Return the JSON body, which must have these fields of these types and no others."""
    demand(request.headers.get("content-type") == "application/json", "not application/json")
    demand(not request.query_params, "a query where none is documented")
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise Violation("not JSON") from None
    return fields_of(body, required, optional)


def fields_of(
    body: Any, required: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """Return an object, which must have these fields of these types and no others."""
    demand(isinstance(body, dict), "not an object")
    demand(not required.keys() - body.keys(), f"missing: {sorted(required.keys() - body.keys())}")
    allowed = {**required, **(optional or {})}
    demand(not body.keys() - allowed.keys(), f"unknown: {sorted(body.keys() - allowed.keys())}")
    for name, value in body.items():
        demand(isinstance(value, allowed[name]), f"{name} is a {type(value).__name__}")
    return body


def query_of(request: Request, allowed: Mapping[str, str]) -> dict[str, str]:
    """Return the query, which must have only these names with values that fit these patterns."""
    query = dict(request.query_params)
    for name, value in query.items():
        demand(name in allowed, f"unknown query: {name}")
        demand(re.fullmatch(allowed[name], value), f"{name}={value!r} does not fit")
    return query


async def upload_of(
    request: Request, others: frozenset[str] = frozenset()
) -> tuple[str, bytes, str, dict[str, str]]:
    """Return the one file of a form: name, content, media type; and the form's other fields."""
    kind = request.headers.get("content-type", "")
    demand(kind.startswith("multipart/form-data; boundary="), "not multipart/form-data")
    form = await request.form()
    file = form.get("file")
    demand(isinstance(file, UploadFile) and file.filename, "no file part")
    assert isinstance(file, UploadFile)
    rest = {name: str(value) for name, value in form.items() if name != "file"}
    demand(not rest.keys() - others, f"unknown form fields: {sorted(rest.keys() - others)}")
    return str(file.filename), await file.read(), file.content_type or "", rest


class _Host:
    """One server for all tests of a run; it ends with the process."""

    def __init__(self) -> None:
        self.platform: StrictPlatform | None = None
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        app = Starlette(routes=[Route("/{path:path}", self._handle, methods=methods)])
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        ready = threading.Event()
        inner: Callable[..., Any] = server.startup

        async def startup(*arguments: Any, **options: Any) -> None:
            await inner(*arguments, **options)
            ready.set()

        server.startup = startup  # type: ignore[method-assign]
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        assert ready.wait(60), "the stub does not start"

    async def _handle(self, request: Request) -> Response:
        assert self.platform is not None
        return await self.platform.handle(request)


_host: _Host | None = None


@contextmanager
def serving(platform: StrictPlatform) -> Iterator[None]:
    """Serve a platform on loopback, at `platform.url`."""
    global _host
    if _host is None:
        _host = _Host()
    platform.url, _host.platform = _host.url, platform
    try:
        yield
    finally:
        _host.platform = None
