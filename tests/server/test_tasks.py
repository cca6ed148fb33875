"""MCP's Tasks extension: handles, states, answers, cancelling, and whose they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import job_tools
import pytest
from job_tools import TasksClient, ask_task, job_studio
from mcp import Client, MCPError
from mcp.server.mcpserver import Context
from mcp.types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult
from small_tools import TRANSPORTS, Hold, connected, http_server

from agent_tools.callers import acting_as
from agent_tools.settings import Settings
from server.mcp import build_server
from server.tasks import IDENTIFIER

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@asynccontextmanager
async def served(
    transport: str, settings: Settings, era: str = "auto"
) -> AsyncIterator[tuple[Client, TasksClient]]:
    tasks = TasksClient()
    async with connected(
        transport, era, settings, job_studio, job_tools.__file__, extensions=[tasks]
    ) as client:
        yield client, tasks


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_long_call_becomes_a_task_with_progress_result_and_cancel(
    transport: str, settings: Settings
) -> None:
    async with served(transport, settings) as (client, tasks):
        quick = await client.call_tool("paint_square", {"color": "blue"})
        assert not quick.is_error and not tasks.seen

        async def let_it_paint() -> None:
            await tasks.created.wait()
            while "gate" not in tasks.seen[-1].status_message:
                await anyio.sleep(0.01)
            await client.call_tool("open_gate", {})

        async with anyio.create_task_group() as group:
            group.start_soon(let_it_paint)
            result = await client.call_tool("paint_late", {"color": "red"})
        assert [block.type for block in result.content] == ["text", "image", "resource_link"]
        assert result.structured_content["image"]["image_id"] in result.content[0].text
        assert {task.status for task in tasks.seen} == {"working", "completed"}
        handle = tasks.seen[0]
        assert handle.model_extra["ttlMs"] == 86_400_000
        assert handle.model_extra["pollIntervalMs"] == 1000
        assert len(handle.task_id) == len("job_") + 40
        # The same id is a job's: a model that gets to see it can ask about it, too.
        asked = {"job_id": handle.task_id}
        again = await client.call_tool("get_job", asked)
        assert again.structured_content["result"] == result.structured_content

        tasks.created = anyio.Event()
        with pytest.raises(ExceptionGroup) as caught:
            async with anyio.create_task_group() as group:

                async def cancel_it() -> None:
                    await tasks.created.wait()
                    await ask_task(client.session, "tasks/cancel", tasks.seen[-1].task_id)

                group.start_soon(cancel_it)
                await client.call_tool("generate_image", {"prompt": "a cup", "steps": 150})
        assert "cancelled" in str(caught.value.exceptions)
        counted = (await client.call_tool("steps_when_stopped", {})).structured_content
        assert counted["steps"] < 150
        assert (counted["after_cancel"], counted["pictures"]) == (0, 2)
        for method in ("tasks/get", "tasks/cancel"):
            with pytest.raises(MCPError, match="not found"):
                await ask_task(client.session, method, "job_" + "0" * 40)


async def test_a_client_of_the_handshake_era_gets_a_job_id_and_never_a_task(
    settings: Settings,
) -> None:
    quick = settings.model_copy(update={"answer_within_s": 0.1})
    async with served("memory", quick, "legacy") as (client, tasks):
        begun = await client.call_tool("paint_late", {"color": "red"})
        job_id = begun.structured_content["job"]["job_id"]
        with pytest.raises(MCPError):
            await ask_task(client.session, "tasks/get", job_id)
        assert not tasks.seen


async def test_a_task_belongs_to_its_caller(settings: Settings) -> None:
    studio = job_studio(settings)
    server = build_server(studio)
    tasks = TasksClient()
    with acting_as("ada"):
        async with Client(server, extensions=[tasks]) as ada:
            begun = await ada.session.call_tool("hold", {"color": "red"}, allow_claimed=True)
            assert (await ask_task(ada.session, "tasks/get", begun.task_id)).status == "working"
    with acting_as("bob"):
        async with Client(server, extensions=[TasksClient()]) as bob:
            for method in ("tasks/get", "tasks/cancel"):
                with pytest.raises(MCPError, match="not found"):
                    await ask_task(bob.session, method, begun.task_id)
            with pytest.raises(MCPError, match="not found"):
                await ask_task(bob.session, "tasks/update", begun.task_id, input_responses={})
    assert not Hold.cancelled.is_set()
    await studio.close()


def message(method: str, extensions: dict[str, Any], **params: Any) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


async def test_over_http_the_header_must_name_the_task_and_the_extension_be_declared(
    settings: Settings,
) -> None:
    studio = job_studio(settings)
    known = {IDENTIFIER: {}}
    async with http_server(studio) as url, httpx2.AsyncClient(base_url=url) as http:

        async def send(body: dict[str, Any], name: str | None) -> tuple[int, dict[str, Any]]:
            headers = {
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": body["method"],
            }
            named = {} if name is None else {"Mcp-Name": name}
            answer = await http.post("/mcp", json=body, headers=headers | named)
            text = answer.text.split("data: ")[-1]
            return answer.status_code, json.loads(text)

        call = message("tools/call", known, name="hold", arguments={"color": "red"})
        status, created = await send(call, "hold")
        task_id = created["result"]["taskId"]
        assert (status, created["result"]["resultType"]) == (200, "task")
        get = message("tasks/get", known, taskId=task_id)
        assert (await send(get, task_id))[1]["result"]["status"] == "working"
        for wrong in (None, "", "job_0", task_id.upper(), "=?base64?!!?="):
            status, refused = await send(get, wrong)
            assert (status, refused["error"]["code"]) == (400, -32020)
        undeclared = message("tasks/get", {}, taskId=task_id)
        status, refused = await send(undeclared, task_id)
        assert (status, refused["error"]["code"]) == (400, -32021)
        assert IDENTIFIER in refused["error"]["data"]["requiredCapabilities"]["extensions"]
        for params in ({}, {"taskId": 7}, {"taskId": task_id, "inputResponses": 3}):
            status, refused = await send(message("tasks/update", known, **params), task_id)
            assert refused["error"]["code"] == -32602
        assert (await send(get, task_id))[1]["result"]["status"] == "working"


def ask_for(name: str) -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=name, requested_schema=schema))


async def test_a_task_that_asks_takes_answers_in_parts_and_never_uses_a_name_twice(
    settings: Settings,
) -> None:
    studio = job_studio(settings)
    server = build_server(studio)

    @server.tool()
    async def ask_twice(context: Context[Any, Any]) -> str | InputRequiredResult:
        """Ask two things, then the first again."""
        given = context.input_responses or {}
        if context.request_state is None:
            await job_tools.PaintLate.gate.wait()
            return InputRequiredResult(
                input_requests={"a": ask_for("a"), "b": ask_for("b")}, request_state="1"
            )
        if context.request_state == "1":
            said = f"{given['a'].content['a']}{given['b'].content['b']}"
            return InputRequiredResult(input_requests={"a": ask_for("a")}, request_state=said)
        return f"{context.request_state}{given['a'].content['a']}"

    def accepted(name: str, value: str) -> dict[str, Any]:
        return {"action": "accept", "content": {name: value}}

    async def elicit(*_: Any) -> Any:
        raise AssertionError("tasks ask by tasks/get")

    async with Client(server, extensions=[TasksClient()], elicitation_callback=elicit) as client:
        session = client.session
        task = await session.call_tool("ask_twice", {}, allow_claimed=True)
        await client.call_tool("open_gate", {})

        async def asked() -> set[str]:
            while True:
                state = await ask_task(session, "tasks/get", task.task_id)
                if state.status != "working":
                    assert state.status == "input_required"
                    return set(state.model_extra["inputRequests"])
                await anyio.sleep(0)

        async def tell(**answers: Any) -> None:
            await ask_task(session, "tasks/update", task.task_id, input_responses=answers)

        assert await asked() == {"a", "b"}
        with pytest.raises(MCPError, match="malformed"):
            await tell(a=7)
        await tell(b=accepted("b", "2"), nobody={"asked": "this"})
        assert await asked() == {"a"}
        await tell(b=accepted("b", "late"))
        await tell(a=accepted("a", "1"))
        assert await asked() == {"a-2"}
        await tell(a=accepted("a", "late"))
        assert await asked() == {"a-2"}
        await tell(**{"a-2": accepted("a", "3")})
        state = await ask_task(session, "tasks/get", task.task_id)
        while state.status == "working":
            state = await ask_task(session, "tasks/get", task.task_id)
        assert state.model_extra["result"]["content"][0]["text"] == "123"
    await studio.close()


async def test_a_tool_that_was_added_and_promises_no_job_is_waited_for(settings: Settings) -> None:
    studio = job_studio(settings.model_copy(update={"answer_within_s": 0.01}))
    server = build_server(studio)

    @server.tool()
    async def added() -> str:
        """Take a little longer than calls may."""
        await anyio.sleep(0.05)
        return "done"

    async with Client(server) as client:
        assert (await client.call_tool("added", {})).structured_content == {"result": "done"}
    await studio.close()
