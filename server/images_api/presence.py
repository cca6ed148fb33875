"""Work that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_T = TypeVar("_T")
# Proxies close connections on which nothing moves for a minute.
_QUIET_S = 15.0


async def while_present(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` and return its result; cancel it, to its end, if the client hangs up.

    Args:
        request: whose body was read.
        work: what the client waits for.

    Raises:
        ClientDisconnect: if it hung up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_left(request.receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for left in (task, gone):
            left.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events from a generator, which is closed when the client hangs up.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[dict[str, Any], None]) -> None:
        """Prepare; nothing is taken from `events` yet. Each has its name under "type"."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events as they come."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            await while_present(Request(scope, receive), self._send(send))
        except ClientDisconnect:
            return

    async def _send(self, send: Send) -> None:
        ready: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        making = asyncio.create_task(self._make(ready))
        try:
            while (chunk := await _next_chunk(ready)) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await making
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)

    async def _make(self, ready: asyncio.Queue[dict[str, Any] | None]) -> None:
        try:
            async with aclosing(self._events):
                async for event in self._events:
                    ready.put_nowait(event)
        finally:
            ready.put_nowait(None)


async def _next_chunk(ready: asyncio.Queue[dict[str, Any] | None]) -> bytes | None:
    """Return the next event as bytes, a comment if there was none for a while, None at the end."""
    try:
        async with asyncio.timeout(_QUIET_S):
            event = await ready.get()
    except TimeoutError:
        return b": working\n\n"
    return None if event is None else _encoded(event)


def _encoded(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
