"""Select what has the color of a point, or a named color: by hue and saturation, not by shade.

A surface keeps its hue and its ratio of chroma to lightness in Oklab where only the shading
changes, so folds belong to it and another material does not. The tolerances come from the surface
itself. The selection counts only if a stricter and a looser tolerance find about the same: where
they differ, it leaks into something alike, and guessing would be worse than an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from agent_tools.color import NamedColor
from agent_tools.color_space import linear_from_srgb, oklab_from_linear
from agent_tools.mask_shapes import (
    Flags,
    Floats,
    enclosed,
    grow,
    overlap,
    part_at,
    spread,
    without_pinholes,
)

Box = tuple[int, int, int, int]
Point = tuple[int, int]

_WORK_SIDE = 768
_SEED_RADIUS = 4
_CHROMATIC = 0.04  # Oklab chroma above which a color has a hue to select by
_FIRST_STEP, _STEP = 0.03, 0.05  # neighbors further apart than this in Oklab are an edge
_STRICTER, _LOOSER = 0.75, 1.3
_OPENING = 2  # bridges narrower than twice this, pixels, lead to something else
_PINHOLE, _RIM = 3, 6
_GLOSS_HUE, _GLOSS_CHROMA = float(np.radians(15)), 0.03
_GLOSS_SHARE = 0.2  # more of it, open to one side, is another thing of that hue
MIN_AREA, MAX_AREA = 0.003, 0.85
# Nothing joins what a color selects, so there a doubt weighs more.
MIN_STABILITY, MIN_COLOR_STABILITY = 0.88, 0.9


@dataclass(frozen=True, slots=True)
class _Tolerance:
    """How far a pixel may be from the surface's color.

    Attributes:
        hue: radians.
        saturation: natural logarithm of the ratio.
        lightness: Oklab L, for grays only.
    """

    hue: float
    saturation: float
    lightness: float

    def times(self, factor: float) -> _Tolerance:
        return _Tolerance(self.hue * factor, self.saturation * factor, self.lightness * factor)


@dataclass(frozen=True, slots=True)
class Selection:
    """What was selected.

    Attributes:
        mask: mode "L", the picture's size; 255 inside, gray along the edge.
        area: share of the picture (of the box, if one was given), 0 to 1.
        stability: worst overlap with a stricter and a looser selection, 0 to 1.
        doubt: why it should not be trusted; empty if it can be.
    """

    mask: Image.Image
    area: float
    stability: float
    doubt: str


_FIRST = _Tolerance(np.radians(10), 0.25, 0.12)
_NAMED = _Tolerance(np.radians(20), 0.55, 0.16)


def select_color(
    image: Image.Image,
    *,
    point: Point | None = None,
    color: NamedColor | None = None,
    box: Box | None = None,
) -> Selection:
    """Select the surface at `point`, or everything in `color`.

    Args:
        image: "RGB", "RGBA" or "L"; fully transparent pixels are never selected.
        point: x, y in pixels, inside the picture.
        color: wins over the point's own color; with a point only the part there counts.
        box: left, top, right, bottom in pixels: nothing outside is selected.
    """
    if point is None and color is None:
        raise ValueError("a point or a color is needed")
    scale = min(1.0, _WORK_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.convert("RGB").resize(size, Image.Resampling.BOX)
    lab = _smoothed(np.asarray(oklab_from_linear(linear_from_srgb(np.asarray(small))), np.float32))
    allowed = _allowed(image, size, box, scale)
    at = None if point is None else _scaled(point, size, scale)
    if color is not None:
        seed = oklab_from_linear(linear_from_srgb(color.bytes))
        first = _members(lab, seed, _NAMED) & allowed
    else:
        assert at is not None
        seed = _seed(lab, at)
        first = _joined(lab, _members(lab, seed, _FIRST) & allowed, at, _FIRST_STEP)
    if not first.any():
        return Selection(Image.new("L", image.size, 0), 0.0, 0.0, "nothing there has that color")
    surface = np.median(lab[first], axis=0)
    tolerance = _tolerance(lab[first], surface)

    def chosen(factor: float) -> Flags:
        members = _members(lab, surface, tolerance.times(factor)) & allowed
        if at is not None:
            members = _joined(lab, members, at, _STEP * factor)
        return _opened(members, at)

    def with_gloss(members: Flags) -> Flags:
        """Add light spots of the same hue, the lamp in its gloss: enclosed ones, or small ones."""
        turned, _ = _differences(lab, surface)
        tinted = np.hypot(lab[..., 1], lab[..., 2]) > _GLOSS_CHROMA
        light = (lab[..., 0] >= surface[0]) & (turned < _GLOSS_HUE) & tinted & allowed
        inside: Flags = members | (light & enclosed(members))
        either = inside | light
        beside = spread(inside, either[:, 1:] & either[:, :-1], either[1:] & either[:-1])
        small = beside.sum() - inside.sum() <= _GLOSS_SHARE * members.sum()
        return beside if small else inside

    middle, *others = (chosen(factor) for factor in (1.0, _STRICTER, _LOOSER))
    stability = min(overlap(middle, other) for other in others)
    area = float(middle.sum() / max(1, allowed.sum()))
    # A rim of the surface in another light: close beside it a looser match is enough.
    near = middle | (others[1] & grow(middle, _RIM))
    whole = with_gloss(near) if np.hypot(surface[1], surface[2]) > _CHROMATIC else near
    mask = _soft_mask(without_pinholes(whole, _PINHOLE) & allowed, image.size)
    least = MIN_STABILITY if at is not None else MIN_COLOR_STABILITY
    return Selection(mask, area, stability, _doubt(area, stability, least))


def _doubt(area: float, stability: float, least: float) -> str:
    if not MIN_AREA <= area <= MAX_AREA:
        return f"the selection covers {area:.1%}"
    if stability < least:
        return "the selection runs into something of a similar color"
    return ""


def _smoothed(lab: Floats) -> Floats:
    """Average over 3 x 3 pixels: a photo's noise must not decide."""
    height, width = lab.shape[:2]
    padded = np.pad(lab, ((1, 1), (1, 1), (0, 0)), mode="edge")
    total = np.zeros_like(lab)
    for row in range(3):
        for column in range(3):
            total += padded[row : row + height, column : column + width]
    return total * np.float32(1 / 9)


