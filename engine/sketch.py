"""Line drawings as a condition: what any drawing becomes before a network reads it.

ControlNet: arXiv:2302.05543. Its scribble and line-art networks were trained on white lines on
black, the size of the picture.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from engine.errors import InvalidRequest

# Between the darkest and the lightest gray of a drawing there are at least so many levels.
_MIN_CONTRAST = 24
# Paper shades change over at least this share of the longer side; strokes are thinner.
_PAPER_SHARE = 0.08
_WORK_SIDE = 1024


def control_image(sketch: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a drawing as ControlNet expects it: RGB, `size`, white lines on black.

    Dark lines on light paper and light lines on dark paper both work; uneven light on photographed
    paper is taken out. The drawing is scaled to fit and centered: no line is cut off.

    Raises:
        InvalidRequest: if there are no lines on it.
    """
    gray = _on_white(sketch)
    gray.thumbnail((_WORK_SIDE, _WORK_SIDE), Image.Resampling.LANCZOS)
    if np.median(np.asarray(gray)) < 128:
        gray = ImageOps.invert(gray)
    levels = np.asarray(gray, dtype=np.int16)
    if int(levels.max()) - int(levels.min()) < _MIN_CONTRAST:
        raise InvalidRequest(
            "The sketch shows no lines.", hint="Draw dark lines on light paper, or the reverse."
        )
    ink = np.clip(_paper(gray).astype(np.int16) - levels, 0, 255)
    # Paper grain stays black, the pen's full pressure becomes white.
    strongest = max(float(np.percentile(ink, 99.8)), float(ink.max()) / 2, 1.0)
    ink = np.clip((ink / strongest - 0.15) / 0.6, 0, 1)
    lines = Image.fromarray((ink * 255).round().astype(np.uint8))
    return ImageOps.pad(lines, size, Image.Resampling.LANCZOS, color=0).convert("RGB")


def _on_white(sketch: Image.Image) -> Image.Image:
    if sketch.mode in ("RGBA", "LA", "PA") or "transparency" in sketch.info:
        rgba = sketch.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        white.alpha_composite(rgba)
        return white.convert("L")
    return sketch.convert("L")


def _paper(gray: Image.Image) -> np.ndarray:
    """Estimate the shade of the paper under every pixel: the lightest one around it, smoothed."""
    longer = max(gray.size)
    cell = max(1, round(longer * _PAPER_SHARE / 5))
    small = gray.resize(
        (max(1, gray.width // cell), max(1, gray.height // cell)), Image.Resampling.BOX
    )
    lightest = small.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.BoxBlur(2))
    return np.asarray(lightest.resize(gray.size, Image.Resampling.BICUBIC))
