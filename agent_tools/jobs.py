"""Jobs: calls that go on after they were answered, kept in the gallery's database.

A job's row is committed (synchronous=FULL) before anybody hears its id, and so is its end before
anybody hears of that. What runs lives in this process's memory; the row names the process, so that
after a crash the next one who asks learns that the job is lost and which tool to call again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from agent_tools.callers import current_caller
from agent_tools.errors import AgentToolsError, NotFound
from agent_tools.shared_work import SharedWork
from agent_tools.tools.base import Progress, ProgressEvent

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.process_mark import ProcessMark

Status = Literal["working", "input_required", "completed", "failed", "cancelled"]
KEPT_S = 24 * 3600.0
_SETTLING_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Attributes:
        status: "completed" also when the tool said no; "failed" if it never came to an answer.
        answer: what the door answers, JSON-ready and its own business.
        text: the tool's result in words.
        data: the tool's structured result.
        image_ids: the pictures that the result shows.
        error: code, message, hint, retryable and data of what the tool refused or ran into.
    """

    status: Status
    answer: dict[str, Any] | None = None
    text: str = ""
    data: dict[str, Any] | None = None
    image_ids: tuple[str, ...] = ()
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it is right now.

    Attributes:
        job_id: "job_" and 160 random bits in hex.
        message: how far it is, or how it ended, for people.
        created_at: seconds since the epoch.
        updated_at: the same, when its state was last seen to change.
        kept_s: how long after `created_at` it can be asked for.
        questions: what it waits to be told; empty unless `input_required`.
        outcome: how it ended; None while it runs.
    """

    job_id: str
    tool: str
    status: Status
    message: str
    created_at: float
    updated_at: float
    kept_s: float
    questions: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None


class Jobs:
    """Keep jobs of a studio. Each belongs to the caller who made it; to others it does not exist.

    Args:
        gallery: in whose database they are kept.
        mark: names this process in it.
        kept_s: how long after their start they are kept.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        gallery: Gallery,
        mark: ProcessMark,
        *,
        kept_s: float = KEPT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gallery = gallery
        self._kept_s = kept_s
        self._clock = clock
        self._mark = mark
        self._running: dict[str, SharedWork[dict[str, Any]]] = {}
        self._stopping = False
        with gallery.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, caller TEXT, tool TEXT, "
                "process TEXT, status TEXT, message TEXT, created_at REAL, updated_at REAL, "
                "outcome TEXT)"
            )

    def keep(self, tool: str, work: SharedWork[dict[str, Any]]) -> Job:
        """Make running work a job of the current caller, once; it then needs nobody who waits.

        Args:
            tool: what was called.
            work: returns `as_json` of an `Outcome`.
        """
        for job_id, running in self._running.items():
            if running is work:
                return self.get(job_id)
        job_id = f"job_{secrets.token_hex(20)}"
        now = self._clock()
        row = (job_id, current_caller(), tool, self._mark.name, "working", "Begun.", now, now, None)
        with self._gallery.transaction() as connection:
            self._sweep(connection)
            connection.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        work.keep()
        self._running[job_id] = work
        work.when_done(lambda: self._settle(job_id))
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """Return a job of the current caller.

        Raises:
            NotFound: if there is none of that id, it is another caller's, or its time is over.
        """
        self._settle(job_id)
        row = self._row(job_id)
        if row["outcome"] is None and not self._mark.lives(row["process"]):
            self._end(job_id, _lost(row["tool"]))
            row = self._row(job_id)
        outcome = None if row["outcome"] is None else outcome_from(json.loads(row["outcome"]))
        work = self._running.get(job_id)
        status, message, questions = row["status"], row["message"], {}
        if outcome is None and work is not None:
            questions = dict(work.questions)
            status = "input_required" if questions else "working"
            message = work.progress.message if work.progress else message
        return Job(
            job_id=job_id,
            tool=row["tool"],
            status=status,
            message=message,
            created_at=row["created_at"],
            updated_at=row["updated_at"] if outcome or not work else work.changed_at,
            kept_s=self._kept_s,
            questions=questions,
            outcome=outcome,
        )

    async def wait(self, job_id: str, seconds: float, progress: Progress) -> Job:
        """Wait for a job's end, a question or `seconds`, and return it; reports how far it is.

        A job that another process runs is returned as it is.

        Raises:
            NotFound: as `get`.
        """
        job = self.get(job_id)
        work = self._running.get(job_id)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        told: ProgressEvent | None = None
        while work is not None and not work.done and not work.questions:
            if work.progress is not None and work.progress is not told:
                told = work.progress
                await progress(told)
                continue  # it may have moved on meanwhile
            left = end - loop.time()
            if left <= 0:
                break
            await work.changed(left)
        return job if work is None else self.get(job_id)

    def answer(self, job_id: str, answers: dict[str, Any]) -> None:
        """Hand answers to a job that asks; those to nothing that is asked are ignored.

        Raises:
            NotFound: as `get`.
        """
        self.get(job_id)
        work = self._running.get(job_id)
        if work is not None:
            work.answer(answers)

    async def cancel(self, job_id: str) -> Job:
        """Stop a job and return it once it has stopped; one that has ended stays as it is.

        Raises:
            NotFound: as `get`.
            AgentToolsError: if another process of this data directory runs it.
        """
        job = self.get(job_id)
        if job.outcome is not None:
            return job
        work = self._running.get(job_id)
        if work is None:
            raise AgentToolsError(
                "This job is run by another process, which alone can stop it.",
                code="elsewhere",
                hint="Send the call to the server that answered with this job_id.",
            )
        work.cancel()
        await work.settled(_SETTLING_S)
        return self.get(job_id)

    async def close(self) -> None:
        """Stop what runs and note it; called before the gallery closes."""
        self._stopping = True
        running = list(self._running.items())
        for _, work in running:
            work.cancel()
        for job_id, work in running:
            await work.settled(_SETTLING_S)
            self._settle(job_id)
        self._running.clear()

    def _row(self, job_id: str) -> sqlite3.Row:
        with self._gallery.lock:
            row: sqlite3.Row | None = self._gallery.connection.execute(
                "SELECT * FROM jobs WHERE job_id = ? AND caller IS ?", (job_id, current_caller())
            ).fetchone()
        over = row is not None and row["created_at"] + self._kept_s < self._clock()
        if row is None or (over and row["outcome"] is not None):
            raise NotFound(
                f"There is no job '{job_id[:80]}'.",
                hint="Use the job_id of a call that went on in the background; jobs are kept for "
                f"{self._kept_s / 3600:.0f} hours. Otherwise call the tool again.",
            )
        return row

    def _settle(self, job_id: str) -> None:
        """Write the end of work that has ended."""
        work = self._running.get(job_id)
        if work is None or not work.done:
            return
        try:
            outcome = outcome_from(work.result())
        except asyncio.CancelledError:
            outcome = _stopped() if self._stopping else Outcome("cancelled", text="Cancelled.")
        except Exception as error:
            outcome = Outcome("failed", text="A fault in the server.", error=_described(error))
        self._end(job_id, outcome)
        del self._running[job_id]

    def _end(self, job_id: str, outcome: Outcome) -> None:
        message = outcome.error["message"] if outcome.error else _first_line(outcome.text)
        if outcome.error and outcome.error["hint"]:
            message = f"{message} {outcome.error['hint']}"
        values = (outcome.status, message, self._clock(), json.dumps(as_json(outcome)), job_id)
        with self._gallery.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET status = ?, message = ?, updated_at = ?, outcome = ? "
                "WHERE job_id = ? AND outcome IS NULL",
                values,
            )

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Remove jobs whose time is over, but none that runs."""
        old = self._clock() - self._kept_s
        processes = connection.execute(
            "SELECT DISTINCT process FROM jobs WHERE created_at < ? AND outcome IS NULL", (old,)
        ).fetchall()
        alive = [row[0] for row in processes if self._mark.lives(row[0])]
        marks = ", ".join("?" * len(alive))
        connection.execute(
            f"DELETE FROM jobs WHERE created_at < ? AND (outcome IS NOT NULL OR process NOT IN "
            f"({marks}))",
            (old, *alive),
        )


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON-ready values, not copied."""
    return {part.name: getattr(outcome, part.name) for part in fields(Outcome)}


def outcome_from(values: dict[str, Any]) -> Outcome:
    """Return the outcome of `as_json`, also after a way through JSON."""
    return Outcome(**{**values, "image_ids": tuple(values["image_ids"])})


def _failed(message: str, hint: str, code: str) -> Outcome:
    error = {"code": code, "message": message, "hint": hint, "retryable": True, "data": {}}
    return Outcome("failed", text=f"{message} {hint}", error=error)


def _lost(tool: str) -> Outcome:
    return _failed(
        f"The server was restarted before this {tool} was done.",
        f"Call {tool} again with the same arguments.",
        "interrupted",
    )


def _stopped() -> Outcome:
    return _failed(
        "The server was stopped before this was done.", "Call the tool again.", "interrupted"
    )


def _described(error: Exception) -> dict[str, Any]:
    return {
        "code": "internal",
        "message": f"A fault in the server ({type(error).__name__}).",
        "hint": "Call the tool again; tell the server's operator if it fails again.",
        "retryable": False,
        "data": {},
    }


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0][:300]
