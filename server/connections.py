"""Connections below HTTP: how many there may be, and how slow their other ends.

uvicorn bounds neither the time a client takes to send its headers nor the time it takes to read
an answer, so a few hundred idle sockets ("slow loris") would hold the server.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 10.0  # from the first byte, or the connection, to the end of the headers
LINGER_S = 5.0  # for a client that still sends a body nobody wants
STALLED_S = 30.0  # between two looks at what a client has read
STALLED_BYTES = 30_000  # that it must have read by then
MAX_HEADER_BYTES = 64 * 1024
KEEP_ALIVE_S = 5
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 65\r\n\r\n"
    b'{"error":{"code":"busy","message":"There are too many callers."}}'
)
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a bound on connections and a clock for slow clients."""

    max_connections: ClassVar[int] = 512
    headers_s: ClassVar[float] = HEADERS_S
    stalled_s: ClassVar[float] = STALLED_S

    _refused = False
    _headers_clock: asyncio.TimerHandle | None = None
    _reading_clock: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refused = True
            transport.write(_BUSY)
            transport.close()
            return
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; incomplete headers have until the clock ends."""
        if self._refused:
            return
        super().data_received(data)
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for clock in (self._headers_clock, self._reading_clock):
            if clock is not None:
                clock.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request, but not for the rest of a body that nobody reads."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.loop.call_later(LINGER_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Watch, while the client has too much unread, that it goes on reading."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._reading_clock = self.loop.call_later(self.stalled_s, self._look_at_reading)

    def resume_writing(self) -> None:
        """Stop watching: the client has caught up."""
        super().resume_writing()
        if self._reading_clock is not None:
            self._reading_clock.cancel()
            self._reading_clock = None

    def _watch_headers(self) -> None:
        waiting = self.conn.their_state is h11.IDLE
        if waiting and self._headers_clock is None:
            self._headers_clock = self.loop.call_later(self.headers_s, self._give_up_on_headers)
        elif not waiting and self._headers_clock is not None:
            self._headers_clock.cancel()
            self._headers_clock = None

    def _give_up_on_headers(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_SLOW)
            self.transport.close()

    def _look_at_reading(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if self._unread - unread < STALLED_BYTES:
            self.transport.abort()
            return
        self._unread = unread
        self._reading_clock = self.loop.call_later(self.stalled_s, self._look_at_reading)


def http_config(app: Starlette, *, max_connections: int, grace_s: int) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    protocol = type("Protocol", (BoundedProtocol,), {"max_connections": max_connections})
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        # The same parser and loop everywhere: the limit below is one of h11's.
        http=protocol,
        loop="asyncio",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
