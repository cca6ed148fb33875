"""What painting costs a caller: seconds of the engine's work within the last hour."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from agent_tools.errors import Overloaded

HOUR_S = 3600.0


class Budget:
    """Let each caller use `limit_s` seconds of painting an hour. Thread-safe; in memory.

    What a painting costs is known when it ends, so the one that passes the limit is finished.
    """

    def __init__(
        self, limit_s: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: dict[str, deque[tuple[float, float]]] = {}

    def check(self, caller: str | None) -> None:
        """Let a caller with something left pass.

        Raises:
            Overloaded: code "budget_spent", with the seconds after which something is left.
        """
        if self._limit_s is None:
            return
        with self._lock:
            entries = self._recent(caller or "")
            total = sum(cost for _, cost in entries)
            if total < self._limit_s:
                return
            over, free_at = total - self._limit_s, self._clock()
            for moment, cost in entries:
                over -= cost
                free_at = moment + HOUR_S
                if over < 0:
                    break
            wait_s = max(1.0, free_at - self._clock())
        raise Overloaded(
            f"You have used {total:.0f} of {self._limit_s:g} seconds of painting this hour.",
            code="budget_spent",
            hint="What was painted before is still there; wait for the rest.",
            data={"retry_after_s": round(wait_s, 1)},
        )

    def spend(self, caller: str | None, seconds: float) -> None:
        """Book the seconds that a painting took."""
        if self._limit_s is None or seconds <= 0:
            return
        with self._lock:
            self._recent(caller or "").append((self._clock(), seconds))

    def _recent(self, caller: str) -> deque[tuple[float, float]]:
        since = self._clock() - HOUR_S
        for name in [name for name, kept in self._spent.items() if kept and kept[-1][0] <= since]:
            del self._spent[name]
        entries = self._spent.setdefault(caller, deque())
        while entries and entries[0][0] <= since:
            entries.popleft()
        return entries
