"""Idempotency keys: a call that is made again with the same key is not done again.

The key is the caller's, so two callers never meet. Its row goes from pending to done with the
result, both committed (synchronous=FULL) before anybody is answered; after a day it is forgotten.
A call that fails or is cancelled leaves no row: the retry tries again. If the process dies in
between, the retry does the work again, and `seed_of` sees to it that it makes the same pictures,
byte for byte, which the gallery keeps once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from agent_tools.callers import current_caller
from agent_tools.errors import AgentToolsError, InvalidArguments, Overloaded
from agent_tools.shared_work import SharedWork

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.process_mark import ProcessMark

KEPT_S = 24 * 3600.0
MAX_KEY_LENGTH = 255
Result = dict[str, Any]
Work = Callable[[SharedWork[Result]], Awaitable[Result]]


class Idempotency:
    """Remember what calls with a key gave, in the gallery's database.

    Args:
        gallery: in whose database it is kept.
        mark: names this process in it.
        kept_s: how long.
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
        self._running: dict[tuple[str, str], SharedWork[Result]] = {}
        with gallery.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS idempotency (caller TEXT, key TEXT, said TEXT, "
                "process TEXT, created_at REAL, result TEXT, PRIMARY KEY (caller, key))"
            )

    async def once(
        self,
        key: str,
        said: Any,
        work: Callable[[], Awaitable[Result]],
        keep: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """Do `work` unless the current caller did it before under this key; return its result.

        Calls with the same key at the same time wait for one run.

        Args:
            key: 1 to 255 printable ASCII characters, chosen by the caller for this one job.
            said: all that was asked, JSON-ready; another content under the same key is refused.
            work: does it and returns something JSON-ready.
            keep: whether a result shall answer later calls; what it declines may be tried again.

        Raises:
            InvalidArguments: for a malformed key.
            AgentToolsError: "idempotency_conflict" if the key was used for something else.
            Overloaded: if another process is just doing it.
        """
        shared = await self.begin(key, said, lambda _: work(), keep)
        await shared.wait()
        return shared.result()

    async def begin(
        self, key: str, said: Any, work: Work, keep: Callable[[Result], bool] = lambda _: True
    ) -> SharedWork[Result]:
        """Return the one run of `work` under this key: new, under way or long done. As `once`."""
        check_key(key)
        name = (current_caller() or "", key)
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        # One that was told to stop is nothing to wait for: begin anew when it is gone.
        while (running := self._running.get(name)) is not None and running.stopping:
            await running.settled()
            self._forget(name, running)
        now = self._clock()
        # No other coroutine runs from here to the end, and no other process within the transaction.
        with self._gallery.transaction() as connection:
            connection.execute(
                "DELETE FROM idempotency WHERE created_at < ?", (now - self._kept_s,)
            )
            row = connection.execute(
                "SELECT said, process, result FROM idempotency WHERE caller = ? AND key = ?", name
            ).fetchone()
            if row is not None and row["said"] != digest:
                raise _conflict(key)
            if row is not None and row["result"] is not None:
                result = json.loads(row["result"])
                return SharedWork(lambda _: _already(result))
            if running is not None:
                return running
            if row is not None and self._mark.lives(row["process"]):
                raise Overloaded(
                    "Another process of this server is just doing this.",
                    hint="Call again with the same idempotency key.",
                    data={"retry_after_s": 5.0},
                )
            connection.execute(
                "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, NULL)",
                (*name, digest, self._mark.name, now),
            )
        shared = SharedWork(lambda self_: self._recorded(name, self_, work, keep))
        self._running[name] = shared
        shared.when_done(lambda: self._forget(name, shared))
        return shared

    async def _recorded(
        self,
        name: tuple[str, str],
        shared: SharedWork[Result],
        work: Work,
        keep: Callable[[Result], bool],
    ) -> Result:
        result = await work(shared)
        if keep(result):
            with self._gallery.transaction() as connection:
                connection.execute(
                    "UPDATE idempotency SET result = ? WHERE caller = ? AND key = ?",
                    (json.dumps(result), *name),
                )
        return result

    def _forget(self, name: tuple[str, str], shared: SharedWork[Result]) -> None:
        """Leave no row of work that has ended without a result to keep."""
        if self._running.get(name) is not shared:
            return
        del self._running[name]
        with self._gallery.transaction() as connection:
            connection.execute(
                "DELETE FROM idempotency WHERE caller = ? AND key = ? AND result IS NULL", name
            )


def check_key(key: Any) -> None:
    """Check a key that came from outside.

    Raises:
        InvalidArguments: unless it is 1 to 255 printable ASCII characters.
    """
    fits = isinstance(key, str) and 1 <= len(key) <= MAX_KEY_LENGTH
    if not fits or not (key.isascii() and key.isprintable()):
        raise InvalidArguments(
            "The idempotency key is malformed.",
            hint=f"Send 1 to {MAX_KEY_LENGTH} printable ASCII characters, such as a UUID.",
        )


def seed_of(key: str) -> int:
    """Return the seed, within [0, 2**32), of the current caller's call under `key`.

    A call without a seed of its own takes it, so that a retry after a crash paints the same.
    """
    said = json.dumps([current_caller(), key]).encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:4], "big")


async def _already(result: Result) -> Result:
    return result


def _conflict(key: str) -> AgentToolsError:
    return AgentToolsError(
        f"The idempotency key '{key[:40]}' was used for another call.",
        code="idempotency_conflict",
        hint="Use a new key for every new call, and the same one only to repeat a call.",
    )
