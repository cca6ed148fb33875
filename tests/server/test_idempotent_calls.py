"""A call that is sent again with its idempotency key paints nothing again, also after a kill."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import job_tools
import pytest
from job_tools import TasksClient, job_studio, runs
from mcp import Client
from small_tools import ERAS, http_server
from stdio_peer import Peer, started

from agent_tools.gallery import Gallery
from agent_tools.idempotency import seed_of
from agent_tools.settings import Settings
from server.content import ERROR_META

pytestmark = pytest.mark.anyio

RED = {"color": "red"}
KEY: Any = {"idempotency_key": "order-17"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture(params=ERAS)
async def client(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Client]:
    studio = job_studio(settings)
    async with (
        http_server(studio) as url,
        Client(f"{url}/mcp", mode=request.param) as connected,
    ):
        yield connected


async def test_twenty_duplicates_at_once_paint_once_and_all_get_the_picture(
    client: Client, settings: Settings
) -> None:
    calls = [asyncio.create_task(client.call_tool("paint_late", RED, meta=KEY)) for _ in range(20)]
    while not runs(settings):
        await asyncio.sleep(0.01)
    await client.call_tool("open_gate", {})
    results = await asyncio.gather(*calls)
    assert len(runs(settings)) == 1
    assert len({result.structured_content["image"]["image_id"] for result in results}) == 1
    later = await client.call_tool("paint_late", RED, meta=KEY)
    assert later.content == results[0].content
    assert len(runs(settings)) == 1
    await client.call_tool("paint_late", RED)
    assert len(runs(settings)) == 2


async def test_the_key_of_another_call_is_refused_and_so_is_a_malformed_one(
    client: Client, settings: Settings
) -> None:
    await client.call_tool("open_gate", {})
    assert not (await client.call_tool("paint_late", RED, meta=KEY)).is_error
    for tool, arguments in (("paint_late", {"color": "blue"}), ("paint_square", RED)):
        refused = await client.call_tool(tool, arguments, meta=KEY)
        assert refused.is_error
        assert refused.meta[ERROR_META]["code"] == "idempotency_conflict"
    for bad in ("", "x" * 300, "a\nb"):
        refused = await client.call_tool("paint_late", RED, meta={"idempotency_key": bad})
        assert refused.meta[ERROR_META]["code"] == "invalid_arguments"
    assert len(runs(settings)) == 1


async def test_an_answer_that_is_an_error_is_not_kept(client: Client) -> None:
    for _ in range(2):
        refused = await client.call_tool("full", RED, meta=KEY)
        assert refused.meta[ERROR_META]["code"] == "busy"
    painted = await client.call_tool("paint_square", RED, meta=KEY)
    assert not painted.is_error


async def test_a_retry_of_a_call_that_became_a_job_or_task_gets_the_same_one(
    settings: Settings,
) -> None:
    studio = job_studio(settings.model_copy(update={"answer_within_s": 0.1}))
    async with http_server(studio) as url:
        async with Client(f"{url}/mcp") as client:
            first = await client.call_tool("paint_late", RED, meta=KEY)
            again = await client.call_tool("paint_late", RED, meta=KEY)
            job_id = first.structured_content["job"]["job_id"]
            assert again.structured_content["job"]["job_id"] == job_id
        async with Client(f"{url}/mcp", extensions=[TasksClient()]) as client:
            task = await client.session.call_tool("paint_late", RED, meta=KEY, allow_claimed=True)
            assert task.task_id == job_id
            await client.call_tool("open_gate", {})
            done = await client.call_tool("get_job", {"job_id": job_id})
            retried = await client.call_tool("paint_late", RED, meta=KEY)
    assert done.structured_content["result"] == retried.structured_content
    assert len(runs(settings)) == 1


async def test_a_retry_that_waits_is_told_when_the_job_is_cancelled(settings: Settings) -> None:
    studio = job_studio(settings.model_copy(update={"answer_within_s": 0.5}))
    async with http_server(studio) as url, Client(f"{url}/mcp") as client:
        begun = await client.call_tool("paint_late", RED, meta=KEY)
        job_id = begun.structured_content["job"]["job_id"]
        waiting = asyncio.create_task(client.call_tool("paint_late", RED, meta=KEY))
        await asyncio.sleep(0)
        await client.call_tool("cancel_job", {"job_id": job_id})
        told = await waiting
        # It joined before the cancel and hears of it, or came after and is a new job.
        if told.is_error:
            assert told.meta[ERROR_META]["code"] == "cancelled"
        else:
            assert told.structured_content["job"]["job_id"] != job_id


PAINT = {"name": "paint_late", "arguments": RED, "_meta": {**KEY, "progressToken": "p"}}


def paint(peer: Peer, number: int) -> Any:
    return peer.ask(number, "tools/call", PAINT)["result"]


def test_a_retry_after_a_kill_gets_the_kept_result_or_paints_the_same_seed_once(
    settings: Settings,
) -> None:
    command = [sys.executable, job_tools.__file__, settings.model_dump_json(exclude={"token"})]
    with started(command) as peer:
        peer.greet()
        peer.send(2, "tools/call", PAINT)
        while peer.read().get("method") != "notifications/progress":
            pass
        peer.kill()
    seed = str(seed_of("order-17"))
    assert runs(settings) == [seed]
    with started(command) as peer:
        peer.greet()
        peer.call(2, "open_gate", {})
        whole = paint(peer, 3)
        assert not whole.get("isError")
        peer.kill()
    assert runs(settings) == [seed, seed]
    with started(command) as peer:
        peer.greet()
        assert paint(peer, 2) == whole
    assert runs(settings) == [seed, seed]
    gallery = Gallery(settings.data)
    assert len(gallery.list()) == 1
    gallery.close()
