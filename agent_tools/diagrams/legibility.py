"""What a reader will see, measured on pixels: where every label is and how it stands out.

Style sheets, inherited colors and transforms decide where and how a text appears, so the labels
are looked at after rasterizing, not guessed from the SVG: each text is drawn once in a color of
its own, which gives its exact place, and once in its real color on nothing.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from agent_tools.diagrams import svg
from agent_tools.diagrams.raster import laid_on, rasterize
from agent_tools.diagrams.theme import Theme

MIN_CONTRAST = 4.5  # WCAG 2.2, 1.4.3 (AA) for text of normal size
_VISIBLE = 24.0  # difference of one 8-bit channel; the halo of anti-aliasing is below
_HALO = re.compile(r"paint-order:stroke.*?\bstroke:(#[0-9a-f]{6})")
_SHAPES = frozenset(
    svg.tag(n)
    for n in ("path", "rect", "circle", "ellipse", "line", "polygon", "polyline", "use", "image")
)


@dataclass(frozen=True, slots=True)
class Label:
    """One text as drawn: its box in user units (left, top, right, bottom) and its colors."""

    text: str
    box: tuple[float, float, float, float]
    color: str
    background: str
    contrast: float


def contrast(one: str, other: str) -> float:
    """Return the WCAG contrast ratio of two #rrggbb colors, 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def contrasts(color: str, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the WCAG contrast of a #rrggbb color with each of (n, 3) 8-bit RGB pixels."""
    channels = pixels.astype(np.float64) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    light = linear @ np.array((0.2126, 0.7152, 0.0722)) + 0.05
    own = _luminance(color) + 0.05
    ratios: NDArray[np.float64] = np.maximum(light, own) / np.minimum(light, own)
    return ratios


def inspect_labels(root: Element, theme: Theme, scale: float = 1.0) -> list[Label]:
    """Return every text that can be seen, as drawn on its background."""
    return [seen.label for seen in _inspect(root, theme, scale)]


def make_legible(root: Element, theme: Theme) -> list[Label]:
    """Give every label enough contrast and a halo over the lines that run behind it.

    Returns:
        The labels as they are now.
    """
    labels = []
    for seen in _inspect(root, theme, 1.0):
        element, label = seen.element, seen.label
        if label.contrast < MIN_CONTRAST:
            choices = (theme.ink, theme.paper, "#000000", "#ffffff")
            color = next(
                (c for c in choices if contrast(c, label.background) >= MIN_CONTRAST),
                max(choices, key=lambda c: contrast(c, label.background)),
            )
            label = replace(label, color=color, contrast=contrast(color, label.background))
        labels.append(label)
        svg.set_style(
            element,
            fill=label.color,
            fill_opacity="1",
            stroke="none",
        )
        if seen.crossed:
            svg.set_style(
                element,
                paint_order="stroke",
                stroke=label.background,
                stroke_width="4px",
                stroke_linejoin="round",
                stroke_dasharray="none",
            )
    return labels