def _allowed(image: Image.Image, size: tuple[int, int], box: Box | None, scale: float) -> Flags:
    allowed = np.ones((size[1], size[0]), bool)
    if image.mode == "RGBA":
        alpha = image.getchannel("A").resize(size, Image.Resampling.BOX)
        allowed &= np.asarray(alpha) > 0
    if box is not None:
        left, top, right, bottom = (round(edge * scale) for edge in box)
        inside = np.zeros_like(allowed)
        inside[top : max(bottom, top + 1), left : max(right, left + 1)] = True
        allowed &= inside
    return allowed


def _scaled(point: Point, size: tuple[int, int], scale: float) -> Point:
    return min(size[0] - 1, int(point[0] * scale)), min(size[1] - 1, int(point[1] * scale))


def _around(at: Point, radius: int) -> tuple[slice, slice]:
    x, y = at
    return slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)


def _seed(lab: Floats, at: Point) -> npt.NDArray[np.floating]:
    return np.median(lab[_around(at, _SEED_RADIUS)].reshape(-1, 3), axis=0)


def _members(lab: Floats, center: npt.NDArray[np.floating], tolerance: _Tolerance) -> Flags:
    """Return the pixels of the surface's color in any light."""
    chroma = float(np.hypot(center[1], center[2]))
    if chroma <= _CHROMATIC:
        away = np.hypot(lab[..., 1] - center[1], lab[..., 2] - center[2])
        near = np.abs(lab[..., 0] - center[0]) < tolerance.lightness
        gray: Flags = near & (away < 0.2 * tolerance.lightness)
        return gray
    turned, stronger = _differences(lab, center)
    alike: Flags = (turned < tolerance.hue) & (stronger < tolerance.saturation)
    return alike


def _differences(lab: Floats, center: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return the difference in hue, radians, and the logarithm of the ratio of saturations."""
    angle = np.arctan2(lab[..., 2], lab[..., 1]) - np.arctan2(center[2], center[1])
    turned = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)
    saturation = np.hypot(lab[..., 1], lab[..., 2]) / np.maximum(lab[..., 0], 0.05)
    own = np.hypot(center[1], center[2]) / max(float(center[0]), 0.05)
    return turned, np.abs(np.log(np.maximum(saturation, 1e-4) / max(float(own), 1e-4)))


def _tolerance(pixels: Floats, center: npt.NDArray[np.floating]) -> _Tolerance:
    """Return what nine tenths of the surface's own pixels need, and a margin."""
    turned, stronger = _differences(pixels, center)
    hue, saturation = (1.8 * float(np.percentile(found, 90)) for found in (turned, stronger))
    return _Tolerance(
        float(np.clip(hue, np.radians(7), np.radians(17))),
        float(np.clip(saturation, 0.25, 0.55)),
        _FIRST.lightness * 4 / 3,
    )


def _joined(lab: Floats, members: Flags, at: Point, step: float) -> Flags:
    """Return the members that small steps of color lead to from the point."""
    reached = np.zeros_like(members)
    reached[_around(at, 2)] = True
    reached &= members
    across = np.linalg.norm(np.diff(lab, axis=1), axis=-1) < step
    down = np.linalg.norm(np.diff(lab, axis=0), axis=-1) < step
    return spread(
        reached, across & members[:, 1:] & members[:, :-1], down & members[1:] & members[:-1]
    )


def _opened(members: Flags, at: Point | None) -> Flags:
    """Cut thin bridges, and with a point what only they joined to it."""
    inner = ~grow(~members, _OPENING)
    if not inner.any():
        return members
    if at is not None:
        inner = part_at(inner, at[1], at[0])
    return grow(inner, _OPENING + 1) & members


def _soft_mask(chosen: Flags, size: tuple[int, int]) -> Image.Image:
    """Return the selection in full size with a soft edge of about one pixel."""
    small = Image.fromarray(np.where(chosen, 255, 0).astype(np.uint8))
    if small.size != size:
        return small.resize(size, Image.Resampling.BILINEAR)
    padded = np.pad(chosen.astype(np.float32), 1, mode="edge")
    height, width = chosen.shape
    total = sum(padded[r : r + height, c : c + width] for r in range(3) for c in range(3))
    # Inside stays whole; one pixel around blends, which is what an edge in a photo does.
    return Image.fromarray(np.where(chosen, 255, np.round(total * (255 / 9))).astype(np.uint8))
