"""The engine's seam: `Engine` is what tools know; `LocalEngine` paints in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from engine.admission import Admission
from engine.checks import check_request
from engine.description import describe
from engine.errors import EngineClosed, ModelNotLoaded
from engine.jobs import Job, Subscription
from engine.options import DEFAULT_OPTIONS, ModelOptions
from engine.pricing import work_units
from engine.registry import ModelSpec, find_model, short_name
from engine.request import Done, ImageEvent, ImageRequest
from engine.sources import known_revision, open_source
from engine.stats import Health
from engine.ways import NO_COMPANIONS
from engine.worker import Worker, WorkerSettings


class Engine(Protocol):
    """Makes pictures. Every implementation is safe to use from one asyncio event loop."""

    @property
    def model(self) -> str:
        """The name of the model it paints with."""

    @property
    def revision(self) -> str:
        """The revision of its weights; empty if that is not known."""

    async def load(self) -> None:
        """Load the model now instead of at the first request. Idempotent.

        Raises:
            EngineError: if the model cannot be loaded.
        """

    def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        """Queue a request and iterate over its events: `Queued`, `StepEvent`..., `Done`.

        Leaving the iterator early (aclose, task cancellation) cancels the request.

        Raises:
            Busy: if the queue is full; from the first iteration.
            EngineError: if the request is wrong or cannot be served; from the iteration.
        """

    async def cancel(self, request_id: str) -> bool:
        """Stop a request within one denoising step; return whether it was known."""

    async def close(self) -> None:
        """Cancel everything, free the model. Idempotent."""

    def health(self) -> Health:
        """Say whether it makes progress. Never waits on the engine."""


class LocalEngine:
    """Paint with a diffusers model in this process; requests share its forwards.

    Threads start with the first `load` or `submit`; until then nothing heavy is imported.
    It may be used from several event loops: each request answers to the loop that submitted it.
    """

    def __init__(
        self,
        model: str,
        *,
        max_queue_s: float = 120.0,
        max_running: int = 64,
        caller_share: float = 0.5,
        device: str | None = None,
        threads: int | None = None,
        accept_license: tuple[str, ...] = (),
        cost_file: Path | None = None,
        controlnet: str | None = None,
        upscaler: str | None = None,
        options: ModelOptions = DEFAULT_OPTIONS,
        turn: threading.Lock | None = None,
    ) -> None:
        """Remember the settings; load nothing.

        Args:
            model: "starter", a diffusers folder, or "owner/name@commit".
            max_queue_s: outstanding work, in estimated seconds, above which requests get `Busy`.
            max_running: requests that may be under way at a time; they share forwards or take
                turns. Others wait.
            caller_share: share of `max_queue_s` that one named caller may fill.
            device: "cpu", "cuda", ...; the fastest there is if None.
            threads: CPU threads; sized from the CPU quota if None.
            accept_license: models whose non-commercial license was accepted.
            cost_file: where the measured cost of forwards is kept between starts.
            controlnet: a ControlNet for line drawings, folder or "owner/name@commit".
            upscaler: a network for the second stage: diffusers folder, "owner/name@commit", or
                a .safetensors file (extra `[spandrel]`).
            options: how the model is held and computed.
            turn: held while something computes; share it between engines on one device.
        """
        self._settings = WorkerSettings(
            model, device, threads, accept_license, cost_file, controlnet, upscaler, options
        )
        self._admission = Admission(
            max_queue_s,
            max_running=max_running,
            caller_share=caller_share,
            on_change=self._wake,
        )
        self._turn = turn or threading.Lock()
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    @property
    def model(self) -> str:
        """The name of the model it paints with; a folder's last part, not its path."""
        return self.spec.name

    @property
    def revision(self) -> str:
        """The hub commit or content hash of its weights; empty if there are none.

        Before loading a folder is read in samples, which takes milliseconds.
        """
        worker = self._worker
        if worker is not None and worker.revision:
            return worker.revision
        return known_revision(self._settings.model)

    async def load(self) -> None:
        """Load the model now instead of at the first request. Idempotent.

        Raises:
            ModelNotLoaded: if it cannot be loaded; the next call tries again.
            LicenseNotAccepted: if its license must be accepted first.
            EngineClosed: after `close`.
        """
        await asyncio.shield(asyncio.wrap_future(self._start().loaded))

    async def submit(self, request: ImageRequest) -> AsyncIterator[ImageEvent]:
        """Queue a request and iterate over its events: `Queued`, `StepEvent`..., `Done`.

        Leaving the iterator early (aclose, task cancellation) cancels the request.

        Raises:
            Busy: if the queue is full; from the first iteration.
            ModelNotLoaded: if the request names another model than this engine's.
            EngineError: if the request is wrong or cannot be served; from the iteration.
        """
        check_request(request)
        self._check_model(request.model)
        worker = self._worker
        companions = NO_COMPANIONS if worker is None else worker.companions
        units = work_units(request, self.spec, companions)
        job, subscription, queued = self._admission.put(request, units)
        try:
            self._start()
            yield queued
            while True:
                event = await subscription.next_event()
                yield event
                if isinstance(event, Done):
                    return
        finally:
            self._stop(job, subscription)

    async def cancel(self, request_id: str) -> bool:
        """Stop a request within one denoising step; return, once it stopped, if it was known.

        Its iterator raises `RequestCancelled`; no event comes out of it afterwards. If others
        asked for exactly the same, the painting goes on for them.
        """
        known = self._admission.find(request_id)
        if known is None:
            return False
        if self._stop(*known):
            await asyncio.shield(asyncio.wrap_future(known[0].finished))
        return True

    async def close(self) -> None:
        """Cancel everything, free the model, end the threads. Idempotent."""
        running = self._admission.close()
        with self._lock:
            worker = self._worker
        if worker is not None:
            worker.stop(running)
            await asyncio.shield(asyncio.wrap_future(worker.ended))
            worker.thread.join()

    def weights_bytes(self) -> int:
        """Return the memory that the weights take, bytes; before loading an estimate from files.

        Raises:
            ModelNotLoaded: if the model is not there.
        """
        worker = self._worker
        if worker is not None and worker.weights_bytes:
            return worker.weights_bytes
        settings = self._settings
        folder = open_source(settings.model, settings.accept_license).folder
        return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))

    def health(self) -> Health:
        """Say whether the engine makes progress. Never waits on the engine."""
        worker = self._worker
        return Health(True, "") if worker is None else worker.health()

    def stats(self) -> dict[str, float]:
        """Return counters: what was computed, what waits. Never waits on the engine."""
        worker = self._worker
        waiting, running = self._admission.counts
        return {
            **({} if worker is None else worker.stats()),
            "waiting": waiting,
            "running": running,
            "outstanding_seconds": self._admission.outstanding_s,
        }

    def _stop(self, job: Job, subscription: Subscription) -> bool:
        """End a subscription; return whether its job was told to stop."""
        if not self._admission.leave(job, subscription):
            return False
        worker = self._worker
        if worker is not None:
            worker.stop([job])
        return True

    def _wake(self) -> None:
        worker = self._worker
        if worker is not None:
            worker.wake()

    def _start(self) -> Worker:
        """Return the running worker, or start one: the first, or one after a failed load."""
        with self._lock:
            if self._admission.closed:
                raise EngineClosed("The engine is closed.", hint="Make a new one.")
            if self._worker is None or self._worker.failed:
                self._worker = Worker(self._settings, self._admission, self._turn)
                self._worker.thread.start()
            if self._worker.crash is not None:
                raise self._worker.crash
            return self._worker

    def _check_model(self, asked: str | None) -> None:
        model = self._settings.model
        if asked is None or asked in (model, model.partition("@")[0], self.model):
            return
        raise ModelNotLoaded(
            f"There is no model '{asked[:80]}' here.", hint=f"This engine paints with {self.model}."
        )

    @property
    def spec(self) -> ModelSpec:
        """What is known about the model: all of it once loaded, a guess before."""
        worker = self._worker
        if worker is not None and worker.loaded.done() and not worker.failed:
            return worker.loaded.result()
        model = self._settings.model
        known = find_model(model)
        if known is not None:
            return known
        return describe(short_name(model), model, {"_class_name": "StableDiffusionPipeline"}, {})