def worst_contrasts(root: Element, theme: Theme, under: Image.Image) -> list[Label]:
    """Return every label with its worst contrast on a background that is not of one color.

    Each label is compared with the worst twentieth of what lies within two pixels of its
    letters; one with a halo, which covers that much, keeps what it has.

    Args:
        root: the drawing, without paper.
        theme: the palette.
        under: what it is laid on, "RGB", one pixel per user unit.
    """
    labels = []
    for seen in _inspect(root, theme, 1.0, under):
        if halo := _HALO.search(seen.element.get("style", "")):
            light = contrast(seen.label.color, halo[1])
            labels.append(replace(seen.label, background=halo[1], contrast=light))
            continue
        ratios = contrasts(seen.label.color, seen.around)
        ground = seen.around[np.argsort(ratios, kind="stable")[len(ratios) // 20]]
        labels.append(
            replace(
                seen.label,
                background=_hex(ground.astype(np.float64)),
                contrast=contrast(seen.label.color, _hex(ground.astype(np.float64))),
            )
        )
    return labels


def content_box(root: Element, theme: Theme) -> tuple[float, float, float, float]:
    """Return the box of everything that is drawn, in user units: x, y, width, height."""
    x, y, _, _ = svg.view_box(root)
    scale = 0.5  # to within two units, which is far less than the padding
    image = rasterize(svg.to_text(root), scale=scale, background=theme.paper).convert("RGB")
    paper = Image.new("RGB", image.size, theme.paper)
    box = ImageChops.difference(image, paper).convert("L").point(lambda v: 255 * (v > 2)).getbbox()
    if box is None:
        return x, y, 1.0, 1.0
    left, top, right, bottom = (edge / scale for edge in box)
    return x + left, y + top, right - left, bottom - top


@dataclass(frozen=True, slots=True)
class _Seen:
    """A text as it is drawn.

    Attributes:
        around: (pixels, 3) 8-bit RGB of what lies behind and within two pixels of the letters.
        crossed: whether something runs behind the letters, or upright between two of them.
    """

    element: Element
    label: Label
    around: NDArray[np.uint8]
    crossed: bool


def _inspect(
    root: Element, theme: Theme, scale: float, under: Image.Image | None = None
) -> list[_Seen]:
    elements = svg.texts(root)
    numbers = _numbers(root, scale)
    colors = np.asarray(rasterize(svg.to_text(_only_texts(root)), scale=scale, smooth=False))
    behind = copy.deepcopy(root)
    for parent in list(behind.iter()):
        for child in list(parent):
            if child.tag == svg.tag("text"):
                parent.remove(child)
    ground = np.asarray(
        rasterize(svg.to_text(behind), scale=scale, background=theme.paper).convert("RGB")
        if under is None
        else laid_on(svg.to_text(behind), under, scale=scale)
    )
    x0, y0, _, _ = svg.view_box(root)
    all_rows, all_columns = np.nonzero(numbers)
    order = np.argsort(numbers[all_rows, all_columns], kind="stable")
    all_rows, all_columns = all_rows[order], all_columns[order]
    ends = np.searchsorted(numbers[all_rows, all_columns], np.arange(1, len(elements) + 2))
    found = []
    for index, element in enumerate(elements):
        rows, columns = (a[ends[index] : ends[index + 1]] for a in (all_rows, all_columns))
        if rows.size == 0:
            continue  # not drawn: an empty cell, a hidden duplicate
        box = (
            x0 + float(columns.min()) / scale,
            y0 + float(rows.min()) / scale,
            x0 + float(columns.max() + 1) / scale,
            y0 + float(rows.max() + 1) / scale,
        )
        color = _hex(np.median(colors[rows, columns, :3], axis=0))
        middle = np.median(ground[rows, columns], axis=0)
        background = _hex(middle)
        label = Label(svg.text_of(element), box, color, background, contrast(color, background))
        near = np.clip(columns[:, None] + np.arange(-2, 3), 0, ground.shape[1] - 1)
        around = ground[rows[:, None], near].reshape(-1, 3)
        crossed = bool((np.abs(around - middle).max(axis=-1) > _VISIBLE).any())
        found.append(_Seen(element, label, around, crossed))
    return found


def _numbers(root: Element, scale: float) -> NDArray[np.uint32]:
    """Return an array with the number of the text (from 1) that covers each pixel, else 0."""
    tree = _only_texts(root)
    for number, element in enumerate(svg.texts(tree), start=1):
        svg.set_style(element, fill=f"#{number:06x}", stroke="none", fill_opacity="1", opacity="1")
    image = np.asarray(rasterize(svg.to_text(tree), scale=scale, smooth=False)).astype(np.uint32)
    red, green, blue, alpha = (image[:, :, channel] for channel in range(4))
    return np.where(alpha == 255, (red << 16) | (green << 8) | blue, 0).astype(np.uint32)


def _only_texts(root: Element) -> Element:
    tree = copy.deepcopy(root)
    for parent in list(tree.iter()):
        for child in list(parent):
            if child.tag in _SHAPES or child.tag == svg.tag("defs"):
                parent.remove(child)
    for element in tree.iter():
        element.attrib.pop("clip-path", None)  # its shape went with the definitions
    for element in svg.texts(tree):
        svg.set_style(element, stroke="none")
    return tree


def _luminance(color: str) -> float:
    channels = [c / 255 for c in _rgb(color)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _hex(rgb: NDArray[np.float64]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*(round(float(c)) for c in rgb))
