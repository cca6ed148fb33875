"""Which pixels are the product: a given mask, the alpha channel, or a careful guess.

The guess floods the background from the picture's border and is used only when it passes a
confidence gate: recoloring the wrong thing is worse than an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from agent_tools.color_space import (
    delta_e_2000,
    lab_from_linear,
    linear_from_srgb,
    oklab_from_linear,
)
from agent_tools.errors import InvalidArguments, Refused
from agent_tools.mask_shapes import Flags, Floats, box_sum, grow, overlap, spread

Source = Literal["mask", "alpha", "point", "box", "color", "automatic"]

MIN_AREA, MAX_AREA = 0.03, 0.85
MAX_BORDER = 0.02
MIN_RING_DELTA_E = 8.0
_RING_WIDTH = 4
MIN_STABILITY = 0.9
_WORK_SIDE = 512
# Neighbors closer than this in Oklab are one surface: above a photo's noise, below an edge. A mask
# counts only if a stricter and a looser tolerance find the same product.
_STEP_TOLERANCE = 0.022
_STRICTER, _LOOSER = 0.6, 1.5
_BACKGROUND_TOLERANCE = 0.30
_HOLE_TOLERANCE = 0.035
WHAT_TO_SEND = (
    "Say where the product is: point ([x, y] on it), box ([left, top, right, bottom] around it), "
    "from_color (its color now), or mask_id (a picture of the same size, white where the product "
    "is); or send it cut out on a transparent background."
)


class DoubtfulMask(Refused):
    """Say why a mask is not certain enough to be used.

    Attributes:
        candidate: mode "L", the picture's size: what would have been taken; None if nothing.
    """

    code = "mask_needed"

    def __init__(
        self, why: str, size: tuple[int, int], candidate: Image.Image | None, facts: dict[str, Any]
    ) -> None:
        super().__init__(
            f"The product cannot be told from its background with confidence: {why}.",
            hint=WHAT_TO_SEND,
            data={"image_size": list(size), **facts},
        )
        self.candidate = candidate


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The product's pixels.

    Attributes:
        mask: mode "L", the picture's size; 255 = product, 0 = everything else.
        source: where the mask comes from.
        area: share of the picture, 0 to 1.
        ring_delta_e: "automatic" only: median CIEDE2000 across the product's edge.
    """

    mask: Image.Image
    source: Source
    area: float
    ring_delta_e: float | None = None


def segment(image: Image.Image, mask: Image.Image | None = None) -> Segmentation:
    """Return the product's pixels: from `mask`, else from alpha, else by border flood fill.

    Args:
        image: "RGB", "RGBA" or "L".
        mask: white = product; grays are soft edges. An alpha channel can serve as the mask.

    Raises:
        InvalidArguments: the mask has another size, is empty, covers everything, or is a picture.
        DoubtfulMask: no mask was given and the automatic one is doubtful.
    """
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if mask is not None:
        weights = check_mask(image, mask)
        if alpha is not None:
            weights = np.where(np.asarray(alpha) > 0, weights, 0).astype(np.uint8)
            if not weights.any():
                raise InvalidArguments(
                    "Every pixel under the mask is transparent.", hint=WHAT_TO_SEND
                )
        return _segmentation(weights, "mask")
    if alpha is not None:
        visible = np.asarray(alpha) > 0
        # A share of transparency below this is a rounded corner, not a cut-out.
        if 0.02 < 1 - visible.mean() < 1:
            # Soft edges stay soft through alpha itself: their color must change entirely.
            return _segmentation(np.where(visible, 255, 0).astype(np.uint8), "alpha")
    return _automatic(image)


def _segmentation(
    weights: npt.NDArray[np.uint8], source: Source, ring_delta_e: float | None = None
) -> Segmentation:
    area = float((weights > 0).mean())
    return Segmentation(Image.fromarray(weights), source, area, ring_delta_e)


