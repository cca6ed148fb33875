"""What happens around one pipeline call: its way to the computing thread, its clock, its steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.coalescer import Coalescer
from engine.parking import Run

if TYPE_CHECKING:
    from engine.calls import PipelineCall
    from engine.jobs import Job
    from engine.preview import LatentPreview

STAGES = ("text", "denoise", "decode")


class JobWork:
    """What the runs of one job add up to. Used by their threads."""

    def __init__(self, job: Job, steps: int) -> None:
        self.job = job
        self.warnings: tuple[str, ...] = ()
        self.shared_forwards = 0
        self.busy_s = 0.0
        self._steps = steps
        self._lock = threading.Lock()

    def warn(self, warnings: tuple[str, ...]) -> None:
        """Take in what a run found out."""
        with self._lock:
            self.warnings += warnings

    def correct(self, planned: int, real: int) -> None:
        """Say how many steps a run really makes."""
        with self._lock:
            self._steps += real - planned
            self.job.expect(self._steps)

    def add(self, run: Run) -> None:
        """Add up a run that has ended."""
        with self._lock:
            self.shared_forwards += run.shared_forwards
            self.busy_s += run.busy_s


class RunStage:
    """One pipeline call's way to the computing thread, its clock and its step counter.

    A context manager: the run is known to the coalescer while it is open.
    """

    def __init__(
        self,
        coalescer: Coalescer,
        preview: LatentPreview,
        work: JobWork,
        call: PipelineCall | None,
        *,
        exclusive: bool,
    ) -> None:
        self.view: Any = None
        self.timings = dict.fromkeys(STAGES, 0.0)
        self._work, self._job, self._call = work, work.job, call
        self._coalescer, self._preview = coalescer, preview
        self.run = Run(
            self._job,
            shareable=not self._job.request.deterministic,
            exclusive=exclusive,
            steps=1 if call is None else max(1, call.steps),
        )
        self._started = self._last = 0.0
        self._first: float | None = None

    def __enter__(self) -> RunStage:
        self._started = self._last = time.perf_counter()
        self._coalescer.begin(self.run)
        return self

    def __exit__(self, *error: object) -> None:
        self._coalescer.end(self.run)
        self._work.add(self.run)
        first = self._last if self._first is None else self._first
        self.timings["text"] = first - self._started
        self.timings["denoise"] = self._last - first
        self.timings["decode"] = time.perf_counter() - self._last

    def forward(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a denoiser's forward on the computing thread."""
        if self._first is None:
            self._first = time.perf_counter()
            planned = 0 if self._call is None else self._call.steps
            self.run.steps = self._total()
            self._work.correct(planned, self.run.steps)
        return self._coalescer.forward(self.run, module, args, kwargs)

    def alone(self, kind: str, compute: Callable[[], Any]) -> Any:
        """Run `compute` on the computing thread, by itself."""
        return self._coalescer.alone(self.run, kind, compute)

    def on_step(self, result: Any) -> None:
        """Count a step of the sampler."""
        self.run.done_steps += 1
        self._last = time.perf_counter()
        self._job.checkpoint()
        every, call = self._job.request.preview_every, self._call
        preview = None
        due = every and self.run.done_steps % every == 0 and self.run.done_steps < self.run.steps
        if due and call is not None and not call.is_tile:
            preview = self._preview.picture(result, call.size, self.alone, self.view.scheduler)
        self._job.step(preview)

    def _total(self) -> int:
        """Steps of this run; with `strength` the sampler's first ones are skipped."""
        known = self.view.__dict__.get("_num_timesteps")
        if isinstance(known, int):
            return known
        scheduler = self.view.scheduler
        return len(scheduler.timesteps) - (getattr(scheduler, "begin_index", None) or 0)
