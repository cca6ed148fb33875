"""Portraits on plain backgrounds: who is cut out of them, and what colors they have.

A product floats in its picture, a bust leaves it at the bottom; so the background is flooded from
the top and the sides only. A doubtful outline is refused, as for products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from agent_tools.color_space import linear_from_srgb, oklab_from_linear
from agent_tools.errors import Refused
from agent_tools.mask_shapes import overlap, spread
from agent_tools.segmentation import clean
from engine.blur import blurred

if TYPE_CHECKING:
    from agent_tools.mask_shapes import Flags, Floats

OutlineSource = Literal["alpha", "picture", "silhouette"]

_WORK_SIDE = 512
# Distances in Oklab above which a pixel is no background; the outer two prove the middle one.
_STRICTER, _DISTANCE, _LOOSER = 0.055, 0.07, 0.09
_MIN_STABILITY = 0.93
_MIN_AREA, _MAX_AREA = 0.08, 0.85
_MAX_TOUCH = 0.05  # share of the top and sides (down to the shoulders) that a bust may touch
_MIN_FOOT = 0.2  # share of the bottom edge that a bust leaves the picture through
_SIDES = 0.6  # of the height: below it the shoulders may reach the sides
_MAX_NOISE = 0.035  # of the background along the border, in Oklab, nine pixels of ten
_EDGE = 8  # pixels of a 1024 px picture whose color is mixed with the background


@dataclass(frozen=True, slots=True)
class Outline:
    """Where the figure of a portrait is.

    Attributes:
        mask: mode "L", the picture's size; 255 = figure, grays are its soft edge.
        source: the picture's own alpha, its plain background, or a silhouette painted for it.
    """

    mask: Image.Image
    source: OutlineSource


def outline(image: Image.Image) -> Outline:
    """Tell a head-and-shoulders figure from a plain background.

    Raises:
        Refused: with code "no_outline" if background and figure run into each other.
    """
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        return Outline(image.getchannel("A"), "alpha")
    scale = min(1.0, _WORK_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    distance = _distance(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    rows = round(len(distance) * _SIDES)
    border = np.concatenate([distance[0], distance[:rows, 0], distance[:rows, -1]])
    if np.percentile(border, 90) > _MAX_NOISE:
        raise _refusal("the background is not plain", 0.0)
    figure, *others = (_figure(distance, limit) for limit in (_DISTANCE, _STRICTER, _LOOSER))
    _check(figure, min(overlap(figure, other) for other in others))
    mask = Image.fromarray(np.where(figure, 255, 0).astype(np.uint8))
    if mask.size != image.size:
        mask = mask.resize(image.size, Image.Resampling.BICUBIC)
    radius = max(0.8, max(image.size) / 256)
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    # A little inwards: the outermost ring is mostly background.
    steep = np.clip((soft - 160) * 3 + 64, 0, 255).round().astype(np.uint8)
    return Outline(Image.fromarray(steep), "picture")


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the figure on a transparent background, RGBA, without the old background's fringe.

    Colors near the edge are mixed with what was behind the figure; they are taken from its inside.
    """
    picture = image.convert("RGB")
    side = max(1, round(max(image.size) * _EDGE / 1024))
    inside = eroded(mask, side)
    filled = _filled(picture, inside, side)
    colors = Image.composite(picture, filled, inside)
    # Nothing hides behind alpha 0.
    colors = Image.composite(colors, Image.new("RGB", image.size), mask.point([0] + [255] * 255))
    colors.putalpha(mask)
    return colors


def eroded(mask: Image.Image, pixels: int) -> Image.Image:
    """Return a mask without its outermost pixels, 0 or 255; a soft edge counts as outside."""
    return mask.filter(ImageFilter.BoxBlur(pixels)).point([0] * 250 + [255] * 6)


