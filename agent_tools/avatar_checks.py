"""What every file of an avatar pack is checked for, measured on its decoded bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from agent_tools.avatar_pack import head_box, lab_of
from agent_tools.color_space import delta_e_2000, lab_from_linear, linear_from_srgb
from agent_tools.pack_check import PackCheck
from agent_tools.portrait import reached_from_edges

if TYPE_CHECKING:
    from agent_tools.avatar_pack import Target

MAX_BYTES = 256 * 1024  # at 512 px; larger files in proportion to their pixels
SAFE_CIRCLE = 0.8  # diameter, share of the side
READABLE_SIDE = 32
# CIEDE2000 between the figure's edge and what is behind it: a clear edge at a glance.
MIN_EDGE = 10.0
# Standard deviation of L* inside the head: below it no face can be made out.
MIN_DETAIL = 5.0
_LIGHT, _DARK = "#ffffff", "#1d2026"
_INK = (0.03, 0.6)


def check_file(target: Target, data: bytes, background: str | None = None) -> PackCheck:
    """Measure one PNG of a pack.

    Args:
        target: what it shall be.
        data: its bytes.
        background: the color behind the figure in a full-bleed file.
    """
    with Image.open(io.BytesIO(data), formats=("PNG",)) as opened:
        image = opened.convert("RGBA")
    figure = _figure(image, background)
    edges = [_edge(image, figure, background or page) for page in (_LIGHT, _DARK)]
    outline = target.finish == "outline"
    return PackCheck(
        path=target.path,
        width=image.width,
        height=image.height,
        bytes=len(data),
        square=image.size == (target.side, target.side),
        face_in_safe_circle=outline or _in_circle(figure),
        corners=_corners(image, opaque=target.finish == "full-bleed"),
        solid=background is not None or outline or _solid(figure),
        light_enough=len(data) <= MAX_BYTES * max(1.0, (image.width / 512) ** 2),
        readable=_is_line_art(image) if outline else _readable(image, figure, max(edges)),
        edge_on_light=round(edges[0], 1),
        edge_on_dark=round(edges[1], 1),
    )


def _figure(image: Image.Image, background: str | None) -> Image.Image:
    """Return the mask of the figure: by alpha, or by what differs from the backdrop."""
    if background is None:
        return image.getchannel("A")
    lab = lab_from_linear(linear_from_srgb(np.asarray(image.convert("RGB"))))
    differs = delta_e_2000(lab, lab_of(background)) > 6
    return Image.fromarray(np.where(differs, 255, 0).astype(np.uint8))


def _in_circle(figure: Image.Image) -> bool:
    """Whether the head's pixels lie in the safe circle, one pixel in fifty aside."""
    try:
        head = head_box(figure)
    except ValueError:
        return False
    pixels = np.asarray(figure)[head.top : head.bottom, head.left : head.right] >= 128
    rows, columns = np.nonzero(pixels)
    center = np.array(figure.size[::-1]) / 2 - 0.5
    distance = np.hypot(rows + head.top - center[0], columns + head.left - center[1])
    radius = SAFE_CIRCLE / 2 * figure.width + 0.5
    return bool(len(distance) and (distance <= radius).mean() >= 0.98)


def _solid(figure: Image.Image) -> bool:
    """Whether at most one pixel in a thousand of the figure is an enclosed hole."""
    shape = np.asarray(figure) >= 128
    holes = ~shape & ~reached_from_edges(~shape)
    return bool(holes.sum() <= shape.sum() / 1000)


def _corners(image: Image.Image, *, opaque: bool) -> bool:
    """Whether the two upper corners are transparent (a bust may fill the lower ones) or not."""
    alpha = np.asarray(image.getchannel("A"))
    corners = alpha[[0, 0], [0, -1]]
    return bool((alpha == 255).all()) if opaque else bool((corners == 0).all())


def _edge(image: Image.Image, figure: Image.Image, page: str) -> float:
    """Return the median CIEDE2000 between the figure's rim at 32 px and a page's color."""
    small, mask = _small(image, figure, page)
    rim = (mask >= 128) & (np.asarray(Image.fromarray(mask).filter(ImageFilter.MinFilter(3))) < 128)
    if not rim.any():
        return 0.0
    lab = lab_from_linear(linear_from_srgb(small[rim]))
    return float(np.median(delta_e_2000(lab, lab_of(page))))


def _readable(image: Image.Image, figure: Image.Image, edge: float) -> bool:
    """Whether the edge is clear on one kind of page, and the head has a face in it."""
    small, mask = _small(image, figure, _LIGHT)
    try:
        head = head_box(Image.fromarray(mask))
    except ValueError:
        return False
    inside = np.zeros(mask.shape, bool)
    inside[head.top : head.bottom, head.left : head.right] = True
    pixels = small[inside & (mask >= 128)]
    if len(pixels) < 4:
        return False
    lightness = lab_from_linear(linear_from_srgb(pixels))[:, 0]
    return edge >= MIN_EDGE and float(lightness.std()) >= MIN_DETAIL


def _small(image: Image.Image, figure: Image.Image, page: str) -> tuple[np.ndarray, np.ndarray]:
    paper = Image.new("RGBA", image.size, page)
    paper.alpha_composite(image)
    side = (READABLE_SIDE, READABLE_SIDE)
    shown = paper.convert("RGB").resize(side, Image.Resampling.BOX)
    return np.asarray(shown), np.asarray(figure.resize(side, Image.Resampling.BOX))


def _is_line_art(image: Image.Image) -> bool:
    """Whether it is white lines only, neither empty nor a filled shape."""
    pixels = np.asarray(image)
    drawn = pixels[..., 3] > 0
    if not drawn.any():
        return False
    white = bool((pixels[drawn][:, :3] == 255).all())
    ink = float(pixels[..., 3].mean()) / 255
    return white and _INK[0] <= ink <= _INK[1]
