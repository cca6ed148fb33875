"""Runs of pipelines, and the calls in which they wait for the computing thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from engine.collate import Arguments, Digests
from engine.jobs import Job
from engine.scheduler import Call


@dataclass(slots=True)
class Run:
    """One pipeline call.

    Attributes:
        job: what it belongs to.
        shareable: whether its forwards may be joined with others.
        exclusive: whether no other run may compute between its first forward and its end.
        steps: denoising steps it will make, as far as known.
        done_steps: those it has made.
        forwards: denoiser forwards it has made.
        shared_forwards: those of them that were joined with other runs'.
        busy_s: computing time it cost; a joined forward counts by its rows.
    """

    job: Job
    shareable: bool = True
    exclusive: bool = False
    steps: int = 1
    done_steps: int = 0
    forwards: int = 0
    shared_forwards: int = 0
    busy_s: float = 0.0
    run_id: int = 0
    digests: Digests = field(default_factory=Digests)

    def forwards_left(self) -> float:
        """Estimate the denoiser forwards still to come, the next one included."""
        per_step = max(1.0, self.forwards / max(self.done_steps, 1))
        return max(1.0, (self.steps - self.done_steps) * per_step)


@dataclass(slots=True)
class Parked:
    """A call that a run waits for."""

    call: Call
    run: Run
    kind: str
    compute: Callable[[], Any] | None = None
    module: Any = None
    shape: Hashable = None
    arguments: Arguments = ((), {})
    ready: threading.Event = field(default_factory=threading.Event)
    output: Any = None
    error: BaseException | None = None
