"""What is running now: every call that makes or sends something, for its caller to see and end.

Kept in memory only. What was made is in the gallery; this says how far the rest is.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from agent_tools.callers import current_caller
from agent_tools.errors import AgentToolsError, NotFound
from agent_tools.tools.base import ProgressEvent

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.results import ToolResult
    from agent_tools.tools.base import Progress

CallState = Literal["running", "done", "failed", "cancelled"]
# Finished calls that are still shown; of all callers together.
KEPT = 200
_SUBJECT_LENGTH = 120
_SUBJECTS = ("prompt", "product", "instruction", "title", "name", "expression")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool as it stands.

    Attributes:
        call_id: random; names it to `Activity.cancel`.
        tool: the tool's name.
        subject: the words it is about, shortened; may be empty.
        caller: who called.
        done: share of the work, 0 to 1; it only grows.
        message: the newest progress line, or what went wrong.
        step: denoising steps done, of `steps`; None where there are none.
        seconds_left: estimate, where there is one.
        preview: WebP bytes of a small picture of the state so far; the last one stays.
        previews: how many previews there were; a new number is a new picture.
        image_ids: what it made, once it is done.
        started_at: Unix time.
        ended_at: Unix time, or None while it runs.
    """

    call_id: str
    tool: str
    subject: str
    caller: str | None
    state: CallState = "running"
    done: float = 0.0
    message: str = ""
    step: int | None = None
    steps: int | None = None
    seconds_left: float | None = None
    preview: bytes | None = None
    previews: int = 0
    image_ids: tuple[str, ...] = ()
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None


class Watcher:
    """Wakes one listener in its event loop whenever a call of its caller changed."""

    def __init__(self, caller: str | None) -> None:
        self.caller = caller
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Wake the listener; from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    async def changed(self) -> None:
        """Wait for the next change since the last time."""
        await self._changed.wait()
        self._changed.clear()


class Activity:
    """The running calls of this process and the last finished ones; safe from any thread.

    Callers see their own calls; a viewer that is None sees all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Call] = {}
        self._finished: deque[Call] = deque(maxlen=KEPT)
        self._cancels: dict[str, Callable[[], None]] = {}
        self._watchers: set[Watcher] = set()

    async def run(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        progress: Progress,
        work: Callable[[Progress], Awaitable[ToolResult]],
    ) -> ToolResult:
        """Run `work` as a call that can be seen and cancelled.

        Args:
            tool: the tool's name.
            arguments: its arguments; the words among them become the call's subject.
            progress: told everything that `work` reports.
            work: gets a progress callback and returns the result.

        Raises:
            AgentToolsError: from `work`; with code "cancelled" after `cancel`. A cancelled caller
                cancels `work` and passes on as asyncio.CancelledError.
        """
        call = Call(secrets.token_urlsafe(9), tool, _subject(arguments), current_caller())
        call_id = call.call_id

        async def report(event: ProgressEvent) -> None:
            self._progressed(call_id, event)
            await progress(event)

        # A task of its own: ending it tells the caller so, instead of ending the caller's task.
        task = asyncio.ensure_future(_finish(work(report)))
        loop = asyncio.get_running_loop()
        with self._lock:
            self._running[call_id] = call
            self._cancels[call_id] = lambda: _soon(loop, task)
        self._notify(call.caller)
        try:
            result = await task
        except asyncio.CancelledError:
            self._end(call_id, "cancelled", "Cancelled.")
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            raise AgentToolsError(
                "The call was cancelled by its owner.", code="cancelled", hint="Nothing was kept."
            ) from None
        except BaseException as error:
            # Faults of ours stay in the logs; what the caller is told stands here, too.
            told = isinstance(error, AgentToolsError) or hasattr(error, "hint")
            message = str(error.args[0]) if told and error.args else "It failed."
            self._end(call_id, "failed", message)
            raise
        made = tuple(image.info.image_id for image in result.images)
        self._end(call_id, "done", "Done.", made)
        return result

    def calls(self, caller: str | None) -> tuple[Call, ...]:
        """Return a caller's calls: the running ones in order of their start, then the newest."""
        with self._lock:
            running = [call for call in self._running.values() if _sees(caller, call.caller)]
            finished = [call for call in self._finished if _sees(caller, call.caller)]
        return (*running, *reversed(finished))

    def get(self, call_id: str, caller: str | None) -> Call:
        """Return one call.

        Raises:
            NotFound: if this caller has no such call, or it ended long ago.
        """
        for call in self.calls(caller):
            if call.call_id == call_id:
                return call
        raise NotFound(
            f"There is no call '{call_id[:80]}'.", hint="It may have ended; see the gallery."
        )

    def cancel(self, call_id: str, caller: str | None) -> bool:
        """Ask a running call to end at its next step; return whether it was running.

        Raises:
            NotFound: if this caller has no such call.
        """
        self.get(call_id, caller)
        with self._lock:
            end = self._cancels.get(call_id)
        if end is None:
            return False
        end()
        return True

    @property
    def watched(self) -> bool:
        """Whether somebody looks at the calling caller's calls, so that previews are worth it."""
        caller = current_caller()
        with self._lock:
            return any(_sees(watcher.caller, caller) for watcher in self._watchers)

    @contextmanager
    def watch(self, caller: str | None) -> Iterator[Watcher]:
        """Be woken by changes of a caller's calls while the block runs."""
        watcher = Watcher(caller)
        with self._lock:
            self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            with self._lock:
                self._watchers.discard(watcher)

    def _progressed(self, call_id: str, event: ProgressEvent) -> None:
        preview = None if event.preview is None else _encoded(event.preview)
        with self._lock:
            call = self._running.get(call_id)
            if call is None:
                return
            share = min(1.0, event.done / event.total) if event.total > 0 else 0.0
            self._running[call_id] = replace(
                call,
                done=max(call.done, share),
                message=event.message,
                step=event.step,
                steps=event.steps,
                seconds_left=event.seconds_left,
                preview=preview or call.preview,
                previews=call.previews + (preview is not None),
            )
        self._notify(call.caller)

    def _end(
        self, call_id: str, state: CallState, message: str, image_ids: tuple[str, ...] = ()
    ) -> None:
        with self._lock:
            del self._cancels[call_id]
            call = self._running.pop(call_id)
            ended = replace(
                call,
                state=state,
                message=message,
                done=1.0 if state == "done" else call.done,
                seconds_left=None,
                image_ids=image_ids,
                ended_at=time.time(),
            )
            self._finished.append(ended)
        self._notify(call.caller)

    def _notify(self, caller: str | None) -> None:
        with self._lock:
            concerned = [w for w in self._watchers if _sees(w.caller, caller)]
        for watcher in concerned:
            watcher.notify()


def _encoded(preview: Image.Image) -> bytes:
    """Return a preview as bytes, a few thousand: the fastest way, for it lives a moment."""
    buffer = io.BytesIO()
    preview.convert("RGB").save(buffer, "WEBP", quality=75, method=0)
    return buffer.getvalue()


def _sees(viewer: str | None, caller: str | None) -> bool:
    return viewer is None or viewer == caller


async def _finish(work: Awaitable[ToolResult]) -> ToolResult:
    return await work


def _soon(loop: asyncio.AbstractEventLoop, task: asyncio.Future[Any]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(task.cancel)


def _subject(arguments: Mapping[str, Any]) -> str:
    for name in _SUBJECTS:
        words = arguments.get(name)
        if isinstance(words, str) and words:
            line = " ".join(words.split())
            return line if len(line) <= _SUBJECT_LENGTH else f"{line[: _SUBJECT_LENGTH - 1]}…"
    return ""
