"""Callers who are too many, too fast, too slow or send too much; the others notice nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from access_helpers import bearer, mcp_client
from kb_pictures import new_picture
from small_tools import http_server, small_studio
from test_http import png

from agent_tools.budget import HOUR_S, Budget
from agent_tools.errors import Overloaded
from agent_tools.settings import Settings
from server import connections, limits
from server.connections import BoundedProtocol
from server.limits import BoundedBody, RateLimit
from server.tokens import TokenStore

pytestmark = pytest.mark.anyio

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
async def http(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    given: dict[str, Any] = getattr(request, "param", {})
    studio = small_studio(Settings(data=tmp_path, **given))
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as client:
        yield client


async def raw(http: httpx2.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", http.base_url.port)


async def trickle(writer: asyncio.StreamWriter, data: bytes, pause_s: float) -> None:
    """Send one byte at a time until the other side has had enough."""
    try:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(pause_s)
    except OSError:
        return


async def last_words(reader: asyncio.StreamReader) -> bytes:
    """Wait until the server has closed; return what it said."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_two_hundred_slow_headers_are_ended_while_others_are_served(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "headers_s", 1.5)
    slow = [await raw(http) for _ in range(200)]
    for number, (_, writer) in enumerate(slow):
        # Some send nothing, some a part, some drip.
        writer.write([b"", b"GET /heal", GET[:-2] + b"X-A: "][number % 3])
    drips = [asyncio.create_task(trickle(writer, b"a" * 400, 0.1)) for _, writer in slow[::20]]
    for _ in range(20):
        assert (await http.get("/healthz")).status_code == 200
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(last_words(reader) for reader, _ in slow))
    # Who still sends when the end comes may see a reset instead.
    quiet = [answer for number, answer in enumerate(answers) if number % 20]
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in quiet)
    assert set(answers) - set(quiet) <= {b""}
    for task in drips:
        task.cancel()


async def test_a_second_request_on_a_connection_has_the_same_time_for_its_headers(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "headers_s", 0.5)
    reader, writer = await raw(http)
    writer.write(GET)
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.write(GET[:20])
    async with asyncio.timeout(30):
        assert b"HTTP/1.1 408" in await reader.read()


