"""A few bytes kept at hand: what was read last, up to a limit."""

from __future__ import annotations

import threading
from collections import OrderedDict


class RecentBytes:
    """Keep the values used last, at most `limit` bytes in all. Safe from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return a value, or None if it was never kept or had to go."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: str, value: bytes) -> None:
        """Keep a value; the ones not used for longest go if there is no room."""
        with self._lock:
            self._size -= len(self._values.pop(key, b""))
            self._values[key] = value
            self._size += len(value)
            while self._size > self._limit:
                _, gone = self._values.popitem(last=False)
                self._size -= len(gone)
