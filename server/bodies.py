"""Request bodies, read to an end that is known before: in bytes and in time."""

from __future__ import annotations

import anyio
from starlette.requests import Request
from starlette.types import Message, Receive

# A client that sends slower than this holds a connection for nothing.
BODY_SECONDS = 60


class BodyTooLarge(Exception):
    """The body is longer than allowed."""


async def bounded_body(request: Request, max_bytes: int) -> bytes:
    """Read a body of at most `max_bytes`.

    Raises:
        BodyTooLarge: if it is longer, or says so.
        TimeoutError: if it takes longer than `BODY_SECONDS`.
        ClientDisconnect: if it breaks off.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise BodyTooLarge
    body = bytearray()
    with anyio.fail_after(BODY_SECONDS):
        async for chunk in request.stream():
            if len(body) + len(chunk) > max_bytes:
                raise BodyTooLarge
            body += chunk
    return bytes(body)


def once(body: bytes) -> Receive:
    """Return an ASGI channel that delivers `body` as if it had just arrived."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
