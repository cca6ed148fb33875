"""Line drawings of rendered scenes: what a person would draw with a pen, without color."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter
from torch.nn import functional

from engine.starter.render.geometry import Geometry

Pixels = npt.NDArray[np.uint8]
_INK = 30


def geometry_lines(geometry: Geometry, supersampling: int = 2) -> Pixels:
    """Return the drawing (side, side) uint8: outlines, seams between parts, sharp creases."""
    part = geometry.part.float()[None, None]
    outline = _varies(part) > 0.5
    normal = geometry.normal.permute(2, 0, 1)[None]
    crease = _varies(normal).amax(dim=1, keepdim=True) > 0.55
    lines = (outline | (crease & geometry.mask)).float()
    lines = functional.max_pool2d(lines, 3, 1, 1)
    share = functional.avg_pool2d(lines, supersampling)[0, 0]
    return (255 - share.numpy() * (255 - _INK)).round().astype(np.uint8)


def _varies(values: torch.Tensor) -> torch.Tensor:
    """Return how much neighbors differ, by channel."""
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
    return functional.max_pool2d(padded, 3, 1) + functional.max_pool2d(-padded, 3, 1)


def drawn_lines(picture: Pixels) -> Pixels:
    """Return the drawing of a flat illustration (H, W, 3): lines where its colors change."""
    image = Image.fromarray(picture)
    spread = np.asarray(image.filter(ImageFilter.MaxFilter(3)), np.int16) - np.asarray(
        image.filter(ImageFilter.MinFilter(3)), np.int16
    )
    ink = np.clip((spread.max(axis=-1) - 24) / 40, 0, 1)
    return (255 - ink * (255 - _INK)).round().astype(np.uint8)
