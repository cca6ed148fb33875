"""Find a product's own color in a photo, and how much of it each pixel shows.

Light is linear RGB in planes, shape (3, n), float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agent_tools.color_space import LUMINANCE, oklab_from_linear

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

# The mid-tone: between these percentiles of luminance a surface shows its color best, away from
# shadow and from gloss.
MIDTONE = (45.0, 75.0)
# Where the light is full, short of the brightest folds and what gloss is left in them.
LIT = (86.0, 97.0)
_SATURATED = 0.10  # Oklab chroma by lightness
_HUE_BINS = 72
_HUE_WINDOW = np.radians(28)
_GLOSS_RIDGE = 0.05
# The sine of a pixel's angle from the product's hue: kept as product below, left alone above.
_HUE_NEAR, _HUE_FAR = 0.36, 0.72
_GRAY_NEAR, _GRAY_FAR = 0.16, 0.34
_CORE_NEAR, _CORE_FAR = 0.85, 0.97
_BLOWN_NEAR, _BLOWN_FAR = 0.985, 1.0
_NOISE = 0.012


@dataclass(frozen=True, slots=True)
class ProductColor:
    """The main color under a mask.

    Attributes:
        albedo: linear RGB of the mid-tone, shape (3,); shading is 1 there.
        chromatic: whether it has a hue to select by.
        shading_cap: for gray products, shading above this is taken for gloss.
        share: part of the product's pixels that show this color, 0 to 1.
        other_share: part that shows a clearly different hue.
    """

    albedo: Floats
    chromatic: bool
    shading_cap: float
    share: float
    other_share: float


@dataclass(frozen=True, slots=True)
class Layers:
    """What a pixel is made of: `shading` * albedo + `gloss` * white + a rest.

    Attributes:
        shading: shape (n,), 0 and up.
        gloss: shape (n,), 0 and up.
        weight: how surely the pixel shows the product's color, 0 to 1.
    """

    shading: Floats
    gloss: Floats
    weight: Floats

    def of(self, chosen: Flags) -> Layers:
        """Return the layers of some of the pixels."""
        return Layers(self.shading[chosen], self.gloss[chosen], self.weight[chosen])


def luminance(light: Floats) -> Floats:
    """Return relative luminance, shape (n,)."""
    red, green, blue = LUMINANCE
    result: Floats = red * light[0] + green * light[1] + blue * light[2]
    return result


def smoothstep(low: float, high: float, values: Floats) -> Floats:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    result: Floats = t * t * (3 - 2 * t)
    return result


def find_product_color(light: Floats) -> ProductColor:
    """Return the main color of a sample of the product's pixels, shape (3, n)."""
    lab = oklab_from_linear(np.ascontiguousarray(light.T))
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    saturated = (chroma > _SATURATED * np.maximum(lightness, 0.12)) & (lightness > 0.06)
    judged = lightness > 0.06
    chromatic = bool(saturated.sum() > 0.45 * max(1, judged.sum()))
    if chromatic:
        hue = np.arctan2(lab[:, 2], lab[:, 1])
        members = saturated & (_angle(hue, _main_hue(hue, chroma * saturated)) < _HUE_WINDOW)
    else:
        members = judged & ~saturated
        members = members if members.any() else np.ones_like(judged)
        members = _main_lightness(lightness, members)
    albedo = np.median(light[:, percentile_band(luminance(light), members, MIDTONE)], axis=1)
    albedo = np.maximum(albedo, 1e-3).astype(np.float32)
    shading = luminance(light[:, members]) / luminance(albedo)
    middle, high = np.percentile(shading, (50, 90))
    found = ProductColor(
        albedo=albedo,
        chromatic=chromatic,
        shading_cap=float(middle + 2.5 * max(high - middle, 0.06)),
        share=1.0,
        other_share=0.0,
    )
    layers = split_layers(found, light)
    other = saturated & (layers.weight < 0.3)
    return replace(
        found,
        share=float(selected(layers, found).mean()),
        other_share=float(other.mean()),
    )


