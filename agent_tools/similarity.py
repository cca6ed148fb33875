"""How alike two pictures are: a plain measure of colors and layout, not of identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Tools import this before anything is compared, and numpy takes a tenth of a second.
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Floats = npt.NDArray[np.floating]

_BINS = 8
_GRID = 16
_COLORS = _BINS**3
LOOK_SIZE = _COLORS + _GRID * _GRID


def similarity(first: Image.Image, second: Image.Image) -> float:
    """Return how alike two pictures are, from 0 to 1 (same pixels).

    The mean of two measures: the intersection of their color histograms (8 bins a channel, Swain
    and Ballard 1991, doi:10.1007/BF00130487), and the correlation of their 16 x 16 gray thumbnails,
    negative values counting as 0. It sees another coat or background, not a shifted eyebrow.
    """
    return round(float(likeness(look_of(first)[None], look_of(second))[0]), 3)


def look_of(image: Image.Image) -> Floats:
    """Return what `likeness` compares, shape (768,).

    The shares of 512 color bins, which sum to 1, then 256 gray values less their mean.
    """
    import numpy as np

    gray = np.asarray(image.convert("L").resize((_GRID, _GRID)), dtype=np.float64).ravel()
    return np.concatenate((_histogram(image), gray - gray.mean()))


def likeness(looks: Floats, look: Floats) -> Floats:
    """Return `similarity` of many pictures to one, shape (n,), from looks of shape (n, 768)."""
    import numpy as np

    colors = np.minimum(looks[:, :_COLORS], look[:_COLORS]).sum(axis=1)
    grids, grid = looks[:, _COLORS:], look[_COLORS:]
    norms = np.linalg.norm(grids, axis=1) * np.linalg.norm(grid)
    # A flat picture has no layout; two of them are alike in that.
    flat = ~grids.any(axis=1) & (not grid.any())
    correlation = np.where(norms > 0, (grids @ grid) / np.where(norms > 0, norms, 1.0), flat)
    result: Floats = (colors + np.maximum(correlation, 0.0)) / 2
    return result


def _histogram(image: Image.Image) -> Floats:
    """Return the shares of the 512 color bins; they sum to 1."""
    import numpy as np

    bins = np.asarray(image.convert("RGB").resize((64, 64))).reshape(-1, 3) // (256 // _BINS)
    index = bins.astype(np.int64) @ np.array([_BINS * _BINS, _BINS, 1])
    return np.bincount(index, minlength=_COLORS) / len(index)
