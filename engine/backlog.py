"""Requests that wait for the worker, bounded in seconds of work. Pure Python, thread-safe."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections import deque

from engine.errors import Busy, EngineClosed, EngineError, InvalidRequest, RequestCancelled
from engine.request import Done, ImageEvent, ImageRequest, Queued

# Assumed until something was measured: 50 ms for one step on 256x256 pixels.
_FIRST_GUESS_S = 0.05 / (256 * 256)
# Weight of the newest measurement.
_SMOOTHING = 0.3


class Job:
    """One request on its way through the engine.

    Events cross from the worker thread to the event loop that asked. After `cancel`, none does.
    """

    def __init__(self, request: ImageRequest, units: float) -> None:
        self.request = request
        self.units = units
        self.done_share = 0.0
        self.submitted = time.perf_counter()
        self.finished: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._error: EngineError | None = None
        self._cancelled = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[ImageEvent | EngineError] = asyncio.Queue()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to stop it."""
        return self._cancelled.is_set()

    def cancel(self, error: EngineError) -> None:
        """Ask the worker to stop at the next denoiser forward, and tell the iterator why."""
        self._error = error
        self._cancelled.set()
        self._send(error)

    def checkpoint(self) -> None:
        """Raise why the request was cancelled, if it was."""
        if self._cancelled.is_set() and self._error is not None:
            raise self._error

    def emit(self, event: ImageEvent | EngineError) -> None:
        """Hand an event, or the error that ends the request, to its iterator."""
        if not self._cancelled.is_set():
            self._send(event)

    async def next_event(self) -> ImageEvent:
        """Wait for the next event.

        Raises:
            EngineError: if the request failed or was cancelled.
        """
        event = await self._events.get()
        self.checkpoint()
        if isinstance(event, EngineError):
            raise event
        return event

    def finish(self) -> None:
        """Mark the request as out of the worker's hands."""
        if not self.finished.done():
            self.finished.set_result(None)

    def _send(self, event: ImageEvent | EngineError) -> None:
        # The loop that asked may be gone already; then nobody listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Backlog:
    """A first-in, first-out queue that says `Busy` instead of making callers wait too long."""

    def __init__(self, max_queue_s: float) -> None:
        self._max_queue_s = max_queue_s
        self._unit_s = _FIRST_GUESS_S
        self._measured = False
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._jobs: dict[str, Job] = {}
        self._closed = False

    def put(self, job: Job) -> Queued:
        """Take a job in.

        Raises:
            Busy: if it would wait longer than `max_queue_s`.
            InvalidRequest: if a request of that id is in already.
            EngineClosed: after `close`.
        """
        request_id = job.request.request_id
        with self._changed:
            if self._closed:
                raise EngineClosed("The engine is closed.", hint="Make a new one.")
            if request_id in self._jobs:
                raise InvalidRequest(
                    f"Request id '{request_id}' is in use.", hint="Leave request_id unset."
                )
            ahead = [*self._waiting] if self._running is None else [self._running, *self._waiting]
            wait_s = sum(self._remaining_s(other) for other in ahead)
            if wait_s > self._max_queue_s:
                raise Busy(
                    f"The engine is busy: {len(ahead)} requests are ahead, about {wait_s:.0f} s.",
                    retry_after_s=max(1.0, round(wait_s - self._max_queue_s, 1)),
                    hint="Try again after retry_after_s seconds.",
                )
            self._jobs[request_id] = job
            self._waiting.append(job)
            self._changed.notify()
            return Queued(request_id, len(ahead), wait_s)

    def take(self) -> Job | None:
        """Wait for the next job; None means the backlog was closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def done(self, job: Job, last: Done | EngineError, busy_s: float | None = None) -> None:
        """Say how `job` ended; `busy_s` is what it cost, if it ran through.

        Leaving the books and sending the last event are one act: a `cancel` either comes before
        and nothing comes out, or finds no job.
        """
        with self._changed:
            self._running = None
            self._jobs.pop(job.request.request_id, None)
            if busy_s is not None:
                measured = busy_s / job.units
                weight = _SMOOTHING if self._measured else 1.0
                self._unit_s += weight * (measured - self._unit_s)
                self._measured = True
            job.emit(last)
        job.finish()

    def find(self, request_id: str) -> Job | None:
        """Return the waiting or running job of that id."""
        with self._changed:
            return self._jobs.get(request_id)

    def cancel(self, job: Job) -> None:
        """Cancel a job if it is still here; a waiting one leaves at once."""
        with self._changed:
            if self._jobs.get(job.request.request_id) is not job or job.cancelled:
                return
            job.cancel(RequestCancelled("The request was cancelled."))
            if job is not self._running:
                self._drop(job)

    def fail_all(self, error: EngineError) -> None:
        """End every waiting job with `error`."""
        with self._changed:
            for job in [*self._waiting]:
                job.emit(error)
                self._drop(job)

    def close(self) -> None:
        """Cancel everything and let `take` return None."""
        with self._changed:
            self._closed = True
            for job in [*self._jobs.values()]:
                if not job.cancelled:
                    job.cancel(EngineClosed("The engine was closed.", hint="Make a new one."))
                if job is not self._running:
                    self._drop(job)
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _drop(self, job: Job) -> None:
        with contextlib.suppress(ValueError):
            self._waiting.remove(job)
        self._jobs.pop(job.request.request_id, None)
        job.finish()

    def _remaining_s(self, job: Job) -> float:
        """Estimate the work left of a job; a cancelled one leaves with its current step."""
        if job.cancelled:
            return 1e-3
        return max(1e-3, job.units * (1 - job.done_share) * self._unit_s)
