"""A request on its way through the engine, and the iterators that wait for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import DeadlineExceeded, EngineError
from engine.request import Done, ImageEvent, ImageRequest, Priority, Queued, StepEvent

if TYPE_CHECKING:
    from PIL import Image


class Subscription:
    """One iterator's end: events cross from the engine's threads to its event loop."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.error: EngineError | None = None
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[ImageEvent | EngineError] = asyncio.Queue()

    async def next_event(self) -> ImageEvent:
        """Wait for the next event.

        Raises:
            EngineError: if the request failed or was cancelled.
        """
        event = await self._events.get()
        if self.error is not None:
            raise self.error
        if isinstance(event, EngineError):
            raise event
        return event

    def send(self, event: ImageEvent | EngineError) -> None:
        """Hand over an event, or the error that ends the request."""
        if isinstance(event, StepEvent | Done | Queued) and event.request_id != self.request_id:
            event = replace(event, request_id=self.request_id)
        # The loop that asked may be gone already; then nobody listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def end(self, error: EngineError) -> None:
        """Let `next_event` raise `error`, whatever else is still in the queue."""
        self.error = error
        self.send(error)


class Job:
    """One generation, wanted by one subscription or, if several asked the same, by more.

    Attributes:
        request: what is painted.
        caller: who asked first; None is everybody who gave no name.
        priority: raised to "interactive" when such a request joins.
        price_s: estimated seconds of work, set at admission.
        finished: resolves when no thread works on it any more.
    """

    _numbers = itertools.count(1)

    def __init__(self, request: ImageRequest, units: float) -> None:
        self.number = next(self._numbers)
        self.request = request
        self.units = units
        self.caller = request.caller
        self.priority: Priority = request.priority
        self.price_s = 0.0
        self.submitted = time.monotonic()
        self.started: float | None = None
        self.finished: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.subscriptions: list[Subscription] = []
        self._deadline = None if request.deadline_s is None else self.submitted + request.deadline_s
        self._error: EngineError | None = None
        self._steps = 0
        self._total = 0
        self._lock = threading.Lock()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._error is not None

    @property
    def remaining_s(self) -> float:
        """Estimated work left; a cancelled one leaves with its current forward."""
        if self.cancelled:
            return 1e-3
        return max(1e-3, self.price_s * (1 - self._steps / max(self._total, 1)))

    def cancel(self, error: EngineError) -> None:
        """Make every later `checkpoint` raise `error`."""
        self._error = error

    def checkpoint(self) -> None:
        """Raise why the request must stop, if it must.

        Raises:
            RequestCancelled: nobody waits for it.
            EngineClosed: the engine is closing.
            DeadlineExceeded: it took too long.
        """
        if self._error is not None:
            raise self._error
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise DeadlineExceeded(
                f"The deadline of {self.request.deadline_s:g} s has passed.",
                hint="Ask for fewer steps or a smaller picture, or allow more time.",
            )

    def expect(self, steps: int) -> None:
        """Say how many steps there are in all."""
        with self._lock:
            self._total = max(steps, self._steps, 1)

    def step(self, preview: Image.Image | None = None) -> None:
        """Count a denoising step and tell everybody who waits."""
        with self._lock:
            self._steps += 1
            self._total = max(self._total, self._steps)
            event = StepEvent(self.request.request_id, self._steps, self._total, preview)
            # Under the lock: two runs of one job must not swap their numbers on the way.
            self.emit(event)

    def emit(self, event: ImageEvent | EngineError) -> None:
        """Hand an event, or the error that ends the request, to all who wait."""
        if not self.cancelled:
            for subscription in [*self.subscriptions]:
                subscription.send(event)

    def finish(self) -> None:
        """Mark the job as out of all threads' hands."""
        if not self.finished.done():
            self.finished.set_result(None)
