"""A box blur whose cost does not depend on its radius."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def blurred(pixels: npt.NDArray[np.float32], radius: int, axis: int) -> npt.NDArray[np.float32]:
    """Return the mean over `radius` pixels to each side, along one axis.

    Args:
        pixels: (height, width, channels), any range; beyond the edge it goes on as at the edge.
        radius: pixels, 0 or more.
        axis: 0 (down) or 1 (across).
    """
    padding = [(0, 0)] * pixels.ndim
    padding[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(pixels, padding, mode="edge"), axis=axis, dtype=np.float64)
    length = 2 * radius + 1
    count = pixels.shape[axis]
    upper = np.take(sums, np.arange(length, length + count), axis=axis)
    lower = np.take(sums, np.arange(count), axis=axis)
    mean: npt.NDArray[np.float32] = ((upper - lower) / length).astype(np.float32)
    return mean