def _filled(picture: Image.Image, inside: Image.Image, side: int) -> Image.Image:
    """Continue the colors inside outwards; smooth, so half the size does."""
    size = (max(1, picture.width // 2), max(1, picture.height // 2))
    share = np.asarray(inside.resize(size, Image.Resampling.BOX), np.float32)[..., None]
    kept = (share / 255).astype(np.float32)
    colors = np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32)
    weighted = (colors * kept).astype(np.float32)
    near, far = (
        np.dstack([_blurred(weighted, radius), _blurred(kept, radius)])
        for radius in (max(1, side // 2), 2 * side)
    )
    sums = np.where(near[..., 3:] > 0.02, near, far)
    colors = (sums[..., :3] / np.maximum(sums[..., 3:], 1e-3)).astype(np.float32)
    small = Image.fromarray(colors.round().clip(0, 255).astype(np.uint8))
    return small.resize(picture.size, Image.Resampling.BILINEAR)


def palette(image: Image.Image, colors: int = 5) -> tuple[str, ...]:
    """Return the colors that a portrait is made of, as #rrggbb, the most frequent first."""
    small = image.convert("RGB").resize((96, 96), Image.Resampling.BOX)
    reduced = small.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    table = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    counts = np.bincount(np.asarray(reduced).ravel())
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return tuple(f"#{bytes(table[index]).hex()}" for index in order)


def _distance(picture: Image.Image) -> Floats:
    """Return how far each pixel's color is from the background's, in Oklab."""
    # A median takes out the specks that an autoencoder leaves, not the edges.
    pixels = np.asarray(picture.filter(ImageFilter.MedianFilter(3)))
    oklab = np.asarray(oklab_from_linear(linear_from_srgb(pixels)), np.float32)
    rows = max(1, round(len(oklab) * _SIDES))
    band = max(1, len(oklab) // 64)
    border = np.concatenate(
        [
            oklab[:band].reshape(-1, 3),
            oklab[:rows, :band].reshape(-1, 3),
            oklab[:rows, -band:].reshape(-1, 3),
        ]
    )
    distance: Floats = np.linalg.norm(oklab - np.median(border, axis=0), axis=-1)
    return distance


def _figure(distance: Floats, limit: float) -> Flags:
    """Return what the background, reached from the top and the sides, leaves over."""
    open_pixels = distance < limit
    # Cleaning treats the outside as background; the bust goes on below the picture.
    below = np.pad(~reached_from_edges(open_pixels), ((0, 8), (0, 0)), mode="edge")
    figure = clean(below)[:-8]
    # Where a hair's breadth let the background in and was closed again, a hole is left.
    return ~reached_from_edges(~figure)


def reached_from_edges(open_pixels: Flags) -> Flags:
    """Return the open pixels that are connected to the top or the sides."""
    reached = np.zeros_like(open_pixels)
    for edge in (np.s_[0], np.s_[:, 0], np.s_[:, -1]):
        reached[edge] = open_pixels[edge]
    links = (open_pixels[:, 1:] & open_pixels[:, :-1], open_pixels[1:] & open_pixels[:-1])
    return spread(reached, *links)


def _check(figure: Flags, stability: float) -> None:
    height, width = figure.shape
    rows = round(height * _SIDES)
    touched = np.concatenate([figure[0], figure[:rows, 0], figure[:rows, -1]]).mean()
    middle = figure[round(height * 0.3) :, round(width * 0.42) : round(width * 0.58)]
    area = float(figure.mean())
    if not _MIN_AREA <= area <= _MAX_AREA:
        raise _refusal(f"the guess covers {area:.0%} of the picture", stability)
    if touched > _MAX_TOUCH:
        raise _refusal("the guess touches the top or the sides", stability)
    if figure[-1].mean() < _MIN_FOOT:
        raise _refusal("the guess does not reach the bottom", stability)
    if middle.mean() < 0.985:
        raise _refusal("the background runs into the figure", stability)
    if stability < _MIN_STABILITY:
        raise _refusal("the background runs into the figure without a clear edge", stability)


def _refusal(why: str, stability: float) -> Refused:
    return Refused(
        f"The figure cannot be told from its background with confidence: {why}.",
        hint="Give the persona a background that differs from skin, hair and clothing.",
        code="no_outline",
        data={"stability": round(stability, 2)},
    )


def _blurred(pixels: npt.NDArray[np.float32], radius: int) -> npt.NDArray[np.float32]:
    """Blur (height, width, channels) with a box, along both axes."""
    return blurred(blurred(pixels, radius, 0), radius, 1)
