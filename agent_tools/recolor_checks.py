"""What a recolored picture is judged by: missed color, kept shading, clipping, untouched bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agent_tools.color_space import delta_e_2000, lab_from_linear, linear_from_srgb
from agent_tools.product_color import Flags, Floats, ProductColor, luminance

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.color import NamedColor

Bytes = npt.NDArray[np.uint8]

GOOD_DELTA_E = 2.0
_SAMPLE = 20_000


def sample_of(count: int) -> npt.NDArray[np.int64]:
    """Return indices of all pixels, or of the same 20,000 every time."""
    if count <= _SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).integers(0, count, _SAMPLE))


def outside_max_change(before: Image.Image, after: Image.Image, mask: Image.Image) -> int:
    """Return the largest change of any byte where `mask` is 0, alpha everywhere included."""
    mode = "RGBA" if "A" in before.getbands() else "RGB"
    old, new = np.asarray(before.convert(mode)), np.asarray(after.convert(mode))
    outside = np.asarray(mask.convert("L")) == 0
    unequal = old != new
    watched = (unequal[..., 0] | unequal[..., 1] | unequal[..., 2]) & outside
    if mode == "RGBA":
        watched |= unequal[..., 3]
    if not watched.any():
        return 0
    change = np.abs(old[watched].astype(np.int16) - new[watched])
    change[~outside[watched], :3] = 0
    return int(change.max())


def median_delta_e(pixels: Bytes, target: NamedColor) -> float:
    """Return CIEDE2000 between the median of sRGB `pixels`, shape (n, 3), and `target`."""
    lab = np.median(lab_from_linear(linear_from_srgb(pixels)), axis=0)
    return float(delta_e_2000(lab, lab_from_linear(linear_from_srgb(target.bytes))))


def hue_leftover(pixels: Bytes, target: NamedColor) -> float:
    """Return how far, in Lab units, pixels stray from the line between gray and the target."""
    lab = lab_from_linear(linear_from_srgb(pixels))
    wanted = lab_from_linear(linear_from_srgb(target.bytes))
    chroma = float(np.hypot(wanted[1], wanted[2]))
    if chroma < 3:
        return float(np.hypot(lab[:, 1], lab[:, 2]).mean())
    across = (lab[:, 1] * wanted[2] - lab[:, 2] * wanted[1]) / chroma
    return float(np.abs(across).mean())


def r_log_y(before: Floats, after: Floats, body: Flags) -> float:
    """Return the correlation of log luminance before and after: how well shading was kept.

    Args:
        before: linear RGB, shape (3, n).
        after: likewise.
        body: which pixels count, shape (n,).
    """
    old = np.log(luminance(before)[body] + np.float32(1e-3)).astype(np.float64)
    new = np.log(luminance(after)[body] + np.float32(1e-3)).astype(np.float64)
    if old.std() < 1e-6 or new.std() < 1e-6:
        return 1.0 if old.std() < 1e-6 else 0.0
    return float(np.corrcoef(old, new)[0, 1])


def clipped_share(light: Floats, new: Floats) -> float:
    """Return the share of pixels that `new` pushes out of the displayable range."""
    pushed = ((new > 1.004) & (light < 0.996)) | ((new < -0.004) & (light > 0.004))
    return float(pushed.any(axis=0).mean())


def color_warnings(
    product: ProductColor, target: NamedColor, achieved: float, *, keep_prints: bool
) -> list[str]:
    """Say what about this product or this color is hard.

    Args:
        product: what was found under the mask.
        target: the color asked for.
        achieved: CIEDE2000 reached.
        keep_prints: whether other colors under the mask were to be left alone.
    """
    wanted = lab_from_linear(linear_from_srgb(target.bytes))[0]
    own = lab_from_linear(product.albedo)[0]
    found = []
    if achieved > GOOD_DELTA_E:
        found.append(
            f"The product misses {target.hex} by CIEDE2000 {achieved:.1f}: this picture's light "
            "cannot show that color."
        )
    if wanted > 93:
        found.append("The color is almost white: shading is faint and light parts may clip.")
    if wanted < 12:
        found.append("The color is almost black: folds and edges are hard to see.")
    if own < 20:
        found.append(
            "The product is almost black in the source, which holds little shading to carry over."
        )
    if own > 88 and not product.chromatic and keep_prints:
        found.append(
            "The product is almost white in the source: white prints and highlights cannot be told "
            "from it and are colored too. Leave them out of the mask."
        )
    if product.other_share > 0.08 and keep_prints:
        found.append(
            f"The product has several colors: {product.other_share:.0%} of it has another hue and "
            "was left alone. Give each color a region of its own to change it."
        )
    return found
