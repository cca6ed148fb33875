"""How much one caller may ask for, and how large and slow a body may be."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Message, Receive

BODY_S = 60.0
SMALL_BODY = 4 * 1024 * 1024 + 65_536  # MCP's own limit is 4 MiB and answers first
_CALLERS = 10_000


class RateLimit:
    """Allow each caller `per_minute` requests a minute, a quarter of them at once.

    A token bucket: https://en.wikipedia.org/wiki/Token_bucket. Of more callers than can be
    remembered the one that was quiet for longest is forgotten.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._burst = max(1.0, per_minute / 4)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float | None:
        """Count one request; return None, or the seconds after which the next is allowed."""
        now = self._clock()
        left, since = self._left.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_s)
        allowed = left >= 1
        self._left[caller] = (left - 1 if allowed else left, now)
        self._left.move_to_end(caller)
        if len(self._left) > _CALLERS:
            self._left.popitem(last=False)
        return None if allowed else (1 - left) / self._per_s


class BoundedBody:
    """Receive a request's body within a size and a time.

    Past either the application sees the client leave, whatever it does about that; `problem`
    then says what to answer instead.

    Attributes:
        problem: 413 or 408 once the body broke a limit.
    """

    def __init__(self, receive: Receive, max_bytes: int, seconds: float = BODY_S) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._left_s = seconds
        self._taken = 0
        self._complete = False
        self.problem: int | None = None

    async def __call__(self) -> Message:
        """Return the next message."""
        if self._complete or self.problem is not None:
            return await self._receive() if self.problem is None else {"type": "http.disconnect"}
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._left_s):
                message = await self._receive()
        except TimeoutError:
            self.problem = 408
            return {"type": "http.disconnect"}
        self._left_s -= time.monotonic() - started
        self._taken += len(message.get("body", b""))
        if self._taken > self._max_bytes:
            self.problem = 413
            return {"type": "http.disconnect"}
        self._complete = not message.get("more_body", False)
        return message


def body_limit(path: str, max_upload_bytes: int) -> int:
    """Return the bytes that a request to `path` may carry.

    Uploads are bounded a second time, more closely, where they are read.
    """
    if path == "/images":
        return max_upload_bytes + SMALL_BODY
    if path.startswith("/v1/images/"):
        return 4 * max_upload_bytes + SMALL_BODY  # a picture, a mask, references
    if path.startswith("/gallery"):
        return max_upload_bytes + SMALL_BODY
    return SMALL_BODY
