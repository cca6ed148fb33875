"""HTTP without a client library: prepared bytes out, an answer of known length in.

A client library would take longer than the server that is measured.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from typing import Any

VERSION = "2026-07-28"


def tool_call(port: int, name: str, arguments: dict[str, Any]) -> bytes:
    """Return one whole request that calls a tool as a 2026-07-28 client does."""
    prefix = "io.modelcontextprotocol/"
    meta = {
        f"{prefix}protocolVersion": VERSION,
        f"{prefix}clientInfo": {"name": "raw", "version": "1"},
        f"{prefix}clientCapabilities": {},
    }
    params = {"name": name, "arguments": arguments, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: {VERSION}\r\nMCP-Method: tools/call\r\nMCP-Name: {name}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection that is kept open, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._wanted: int | None = None

    def send(self, request: bytes) -> None:
        """Write a request."""
        self._received.clear()
        self._wanted = None
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read what has come; return the answer's body once it is whole.

        Raises:
            ConnectionError: if the server hung up or did not answer with 200 and a length.
        """
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise ConnectionError("The server hung up.")
        self._received += chunk
        if self._wanted is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = bytes(self._received[:end]).lower()
            if b" 200 " not in head[:20] or b"content-length: " not in head:
                raise ConnectionError(head.decode(errors="replace"))
            self._wanted = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            self._start = end + 4
        if len(self._received) < self._wanted:
            return None
        return bytes(self._received[self._start : self._wanted])

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for the body of its answer."""
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return body

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def calls_per_second(port: int, request: bytes, connections: int, seconds: float) -> float:
    """Return how many answers a second come while every connection always has a request out.

    Raises:
        ConnectionError: if one of them is no answer to a call that went well.
    """
    chooser = selectors.DefaultSelector()
    peers = [Connection(port) for _ in range(connections)]
    for peer in peers:
        peer.ask(request)  # warm
        chooser.register(peer.socket, selectors.EVENT_READ, peer)
        peer.send(request)
    answers = 0
    started = time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        for key, _ in chooser.select(timeout=10):
            peer = key.data
            body = peer.receive()
            if body is None:
                continue
            if b'"isError":true' in body or b'"result"' not in body[:4096]:
                raise ConnectionError(body[:500].decode(errors="replace"))
            answers += 1
            peer.send(request)
    for peer in peers:
        peer.close()
    chooser.close()
    return answers / spent
