"""What a page started and does not wait for: replay, remix, export. Kept in memory, bounded."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from agent_tools.callers import current_caller
from agent_tools.errors import AgentToolsError, NotFound, Overloaded, as_agent_tools_error
from server.logs import current_request_id

logger = logging.getLogger(__name__)

What = Literal["replay", "remix", "export"]
_KEPT = 500
_MOST_RUNNING = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        message: one sentence.
        same_bytes: replay only.
        reasons: why the bytes differ, or what needs attention.
        made: ids of the pictures it gave.
    """

    message: str
    same_bytes: bool | None = None
    reasons: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One thing that a page started; see `Outcome` for what it gave."""

    run_id: str
    what: What
    image_id: str
    caller: str | None
    state: Literal["running", "done", "failed"] = "running"
    message: str = ""
    hint: str = ""
    same_bytes: bool | None = None
    reasons: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


class Runs:
    """Start work and remember how it went; everything in one event loop."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, what: What, image_id: str, work: Callable[[], Awaitable[Outcome]]) -> Run:
        """Begin, as the present caller, and return at once.

        Raises:
            Overloaded: if very many run already.
        """
        if len(self._tasks) >= _MOST_RUNNING:
            raise Overloaded(
                "Many things were started from this page already.",
                hint="Wait until one of them is done.",
                data={"retry_after_s": 10.0},
            )
        run = Run(secrets.token_urlsafe(9), what, image_id, current_caller())
        self._runs[run.run_id] = run
        while len(self._runs) > _KEPT:
            self._runs.popitem(last=False)
        task = asyncio.get_running_loop().create_task(self._finish(run, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    def get(self, run_id: str) -> Run:
        """Return one run of the present caller.

        Raises:
            NotFound: if there is none.
        """
        run = self._runs.get(run_id)
        if run is None or run.caller != current_caller():
            raise NotFound(
                f"There is no run '{run_id[:80]}'.", hint="It may be long over; see the gallery."
            )
        return run

    async def close(self) -> None:
        """End what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _finish(self, run: Run, work: Callable[[], Awaitable[Outcome]]) -> None:
        try:
            outcome = await work()
        except Exception as error:
            told = as_agent_tools_error(error)
            if told is None:
                logger.exception("What a page started failed unexpectedly")
                told = AgentToolsError(
                    "It failed because of a fault in the server.",
                    hint=f"Tell the server's operator the request id {current_request_id()}.",
                )
            self._set(replace(run, state="failed", message=told.message, hint=told.hint))
        else:
            self._set(
                replace(
                    run,
                    state="done",
                    message=outcome.message,
                    same_bytes=outcome.same_bytes,
                    reasons=outcome.reasons,
                    made=outcome.made,
                )
            )

    def _set(self, run: Run) -> None:
        if run.run_id in self._runs:
            self._runs[run.run_id] = run
