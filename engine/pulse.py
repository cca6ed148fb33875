"""How long computations take, and whether the one under way takes too long. Pure Python."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from engine.stats import Health

# A computation that takes this many times the median of its kind is wedged ...
_WEDGED_FACTOR = 10.0
# ... but not before this long, and as long as there is no median, not before that long.
_WEDGED_FLOOR_S = 5.0
_WEDGED_UNKNOWN_S = 600.0
_ENOUGH = 3


class Pulse:
    """Time what one thread computes; others may look on without waiting."""

    def __init__(self) -> None:
        self._under_way: tuple[str, float] | None = None
        self._recent: dict[str, deque[float]] = {}

    @contextmanager
    def computing(self, kind: str) -> Iterator[None]:
        """Mark a computation of a kind as under way."""
        self._under_way = (kind, time.monotonic())
        try:
            yield
        finally:
            self._under_way = None

    def took(self, kind: str, seconds: float) -> None:
        """Take in how long a computation took."""
        self._recent.setdefault(kind, deque(maxlen=64)).append(seconds)

    def usual_s(self, kind: str) -> float:
        """Return the median of the recent ones, seconds; 0 if there are none."""
        recent = self._recent.get(kind)
        return statistics.median(recent) if recent else 0.0

    def health(self) -> Health:
        """Say whether the computation under way takes much longer than its kind usually does."""
        under_way = self._under_way
        if under_way is None:
            return Health(True, "")
        kind, since = under_way
        elapsed = time.monotonic() - since
        limit = _WEDGED_UNKNOWN_S
        if len(self._recent.get(kind, ())) >= _ENOUGH:
            limit = max(_WEDGED_FLOOR_S, _WEDGED_FACTOR * self.usual_s(kind))
        if elapsed <= limit:
            return Health(True, "")
        return Health(
            False,
            f"One {kind} call has been computing for {elapsed:.0f} s; {limit:.0f} s is the limit.",
        )
