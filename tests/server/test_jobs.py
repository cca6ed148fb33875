"""Calls that take long: a job_id in time, get_job and cancel_job, over every transport and era."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import job_tools
import pytest
from access_helpers import mcp_client
from job_tools import job_studio, runs
from mcp import Client
from small_tools import ERAS, TRANSPORTS, Hold, connected, http_server
from stdio_peer import started

from agent_tools.callers import acting_as
from agent_tools.errors import AgentToolsError, NotFound
from agent_tools.gallery import Gallery
from agent_tools.jobs import Jobs, Outcome
from agent_tools.process_mark import ProcessMark
from agent_tools.settings import Settings
from agent_tools.shared_work import SharedWork
from server.mcp import build_server
from server.tokens import TokenStore

pytestmark = pytest.mark.anyio

KEY: Any = {"idempotency_key": "k"}
PAINT: dict[str, Any] = {"prompt": "a red cup", "steps": 150, "count": 4}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", answer_within_s=0.1)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def served(transport: str, era: str, settings: Settings) -> Any:
    return connected(transport, era, settings, job_studio, job_tools.__file__)


async def test_a_long_call_is_answered_in_time_and_its_job_can_be_awaited_or_cancelled(
    transport: str, era: str, settings: Settings
) -> None:
    async with served(transport, era, settings) as client:
        # The client checks structured content against the published schema, here as everywhere.
        await client.list_tools()
        begun = await client.call_tool("paint_late", {"color": "red"})
        assert not begun.is_error
        job = begun.structured_content["job"]
        assert begun.structured_content.keys() == {"job"}
        assert (job["status"], job["tool"]) == ("working", "paint_late")
        said = begun.content[0].text
        assert job["job_id"] in said and "get_job" in said and "cancel_job" in said

        heard: list[str | None] = []

        async def hear(done: float, total: float | None, message: str | None) -> None:
            heard.append(message)

        asked = {"job_id": job["job_id"]}
        working = await client.call_tool("get_job", asked, progress_callback=hear)
        assert heard == ["waiting for the gate"]
        assert working.structured_content["job"]["status"] == "working"
        assert working.structured_content["result"] is None
        assert "waiting for the gate" in working.content[0].text

        await client.call_tool("open_gate", {})
        done = await client.call_tool("get_job", asked)
        while done.structured_content["job"]["status"] == "working":
            done = await client.call_tool("get_job", asked)
        assert [block.type for block in done.content] == ["text", "image", "resource_link"]
        assert done.structured_content["job"]["status"] == "completed"
        image = done.structured_content["result"]["image"]
        assert image["image_id"] in done.content[0].text
        assert done.content[2].uri == image["uri"]
        assert runs(settings) == ["None"]

        begun = await client.call_tool("generate_image", PAINT)
        job_id = begun.structured_content["job"]["job_id"]
        await client.call_tool("cancel_job", {"job_id": job_id})
        counted = (await client.call_tool("steps_when_stopped", {})).structured_content
        assert counted["steps"] < PAINT["steps"]
        assert (counted["after_cancel"], counted["pictures"]) == (0, 1)  # the square


async def test_cancelling_a_call_stops_the_denoise_loop_within_a_step(
    transport: str, era: str, settings: Settings
) -> None:
    patient = settings.model_copy(update={"answer_within_s": 45})
    async with served(transport, era, patient) as client:
        reached = 0
        begun = anyio.Event()

        async def hear(_: float, __: float | None, message: str | None) -> None:
            nonlocal reached
            if message and "step " in message:
                reached = int(message.split("step ")[1].split(" ")[0])
                begun.set()

        async def paint() -> None:
            await client.call_tool("generate_image", PAINT, progress_callback=hear)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(paint)
            await begun.wait()
            tasks.cancel_scope.cancel()
        counted = (await client.call_tool("steps_when_stopped", {})).structured_content
        assert 1 <= reached <= counted["steps"] < PAINT["steps"]
        assert (counted["after_cancel"], counted["pictures"]) == (0, 0)


async def test_cancel_job_stops_it_and_nothing_is_kept(era: str, settings: Settings) -> None:
    async with served("memory", era, settings) as client:
        begun = await client.call_tool("hold", {"color": "red"})
        job_id = begun.structured_content["job"]["job_id"]
        cancelled = await client.call_tool("cancel_job", {"job_id": job_id})
        assert cancelled.structured_content["job"]["status"] == "cancelled"
        counted = await client.call_tool("count_after_cancel", {})
        assert counted.structured_content == {"pictures": 0}
        again = await client.call_tool("cancel_job", {"job_id": job_id})
        assert again.structured_content["job"]["status"] == "cancelled"


async def test_a_call_that_is_left_alone_paints_all_its_steps(era: str, settings: Settings) -> None:
    patient = settings.model_copy(update={"answer_within_s": 45})
    async with served("memory", era, patient) as client:
        painted = await client.call_tool("generate_image", {"prompt": "a red cup", "steps": 12})
        assert not painted.is_error
        counted = (await client.call_tool("steps_when_stopped", {})).structured_content
        assert counted == {"steps": 12, "after_cancel": 0, "pictures": 1}


async def test_a_job_that_fails_says_what_the_tool_said_and_a_fault_nothing_private(
    era: str, settings: Settings
) -> None:
    async with served("memory", era, settings) as client:
        for tool, code, words in (
            ("refuse_late", "busy", "12 pictures are waiting. Ask for fewer."),
            ("break_late", "internal", "a fault in the server"),
        ):
            begun = await client.call_tool(tool, {"color": "red"})
            job_id = begun.structured_content["job"]["job_id"]
            await client.call_tool("open_gate", {})
            done = await client.call_tool("get_job", {"job_id": job_id})
            assert done.structured_content["job"]["status"] == "failed"
            assert done.structured_content["error"]["code"] == code
            assert words in done.content[0].text
            assert "CANARY" not in done.model_dump_json()
        for bad in ({}, {"job_id": "x" * 200}, {"job_id": job_id, "wait_s": 1e9}):
            assert (await client.call_tool("get_job", bad)).is_error


async def test_without_structured_content_the_text_says_it_all(settings: Settings) -> None:
    plain = settings.model_copy(update={"structured": False})
    async with served("memory", "auto", plain) as client:
        begun = await client.call_tool("hold", {"color": "red"})
        assert begun.structured_content is None
        job_id = begun.content[0].text.split("job_id=")[1].split(" ")[0]
        working = await client.call_tool("get_job", {"job_id": job_id, "wait_s": 0})
        assert "hold is working" in working.content[0].text
        await client.call_tool("cancel_job", {"job_id": job_id})


async def test_a_job_belongs_to_its_caller(settings: Settings) -> None:
    studio = job_studio(settings)
    with acting_as("ada"):
        async with Client(build_server(studio)) as client:
            begun = await client.call_tool("hold", {"color": "red"})
            asked = {"job_id": begun.structured_content["job"]["job_id"], "wait_s": 0}
            assert not (await client.call_tool("get_job", asked)).is_error
    for other in ("bob", None):
        with acting_as(other):
            async with Client(build_server(studio)) as client:
                for tool, arguments in (
                    ("get_job", asked),
                    ("cancel_job", {"job_id": asked["job_id"]}),
                ):
                    refused = await client.call_tool(tool, arguments)
                    assert refused.is_error and "There is no job" in refused.content[0].text
    assert not Hold.cancelled.is_set()
    await studio.close()


async def test_over_http_a_token_sees_the_jobs_of_its_own_calls_only(
    era: str, settings: Settings
) -> None:
    studio = job_studio(settings)
    store = TokenStore(settings.data)
    tokens = [
        store.create("ada", ["generate"]),
        store.create("bob", ["generate", "read"]),
    ]
    async with http_server(studio) as url:
        async with mcp_client(url, tokens[0], era) as ada:
            begun = await ada.call_tool("paint_late", {"color": "red"}, meta=KEY)
            by_id = {"job_id": begun.structured_content["job"]["job_id"]}
            # A job is its caller's own: seeing it asks for no further scope.
            working = await ada.call_tool("get_job", {**by_id, "wait_s": 0})
            assert working.structured_content["job"]["status"] == "working"
        async with mcp_client(url, tokens[1], era) as bob:
            for tool in ("get_job", "cancel_job"):
                refused = await bob.call_tool(tool, by_id)
                assert refused.is_error and "There is no job" in refused.content[0].text
            own = await bob.call_tool("paint_late", {"color": "blue"}, meta=KEY)
            assert own.structured_content["job"]["job_id"] != by_id["job_id"]
        async with mcp_client(url, tokens[0], era) as ada:
            cancelled = await ada.call_tool("cancel_job", by_id)
            assert cancelled.structured_content["job"]["status"] == "cancelled"


COMMAND = [sys.executable, job_tools.__file__]


def test_jobs_survive_a_kill_the_running_one_as_lost_and_the_done_one_whole(
    settings: Settings,
) -> None:
    command = [*COMMAND, settings.model_dump_json(exclude={"token"})]
    with started(command) as peer:
        peer.greet()
        lost = peer.call(2, "hold", {"color": "red"})["job"]["job_id"]
        whole = peer.call(3, "paint_late", {"color": "red"})["job"]["job_id"]
        peer.call(4, "open_gate", {})
        before = peer.call(5, "get_job", {"job_id": whole})
        while before["job"]["status"] == "working":
            before = peer.call(5, "get_job", {"job_id": whole})
        # Somebody else who looks at the same data meanwhile does not take it for lost.
        gallery = Gallery(settings.data)
        onlooker = Jobs(gallery, ProcessMark(settings.data / "processes"))
        assert onlooker.get(lost).status == "working"
        peer.kill()
        assert onlooker.get(lost).status == "failed"
        gallery.close()
    with started(command) as peer:
        peer.greet()
        after = peer.call(2, "get_job", {"job_id": lost})
        assert after["job"]["status"] == "failed"
        assert after["error"]["code"] == "interrupted"
        assert "Call hold again" in after["job"]["message"]
        assert peer.call(3, "get_job", {"job_id": whole}) == before
        assert runs(settings) == ["None"]


async def test_a_stopped_server_notes_what_it_did_not_finish(settings: Settings) -> None:
    studio = job_studio(settings)
    async with Client(build_server(studio)) as client:
        begun = await client.call_tool("hold", {"color": "red"})
        await studio.close()
    gallery = Gallery(settings.data)
    jobs = Jobs(gallery, ProcessMark(settings.data / "processes"))
    job = jobs.get(begun.structured_content["job"]["job_id"])
    assert (job.status, job.outcome.error["code"]) == ("failed", "interrupted")
    assert Hold.cancelled.is_set()
    gallery.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_jobs_are_kept_for_their_time_and_then_removed_but_never_while_they_run(
    tmp_path: Path,
) -> None:
    gallery, clock = Gallery(tmp_path), Clock()
    mark = ProcessMark(tmp_path / "processes")
    jobs = Jobs(gallery, mark, kept_s=60, clock=clock)
    gate = anyio.Event()

    async def at_once(_: Any) -> dict[str, Any]:
        return {"status": "completed", "answer": {}, "text": "Done.", "data": None,
                "image_ids": [], "error": None}  # fmt: skip

    async def late(work: Any) -> dict[str, Any]:
        await gate.wait()
        return await at_once(work)

    def rows() -> int:
        return int(gallery.connection.execute("SELECT count(*) FROM jobs").fetchone()[0])

    done, running = SharedWork(at_once), SharedWork(late)
    ended, going = jobs.keep("a", done), jobs.keep("b", running)
    assert jobs.keep("b", running).job_id == going.job_id
    await done.settled()
    clock.now += 60
    assert jobs.get(ended.job_id).outcome == Outcome("completed", answer={}, text="Done.")
    clock.now += 1
    with pytest.raises(NotFound):
        jobs.get(ended.job_id)
    assert jobs.get(going.job_id).status == "working"
    another = SharedWork(late)
    jobs.keep("c", another)  # sweeps
    assert rows() == 2
    gate.set()
    await running.settled()
    await another.settled()
    await jobs.close()
    mark.close()
    gallery.close()


async def test_only_the_process_that_runs_a_job_can_stop_it(settings: Settings) -> None:
    studio = job_studio(settings)
    async with Client(build_server(studio)) as client:
        begun = await client.call_tool("hold", {"color": "red"})
        job_id = begun.structured_content["job"]["job_id"]
        gallery = Gallery(settings.data)
        elsewhere = Jobs(gallery, ProcessMark(settings.data / "processes"))
        with pytest.raises(AgentToolsError, match="another process"):
            await elsewhere.cancel(job_id)
        assert elsewhere.get(job_id).status == "working"
        gallery.close()
        await studio.close()
