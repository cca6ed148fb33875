"""What a forward costs by its number of rows. Pure Python, no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

# Weight of the newest measurement.
_SMOOTHING = 0.25
# Nothing is computed faster; a clock that says so says nothing.
_LEAST_S = 1e-7
# Rows are added until one costs this share more than in an endless batch.
_DEARER = 0.25
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

    def knee(self) -> int:
        """Return the rows at which a row costs 25 % more than in an endless batch.

        From the line a + b * rows through the points: single measurements are noisy on a busy
        machine. Where nothing is known, or only one point, it is the limit: sharing is then an
        experiment whose outcome is observed.
        """
        if len(self._seconds) < 2:
            return self.limit
        base, per_row = self._line()
        if per_row <= 0:
            return self.limit
        return max(1, min(self.limit, math.ceil(base / (_DEARER * per_row))))

    def rows_within(self, rows: int, stretch: float) -> int:
        """Return how many rows take at most `stretch` times as long as `rows` rows do."""
        most = stretch * self.seconds(rows)
        fitting = [n for n in range(rows, self.limit + 1) if self.seconds(n) <= most]
        return max(fitting, default=rows)

    def _line(self) -> tuple[float, float]:
        """Fit a + b * rows with the least relative error; return (a, b)."""
        # Weighted normal equations; the weights make errors relative.
        sums = [0.0] * 5
        for rows, seconds in self._seconds.items():
            weight = 1 / seconds**2
            for index, term in enumerate((1, rows, rows * rows, seconds, rows * seconds)):
                sums[index] += weight * term
        ones, first, second, value, mixed = sums
        determinant = ones * second - first * first
        if determinant <= 0:
            return 0.0, 0.0
        per_row = (ones * mixed - first * value) / determinant
        return (value - per_row * first) / ones, per_row

    @staticmethod
    def _check(rows: int, seconds: float) -> None:
        if rows < 1 or not _LEAST_S <= seconds < float("inf"):
            raise ValueError(f"{rows} rows in {seconds} s cannot be")
