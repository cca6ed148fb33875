"""An avatar in every size that chat platforms and web pages ask for, cut out and circle-safe.

All files come from one master: the figure without its background, its head in the middle, inside
the circle that platforms crop to. Sizes: docs.slack.dev (apps.icon.set), learn.microsoft.com
(design-teams-app-icon-store-appbar), Discord's powers of two, the web app manifest's maskable icon
(https://www.w3.org/TR/appmanifest/#icon-masks: safe circle of 80 % of the side).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from agent_tools.color_space import delta_e_2000, lab_from_linear, linear_from_srgb
from agent_tools.portrait import cut_out, eroded
from agent_tools.provenance import marked_png

Finish = Literal["transparent", "full-bleed", "outline"]

MASTER = 1024
# The head's longer side as a share of the picture's: its corners stay inside the safe circle.
HEAD_SHARE = 0.54
_OUTLINE_SIDE = 32
_BACKDROPS = ("#cfe6f7", "#f1e3cd", "#cdeedd", "#fbd9e3", "#ffffff", "#2b3a55", "#1d2026")


@dataclass(frozen=True, slots=True)
class Target:
    """One file of the pack."""

    path: str
    side: int
    finish: Finish = "transparent"


TARGETS: tuple[Target, ...] = (
    Target("slack/icon-512.png", 512),
    Target("teams/color-192.png", 192, "full-bleed"),
    Target("teams/outline-32.png", _OUTLINE_SIDE, "outline"),
    *(Target(f"discord/avatar-{side}.png", side) for side in (128, 256, 512, 1024)),
    *(Target(f"web/avatar-{side}.png", side) for side in (1024, 512, 256, 128, 64)),
    *(Target(f"favicon/icon-{side}.png", side) for side in (16, 32, 48, 192, 512)),
    Target("favicon/apple-touch-icon-180.png", 180, "full-bleed"),
    Target("favicon/maskable-512.png", 512, "full-bleed"),
)
ICO_PATH, ICO_SIDES = "favicon/favicon.ico", (16, 32, 48)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class PackFile:
    """One finished file.

    Attributes:
        target: where it goes and how it was made.
        data: the encoded bytes.
        image: the picture in it.
        background: color behind a full-bleed figure, else None.
    """

    target: Target
    data: bytes
    image: Image.Image
    background: str | None = None


def head_box(mask: Image.Image) -> Box:
    """Return the head of a bust's mask: from its top to the neck, the narrowest row below.

    Raises:
        ValueError: if the mask is empty.
    """
    figure = np.asarray(mask) >= 128
    rows = np.flatnonzero(figure.any(axis=1))
    if not len(rows):
        raise ValueError("the mask is empty")
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    height = bottom - top
    widths = figure[top:bottom].sum(axis=1)
    low, high = round(height * 0.4), max(round(height * 0.4) + 1, round(height * 0.72))
    # Of equally narrow rows the last one: the chin belongs to the head.
    neck = low + int(np.flatnonzero(widths[low:high] == widths[low:high].min())[0])
    columns = np.flatnonzero(figure[top : top + neck].any(axis=0))
    return Box(int(columns[0]), top, int(columns[-1]) + 1, top + neck)


def framed(figure: Image.Image, head: Box, side: int = MASTER) -> Image.Image:
    """Return the figure on a transparent square, its head in the middle.

    Args:
        figure: RGBA; the bust leaves it at the bottom.
        head: where its head is.
        side: of the result, pixels.
    """
    longer = max(head.right - head.left, head.bottom - head.top)
    scale = HEAD_SHARE * side / longer
    size = (max(1, round(figure.width * scale)), max(1, round(figure.height * scale)))
    scaled = figure.resize(size, Image.Resampling.LANCZOS)
    x = round(side / 2 - (head.left + head.right) / 2 * scale)
    y = round(side / 2 - (head.top + head.bottom) / 2 * scale)
    canvas = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    canvas.alpha_composite(scaled, (max(0, x), max(0, y)), (max(0, -x), max(0, -y)))
    below = y + size[1]
    if below < side:
        # The bust ends above the lower edge: its last whole row goes on.
        row = scaled.crop((0, size[1] - 2, size[0], size[1] - 1))
        rest = row.resize((size[0], side - below + 1), Image.Resampling.NEAREST)
        canvas.alpha_composite(rest, (max(0, x), below - 1), (max(0, -x), 0))
    return canvas


def master_of(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the transparent 1024 px master of a portrait and its outline, enlarged by Lanczos."""
    large = (MASTER, MASTER)
    picture = picture.convert("RGB").resize(large, Image.Resampling.LANCZOS)
    # The outline is smoothed as it grows: steps of the small one would show.
    mask = mask.resize(large, Image.Resampling.BICUBIC)
    mask = mask.filter(ImageFilter.GaussianBlur(3))
    mask = mask.point([max(0, min(255, (value - 128) * 5 + 128)) for value in range(256)])
    return framed(cut_out(picture, mask), head_box(mask))


