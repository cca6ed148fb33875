"""SIGTERM: nothing new comes in, what was taken is finished, the process says 0."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client

pytestmark = pytest.mark.anyio

CALLS = 12


@asynccontextmanager
async def peer(data: Path, grace_s: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run a server process; yield it and its URL."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("drain_peer.py")),
        str(data),
        str(grace_s),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(root)},
    )
    assert process.stderr is not None
    url = ""
    while not url:
        line = await process.stderr.readline()
        assert line, "the server did not start"
        url = json.loads(line).get("url", "")
    logs = asyncio.create_task(process.stderr.read())  # or it would wait for us to read
    try:
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await logs


async def begun(process: asyncio.subprocess.Process, count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        assert await process.stdout.readline() == b"begun\n"


async def not_ready(url: str) -> None:
    """Wait until nobody can connect any more."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with httpx2.AsyncClient() as late:
                    await late.get(f"{url}/readyz")
            except httpx2.HTTPError:
                return


def pictures(data: Path) -> int:
    with sqlite3.connect(data / "gallery.sqlite3") as connection:
        return int(connection.execute("SELECT count(*) FROM images").fetchone()[0])


async def test_what_was_taken_is_finished_and_nothing_else_comes_in(tmp_path: Path) -> None:
    async with peer(tmp_path, 60) as (process, url), Client(f"{url}/mcp") as client:
        await client.list_tools()  # the client compares results with what they promise
        calls = [
            asyncio.create_task(client.call_tool("unhurried", {"color": "red"}))
            for _ in range(CALLS)
        ]
        await begun(process, CALLS)
        process.send_signal(signal.SIGTERM)
        await not_ready(url)
        assert process.returncode is None
        (tmp_path / "go-on").touch()
        results = await asyncio.gather(*calls)
        assert not any(result.is_error for result in results)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    assert pictures(tmp_path) == len({r.structured_content["image"]["image_id"] for r in results})


@pytest.mark.parametrize("signals", [1, 2])
async def test_what_is_not_done_within_the_grace_is_given_up_and_not_kept(
    signals: int, tmp_path: Path
) -> None:
    async with peer(tmp_path, 1 if signals == 1 else 600) as (process, url):
        async with Client(f"{url}/mcp") as client:
            calls = [
                asyncio.create_task(client.call_tool("unhurried", {"color": "red"}))
                for _ in range(3)
            ]
            await begun(process, 3)
            for _ in range(signals):
                process.send_signal(signal.SIGTERM)
                await not_ready(url)
            async with asyncio.timeout(60):
                code = await process.wait()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert code == 0
        assert all(isinstance(o, Exception) or o.is_error for o in outcomes)
    assert pictures(tmp_path) == 0
