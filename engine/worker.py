"""The thread that owns the model. Nothing heavy is imported before it runs."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.admission import Admission
from engine.companions import load_companions, open_controlnet, open_upscaler, own_upscaler
from engine.devices import pick_device, pick_dtype, thread_count
from engine.errors import EngineClosed, EngineError, GenerationFailed, ModelNotLoaded
from engine.jobs import Job
from engine.options import DEFAULT_OPTIONS, ModelOptions
from engine.registry import ModelSpec
from engine.request import Done
from engine.sources import open_source
from engine.stats import EngineStats, Health
from engine.ways import NO_COMPANIONS

if TYPE_CHECKING:
    from engine.coalescer import Coalescer
    from engine.painter import Painter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker needs to load its model; see `LocalEngine`."""

    model: str
    device: str | None
    threads: int | None
    accept_license: tuple[str, ...]
    cost_file: Path | None
    controlnet: str | None = None
    upscaler: str | None = None
    options: ModelOptions = DEFAULT_OPTIONS


class Worker:
    """Load a model, then compute for admitted jobs until the engine is closed.

    Attributes:
        loaded: resolves to the model's spec, or to the error that ended the worker.
        weights_bytes: memory that the loaded weights take; 0 before.
        revision: of the loaded weights; empty before.
        ended: resolves when the thread has nothing left to do.
        thread: the thread, not started yet.
        companions: what was loaded beside the model; nothing before `loaded` is resolved.
        crash: what ended the thread while it computed; None as long as it works.
    """

    def __init__(
        self, settings: WorkerSettings, admission: Admission, turn: threading.Lock
    ) -> None:
        self.loaded: concurrent.futures.Future[ModelSpec] = concurrent.futures.Future()
        self.ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.thread = threading.Thread(target=self._main, name="engine-worker", daemon=True)
        self.companions = NO_COMPANIONS
        self.crash: EngineError | None = None
        self.weights_bytes = 0
        self.revision = ""
        self._settings = settings
        self._admission = admission
        self._turn = turn
        self._coalescer: Coalescer | None = None
        self._painter: Painter | None = None
        self._jobs: set[threading.Thread] = set()

    @property
    def failed(self) -> bool:
        """Whether the model could not be loaded; such a worker never paints."""
        return self.loaded.done() and self.loaded.exception() is not None

    def stop(self, jobs: list[Job]) -> None:
        """Wake the runs of jobs that were cancelled."""
        if self._coalescer is not None:
            for job in jobs:
                self._coalescer.drop(job)

    def wake(self) -> None:
        """Let the worker look for jobs to start, or for the end."""
        if self._coalescer is not None:
            if self._admission.closed:
                self._coalescer.close()
            self._coalescer.wake()

    def health(self) -> Health:
        """Say whether the worker makes progress. Never waits."""
        if self.failed:
            return Health(False, "The model could not be loaded.")
        if self.ended.done() and not self._admission.closed:
            return Health(False, "The computing thread has ended.")
        return Health(True, "") if self._coalescer is None else self._coalescer.health()

    def stats(self) -> dict[str, float]:
        """Return the counters of what was computed."""
        stats = EngineStats() if self._coalescer is None else self._coalescer.stats
        return stats.snapshot()

    def _main(self) -> None:
        try:
            if self._load():
                assert self._coalescer is not None
                if self._admission.closed:
                    self._coalescer.close()
                self._coalescer.serve()
            # A copy: each thread takes itself out as it ends.
            for thread in [*self._jobs]:
                thread.join()
            self._painter = None
            gc.collect()
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_available():
                torch.cuda.empty_cache()
        except Exception:
            logger.exception("the engine's thread ended")
            # First told to whom comes from now on, then to those who wait: nobody is missed.
            self.crash = GenerationFailed(
                "The computing thread stopped.", hint="Restart the engine."
            )
            self._admission.fail_all(self.crash)
        finally:
            self.ended.set_result(None)

    def _load(self) -> bool:
        """Load the model; if that fails tell everybody why there is nothing."""
        started = time.perf_counter()
        settings = self._settings
        try:
            source = open_source(settings.model, settings.accept_license)
            controlnet, upscaler = None, own_upscaler(source)
            if settings.controlnet is not None:
                controlnet = open_controlnet(settings.controlnet, source.spec)
            if settings.upscaler is not None:
                upscaler = open_upscaler(settings.upscaler, settings.accept_license)
            if self._admission.closed:
                raise EngineClosed("The engine was closed.", hint="Make a new one.")
            import torch

            from engine.calibrate import calibrate
            from engine.coalescer import Coalescer
            from engine.memory import MemoryLadder
            from engine.painter import Painter
            from engine.pipelines import load_model

            threads = thread_count(settings.threads)
            # OpenMP's count belongs to the calling thread: set it here, not in main, and let
            # torch take note before runs set theirs.
            torch.set_num_threads(threads)
            torch.get_num_threads()
            device = pick_device(settings.device)
            dtype = pick_dtype(device, settings.options.precision)
            stats = EngineStats()
            loaded = load_model(source, device, dtype, stats, settings.options)
            load_companions(loaded, controlnet, upscaler, stats)
            coalescer = Coalescer(
                device,
                threads,
                stats,
                turn=self._turn,
                start_jobs=self._start_jobs,
                prepare=loaded.prepare,
                recover=MemoryLadder(loaded).recover,
            )
            if settings.options.backend == "openvino":
                from engine.openvino import OpenVinoDenoiser

                kept = None if settings.cost_file is None else settings.cost_file.parent
                unet = getattr(loaded.base, "unet", None)
                denoiser = OpenVinoDenoiser(unet, source.revision, threads, kept)
                coalescer.replace_network(unet, denoiser)
            self._painter = Painter(loaded, coalescer)
            loaded_s = time.perf_counter() - started
            unit_s = calibrate(loaded, coalescer, settings.cost_file)
            if unit_s is not None:
                self._admission.learn(unit_s)
            self._coalescer = coalescer
            self.weights_bytes = loaded.weights_bytes()
            self.revision = source.revision
            self.companions = loaded.companions
        except Exception as error:
            ours = _without_frames(error) if isinstance(error, EngineError) else None
            if ours is None:
                logger.exception("loading failed")
                ours = ModelNotLoaded(
                    f"Loading failed: {type(error).__name__}.", hint="The log has the details."
                )
            self.loaded.set_exception(ours)
            self._admission.fail_all(ours)
            return False
        logger.info(
            "loaded %s (%s) on %s as %s in %.1f s, measured in %.1f s",
            source.spec.name,
            source.revision[:19],
            device,
            dtype,
            loaded_s,
            time.perf_counter() - started - loaded_s,
        )
        self.loaded.set_result(source.spec)
        return True

    def _start_jobs(self) -> None:
        """Start what may run, each job on a thread of its own."""
        while (job := self._admission.next_job()) is not None:
            thread = threading.Thread(
                target=self._paint, args=(job,), name=f"engine-job-{job.number}", daemon=True
            )
            self._jobs.add(thread)
            try:
                thread.start()
            except RuntimeError as error:
                # The machine allows no more threads. Those that run go on, and make room.
                self._jobs.discard(thread)
                logger.error("request %s got no thread: %s", job.request.request_id, error)
                self._admission.done(
                    job,
                    GenerationFailed(
                        "The machine has no thread left for this request.",
                        hint="Try again when others are done.",
                    ),
                )

    def _paint(self, job: Job) -> None:
        """Run one job; whatever happens, the worker goes on."""
        assert self._painter is not None
        request_id = job.request.request_id
        job.started = started = time.monotonic()
        try:
            job.checkpoint()
            result, busy_s = self._painter.paint(job)
        except EngineError as error:
            self._admission.done(job, _without_frames(error))
        except Exception as error:
            logger.exception("request %s failed", request_id)
            self._admission.done(
                job,
                GenerationFailed(
                    f"Painting failed: {type(error).__name__}.",
                    hint="Other requests are not affected.",
                ),
            )
        else:
            timings = {
                "queued": started - job.submitted,
                **result.timings_s,
                "total": time.monotonic() - job.submitted,
            }
            done = Done(request_id, replace(result, timings_s=timings))
            self._admission.done(job, done, busy_s=busy_s)
        finally:
            self._jobs.discard(threading.current_thread())


def _without_frames(error: EngineError) -> EngineError:
    """Drop what the error remembers of the stack: its frames hold tensors."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
