"""Shapes in masks: growing, joining, comparing them. Flags have shape (height, width)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def overlap(one: Flags, other: Flags) -> float:
    """Return intersection over union."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0


def spread(reached: Flags, horizontal: Flags, vertical: Flags) -> Flags:
    """Grow `reached` along open links until nothing changes, by sweeps in four directions."""
    columns, rows = reached.T.copy(), reached
    across = np.ascontiguousarray(horizontal.T)
    before = -1
    while (count := int(rows.sum())) != before:
        before = count
        columns = np.ascontiguousarray(rows.T)
        for x in range(1, len(columns)):
            columns[x] |= columns[x - 1] & across[x - 1]
        for x in range(len(columns) - 2, -1, -1):
            columns[x] |= columns[x + 1] & across[x]
        rows = np.ascontiguousarray(columns.T)
        for y in range(1, len(rows)):
            rows[y] |= rows[y - 1] & vertical[y - 1]
        for y in range(len(rows) - 2, -1, -1):
            rows[y] |= rows[y + 1] & vertical[y]
    return rows


def grow(flags: Flags, radius: int) -> Flags:
    """Dilate by a square of `radius` pixels."""
    grown = flags.copy()
    for _ in range(radius):
        wide = grown.copy()
        wide[:, 1:] |= grown[:, :-1]
        wide[:, :-1] |= grown[:, 1:]
        grown = wide.copy()
        grown[1:] |= wide[:-1]
        grown[:-1] |= wide[1:]
    return grown


def part_at(flags: Flags, row: int, column: int) -> Flags:
    """Return the connected part of `flags` that holds the pixel, or the part nearest to it."""
    rows, columns = np.nonzero(flags)
    if not len(rows):
        return flags
    nearest = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
    seed = np.zeros_like(flags)
    seed[rows[nearest], columns[nearest]] = True
    return spread(seed, flags[:, 1:] & flags[:, :-1], flags[1:] & flags[:-1])


def enclosed(flags: Flags) -> Flags:
    """Return the holes: what no path from the picture's border reaches without crossing `flags`."""
    free = ~flags
    outside = np.zeros_like(flags)
    outside[[0, -1]], outside[:, [0, -1]] = free[[0, -1]], free[:, [0, -1]]
    reached = spread(outside, free[:, 1:] & free[:, :-1], free[1:] & free[:-1])
    holes: Flags = free & ~reached
    return holes


def without_pinholes(flags: Flags, radius: int) -> Flags:
    """Fill enclosed holes narrower than twice `radius` pixels."""
    closed = ~grow(~grow(flags, radius), radius)
    filled: Flags = flags | (closed & enclosed(flags))
    return filled


def box_sum(values: Floats, radius: int) -> Floats:
    """Sum over a square window of 2 * radius + 1 pixels, edges padded with zeros."""
    padded = np.pad(values.astype(np.float64), ((radius + 1, radius), (radius + 1, radius), (0, 0)))
    table = padded.cumsum(axis=0).cumsum(axis=1)
    width = 2 * radius + 1
    sums = table[width:, width:] - table[:-width, width:] - table[width:, :-width]
    result: Floats = (sums + table[:-width, :-width]).astype(np.float32)
    return result
