"""Work that blocks, on a thread, with its progress told on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from agent_tools.tools.base import Progress, ProgressEvent

T = TypeVar("T")
Report = Callable[[int, int, str], None]


async def on_thread(
    work: Callable[[Report], T], progress: Progress, stop: threading.Event | None = None
) -> T:
    """Run `work` on a thread and return what it returns, after all it reported was passed on.

    Args:
        work: gets a function that it calls with (done, total, what); done only grows.
        progress: told on the event loop.
        stop: set when the caller is cancelled, for work that looks at it.
    """
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[ProgressEvent | None] = asyncio.Queue()

    def report(done: int, total: int, what: str) -> None:
        loop.call_soon_threadsafe(events.put_nowait, ProgressEvent(done, total, what))

    def run() -> T:
        try:
            return work(report)
        finally:
            loop.call_soon_threadsafe(events.put_nowait, None)

    running = asyncio.create_task(asyncio.to_thread(run))
    try:
        while (event := await events.get()) is not None:
            await progress(event)
        return await running
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        raise
