"""Counting tool calls, from whichever door they came: outcomes and how long they took."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BUCKETS_S = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(slots=True)
class Histogram:
    """Durations by bucket; the last count is of those longer than every bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds


class CallCounts:
    """Count calls by tool and outcome. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, Histogram] = {}

    def add(self, tool: str, outcome: str, seconds: float) -> None:
        """Count one call.

        Args:
            tool: a known tool's name.
            outcome: "ok", "cancelled", "internal" or the code of the error.
            seconds: how long it took.
        """
        with self._lock:
            self._outcomes[tool, outcome] += 1
            self._durations.setdefault(tool, Histogram()).add(seconds)

    def snapshot(self) -> tuple[dict[tuple[str, str], int], dict[str, Histogram]]:
        """Return copies of both: calls by (tool, outcome), durations by tool."""
        with self._lock:
            durations = {
                tool: Histogram([*found.counts], found.total_s)
                for tool, found in self._durations.items()
            }
            return dict(self._outcomes), durations
