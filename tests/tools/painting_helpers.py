"""Pictures for the painting tools, and ways to look at what they keep."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from agent_tools.image_record import ImageRecord
from agent_tools.pictures import encode_png
from agent_tools.results import ToolResult
from agent_tools.studio import Studio

QUICK = {"steps": 2, "width": 64, "height": 64}


def upload(studio: Studio, image: Image.Image, kind: Any = "upload") -> str:
    return studio.gallery.add_upload(encode_png(image), kind=kind).image_id


def gradient(width: int = 72, height: int = 64) -> Image.Image:
    """Return a picture in which no two neighbors are equal."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 3 % 256, y * 3 % 256, (x + y) * 2 % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def square_mask(size: tuple[int, int] = (72, 64), box: tuple[int, ...] = (20, 20, 44, 40)) -> Any:
    mask = Image.new("L", size, 0)
    mask.paste(255, box)
    return mask


def records(studio: Studio, result: ToolResult) -> list[ImageRecord]:
    return [studio.gallery.get(image.info.image_id) for image in result.images]


def pixels(studio: Studio, image_id: str) -> np.ndarray:
    return np.asarray(studio.gallery.open_image(image_id))
