"""Work that several callers wait for: it goes on while anybody does, and stops when nobody does.

A call and its retry wait for one painting; a job keeps one going after its call was answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from agent_tools.tools.base import Progress, ProgressEvent

logger = logging.getLogger(__name__)

T = TypeVar("T")
# The event loop itself holds tasks only weakly.
_running: set[asyncio.Task[Any]] = set()


class SharedWork(Generic[T]):
    """A running piece of work, its latest progress and what it asks its caller.

    Belongs to the event loop that it was started in.

    Attributes:
        progress: the newest report, or None.
        questions: what it waits to be told, by name; `answer` takes the answers.
        changed_at: when it last reported, asked or went on; seconds since the epoch.
    """

    def __init__(self, start: Callable[[SharedWork[T]], Awaitable[T]]) -> None:
        """Start `start(self)`."""
        self.progress: ProgressEvent | None = None
        self.questions: dict[str, Any] = {}
        self.changed_at = time.time()
        self._waiting = 0
        self._kept = False
        self._listeners: list[Progress] = []
        self._changes: set[asyncio.Future[None]] = set()
        self._answers: dict[str, Any] = {}
        self._asked: set[str] = set()
        self._task: asyncio.Task[T] = asyncio.create_task(_run(start, self))
        _running.add(self._task)
        self._task.add_done_callback(_running.discard)
        self._task.add_done_callback(lambda _: self._changed())

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._task.done()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._task.cancelling() > 0

    @property
    def kept(self) -> bool:
        """Whether it goes on without anybody waiting."""
        return self._kept

    def result(self) -> T:
        """Return what it returned or raise what it raised, CancelledError among it."""
        return self._task.result()

    async def wait(self, seconds: float | None = None, listener: Progress | None = None) -> bool:
        """Wait until it has ended, or for some seconds; return whether it has.

        If the waiting is cancelled and nobody else waits, the work is cancelled too.

        Args:
            seconds: None for as long as it takes.
            listener: hears all that it reports meanwhile, in order.
        """
        self._waiting += 1
        if listener is not None:
            self._listeners.append(listener)
        try:
            await asyncio.wait({self._task}, timeout=seconds)
        except asyncio.CancelledError:
            if self._waiting == 1 and not self._kept:
                self._task.cancel()
            raise
        finally:
            self._waiting -= 1
            if listener is not None and listener in self._listeners:
                self._listeners.remove(listener)
        return self._task.done()

    async def settled(self, seconds: float | None = None) -> None:
        """Wait until it has ended, or for some seconds, as a mere onlooker."""
        await asyncio.wait({self._task}, timeout=seconds)

    async def changed(self, seconds: float | None = None) -> None:
        """Wait until it reports, asks, goes on or ends, or for some seconds, as an onlooker."""
        if self.done:
            return
        change = asyncio.get_running_loop().create_future()
        self._changes.add(change)
        try:
            await asyncio.wait({change}, timeout=seconds)
        finally:
            self._changes.discard(change)

    def when_done(self, act: Callable[[], None]) -> None:
        """Call `act` once it has ended."""
        self._task.add_done_callback(lambda _: act())

    def keep(self) -> None:
        """Let it go on without anybody waiting, until it ends or `cancel` is called."""
        self._kept = True

    def cancel(self) -> None:
        """Stop it for everybody."""
        self._task.cancel()

    async def report(self, event: ProgressEvent) -> None:
        """Note how far it is and tell those who listen; called by the work."""
        self.progress = event
        self._changed()
        for listener in tuple(self._listeners):
            try:
                await listener(event)
            except Exception:
                # One client that went away must not end what others wait for.
                logger.debug("A listener could not be told of progress", exc_info=True)
                self._listeners.remove(listener)

    async def ask(self, questions: dict[str, Any]) -> dict[str, Any]:
        """Wait until all questions are answered; called by the work.

        A name that was used before is made a new one, so that a late answer cannot be taken for
        that of a later question.
        """
        shown: dict[str, str] = {}
        for name in questions:
            new, number = name, 2
            while new in self._asked:
                new, number = f"{name}-{number}", number + 1
            self._asked.add(new)
            shown[new] = name
        self._answers = {}
        self.questions = {new: questions[name] for new, name in shown.items()}
        self._changed()
        while self.questions:
            await self.changed()
        return {shown[new]: answer for new, answer in self._answers.items()}

    def answer(self, answers: dict[str, Any]) -> None:
        """Take answers; those to nothing that is asked right now are ignored."""
        for name, answer in answers.items():
            if self.questions.pop(name, None) is not None:
                self._answers[name] = answer
        self._changed()

    def _changed(self) -> None:
        self.changed_at = time.time()
        for change in self._changes:
            if not change.done():
                change.set_result(None)


async def _run(start: Callable[[SharedWork[T]], Awaitable[T]], work: SharedWork[T]) -> T:
    return await start(work)
