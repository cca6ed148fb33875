"""Rendered products whose true recolored picture is known: render again with another albedo.

All are dichromatic scenes in linear light (S. A. Shafer, "Using color to separate reflection
components", 1985): body color times shading, plus white gloss on mug and sneaker, with noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from agent_tools.color_space import linear_from_srgb, srgb_from_linear

_OVERSAMPLE = 2


@dataclass(frozen=True)
class Rendered:
    """A picture with its product mask, the mask of its second color (a tee's print, a shoe's sole).

    Attributes:
        image: RGB.
        mask: mode "L", white = product.
        print_mask: mode "L", white = the part in another color; black where there is none.
        two_colors: whether that part is the product's own second color, not a print on it.
    """

    image: Image.Image
    mask: Image.Image
    print_mask: Image.Image
    two_colors: bool = False

    @property
    def body_mask(self) -> Image.Image:
        """The product without its second color."""
        return ImageChops.subtract(self.mask, self.print_mask)


def albedo(hex_color: str) -> np.ndarray:
    """Return a hex color as linear light, shape (3,)."""
    return linear_from_srgb(np.frombuffer(bytes.fromhex(hex_color[1:]), np.uint8)).astype(float)


def mug(color: str, size: int = 512, *, ground: str = "#D6D6D6") -> Rendered:
    """Render a glazed mug with a handle, gloss, an inner wall and a contact shadow."""
    side = size * _OVERSAMPLE
    y, x = np.mgrid[0:side, 0:side] / side
    body_x = (x - 0.44) / 0.24
    lip, foot = 0.20 + 0.05 * _arc(body_x), 0.80 + 0.05 * _arc(body_x)
    body = (np.abs(body_x) < 1) & (y > lip) & (y < foot)
    opening = ((x - 0.44) / 0.24) ** 2 + ((y - 0.20) / 0.05) ** 2 < 1
    ring = np.hypot((x - 0.70) / 0.13, (y - 0.47) / 0.17)
    handle = (np.abs(ring - 0.82) < 0.18) & (x > 0.66) & ~body & ~opening

    normal = np.clip(body_x, -1, 1)
    toward_light = np.cos(np.arcsin(normal) + 0.55)
    shading = 0.28 + 0.85 * np.clip(toward_light, 0, 1)
    shading *= 1 - 0.18 * np.clip((y - 0.25) / 0.55, 0, 1)
    shading = np.where(opening, 0.38 + 0.30 * np.clip((x - 0.2) / 0.48, 0, 1), shading)
    round_handle = np.sqrt(np.clip(1 - ((ring - 0.82) / 0.18) ** 2, 0, 1))
    shading = np.where(handle, 0.30 + 0.65 * round_handle, shading)
    gloss = 0.75 * np.exp(-(((normal + 0.50) / 0.055) ** 2)) * (np.abs(y - 0.45) < 0.14)
    gloss += 0.12 * np.exp(-(((normal + 0.50) / 0.22) ** 2))
    gloss += 0.10 * np.exp(-(((normal - 0.93) / 0.05) ** 2))
    gloss = np.where(body, gloss, 0)
    gloss += np.where(handle, 0.5 * np.clip(round_handle - 0.93, 0, 1) / 0.07, 0)

    shadow = np.exp(-(((x - 0.47) / 0.30) ** 4) - ((y - 0.85) / 0.035) ** 2)
    background = albedo(ground) * (1.06 - 0.25 * y[..., None]) * (1 - 0.55 * shadow[..., None])
    product = body | opening | handle
    lit = albedo(color) * shading[..., None] + gloss[..., None]
    linear = np.where(product[..., None], lit, background)
    return _finish(linear, product, np.zeros_like(product), side // _OVERSAMPLE)


def tee(color: str, size: int = 512, *, ground: str = "#F6F6F6") -> Rendered:
    """Render a matte knit tee with folds and a white-and-black print."""
    side = size * _OVERSAMPLE
    outline = [
        (0.30, 0.12), (0.42, 0.12), (0.46, 0.17), (0.54, 0.17), (0.58, 0.12), (0.70, 0.12),
        (0.92, 0.30), (0.82, 0.44), (0.71, 0.36), (0.71, 0.90), (0.29, 0.90), (0.29, 0.36),
        (0.18, 0.44), (0.08, 0.30),
    ]  # fmt: skip
    product = _polygon(outline, side)
    y, x = np.mgrid[0:side, 0:side] / side
    folds = 0.16 * np.sin(9 * x + 5 * np.sin(4 * y)) + 0.10 * np.sin(23 * x - 11 * y + 1.3)
    folds += 0.06 * np.sin(41 * y + 17 * x * y)
    knit = 0.05 * np.sin(x * 900) * np.sin(y * 700)
    shading = np.clip(0.95 + folds + knit - 0.25 * np.abs(x - 0.47), 0.1, None)
    disc = np.hypot(x - 0.5, y - 0.48) < 0.11
    bar = disc & (np.abs(y - 0.48) < 0.022)
    print_mask = disc & product
    body = np.where(disc[..., None], 0.82, albedo(color))
    body = np.where(bar[..., None], 0.015, body)
    linear = np.where(product[..., None], body * shading[..., None], albedo(ground))
    return _finish(linear, product, print_mask, side // _OVERSAMPLE)


def sneaker(
    color: str, size: int = 512, *, sole: str = "#E8B23A", ground: str = "#DDE1E4"
) -> Rendered:
    """Render a sneaker from the side: upper and sole in two colors, white laces, a soft gloss.

    `print_mask` is the sole.
    """
    side = size * _OVERSAMPLE
    y, x = np.mgrid[0:side, 0:side] / side
    top = [
        (0.12, 0.66), (0.11, 0.40), (0.16, 0.33), (0.27, 0.36), (0.37, 0.33), (0.46, 0.40),
        (0.60, 0.50), (0.78, 0.54), (0.88, 0.60), (0.90, 0.68),
    ]  # fmt: skip
    bottom = [(0.10, 0.66), (0.90, 0.66), (0.92, 0.72), (0.89, 0.76), (0.12, 0.76), (0.09, 0.72)]
    upper, base = (_polygon(outline, side) for outline in (top, bottom))
    product = upper | base
    laces = np.zeros_like(upper)
    for k in range(5):
        start = (0.40 + 0.045 * k, 0.395 + 0.028 * k)
        laces |= np.abs((y - start[1]) - 0.9 * (start[0] + 0.05 - x)) < 0.007
        laces &= upper & (x > 0.36) & (x < 0.64)
    bulge = np.clip((y - 0.33) / 0.33, 0, 1)
    shading = 0.55 + 0.45 * np.sin(np.pi * (0.25 + 0.6 * bulge)) + 0.06 * np.sin(26 * x + 9 * y)
    shading -= 0.14 * np.exp(-(((x - 0.30 - 0.2 * (y - 0.4)) / 0.012) ** 2))  # a seam
    shading = np.where(base, 0.62 + 0.30 * np.clip((0.76 - y) / 0.10, 0, 1), shading)
    gloss = 0.22 * np.exp(-(((x - 0.74) / 0.09) ** 2) - ((y - 0.575) / 0.018) ** 2) * upper
    shadow = np.exp(-(((x - 0.5) / 0.42) ** 6) - ((y - 0.775) / 0.025) ** 2)
    background = albedo(ground) * (1.0 - 0.5 * shadow[..., None])
    body = np.where(base[..., None], albedo(sole), albedo(color))
    body = np.where(laces[..., None], 0.80, body)
    linear = np.where(product[..., None], body * shading[..., None] + gloss[..., None], background)
    return replace(_finish(linear, product, base, side // _OVERSAMPLE), two_colors=True)


def recolored_by_hsv(image: Image.Image, mask: Image.Image, color: str) -> Image.Image:
    """Replace hue and saturation and keep HSV's value: the usual shortcut, as a control."""
    hue, saturation, _ = Image.new("RGB", (1, 1), color).convert("HSV").getpixel((0, 0))
    value = image.convert("HSV").getchannel("V")
    flat = [Image.new("L", image.size, level) for level in (hue, saturation)]
    return Image.composite(
        Image.merge("HSV", (*flat, value)).convert("RGB"), image.convert("RGB"), mask
    )


def _polygon(outline: list[tuple[float, float]], side: int) -> np.ndarray:
    drawn = Image.new("L", (side, side))
    ImageDraw.Draw(drawn).polygon([(a * side, b * side) for a, b in outline], fill=255)
    return np.asarray(drawn) > 0


def _arc(body_x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.clip(1 - body_x**2, 0, 1))


def _finish(linear: np.ndarray, product: np.ndarray, print_mask: np.ndarray, size: int) -> Rendered:
    """Average the oversampled light, add the same noise every time, encode."""
    shape = (size, _OVERSAMPLE, size, _OVERSAMPLE)
    light = linear.reshape(*shape, 3).mean(axis=(1, 3))
    noise = np.random.default_rng(7).normal(0, 0.004, light.shape)
    light = np.clip(light * (1 + noise) + noise / 4, 0, 1)
    cover = product.reshape(shape).mean(axis=(1, 3))
    printed = print_mask.reshape(shape).mean(axis=(1, 3))
    return Rendered(
        Image.fromarray(srgb_from_linear(light)),
        Image.fromarray(np.round(cover * 255).astype(np.uint8)),
        Image.fromarray(np.round(printed * 255).astype(np.uint8)),
    )
