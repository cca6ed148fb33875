"""Who may come in, and who starts next: a queue bounded in seconds of work. Pure Python.

Every request is priced before it is taken. Thread-safe.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from engine.errors import (
    Busy,
    DeadlineExceeded,
    EngineClosed,
    EngineError,
    InvalidRequest,
    RequestCancelled,
)
from engine.jobs import Job, Subscription
from engine.request import Done, ImageRequest, Queued

if TYPE_CHECKING:
    from PIL import Image

# Assumed until something was measured: 50 ms for one step on 256x256 pixels.
_FIRST_GUESS_S = 0.05 / (256 * 256)
# Weight of the newest measurement.
_SMOOTHING = 0.3
# Fields that say how a request is served, not what comes out.
_MANNERS = {"request_id", "priority", "deadline_s", "caller"}


class Admission:
    """Take requests in, start the best one next, and say `Busy` instead of letting callers wait.

    Args:
        max_queue_s: outstanding work, in estimated seconds, above which nobody is let in.
        max_running: jobs that may run at a time; their forwards are shared or take turns.
        caller_share: share of `max_queue_s` that one named caller may fill.
        on_change: called, without any lock held, when there is something to start or to stop.
    """

    def __init__(
        self,
        max_queue_s: float,
        *,
        max_running: int = 64,
        caller_share: float = 0.5,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_change = on_change
        self._max_queue_s = max_queue_s
        self._max_running = max_running
        self._caller_share = caller_share
        self._unit_s = _FIRST_GUESS_S
        self._measured = False
        self._lock = threading.RLock()
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._subscriptions: dict[str, tuple[Job, Subscription]] = {}
        self._closed = False

    def put(self, request: ImageRequest, units: float) -> tuple[Job, Subscription, Queued]:
        """Take a request in; join it to the same one if that is in already.

        Args:
            request: checked by `engine.checks.check_request`.
            units: its size, from `engine.pricing.work_units`.

        Raises:
            Busy: if too much work is outstanding, in all or for this caller.
            DeadlineExceeded: if it could not be done in time.
            InvalidRequest: if a request of that id is in already.
            EngineClosed: after `close`.
        """
        with self._lock:
            if self._closed:
                raise EngineClosed("The engine is closed.", hint="Make a new one.")
            if request.request_id in self._subscriptions:
                raise InvalidRequest(
                    f"Request id '{request.request_id}' is in use.", hint="Leave request_id unset."
                )
            job = self._same(request)
            joined = job is not None
            if job is None:
                job = Job(request, units)
                job.price_s = units * self._unit_s
                self._check_room(job)
            elif request.priority == "interactive":
                job.priority = "interactive"
            ahead = [
                other for other in self._all() if other is not job and _goes_before(other, job)
            ]
            wait_s = sum(other.remaining_s for other in ahead)
            if request.deadline_s is not None and wait_s + job.price_s > request.deadline_s:
                raise DeadlineExceeded(
                    f"It would take about {wait_s + job.price_s:.1f} s; the deadline is "
                    f"{request.deadline_s:g} s.",
                    hint="Allow more time, or ask for fewer steps or a smaller picture.",
                )
            subscription = Subscription(request.request_id)
            job.subscriptions.append(subscription)
            self._subscriptions[request.request_id] = (job, subscription)
            if not joined:
                self._waiting.append(job)
        self.on_change()
        return job, subscription, Queued(request.request_id, len(ahead), wait_s)

    def next_job(self) -> Job | None:
        """Take out the job to start now; None if none may.

        Interactive before batch, then the caller with the least running, then the shortest.
        """
        with self._lock:
            if not self._waiting or len(self._running) >= self._max_running:
                return None

            def rank(job: Job) -> tuple[bool, int, float, int]:
                callers = sum(1 for other in self._running if other.caller == job.caller)
                mine = callers if job.caller is not None else 0
                return (job.priority == "batch", mine, job.price_s, job.number)

            job = min(self._waiting, key=rank)
            self._waiting.remove(job)
            self._running.append(job)
            return job

    def done(self, job: Job, last: Done | EngineError, busy_s: float | None = None) -> None:
        """Say how `job` ended; `busy_s` is the computing time it cost, if it ran through.

        Leaving the books and sending the last event are one act: a `leave` either comes before
        and nothing comes out, or finds no job.
        """
        with self._lock:
            self._forget(job)
            if busy_s is not None and busy_s > 0:
                self.learn(busy_s / job.units)
            job.emit(last)
        job.finish()
        self.on_change()

    def learn(self, unit_s: float) -> None:
        """Take in a measured price of one unit, seconds."""
        with self._lock:
            weight = _SMOOTHING if self._measured else 1.0
            self._unit_s += weight * (unit_s - self._unit_s)
            self._measured = True

    def find(self, request_id: str) -> tuple[Job, Subscription] | None:
        """Return the job and the subscription of a request that is in."""
        with self._lock:
            return self._subscriptions.get(request_id)

    def leave(self, job: Job, subscription: Subscription) -> bool:
        """End one subscription; return whether the job must stop because it was the last."""
        with self._lock:
            known = self._subscriptions.get(subscription.request_id)
            if known is None or known[1] is not subscription or subscription.error is not None:
                return False
            subscription.end(RequestCancelled("The request was cancelled."))
            if len(job.subscriptions) > 1:
                job.subscriptions.remove(subscription)
                del self._subscriptions[subscription.request_id]
                return False
            job.cancel(RequestCancelled("The request was cancelled."))
            if job in self._waiting:
                self._drop(job)
        self.on_change()
        return True

    def fail_all(self, error: EngineError) -> None:
        """End every waiting job with `error`."""
        with self._lock:
            for job in [*self._waiting]:
                job.emit(error)
                self._drop(job)

    def close(self) -> list[Job]:
        """Cancel everything, let nobody in; return the jobs that must stop."""
        closed = EngineClosed("The engine was closed.", hint="Make a new one.")
        with self._lock:
            self._closed = True
            for job, subscription in [*self._subscriptions.values()]:
                if not job.cancelled:
                    subscription.end(closed)
            for job in [*self._all()]:
                if not job.cancelled:
                    job.cancel(closed)
                if job in self._waiting:
                    self._drop(job)
            running = [*self._running]
        self.on_change()
        return running

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def counts(self) -> tuple[int, int]:
        """How many jobs wait and how many run."""
        with self._lock:
            return len(self._waiting), len(self._running)

    @property
    def outstanding_s(self) -> float:
        """Estimated seconds of work that is in."""
        with self._lock:
            return sum(job.remaining_s for job in self._all())

    def _check_room(self, job: Job) -> None:
        others = [*self._all()]
        outstanding = sum(other.remaining_s for other in others)
        if others and outstanding > self._max_queue_s:
            raise _busy(
                f"The engine is busy: {len(others)} requests are ahead, about {outstanding:.0f} s.",
                outstanding - self._max_queue_s,
            )
        if job.caller is None:
            return
        own = [other for other in others if other.caller == job.caller]
        own_s = sum(other.remaining_s for other in own)
        limit = self._caller_share * self._max_queue_s
        if own and own_s + job.price_s > limit:
            raise _busy(
                f"{len(own)} of your requests are still at work, about {own_s:.0f} s; each "
                f"caller may have {limit:.0f} s.",
                own_s + job.price_s - limit,
            )

    def _same(self, request: ImageRequest) -> Job | None:
        """Return a job that makes exactly what `request` asks for."""
        if request.deadline_s is not None:
            return None
        for job in self._all():
            other = job.request
            if (
                job.cancelled
                or other.deadline_s is not None
                or (other.prompt, other.seeds) != (request.prompt, request.seeds)
            ):
                continue
            if _wish(other) == _wish(request):
                return job
        return None

    def _all(self) -> Iterable[Job]:
        return (*self._running, *self._waiting)

    def _drop(self, job: Job) -> None:
        self._forget(job)
        job.finish()

    def _forget(self, job: Job) -> None:
        for jobs in (self._waiting, self._running):
            if job in jobs:
                jobs.remove(job)
        for subscription in job.subscriptions:
            self._subscriptions.pop(subscription.request_id, None)


def _goes_before(other: Job, job: Job) -> bool:
    """Whether `other` is served first, as far as one can say now."""
    if other.priority != job.priority:
        return other.priority == "interactive"
    return other.remaining_s <= job.price_s


def _busy(message: str, seconds: float) -> Busy:
    return Busy(
        message,
        retry_after_s=max(1.0, round(seconds, 1)),
        hint="Try again after retry_after_s seconds.",
    )


def _wish(request: ImageRequest) -> tuple[object, ...]:
    """Return everything that decides what comes out, pictures by the hash of their pixels."""
    return tuple(
        _comparable(getattr(request, field.name))
        for field in fields(request)
        if field.name not in _MANNERS
    )


def _comparable(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_comparable(item) for item in value)
    return _fingerprint(value) if hasattr(value, "tobytes") else value


def _fingerprint(image: Image.Image | object) -> tuple[object, ...]:
    mode = getattr(image, "mode", None)
    if mode in ("P", "PA"):
        # Their bytes are places in a palette; what is seen decides.
        image = image.convert("RGBA")  # type: ignore[union-attr]
    data = image.tobytes()  # type: ignore[union-attr]
    return (
        mode,
        getattr(image, "size", None),
        hashlib.sha256(data).hexdigest(),
    )
