"""Confetti behind a figure, drawn by a seeded generator: the same seed, the same confetti."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw

_COLORS = ("#e4572e", "#f3a712", "#29a19c", "#7b4fb5", "#2b63d9", "#e85d9a")
_PIECES = 70
_SCALE = 4  # drawn larger and shrunk, for smooth edges


def with_confetti(image: Image.Image, figure: Image.Image, seed: int) -> Image.Image:
    """Return the picture with confetti where the figure is not.

    Args:
        image: RGB.
        figure: mode "L", the picture's size; 255 = figure, which stays byte for byte.
        seed: decides place, color and turn of every piece.
    """
    random = np.random.default_rng(seed)
    width, height = image.width * _SCALE, image.height * _SCALE
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    side = width / 40
    for number in range(_PIECES):
        x, y = random.uniform(0, width), random.uniform(0, height * 0.8)
        turn, length = random.uniform(0, np.pi), side * random.uniform(0.7, 1.3)
        along = np.array([np.cos(turn), np.sin(turn)]) * length
        across = np.array([-np.sin(turn), np.cos(turn)]) * length * 0.45
        corners = [
            tuple(np.array([x, y]) + a * along + b * across)
            for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
        ]
        draw.polygon(corners, fill=_COLORS[number % len(_COLORS)])
    layer = layer.resize(image.size, Image.Resampling.BOX)
    room = figure.point([255] + [0] * 255)
    layer.putalpha(ImageChops.multiply(layer.getchannel("A"), room))
    result = image.convert("RGBA")
    result.alpha_composite(layer)
    return result.convert("RGB")
