"""get_job and cancel_job on a real engine, through the MCP server."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client

from agent_tools.studio import Studio
from server.mcp import build_server

pytestmark = pytest.mark.anyio

LONG: dict[str, Any] = {"prompt": "a red cup", "count": 4, "steps": 150, "width": 64, "height": 64}


@pytest.fixture
def hasty(studio: Studio) -> Studio:
    studio.settings = studio.settings.model_copy(update={"answer_within_s": 0.02})
    return studio


async def finished(client: Client, arguments: dict[str, Any]) -> dict[str, Any]:
    """Paint, waiting for the job if it becomes one, and return the tool's own result."""
    answer = (await client.call_tool("generate_image", arguments)).structured_content
    while "job" in answer and answer.get("result") is None:
        asked = {"job_id": answer["job"]["job_id"]}
        answer = (await client.call_tool("get_job", asked)).structured_content
    result: dict[str, Any] = answer["result"] if "job" in answer else answer
    return result


async def test_a_painting_that_became_a_job_is_the_one_that_a_patient_call_gives(
    hasty: Studio,
) -> None:
    call = {**LONG, "count": 1, "steps": 20, "seed": 7}
    async with Client(build_server(hasty)) as client:
        begun = await client.call_tool("generate_image", call)
        asked = {"job_id": begun.structured_content["job"]["job_id"]}
        messages = []
        done = await client.call_tool("get_job", asked)
        while done.structured_content["job"]["status"] == "working":
            messages.append(done.structured_content["job"]["message"])
            done = await client.call_tool("get_job", asked)
        assert any("step" in message for message in messages)
        result = done.structured_content["result"]
        # The same call again is answered at once from what is stored.
        assert (await finished(client, call))["images"] == result["images"]
        assert len(hasty.gallery.list()) == 1
        hasty.gallery.connection.execute("DELETE FROM images")
        later = await client.call_tool("get_job", asked)
        assert "1 of its pictures were removed" in later.content[0].text
        assert [block.type for block in later.content] == ["text"]


async def test_a_cancelled_job_frees_the_engine_and_keeps_no_picture(hasty: Studio) -> None:
    engine: Any = hasty.engine
    before = engine.stats()["denoise_rows"]
    async with Client(build_server(hasty)) as client:
        begun = await client.call_tool("generate_image", LONG)
        asked = {"job_id": begun.structured_content["job"]["job_id"]}
        state = await client.call_tool("get_job", asked)
        while "step" not in state.structured_content["job"]["message"]:
            state = await client.call_tool("get_job", asked)
        cancelled = await client.call_tool("cancel_job", asked)
        assert cancelled.structured_content["job"]["status"] == "cancelled"
        short = {**LONG, "count": 1, "steps": 1, "seed": 1}
        await finished(client, short)
        stats = engine.stats()
        assert (stats["waiting"], stats["running"]) == (0, 0)
        assert stats["denoise_rows"] - before < LONG["count"] * LONG["steps"]
        assert len(hasty.gallery.list()) == 1
