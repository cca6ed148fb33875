"""Counters of one engine, and whether it is well. Pure Python."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the engine makes progress, and why not."""

    ok: bool
    reason: str


class EngineStats:
    """Count what was computed. Thread-safe.

    Attributes are read with `snapshot`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._rows: Counter[int] = Counter()

    def computed(self, kind: str, calls: int, rows: int, seconds: float) -> None:
        """Count one computation of a kind: "denoise", "text", "encode" or "decode"."""
        with self._lock:
            self._counts[f"{kind}_computations"] += 1
            self._counts[f"{kind}_calls"] += calls
            self._counts[f"{kind}_rows"] += rows
            # whole microseconds: Counter is one of integers
            self._seconds[kind] += round(seconds * 1e6)
            if kind == "denoise":
                self._rows[rows] += 1

    def spent(self, name: str, seconds: float) -> None:
        """Add seconds to `<name>_seconds`; "overhead": CPU time of all but the networks."""
        with self._lock:
            self._seconds[name] += round(seconds * 1e6)

    def count(self, name: str, by: int = 1) -> None:
        """Count an event such as "text_cache_hits" or "cancelled"."""
        with self._lock:
            self._counts[name] += by

    def snapshot(self) -> dict[str, float]:
        """Return all counters; `*_seconds` and `rows_mean` among them."""
        with self._lock:
            numbers: dict[str, float] = dict(self._counts)
            for kind, microseconds in self._seconds.items():
                numbers[f"{kind}_seconds"] = microseconds / 1e6
            forwards = sum(self._rows.values())
            if forwards:
                rows = sum(count * times for count, times in self._rows.items())
                numbers["rows_mean"] = rows / forwards
                numbers["rows_max"] = max(self._rows)
            return numbers
