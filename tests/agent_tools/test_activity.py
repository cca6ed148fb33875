"""What runs now: seen by its caller, cancelled by hand, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from PIL import Image
from pydantic import BaseModel

from agent_tools.activity import KEPT, Activity
from agent_tools.callers import acting_as
from agent_tools.errors import AgentToolsError, NotFound, Refused
from agent_tools.results import ToolResult
from agent_tools.tools.base import Progress, ProgressEvent, no_progress

pytestmark = pytest.mark.anyio


class Nothing(BaseModel):
    """No data."""


DONE = ToolResult(text="done", data=Nothing())
Work = Callable[[Progress], Awaitable[ToolResult]]


class Held:
    """Work that reports one step and then waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(self, progress: Progress) -> ToolResult:
        preview = Image.new("RGB", (8, 8))
        await progress(ProgressEvent(0.5, 1.0, "half", 2, 4, 9.0, preview))
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            self.ended.set()
        return DONE


def begin(activity: Activity, work: Work, **arguments: str) -> asyncio.Task[ToolResult]:
    return asyncio.create_task(activity.run("paint", arguments, no_progress, work))


async def test_a_running_call_shows_its_words_step_time_left_and_preview() -> None:
    activity, held = Activity(), Held()
    task = begin(activity, held.work, prompt="a   red\nteapot " + "x" * 300)
    await held.begun.wait()
    (call,) = activity.calls(None)
    assert (call.state, call.step, call.steps, call.seconds_left) == ("running", 2, 4, 9.0)
    assert call.subject.startswith("a red teapot x") and len(call.subject) <= 120
    assert call.done == 0.5 and call.preview is not None and call.previews == 1
    held.go.set()
    assert await task is DONE
    (call,) = activity.calls(None)
    assert call.state == "done" and call.done == 1.0 and call.ended_at is not None


async def test_cancelling_ends_the_work_and_tells_the_caller_so_without_ending_its_task() -> None:
    activity, held = Activity(), Held()
    task = begin(activity, held.work)
    await held.begun.wait()
    (call,) = activity.calls(None)
    assert activity.cancel(call.call_id, None)
    with pytest.raises(AgentToolsError) as failure:
        await task
    assert failure.value.code == "cancelled" and held.ended.is_set()
    assert activity.calls(None)[0].state == "cancelled"
    assert not activity.cancel(call.call_id, None)


async def test_a_cancelled_caller_cancels_the_work_and_stays_cancelled() -> None:
    activity, held = Activity(), Held()
    task = begin(activity, held.work)
    await held.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held.ended.is_set() and activity.calls(None)[0].state == "cancelled"


@pytest.mark.parametrize(
    ("error", "shown"),
    [(Refused("No such mask."), "No such mask."), (RuntimeError("/srv/secret"), "It failed.")],
    ids=["told", "fault"],
)
async def test_what_failed_says_why_unless_it_is_a_fault_of_ours(
    error: Exception, shown: str
) -> None:
    activity = Activity()

    async def work(progress: Progress) -> ToolResult:
        raise error

    with pytest.raises(type(error)):
        await begin(activity, work)
    (call,) = activity.calls(None)
    assert (call.state, call.message) == ("failed", shown)


async def test_callers_see_and_cancel_only_their_own_calls_and_the_operator_all() -> None:
    activity, held = Activity(), Held()
    with acting_as("anna"):
        task = begin(activity, held.work)
    await held.begun.wait()
    (call,) = activity.calls("anna")
    assert activity.calls("bert") == () and activity.calls(None) == (call,)
    with pytest.raises(NotFound):
        activity.cancel(call.call_id, "bert")
    held.go.set()
    await task
    assert activity.calls("bert") == ()


async def test_a_watcher_is_woken_and_only_then_are_previews_worth_their_price() -> None:
    activity, held = Activity(), Held()
    assert not activity.watched
    with activity.watch(None) as watcher:
        with acting_as("anna"):
            assert activity.watched
        task = begin(activity, held.work)
        await asyncio.wait_for(watcher.changed(), 10)
    assert not activity.watched
    with activity.watch("bert"):
        assert not activity.watched
    held.go.set()
    await task


async def test_finished_calls_are_forgotten_in_time() -> None:
    activity = Activity()

    async def work(progress: Progress) -> ToolResult:
        return DONE

    for _ in range(KEPT + 5):
        await activity.run("paint", {}, no_progress, work)
    assert len(activity.calls(None)) == KEPT