def check_mask(image: Image.Image, mask: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the mask's weights, shape (height, width), 255 = product.

    Raises:
        InvalidArguments: the mask has another size, is empty, covers everything, or is a picture.
    """
    if mask.size != image.size:
        raise InvalidArguments(
            f"The mask is {mask.width}x{mask.height} pixels, the picture "
            f"{image.width}x{image.height}.",
            hint="Send a mask of exactly the picture's size.",
            data={"mask_size": list(mask.size), "image_size": list(image.size)},
        )
    if mask.mode in ("RGBA", "LA") and mask.getchannel("A").getextrema() != (255, 255):
        weights = np.asarray(mask.getchannel("A"))
    else:
        weights = np.asarray(mask.convert("L"))
    between = float(((weights > 32) & (weights < 223)).mean())
    if between > 0.25:
        raise InvalidArguments(
            f"The mask is gray in {between:.0%} of its pixels, so it looks like a picture.",
            hint=WHAT_TO_SEND,
        )
    if not (weights >= 128).any():
        raise InvalidArguments(
            "The mask is empty: no pixel of it is white.",
            hint="Paint the product white, everything else black.",
        )
    if (weights > 0).all():
        raise InvalidArguments(
            "The mask covers the whole picture, so there is no product to tell from a background.",
            hint="Paint only the product white and everything else black.",
        )
    return weights


def _automatic(image: Image.Image) -> Segmentation:
    """Flood the background from the border, then refuse unless the outcome is convincing."""
    scale = min(1.0, _WORK_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.convert("RGB").resize(size, Image.Resampling.BOX)
    if min(size) < 4 * _RING_WIDTH:
        raise DoubtfulMask("the picture is too small or too thin for that", image.size, None, {})
    linear = linear_from_srgb(np.asarray(small))
    oklab = np.asarray(oklab_from_linear(linear), np.float32)
    product, *others = (
        clean(~_background(oklab, _STEP_TOLERANCE * factor)) for factor in (1.0, _STRICTER, _LOOSER)
    )
    stability = min(overlap(product, other) for other in others)
    area = float(product.mean())
    border = np.concatenate([product[0], product[-1], product[:, 0], product[:, -1]])
    touched = float(border.mean())
    ring = _ring_delta_e(linear, product)
    facts = {
        "area": round(area, 3),
        "border_touched": round(touched, 3),
        "edge_delta_e": round(ring, 1),
        "stability": round(stability, 2),
    }
    full = Image.fromarray(np.where(product, 255, 0).astype(np.uint8))
    if full.size != image.size:
        full = full.resize(image.size, Image.Resampling.BILINEAR)
    # Only sure pixels: half-covered ones at the edge would tint the background.
    weights = np.where(np.asarray(full) >= 128, 255, 0).astype(np.uint8)
    doubt = _doubt(area, touched, ring, stability)
    if doubt:
        candidate = Image.fromarray(weights) if 0 < area < 1 else None
        raise DoubtfulMask(doubt, image.size, candidate, facts)
    return _segmentation(weights, "automatic", ring)


def _doubt(area: float, touched: float, ring: float, stability: float) -> str:
    """Return why a guess should not be trusted; empty if it can be."""
    if not MIN_AREA <= area <= MAX_AREA:
        return f"the guess covers {area:.1%} of the picture"
    if touched >= MAX_BORDER:
        return f"the guess touches {touched:.0%} of the picture's border"
    if ring <= MIN_RING_DELTA_E:
        return f"product and background differ too little (CIEDE2000 {ring:.1f})"
    if stability < MIN_STABILITY:
        return "the background runs into the product without a clear edge"
    return ""


def _background(oklab: Floats, tolerance: float) -> Flags:
    """Return what the border reaches over small steps of color, plus holes of its color."""
    border = np.concatenate([oklab[0], oklab[-1], oklab[:, 0], oklab[:, -1]])
    typical = np.median(border, axis=0)
    distance = np.linalg.norm(oklab - typical, axis=-1)
    open_pixels = distance < _BACKGROUND_TOLERANCE
    horizontal = np.linalg.norm(np.diff(oklab, axis=1), axis=-1) < tolerance
    vertical = np.linalg.norm(np.diff(oklab, axis=0), axis=-1) < tolerance
    horizontal &= open_pixels[:, 1:] & open_pixels[:, :-1]
    vertical &= open_pixels[1:] & open_pixels[:-1]
    reached = np.zeros(distance.shape, bool)
    reached[[0, -1]] = open_pixels[[0, -1]]
    reached[:, [0, -1]] = open_pixels[:, [0, -1]]
    reached = spread(reached, horizontal, vertical)
    # A cup's handle encloses background that no path from the border reaches.
    background: Flags = reached | (distance < _HOLE_TOLERANCE)
    return background


def clean(product: Flags) -> Flags:
    """Remove specks and hairs, then close pinholes, and keep the parts that belong together."""
    opened = grow(~grow(~product, 1), 1)
    closed = ~grow(~grow(opened, 2), 2)
    if not closed.any() or closed.all():  # nothing to choose from; erosion would never end
        return closed
    seed_row, seed_column = _thickest(closed)
    seed = np.zeros_like(closed)
    seed[seed_row, seed_column] = True
    near = grow(closed, 3)
    links_across, links_down = near[:, 1:] & near[:, :-1], near[1:] & near[:-1]
    return closed & spread(seed, links_across, links_down)


def _thickest(flags: Flags) -> tuple[int, int]:
    """Return a pixel of the largest part: the one that survives the most erosion."""
    inner = flags
    while True:
        eroded = ~grow(~inner, 4)
        if not eroded.any():
            row, column = np.argwhere(inner)[0]
            return int(row), int(column)
        inner = eroded


def _ring_delta_e(linear: Floats, product: Flags) -> float:
    """Return the median CIEDE2000 between rings inside and outside the product's edge."""
    outside = grow(product, _RING_WIDTH) & ~product
    inside = product & grow(~product, _RING_WIDTH)
    if not outside.any() or not inside.any():
        return 0.0
    # Each pixel of the inner ring meets the mean color of the outer ring near it.
    radius = 2 * _RING_WIDTH
    total = box_sum(np.where(outside[..., None], linear, 0), radius)
    count = box_sum(outside[..., None].astype(np.float32), radius)
    near = inside & (count[..., 0] > 0.5)
    if not near.any():
        return 0.0
    own = lab_from_linear(linear[near])
    other = lab_from_linear(total[near] / count[near])
    return float(np.median(delta_e_2000(own, other)))
