"""The one thread that computes: it joins the denoiser calls of running requests into batches.

Each run is an unmodified pipeline call on a thread of its own. Whatever is heavy in it (denoiser,
text encoders, autoencoder) is parked here and computed by the engine's thread, one thing at a
time: calls that fit are joined into one forward, run once and sliced back.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

import torch

from engine.collate import NotJoinable, join, signature, split
from engine.cost import CostCurve
from engine.errors import EngineClosed, EngineError, GenerationFailed
from engine.jobs import Job
from engine.memory import is_out_of_memory
from engine.parking import Parked, Run
from engine.pulse import Pulse
from engine.scheduler import Call, RowCaps, Scheduler
from engine.stats import EngineStats, Health

logger = logging.getLogger(__name__)
# A run that is busy with Python does not hold the others up for longer than this.
_PATIENCE_SHARE = 0.1
_PATIENCE_S = (0.002, 0.025)
# Longer runs may make a shorter one's forward so many times dearer.
_STRETCH = 1.5


class Coalescer:
    """Park calls of runs, and compute them on the thread that calls `serve`.

    Args:
        device: where everything is computed.
        threads: CPU threads of the computing thread.
        stats: counts what is computed.
        turn: held while something computes; engines that share a device share it.
        start_jobs: called by `serve` between computations; starts what was admitted.
        prepare: called before each computation with its kind: brings the networks it needs to
            the device, where not all of them stay there.
        recover: called after an out-of-memory error that halving did not cure, with the kind of
            call and the number of the attempt; returns whether trying again makes sense.
    """

    def __init__(
        self,
        device: torch.device,
        threads: int,
        stats: EngineStats,
        *,
        turn: threading.Lock,
        start_jobs: Callable[[], None],
        prepare: Callable[[str], None],
        recover: Callable[[str, int], bool],
    ) -> None:
        self.curves: dict[Hashable, CostCurve] = {}
        self.stats = stats
        self.threads = threads
        self._device = device
        self._turn = turn
        self._start_jobs = start_jobs
        self._prepare = prepare
        self._recover = recover
        self._changed = threading.Condition()
        self._scheduler = Scheduler(self._row_caps)
        self._parked: dict[int, Parked] = {}
        self._runs: dict[int, Run] = {}
        self._numbers = itertools.count(1)
        self._replaced: dict[int, Callable[..., Any]] = {}
        self._poked = False
        self._closed = False
        self._failed: EngineError | None = None
        self._pulse = Pulse()

    # --- called by the threads of runs ---

    def begin(self, run: Run) -> None:
        """Register a run before its thread starts."""
        with self._changed:
            run.run_id = next(self._numbers)
            self._runs[run.run_id] = run
            self._changed.notify_all()

    def end(self, run: Run) -> None:
        """Say that a run's thread has nothing more to compute."""
        with self._changed:
            self._runs.pop(run.run_id, None)
            self._scheduler.release(run.run_id)
            self._changed.notify_all()

    def forward(self, run: Run, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a denoiser's forward, joined with other runs' where that is possible.

        Raises:
            EngineError: if the run must stop.
            Exception: what the network itself raised.
        """
        key: Hashable = None
        rows = 1
        shape: Hashable = None
        try:
            described = signature(id(module), args, kwargs, run.digests)
            rows, shape = described.rows, described.key
            if run.shareable and not run.exclusive:
                key = shape
        except NotJoinable as reason:
            logger.debug("a forward of %s runs alone: %s", type(module).__name__, reason)
        cost = self.curves[shape].seconds(rows) if shape in self.curves else 0.0
        remaining = cost * run.forwards_left() if cost else run.job.remaining_s
        parked = Parked(
            self._call(run, key, rows, remaining),
            run,
            "denoise",
            module=module,
            shape=shape,
            arguments=(args, kwargs),
        )
        output = self._wait(parked)
        run.forwards += 1
        return output

    def alone(self, run: Run, kind: str, compute: Callable[[], Any]) -> Any:
        """Run `compute` on the engine's thread, by itself.

        Args:
            run: for whom.
            kind: "text", "encode", "decode" or "enlarge"; names it in the statistics.
            compute: what to do.

        Raises:
            EngineError: if the run must stop.
            Exception: what `compute` raised.
        """
        # These come once a run and are short beside its steps: what they unlock can share the next
        # forward, or is the finished picture.
        remaining = run.job.remaining_s if kind == "enlarge" else 0.0
        return self._wait(Parked(self._call(run, None, 1, remaining), run, kind, compute=compute))

    def drop(self, job: Job) -> None:
        """Wake the runs of a cancelled job that wait here; they raise what its checkpoint says."""
        with self._changed:
            for parked in [*self._parked.values()]:
                if parked.run.job is job:
                    self._take_out(parked)
                    parked.error = _stop_reason(job)
                    parked.ready.set()
            self._changed.notify_all()

    def wake(self) -> None:
        """Let `serve` look for jobs to start."""
        with self._changed:
            self._poked = True
            self._changed.notify_all()

    def close(self) -> None:
        """Let `serve` return as soon as no run is left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def replace_network(self, module: Any, other: Callable[..., Any]) -> None:
        """Compute `other` wherever a run calls `module`."""
        self._replaced[id(module)] = other

    def network(self, module: Any) -> Callable[..., Any]:
        """Return what computes in place of `module`: itself, or what replaced it."""
        return self._replaced.get(id(module), module)

    def health(self) -> Health:
        """Say whether the computing thread makes progress. Never waits."""
        failed = self._failed
        return self._pulse.health() if failed is None else Health(False, str(failed))

    def synchronize(self) -> None:
        """Wait for the device, so that times are true and errors come where they belong."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    # --- the computing thread ---

    def serve(self) -> None:
        """Compute what is parked until `close` was called and the last run has ended."""
        between = time.thread_time()
        group: list[Parked] | None = None
        try:
            while (group := self._next_group()) is not None:
                if group:
                    self.stats.spent("overhead", time.thread_time() - between)
                    self._compute_group(group)
                    between = time.thread_time()
                # What was computed belongs to its run now.
                group = None
        except BaseException as error:
            logger.exception("the computing thread stopped")
            self._fail(error, group or [])
            raise

    def _next_group(self) -> list[Parked] | None:
        """Wait for work and choose; empty = look for jobs to start again."""
        self._start_jobs()
        waiting_since: float | None = None
        with self._changed:
            while True:
                if self._closed and not self._runs:
                    return None
                if self._poked:
                    self._poked = False
                    return []
                if not self._scheduler.ready():
                    waiting_since = None
                    self._changed.wait()
                    continue
                now = time.monotonic()
                waiting_since = waiting_since or now
                left = self._patience() - (now - waiting_since)
                if left > 0 and len(self._parked) < len(self._runs):
                    self._changed.wait(left)
                    continue
                calls = self._scheduler.next_group(now)
                group = [self._parked.pop(call.call_id) for call in calls]
                first = group[0].run
                if first.exclusive and self._scheduler.holder is None:
                    self._scheduler.hold(first.run_id)
                return group

    def _patience(self) -> float:
        usual = self._pulse.usual_s("denoise")
        return min(max(_PATIENCE_S[0], _PATIENCE_SHARE * usual), _PATIENCE_S[1])

    def _compute_group(self, group: list[Parked]) -> None:
        """Compute calls of one key; whatever happens, each gets its output or its error."""
        alive = []
        for parked in group:
            try:
                parked.run.job.checkpoint()
                alive.append(parked)
            except EngineError as error:
                parked.error = error
                parked.ready.set()
        if not alive:
            return
        try:
            self._compute(alive)
        except Exception as error:
            if len(alive) == 1:
                self._compute_last(alive[0], error)
            else:
                # One bad call must not break the others: half of them, or each by itself.
                parts = self._parts(alive, error)
                error.__traceback__ = None  # its frames hold tensors
                for part in parts:
                    self._compute_group(part)
                return
        for parked in alive:
            parked.ready.set()

    def _parts(self, group: list[Parked], error: Exception) -> list[list[Parked]]:
        """Split a failed group."""
        if not is_out_of_memory(error):
            return [[parked] for parked in group]
        rows = sum(parked.call.rows for parked in group)
        curve = self.curves.setdefault(group[0].shape, CostCurve())
        curve.limit = max(1, min(curve.limit, rows // 2))
        logger.warning("out of memory with %d rows; from now on at most %d", rows, curve.limit)
        self._recover("rows", 0)
        middle = len(group) // 2
        return [group[:middle], group[middle:]]

    def _compute_last(self, parked: Parked, error: Exception) -> None:
        """A call failed by itself: make room and try again, or hand the error to its run."""
        attempt = 0
        while is_out_of_memory(error):
            error.__traceback__ = None  # its frames hold tensors
            if not self._recover(parked.kind, attempt):
                break
            attempt += 1
            try:
                self._compute([parked])
                return
            except Exception as again:
                error = again
        parked.error = error

    def _compute(self, group: list[Parked]) -> None:
        kind = group[0].kind
        # Also repairs the count for threads to come: runs set theirs to one.
        torch.set_num_threads(self.threads)
        with self._turn, self._pulse.computing(kind), torch.inference_mode():
            started = time.monotonic()  # waiting for another model's turn is no cost of this one
            self._prepare(kind)
            if group[0].compute is not None:
                group[0].output = group[0].compute()
            else:
                calls = [parked.arguments for parked in group]
                args, kwargs = join(calls)
                outputs = split(self.network(group[0].module)(*args, **kwargs), calls)
                for parked, output in zip(group, outputs, strict=True):
                    parked.output = output
            self.synchronize()
            seconds = time.monotonic() - started
        self._account(group, kind, seconds)

    def _account(self, group: list[Parked], kind: str, seconds: float) -> None:
        rows = sum(parked.call.rows for parked in group)
        self._pulse.took(kind, seconds)
        self.stats.computed(kind, len(group), rows, seconds)
        for parked in group:
            parked.run.busy_s += seconds * parked.call.rows / rows
            if len(group) > 1:
                parked.run.shared_forwards += 1
        shape = group[0].shape
        if shape is not None and seconds > 1e-7:
            if len(self.curves) > 256 and shape not in self.curves:
                self.curves.clear()
            self.curves.setdefault(shape, CostCurve()).observe(rows, seconds)

    def _row_caps(self, key: Hashable, rows: int) -> RowCaps:
        curve = self.curves.get(key)
        if curve is None:
            curve = CostCurve()
        peers = min(curve.limit, 2 * curve.knee())
        return RowCaps(peers, min(peers, curve.rows_within(rows, _STRETCH)))

    def _call(self, run: Run, key: Hashable, rows: int, remaining_s: float) -> Call:
        return Call(
            next(self._numbers),
            run.run_id,
            key,
            rows,
            time.monotonic(),
            remaining_s,
            run.job.priority,
        )

    def _wait(self, parked: Parked) -> Any:
        with self._changed:
            parked.run.job.checkpoint()
            if self._failed is not None:
                raise self._failed
            self._parked[parked.call.call_id] = parked
            self._scheduler.park(parked.call)
            self._changed.notify_all()
        parked.ready.wait()
        if parked.error is not None:
            raise parked.error
        parked.run.job.checkpoint()
        return parked.output

    def _take_out(self, parked: Parked) -> None:
        self._scheduler.remove(parked.call.call_id)
        self._parked.pop(parked.call.call_id, None)

    def _fail(self, error: BaseException, group: list[Parked]) -> None:
        """Let nobody wait for a thread that is gone: neither what it was computing nor the rest."""
        with self._changed:
            self._failed = GenerationFailed(
                f"The computing thread stopped: {type(error).__name__}.",
                hint="Restart the engine; the log has the details.",
            )
            for parked in (*group, *self._parked.values()):
                if not parked.ready.is_set():
                    self._scheduler.remove(parked.call.call_id)
                    parked.error = self._failed
                    parked.ready.set()
            self._parked.clear()


def _stop_reason(job: Job) -> EngineError:
    try:
        job.checkpoint()
    except EngineError as error:
        return error
    return EngineClosed("The request was stopped.", hint="Send it again.")
