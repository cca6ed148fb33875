"""How alike two portraits are: a plain measure of the head, made for one face in many pictures.

It compares colors and their places in the part of the picture where the head is, leaving the
background and most of the clothing out, so that another expression, backdrop or coat changes little
and other hair, skin, glasses or headwear much. It knows nothing of faces: it is no identification
of people, and measures only what shows at head size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageFilter

from agent_tools.color_space import linear_from_srgb, oklab_from_linear
from agent_tools.mask_shapes import grow

if TYPE_CHECKING:
    from agent_tools.mask_shapes import Flags, Floats

# Measured on the starter model (benchmarks/personas.py, table in docs/personas.md): every picture
# of one persona is above the first and everybody else's below it; below the second is nobody who
# shares more than a few attributes.
DRIFT_BELOW = 0.84
OTHER_BELOW = 0.72
# Where the head is in a head-and-shoulders portrait: left, top, right, bottom, as shares.
_HEAD = (0.22, 0.02, 0.78, 0.66)
_SIZE = (96, 112)
_FIGURE = 0.06  # distance from the background, in Oklab
_PLAIN = 0.97  # share of the pixels beside the head that have the background's color
_FAR = 0.25  # distance at which two colors count as entirely different
_BINS = 16
# Lightness, green-red, blue-yellow: where the bins begin and how many fill one unit.
_LOWEST = np.array([0.0, -0.3, -0.3], np.float32)
_BINS_PER_UNIT = np.array([8.0, 20.0, 20.0], np.float32)


Verdict = Literal["same", "drifted", "other"]


def likeness(canonical: Image.Image, other: Image.Image) -> float:
    """Compare the heads of two portraits of the same framing.

    The mean of two measures: the intersection of the figures' Oklab color histograms (Swain and
    Ballard 1991, doi:10.1007/BF00130487), and how near the colors are at the same place of the
    slightly blurred heads. Before the same plain background whatever differs counts; otherwise
    only what both figures cover does, for the rest is the background's.

    Returns:
        0 to 1 (same head); `verdict` says what it means.
    """
    first, second = _head(canonical), _head(other)
    figures = _figure(first), _figure(second)
    if _same_background(first, second):
        shown = figures[0] | figures[1]
    else:
        # Two pixels inwards: the edge is mixed with the background.
        shown = ~grow(~figures[0], 2) & ~grow(~figures[1], 2)
        figures = shown, shown
    if not shown.any():
        return 0.0
    histograms = [
        _histogram(head[figure]) for head, figure in zip((first, second), figures, strict=True)
    ]
    common = float(np.minimum(*histograms).sum())
    distance = np.linalg.norm(first - second, axis=-1)[shown]
    value = (common + 1 - float(np.minimum(distance / _FAR, 1).mean())) / 2
    return round(value, 3)


def verdict(value: float) -> Verdict:
    """Return what a likeness says: the same head, one that has drifted, or another one."""
    if value >= DRIFT_BELOW:
        return "same"
    return "drifted" if value >= OTHER_BELOW else "other"


def _head(image: Image.Image) -> Floats:
    """Return the blurred head in Oklab, shape (112, 96, 3)."""
    width, height = image.size
    left, top, right, bottom = _HEAD
    box = (
        round(left * width),
        round(top * height),
        round(right * width),
        round(bottom * height),
    )
    flat = image.convert("RGBA")
    paper = Image.new("RGBA", flat.size, "white")
    paper.alpha_composite(flat)
    head = paper.convert("RGB").crop(box).resize(_SIZE, Image.Resampling.BOX)
    pixels = np.asarray(head.filter(ImageFilter.GaussianBlur(2)))
    return np.asarray(oklab_from_linear(linear_from_srgb(pixels)), np.float32)


def _background(head: Floats) -> Floats:
    color: Floats = np.median(_sides(head), axis=0)
    return color


def _sides(head: Floats) -> Floats:
    """Return the pixels left and right of the head; a hat may touch the top."""
    rows = len(head) * 7 // 10
    return np.concatenate([head[:rows, 0], head[:rows, -1]])


def _figure(head: Floats) -> Flags:
    """Return the pixels that are not the background's color."""
    figure: Flags = np.linalg.norm(head - _background(head), axis=-1) > _FIGURE
    return figure


def _same_background(first: Floats, second: Floats) -> bool:
    """Whether both are plain, without confetti or a scene, and of one color."""
    color = _background(first)
    return all(
        float((np.linalg.norm(_sides(head) - color, axis=-1) < _FIGURE).mean()) > _PLAIN
        for head in (first, second)
    )


def _histogram(pixels: Floats) -> Floats:
    """Return the shares of the color bins among pixels of shape (n, 3).

    A pixel between two bins counts in both, so that a shade's small change moves little.
    """
    scaled = np.clip((pixels - _LOWEST) * _BINS_PER_UNIT, 0, _BINS - 1.01)
    below = np.floor(scaled).astype(np.int64)
    part = scaled - below
    counts = np.zeros(_BINS**3, np.float64)
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1 - part).prod(axis=-1)
        index = (below + corner) @ np.array([_BINS**2, _BINS, 1])
        counts += np.bincount(index, weight, minlength=_BINS**3)
    shares: Floats = (counts / max(1.0, counts.sum())).astype(np.float32)
    return shares
