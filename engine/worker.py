"""The thread that owns the model. Nothing heavy is imported before it runs."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.backlog import Backlog, Job
from engine.companions import load_companions, open_controlnet, open_upscaler
from engine.devices import pick_device, pick_dtype, thread_count
from engine.errors import EngineClosed, EngineError, GenerationFailed, ModelNotLoaded
from engine.registry import ModelSpec
from engine.request import Done, StepEvent
from engine.sources import open_source

if TYPE_CHECKING:
    from engine.painter import Painter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs to load its model; see `LocalEngine`."""

    model: str
    device: str | None
    threads: int | None
    accept_license: tuple[str, ...]
    controlnet: str | None = None
    upscaler: str | None = None


class Worker:
    """Load a model, then paint jobs from the backlog until it is closed.

    Attributes:
        loaded: resolves to the model's spec, or to the error that ended the worker.
        ended: resolves when the thread has nothing left to do.
        thread: the thread, not started yet.
    """

    def __init__(self, settings: WorkerSettings, backlog: Backlog) -> None:
        self.loaded: concurrent.futures.Future[ModelSpec] = concurrent.futures.Future()
        self.ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.thread = threading.Thread(target=self._main, name="engine-worker", daemon=True)
        self._settings = settings
        self._backlog = backlog

    @property
    def failed(self) -> bool:
        """Whether the model could not be loaded; such a worker never paints."""
        return self.loaded.done() and self.loaded.exception() is not None

    def _main(self) -> None:
        try:
            painter = self._load()
            if painter is not None:
                while (job := self._backlog.take()) is not None:
                    self._paint(painter, job)
                    # A job holds its request's pictures: not until the next one comes.
                    del job
            del painter
            gc.collect()
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_available():
                torch.cuda.empty_cache()
        finally:
            self.ended.set_result(None)

    def _load(self) -> Painter | None:
        """Return what paints, or None after telling everybody why there is nothing."""
        started = time.perf_counter()
        try:
            source = open_source(self._settings.model, self._settings.accept_license)
            controlnet = upscaler = None
            if self._settings.controlnet is not None:
                controlnet = open_controlnet(self._settings.controlnet, source.spec)
            if self._settings.upscaler is not None:
                upscaler = open_upscaler(self._settings.upscaler, self._settings.accept_license)
            if self._backlog.closed:
                raise EngineClosed("The engine was closed.", hint="Make a new one.")
            import torch

            from engine.painter import Painter
            from engine.pipelines import load_model

            # OpenMP's count belongs to the calling thread: set it here, not in main.
            torch.set_num_threads(thread_count(self._settings.threads))
            device = pick_device(self._settings.device)
            dtype = pick_dtype(device)
            loaded = load_model(source, device, dtype)
            load_companions(loaded, controlnet, upscaler)
            painter = Painter(loaded)
        except Exception as error:
            ours = _without_frames(error) if isinstance(error, EngineError) else None
            if ours is None:
                logger.exception("loading failed")
                ours = ModelNotLoaded(
                    f"Loading failed: {type(error).__name__}.", hint="The log has the details."
                )
            self.loaded.set_exception(ours)
            self._backlog.fail_all(ours)
            return None
        logger.info(
            "loaded %s (%s) on %s as %s in %.1f s",
            source.spec.name,
            source.revision[:19],
            device,
            dtype,
            time.perf_counter() - started,
        )
        self.loaded.set_result(source.spec)
        return painter

    def _paint(self, painter: Painter, job: Job) -> None:
        """Run one job; whatever happens, the worker goes on."""
        started = time.perf_counter()
        request_id = job.request.request_id

        def on_step(done: int, total: int) -> None:
            job.done_share = done / total
            job.emit(StepEvent(request_id, done, total))

        try:
            job.checkpoint()
            result = painter.paint(job.request, checkpoint=job.checkpoint, on_step=on_step)
        except EngineError as error:
            self._backlog.done(job, _without_frames(error))
        except Exception as error:
            logger.exception("request %s failed", request_id)
            self._backlog.done(
                job,
                GenerationFailed(
                    f"Painting failed: {type(error).__name__}.",
                    hint="Other requests are not affected.",
                ),
            )
        else:
            ended = time.perf_counter()
            timings = {
                "queued": started - job.submitted,
                **result.timings_s,
                "total": ended - job.submitted,
            }
            done = Done(request_id, replace(result, timings_s=timings))
            self._backlog.done(job, done, busy_s=ended - started)


def _without_frames(error: EngineError) -> EngineError:
    """Drop what the error remembers of the stack: its frames hold tensors."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