async def test_a_quiet_connection_is_closed_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between requests there are no headers to wait for: the clock of slow headers is off."""
    monkeypatch.setattr(BoundedProtocol, "headers_s", 0.2)
    monkeypatch.setattr(connections, "KEEP_ALIVE_S", 1)
    studio = small_studio(Settings(data=tmp_path))
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        reader, writer = await raw(http)
        writer.write(GET)
        async with asyncio.timeout(30):
            answer = await reader.read()
        assert b"200 OK" in answer and b"408" not in answer
        writer.close()


async def test_a_body_that_drips_ends_with_408(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedBody.__init__, "__defaults__", (0.7,))
    for path in (b"/images", b"/mcp", b"/nothing-here"):
        reader, writer = await raw(http)
        writer.write(
            b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
            b"Accept: application/json, text/event-stream\r\nContent-Length: 5000\r\n\r\n"
        )
        drip = asyncio.create_task(trickle(writer, b"a" * 5000, 0.05))
        async with asyncio.timeout(30):
            status = await reader.readline()
        # A route that takes no body need not wait for it.
        assert status.split()[1] == (b"404" if path == b"/nothing-here" else b"408"), path
        drip.cancel()
        writer.close()
    assert (await http.get("/healthz")).status_code == 200


async def test_an_answer_that_nobody_reads_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "stalled_s", 0.3)
    lost = asyncio.Event()
    real = BoundedProtocol.connection_lost

    def note(self: BoundedProtocol, exc: Exception | None) -> None:
        real(self, exc)
        lost.set()

    studio = small_studio(Settings(data=tmp_path))
    # More than all buffers between the two ends hold; that nobody decodes it saves time here.
    large = replace(new_picture("mug"), data=os.urandom(14_000_000))
    [record] = studio.gallery.add([large])
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        _, writer = await raw(http)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        monkeypatch.setattr(BoundedProtocol, "connection_lost", note)
        writer.write(f"GET /images/{record.image_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        async with asyncio.timeout(60):
            await lost.wait()
        # One who reads gets all of it, also slowly.
        assert len((await http.get(f"/images/{record.image_id}")).content) > 1_000_000
        writer.close()


@pytest.mark.parametrize("http", [{"max_connections": 8}], indirect=True)
async def test_more_connections_than_allowed_are_told_when_to_come_back(
    http: httpx2.AsyncClient,
) -> None:
    held = [await raw(http) for _ in range(8)]
    for reader, writer in held:
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
    reader, writer = await raw(http)
    writer.write(GET)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 503") and b"Retry-After" in answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    for _, writer in held:
        writer.close()
    async with asyncio.timeout(30):
        while True:
            try:
                if (await http.get("/healthz")).status_code == 200:
                    break
            except httpx2.HTTPError:
                await asyncio.sleep(0)


async def test_no_route_takes_a_body_without_end(http: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(600):
            yield b"x" * 50_000

    for path, media_type in (
        ("/mcp", "application/json"),
        ("/images", "image/png"),
        ("/images", "application/json"),
        ("/images", "multipart/form-data; boundary=x"),
    ):
        headers = {"Content-Type": media_type, "Accept": "application/json, text/event-stream"}
        try:
            answer = await http.post(path, content=endless(), headers=headers)
        except httpx2.HTTPError:
            pass  # cut off while it was still sending
        else:
            assert answer.status_code == 413, (path, media_type)
        reader, writer = await raw(http)
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {10**9}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        assert b" 413 " in await reader.readline(), (path, media_type)
        writer.close()
    assert (await http.get("/healthz")).status_code == 200


def test_a_rate_is_a_burst_and_then_a_steady_flow() -> None:
    now = 0.0
    rate = RateLimit(60, clock=lambda: now)
    assert [rate.take("ann") for _ in range(15)] == [None] * 15
    wait = rate.take("ann")
    assert wait is not None and 0 < wait <= 1
    assert rate.take("ben") is None
    now += wait
    assert rate.take("ann") is None
    assert rate.take("ann") is not None
    now += 3600
    assert [rate.take("ann") for _ in range(15)] == [None] * 15
    assert rate.take("ann") is not None


def test_callers_who_come_once_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_CALLERS", 100)
    rate = RateLimit(60)
    for number in range(1000):
        rate.take(str(number))
    assert len(rate._left) == 100


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_who_is_too_fast_is_told_when_to_come_back_and_others_are_not_held(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock stands still, or a slow machine would never be too fast.
    monkeypatch.setattr(RateLimit.__init__, "__kwdefaults__", {"clock": lambda: 0.0})
    store = TokenStore(tmp_path)
    fast, calm = (store.create(name, ["read", "generate"]) for name in ("fast", "calm"))
    studio = small_studio(Settings(data=tmp_path, rate_per_minute=40))
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:
        async with mcp_client(url, fast, mode) as client:
            results = [await client.call_tool("paint_square", {"color": "red"}) for _ in range(12)]
        told = [result for result in results if result.is_error]
        assert told and not results[0].is_error
        error = told[-1].meta["agent-tools/error"]
        assert error["code"] == "too_many_requests" and error["retryable"]
        assert error["data"]["retry_after_s"] >= 1
        assert "Try again in" in told[-1].content[0].text
        refused = await http.get("/metrics", headers=bearer(fast))
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
        assert (await http.get("/metrics", headers=bearer(calm))).status_code == 200
        for _ in range(60):
            flood = await http.post("/mcp", json={}, headers=bearer(fast))
        assert flood.status_code == 429  # also MCP, for those who do not listen


def test_a_budget_is_spent_by_painting_and_comes_back_after_an_hour() -> None:
    now = 0.0
    budget = Budget(10, clock=lambda: now)
    budget.check("ann")
    budget.spend("ann", 6)
    now = 100
    budget.check("ann")
    budget.spend("ann", 7)
    with pytest.raises(Overloaded) as caught:
        budget.check("ann")
    assert caught.value.code == "budget_spent"
    assert caught.value.data["retry_after_s"] == HOUR_S - 100
    budget.check("ben")
    budget.check(None)
    now = HOUR_S + 1
    budget.check("ann")
    Budget(None).check("ann")


async def test_an_upload_still_fits(http: httpx2.AsyncClient) -> None:
    sent = await http.post("/images", content=png(), headers={"Content-Type": "image/png"})
    assert sent.status_code == 201