def backdrop_for(master: Image.Image) -> str:
    """Return the quiet color that the figure stands out from most."""
    alpha = np.asarray(master.getchannel("A"))
    inner = np.asarray(eroded(master.getchannel("A"), 7))
    ring = (alpha > 200) & (inner < 200)
    pixels = np.asarray(master.convert("RGB"))[ring]
    lab = lab_from_linear(linear_from_srgb(pixels[:: max(1, len(pixels) // 2000)]))

    def contrast(color: str) -> float:
        # The tenth percentile: hair and coat must both stand out.
        return float(np.percentile(delta_e_2000(lab, lab_of(color)), 10))

    return max(_BACKDROPS, key=contrast)


def lab_of(color: str) -> np.ndarray:
    """Return the CIELAB value of #rrggbb."""
    rgb = np.array(list(bytes.fromhex(color[1:])), np.uint8)
    return np.asarray(lab_from_linear(linear_from_srgb(rgb)))


def make_files(master: Image.Image, backdrop: str, xmp: str) -> list[PackFile]:
    """Return every file of the pack; the same arguments give the same bytes.

    Args:
        master: from `master_of`.
        backdrop: color behind the full-bleed files, #rrggbb.
        xmp: the mark that every file carries.
    """
    files: list[PackFile] = []
    same: dict[tuple[int, Finish], PackFile] = {}
    for target in TARGETS:
        twin = same.get((target.side, target.finish))
        if twin is not None:
            files.append(replace(twin, target=target))
            continue
        if target.finish == "outline":
            image, background = _outline(master, target.side), None
        else:
            image = master.resize((target.side, target.side), Image.Resampling.LANCZOS)
            background = backdrop if target.finish == "full-bleed" else None
            if background is not None:
                paper = Image.new("RGBA", image.size, background)
                paper.alpha_composite(image)
                image = paper.convert("RGB")
        files.append(PackFile(target, marked_png(image, xmp), image, background))
        same[(target.side, target.finish)] = files[-1]
    return files


def favicon(master: Image.Image) -> bytes:
    """Return the .ico file with 16, 32 and 48 px."""
    buffer = io.BytesIO()
    master.save(buffer, "ICO", sizes=[(side, side) for side in ICO_SIDES])
    return buffer.getvalue()


def _outline(master: Image.Image, side: int) -> Image.Image:
    """Return white lines on transparency: the figure's contour and the strongest edges inside."""
    large = side * 8
    small = master.resize((large, large), Image.Resampling.LANCZOS)
    alpha = small.getchannel("A").point([0] * 128 + [255] * 128)
    contour = ImageChops.subtract(
        alpha.filter(ImageFilter.MaxFilter(9)), alpha.filter(ImageFilter.MinFilter(9))
    )
    paper = Image.new("RGBA", small.size, "gray")
    paper.alpha_composite(small)
    gray = paper.convert("L").filter(ImageFilter.GaussianBlur(3))
    edges = ImageChops.subtract(
        gray.filter(ImageFilter.MaxFilter(7)), gray.filter(ImageFilter.MinFilter(7))
    ).point([0] * 60 + [255] * 196)
    inside = ImageChops.multiply(edges, alpha.filter(ImageFilter.MinFilter(13)))
    lines = ImageChops.lighter(contour, inside)
    lines = lines.resize((side, side), Image.Resampling.BOX)
    result = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    result.putalpha(lines)
    return result
