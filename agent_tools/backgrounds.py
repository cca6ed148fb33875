"""Take away or replace what is behind a product: no model, the product's own bytes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agent_tools.color import parse_color
from agent_tools.color_space import linear_from_srgb, srgb_from_linear
from agent_tools.errors import InvalidArguments

if TYPE_CHECKING:
    from agent_tools.color import NamedColor

_PURE = {"white": "#FFFFFF", "black": "#000000"}
_SUFFIXES = (" background", " backdrop")


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return "RGBA": the product with its own bytes, all else transparent black.

    Args:
        image: "RGB", "RGBA" or "L"; its own transparency stays.
        mask: mode "L", white = product; grays are soft edges.
    """
    weights = np.asarray(mask)
    if image.mode == "RGBA":
        alpha = np.asarray(image.getchannel("A"))
        weights = (weights.astype(np.uint16) * alpha // 255).astype(np.uint8)
    pixels = np.asarray(image.convert("RGB")).copy()
    pixels[weights == 0] = 0
    return Image.fromarray(np.dstack([pixels, weights]))


def on_color(image: Image.Image, mask: Image.Image, color: NamedColor) -> Image.Image:
    """Return "RGB": the product with its own bytes on a plain color; edges blend in linear light.

    Args:
        image: "RGB", "RGBA" or "L".
        mask: mode "L", white = product; grays are soft edges.
        color: of the background.
    """
    cut = np.asarray(cut_out(image, mask))
    cover = cut[..., 3:].astype(np.float32) / 255
    ground = linear_from_srgb(color.bytes)
    blended = linear_from_srgb(cut[..., :3]) * cover + ground * (1 - cover)
    result = srgb_from_linear(blended)
    whole = cut[..., 3] == 255
    result[whole] = cut[whole][:, :3]
    return Image.fromarray(result)


def starter_backdrop(scene: str) -> NamedColor:
    """Return the plain color that stands in for a scene where the model paints none.

    Raises:
        InvalidArguments: if the scene is no plain backdrop.
    """
    color = plain_color(scene)
    if color is None:
        raise InvalidArguments(
            f"The starter model cannot paint '{scene[:60]}' around a product.",
            hint="Ask for a plain backdrop, such as 'mint background', or set another model.",
        )
    return color


def plain_color(text: str) -> NamedColor | None:
    """Return the color that "mint", "#F4F4F4" or "a plain white background" names, or None."""
    words = text.strip().lower()
    for suffix in _SUFFIXES:
        words = words.removesuffix(suffix)
    for start in ("on ", "a ", "plain "):
        words = words.removeprefix(start)
    try:
        # A product is "white" like porcelain; what is behind it, like paper.
        return parse_color(_PURE.get(words, words))
    except InvalidArguments:
        return None