def split_layers(product: ProductColor, light: Floats) -> Layers:
    """Split pixels into the product's shading and white gloss, by least squares.

    The two-color plane of Shafer's dichromatic model. Body and gloss of a gray product look alike,
    and telling them apart by its faint tint would follow the noise: there everything is shading,
    up to `shading_cap`.
    """
    albedo = product.albedo.astype(np.float64)
    red, green, blue = light
    mean = (red + green + blue) * np.float32(1 / 3)
    alone = (albedo / (albedo @ albedo)).astype(np.float32)
    body = alone[0] * red + alone[1] * green + alone[2] * blue
    if not product.chromatic:
        shading = np.minimum(body, np.float32(product.shading_cap))
        gloss = (body - shading) * np.float32(albedo.mean())
        return Layers(shading, gloss, _weight(product, light, shading, mean))
    basis = np.stack([albedo, np.ones(3)])
    # A small ridge on gloss settles what cannot be told apart.
    normal = basis @ basis.T + np.diag([0.0, _GLOSS_RIDGE])
    solve = np.linalg.solve(normal, basis).astype(np.float32)
    shading = solve[0, 0] * red + solve[0, 1] * green + solve[0, 2] * blue
    gloss = solve[1, 0] * red + solve[1, 1] * green + solve[1, 2] * blue
    # Gloss only adds light. Where the fit subtracts it, the pixel is all body color.
    shading = np.where(gloss < 0, body, shading)
    # Nor can shading be negative: such a pixel is all gloss.
    gloss = np.where(shading < 0, mean, np.maximum(gloss, 0))
    shading = np.maximum(shading, 0)
    return Layers(shading, gloss, _weight(product, light, shading, mean))


def color_all(product: ProductColor, light: Floats, layers: Layers) -> Layers:
    """Return layers in which prints are body too: whatever `layers` leaves alone becomes shading.

    Only what is blown out to white in every channel stays a highlight.
    """
    other = 1 - layers.weight
    lit = luminance(light) * np.float32(1 / float(luminance(product.albedo)))
    blown = smoothstep(_BLOWN_NEAR, _BLOWN_FAR, light.min(axis=0))
    return Layers(
        layers.shading * layers.weight + lit * other, layers.gloss * layers.weight, 1 - blown
    )


def selected(layers: Layers, product: ProductColor) -> Flags:
    """Return which pixels show the product's own color rather than gloss, print or shadow."""
    body = layers.shading * luminance(product.albedo)
    return (layers.weight > 0.5) & (layers.shading > 0.05) & (body > layers.gloss)


def _weight(product: ProductColor, light: Floats, shading: Floats, mean: Floats) -> Floats:
    """Return 1 where a pixel's chroma points the product's way, 0 where it points elsewhere."""
    red, green, blue = light[0] - mean, light[1] - mean, light[2] - mean
    own = product.albedo - product.albedo.mean()
    # The core of a highlight keeps its exact color: what tint it has is the light's. So does a
    # print far lighter than a dark product.
    body = shading * luminance(product.albedo)
    core = smoothstep(_CORE_NEAR, _CORE_FAR, 1 - body / (luminance(light) + np.float32(_NOISE)))
    kept = 1 - core * smoothstep(0.3, 0.6, mean)
    if not product.chromatic:
        rest = [plane - shading * part for plane, part in zip((red, green, blue), own, strict=True)]
        away = np.sqrt(rest[0] ** 2 + rest[1] ** 2 + rest[2] ** 2)
        hued = smoothstep(_GRAY_NEAR, _GRAY_FAR, away / (mean + np.float32(_NOISE)))
        return np.asarray((1 - hued) * kept, np.float32)
    own = own / np.float32(np.linalg.norm(own))
    along = red * own[0] + green * own[1] + blue * own[2]
    length2 = red * red + green * green + blue * blue
    away = np.sqrt(np.maximum(length2 - along * along, 0))
    sine = away / (np.sqrt(length2) + np.float32(_NOISE))
    result: Floats = (1 - smoothstep(_HUE_NEAR, _HUE_FAR, sine)) * (along > 0) * kept
    return result


def _main_hue(hue: Floats, weight: Floats) -> float:
    """Return the mode of a smoothed circular histogram, in radians."""
    histogram, edges = np.histogram(hue, _HUE_BINS, (-np.pi, np.pi), weights=weight)
    smooth = sum(np.roll(histogram, k) * w for k, w in ((-2, 1), (-1, 2), (0, 3), (1, 2), (2, 1)))
    best = int(np.argmax(smooth))
    around = np.abs(_angle(hue, (edges[best] + edges[best + 1]) / 2)) < np.radians(15)
    vectors = (weight * around * np.sin(hue)).sum(), (weight * around * np.cos(hue)).sum()
    return float(np.arctan2(*vectors))


def _main_lightness(lightness: Floats, members: Flags) -> Flags:
    """Return the members near the mode of lightness: a print on gray cloth is another mode."""
    histogram, edges = np.histogram(lightness[members], 50, (0, 1))
    smooth = np.convolve(histogram, np.ones(9), "same")
    center = edges[int(np.argmax(smooth))] + 0.01
    near: Flags = members & (np.abs(lightness - center) < 0.22)
    return near if near.any() else members


def percentile_band(values: Floats, members: Flags, limits: tuple[float, float]) -> Flags:
    """Return the members whose value lies between two percentiles of the members' values."""
    low, high = np.percentile(values[members], limits)
    band: Flags = members & (values >= low) & (values <= high)
    return band


def _angle(one: Floats, other: float) -> Floats:
    result: Floats = np.abs((one - other + np.pi) % (2 * np.pi) - np.pi)
    return result
