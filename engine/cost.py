"""What a forward costs by its number of rows. Pure Python, no torch."""

from __future__ import annotations

from collections.abc import Mapping

# Weight of the newest measurement.
_SMOOTHING = 0.25
# A larger batch must beat the best smaller one by this share per row to be worth the wait.
_WORTHWHILE = 0.02
MAX_ROWS = 16


class CostCurve:
    """c(rows): seconds of one forward, measured at some row counts, interpolated between.

    Args:
        seconds: seconds by rows, as measured.
        limit: never more rows than this (memory).
    """

    def __init__(self, seconds: Mapping[int, float] | None = None, limit: int = MAX_ROWS) -> None:
        self._seconds: dict[int, float] = {}
        self.limit = limit
        for rows, value in (seconds or {}).items():
            self._check(rows, value)
            self._seconds[rows] = value

    def __bool__(self) -> bool:
        return bool(self._seconds)

    def measured(self) -> dict[int, float]:
        """Return the points, by rows."""
        return dict(sorted(self._seconds.items()))

    def observe(self, rows: int, seconds: float) -> None:
        """Take in a measurement; newer ones count more."""
        self._check(rows, seconds)
        known = self._seconds.get(rows)
        self._seconds[rows] = seconds if known is None else known + _SMOOTHING * (seconds - known)

    def seconds(self, rows: int) -> float:
        """Return the expected seconds of a forward of `rows` rows; 0 if nothing was measured.

        Beyond the last point the last slope goes on; before the first a forward costs the same.
        """
        points = sorted(self._seconds.items())
        if not points:
            return 0.0
        before = [point for point in points if point[0] <= rows]
        after = [point for point in points if point[0] >= rows]
        if before and after:
            (low, low_s), (high, high_s) = before[-1], after[0]
            share = 0.0 if high == low else (rows - low) / (high - low)
            return low_s + share * (high_s - low_s)
        if not before:
            return points[0][1]
        (last, last_s) = points[-1]
        per_row = last_s / last
        if len(points) > 1:
            (other, other_s) = points[-2]
            per_row = max((last_s - other_s) / (last - other), 0.0)
        return last_s + (rows - last) * per_row

    def row_cap(self) -> int:
        """Return the rows at which one more row no longer makes rows cheaper by 2 %.

        Where nothing is known, or only one point, that is the limit: batching is then an
        experiment whose outcome is observed.
        """
        best_rows, best = 0, float("inf")
        for rows, seconds in sorted(self._seconds.items()):
            if rows <= self.limit and seconds / rows < best * (1 - _WORTHWHILE):
                best_rows, best = rows, seconds / rows
        if len(self._seconds) < 2 or best_rows == 0:
            return self.limit
        return best_rows

    @staticmethod
    def _check(rows: int, seconds: float) -> None:
        if rows < 1 or not 0 < seconds < float("inf"):
            raise ValueError(f"{rows} rows in {seconds} s cannot be")
