"""How much of its shape and view two pictures of a product share, whatever their colors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from agent_tools.mask_shapes import overlap

_SIDE = 128


def structure_likeness(first: Image.Image, second: Image.Image) -> float:
    """Return the correlation of the pictures' edges, 0 (none shared) to 1 (the same).

    Edges are gradient magnitudes of L (Pillow's luma) at 128 x 128, each picture's scaled to the
    same strength, so that another color changes little and another shape or view much.
    """
    one, other = _edges(first), _edges(second)
    if not one.any() or not other.any():
        return float(not one.any() and not other.any())
    return round(max(0.0, float(np.corrcoef(one.ravel(), other.ravel())[0, 1])), 3)


def outline_overlap(first: Image.Image | None, second: Image.Image | None) -> float | None:
    """Return intersection over union of two masks, 0 to 1; None if one is not known."""
    if first is None or second is None or first.size != second.size:
        return None
    return round(overlap(np.asarray(first) > 127, np.asarray(second) > 127), 3)


def _edges(image: Image.Image) -> npt.NDArray[np.float64]:
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float64)
    down, across = np.gradient(values)
    strength = np.hypot(down, across)
    # The root tames the strongest edges, so that faint ones inside the product count too.
    return np.asarray(np.sqrt(strength))
