"""What is running: a page, a stream of changes, previews, and a way to end a call.

The stream is server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html):
each is the whole list, so nothing is lost when a browser reconnects.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agent_tools.activity import Watcher
from agent_tools.callers import current_caller, sees_all
from agent_tools.errors import NotFound, Overloaded
from agent_tools.studio import Studio
from server.pages.forms import frame_of, read_form
from server.pages.render import HEADERS, answer, redirect
from server.pages.views import call_view

_FINISHED_SHOWN = 20
_HEARTBEAT_S = 15.0
_PAUSE_S = 0.25  # between two events: steps can be faster than eyes
_MOST_STREAMS = 50


class Jobs:
    """The calls of the present caller, as they stand and as they change."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._streams: set[Watcher] = set()
        self._closed = False

    async def page(self, request: Request) -> Response:
        """Show the list."""
        frame = frame_of(request, self._studio.links, "jobs")
        return answer(request, "jobs", self._view(_viewer()), frame)

    async def preview(self, request: Request) -> Response:
        """Show the newest small picture of a call.

        Raises:
            NotFound: if there is none.
        """
        call = self._studio.activity.get(request.path_params["call_id"], _viewer())
        if call.preview is None:
            raise NotFound("There is no preview.", hint="It comes with the first steps.")
        return Response(call.preview, headers=HEADERS, media_type="image/webp")

    async def cancel(self, request: Request) -> Response:
        """End a running call at its next step.

        Raises:
            NotFound: if the caller has no such call.
            ForeignForm: if the form is not from our own page.
        """
        await read_form(request, self._studio.links, self._studio.settings)
        self._studio.activity.cancel(request.path_params["call_id"], _viewer())
        return redirect(request, "gallery/jobs")

    async def events(self, request: Request) -> Response:
        """Stream the list whenever it changes.

        Raises:
            Overloaded: if very many streams are open.
        """
        if self._closed or len(self._streams) >= _MOST_STREAMS:
            raise Overloaded(
                "Too many pages watch already.",
                hint="Close some of them.",
                data={"retry_after_s": 30.0},
            )
        return StreamingResponse(
            self._changes(_viewer()),
            headers={**HEADERS, "X-Accel-Buffering": "no"},
            media_type="text/event-stream",
        )

    def close(self) -> None:
        """End all streams; browsers connect again once there is a server again."""
        self._closed = True
        for watcher in self._streams:
            watcher.notify()

    async def _changes(self, caller: str | None) -> AsyncIterator[str]:
        with self._studio.activity.watch(caller) as watcher:
            self._streams.add(watcher)
            try:
                yield "retry: 2000\n\n"
                while not self._closed:
                    yield f"event: jobs\ndata: {json.dumps(self._view(caller))}\n\n"
                    await asyncio.sleep(_PAUSE_S)
                    while not await _within(watcher.changed(), _HEARTBEAT_S):
                        yield ": still here\n\n"
            finally:
                self._streams.discard(watcher)

    def _view(self, caller: str | None) -> dict[str, Any]:
        now = time.time()
        calls = [call_view(call, now) for call in self._studio.activity.calls(caller)]
        running = [call for call in calls if call["state"] == "running"]
        finished = [call for call in calls if call["state"] != "running"][:_FINISHED_SHOWN]
        return {"running": running, "finished": finished}


async def _within(change: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Return whether the change came in time."""
    try:
        await asyncio.wait_for(change, seconds)
    except TimeoutError:
        return False
    return True


def _viewer() -> str | None:
    """Return whose calls the running request may see; None for everybody's."""
    return None if sees_all() else current_caller()
