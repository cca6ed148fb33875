"""Painting for tools: one request through the engine with progress, and its pictures made ready."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from agent_tools.errors import AgentToolsError
from agent_tools.tools.base import Progress, ProgressEvent
from engine.request import Queued, StepEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agent_tools.studio import Studio
    from engine.request import ImageEvent, ImageRequest, ImageResult


async def paint(
    studio: Studio,
    request: ImageRequest,
    progress: Progress,
    *,
    label: str,
    share: tuple[float, float] = (0.0, 1.0),
) -> ImageResult:
    """Paint one request and report how far it is; cancelling the task cancels the request.

    Args:
        studio: whose engine paints.
        request: what to paint.
        progress: told after every step; `done` lies within `share` and only grows, `total` is 1.
        label: begins every progress line, e.g. "Painting 4 pictures".
        share: the part of the whole call, within [0, 1], that this request fills.

    Raises:
        EngineError: from the engine, unchanged; `Studio.call` turns it into ours.
    """
    low, high = share
    reached = low
    started: float | None = None
    events = cast("AsyncGenerator[ImageEvent, None]", studio.engine.submit(request))
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Queued):
                message = f"{label}: {_waiting(event)}"
            elif isinstance(event, StepEvent):
                now = time.monotonic()
                started = started or now
                # Decoding follows the last step, so the steps fill nine tenths of the share.
                reached = max(reached, low + (high - low) * 0.9 * event.step / event.total)
                message = (
                    f"{label}: step {event.step} of {event.total}{_left(event, now - started)}"
                )
            else:
                await progress(ProgressEvent(high, 1.0, f"{label}: done"))
                return event.result
            await progress(ProgressEvent(reached, 1.0, message))
    raise AgentToolsError(
        "The painting stopped before it was done.",
        code="interrupted",
        retryable=True,
        hint="Call the tool again.",
    )


def _waiting(event: Queued) -> str:
    if event.position == 0:
        return "starting"
    others = "1 request" if event.position == 1 else f"{event.position} requests"
    return f"waiting for {others}, about {max(1, round(event.estimated_wait_s))} s"


def _left(event: StepEvent, elapsed_s: float) -> str:
    """Estimate the rest from the steps since the first, whose own duration is not known."""
    if event.step < 2:
        return ""
    per_step = elapsed_s / (event.step - 1)
    return f", about {max(1, round(per_step * (event.total - event.step)))} s left"
