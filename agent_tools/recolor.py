"""Give a photographed product another color exactly, and measure what came of it.

Two models of how light leaves a surface compete; a check on a sample of pixels picks one:

* "dichromatic": a pixel is body color times shading plus white gloss plus a rest (S. A. Shafer,
  "Using color to separate reflection components", 1985), all in linear light. Only the body color
  is replaced, so highlights and white or black prints stay.
* "oklab-gain": lightness and chroma are scaled in Oklab (https://bottosson.github.io/posts/oklab/).

Everything is elementwise float32 numpy: the same input gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from agent_tools.color import NamedColor
from agent_tools.color_space import (
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
    srgb_from_linear,
)
from agent_tools.product_color import (
    LIT,
    MIDTONE,
    Flags,
    Floats,
    Layers,
    ProductColor,
    color_all,
    find_product_color,
    luminance,
    percentile_band,
    selected,
    smoothstep,
    split_layers,
)
from agent_tools.recolor_checks import (
    clipped_share,
    color_warnings,
    hue_leftover,
    median_delta_e,
    outside_max_change,
    r_log_y,
    sample_of,
)
from agent_tools.results import Measurements
from agent_tools.segmentation import check_mask

Bytes = npt.NDArray[np.uint8]
Method = Literal["dichromatic", "oklab-gain"]
Anchor = Literal["perceived", "albedo"]

METHODS: tuple[Method, ...] = ("dichromatic", "oklab-gain")
_CHUNK = 32_768  # pixels at a time: the planes stay in the processor's cache
_ROUNDS = 4
# The gain dims gloss with the body, which no glazed thing does: it must be clearly better to win.
_PRIOR: dict[Method, float] = {"dichromatic": 0.0, "oklab-gain": 3.0}
# What of the rest (camera noise, colored reflections of the old body) is kept; less on a darker
# color, which would show as a tint what the old one hid.
_REST_KEPT = 0.5


@dataclass(frozen=True, slots=True)
class Recolored:
    """A recolored picture, of the source's size, with its measurements."""

    image: Image.Image
    measurements: Measurements


@dataclass(frozen=True, slots=True)
class _Plan:
    """How every pixel is changed: by which method, from which color, aiming at which."""

    method: Method
    product: ProductColor
    aim: Floats  # linear RGB, shape (3,)
    keep_prints: bool = True

    def split(self, light: Floats) -> Layers:
        layers = split_layers(self.product, light)
        return layers if self.keep_prints else color_all(self.product, light, layers)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Some of the product's pixels, split once for every plan.

    Attributes:
        light: linear RGB, shape (3, n).
        layers: what each pixel is made of.
        body: which show the product's own color.
        band: those of them that the target is compared with.
    """

    light: Floats
    layers: Layers
    body: Flags
    band: Flags


def recolor(
    image: Image.Image,
    mask: Image.Image,
    target: NamedColor,
    *,
    method: Method | None = None,
    anchor: Anchor = "perceived",
    keep_prints: bool = True,
) -> Recolored:
    """Recolor the product under `mask` so that it shows `target`.

    Args:
        image: "RGB", "RGBA" or "L" (an "L" picture comes back as "RGB").
        mask: the picture's size; white = product, grays blend in linear light.
        target: the color wanted.
        method: one of `METHODS`; None lets the check decide.
        anchor: where `target` shall be seen: "perceived" in the mid-tone; "albedo" where the
            light is full, as a sample of the dyed material would look, so the rest is darker.
        keep_prints: leave prints and labels of another color alone; False gives every pixel
            under the mask but blown-out highlights a shade of the target.

    Returns:
        The picture, byte for byte the source's where the mask is 0 and in its alpha channel; and
        what was measured on it. Colors are measured on up to 20,000 pixels, bytes on all.

    Raises:
        InvalidArguments: if the mask has another size, is empty or covers everything.
    """
    weights = check_mask(image, mask).reshape(-1)
    before = np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"))
    inside = np.flatnonzero(weights)
    own = before.reshape(len(weights), -1).take(inside, axis=0)[:, :3]
    cover = weights.take(inside).astype(np.float32) * np.float32(1 / 255)

    chosen = sample_of(len(own))
    solid = chosen[cover[chosen] > 0.5]
    light = _planes(own[solid])
    product = find_product_color(light)
    draft = _Plan("dichromatic", product, linear_from_srgb(target.bytes), keep_prints)
    sample = _sample(draft, light, anchor)
    plans = [
        _calibrated(replace(draft, method=name), sample)
        for name in METHODS
        if method in (None, name)
    ]
    plan = plans[0] if len(plans) == 1 else min(plans, key=lambda p: _badness(p, sample, target))

    changed = np.empty_like(own)
    for start in range(0, len(own), _CHUNK):
        part = slice(start, start + _CHUNK)
        changed[part] = _encoded(_apply(plan, _planes(own[part]), None, cover[part]))
    after = before.copy()
    after.reshape(len(weights), -1)[inside, :3] = changed
    result = Image.fromarray(after)
    new = _apply(plan, light, sample.layers)
    achieved = median_delta_e(changed[solid][sample.band], target)
    return Recolored(
        result,
        Measurements(
            target=target.hex,
            target_name=target.name,
            achieved_delta_e=round(achieved, 2),
            outside_max_change=outside_max_change(image, result, mask),
            r_log_y=round(r_log_y(light, _planes(changed[solid]), sample.body), 3),
            mask_area=round(len(inside) / len(weights), 4),
            clipped_share=round(clipped_share(light, new), 4),
            method=plan.method,
            anchor=anchor,
            warnings=color_warnings(product, target, achieved, keep_prints=keep_prints),
        ),
    )


def color_difference(image: Image.Image, mask: Image.Image, target: NamedColor) -> float:
    """Return CIEDE2000 between `target` and the mid-tone of the product under `mask`.

    Raises:
        InvalidArguments: if the mask has another size, is empty or covers everything.
    """
    inside = np.flatnonzero(check_mask(image, mask).reshape(-1) > 127)
    pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)[inside[sample_of(len(inside))]]
    light = _planes(pixels)
    plan = _Plan("dichromatic", find_product_color(light), light[:, 0])
    return median_delta_e(pixels[_sample(plan, light, "perceived").band], target)


def _sample(plan: _Plan, light: Floats, anchor: Anchor) -> _Sample:
    # Which pixels show the product's own color does not depend on what happens to the others.
    own = split_layers(plan.product, light)
    body = selected(own, plan.product)
    if not body.any():
        body = np.ones(light.shape[1], bool)
    if anchor == "albedo":
        dull = body & (own.gloss <= np.median(own.gloss[body]))
        band = percentile_band(own.shading, dull, LIT)
    else:
        band = percentile_band(luminance(light), body, MIDTONE)
    return _Sample(light, plan.split(light), body, band)


def _apply(
    plan: _Plan, light: Floats, layers: Layers | None = None, cover: Floats | None = None
) -> Floats:
    """Return recolored light, shape (3, n), not yet clipped."""
    layers = layers or plan.split(light)
    amount = layers.weight if cover is None else layers.weight * cover
    if plan.method == "oklab-gain":
        new = _scaled_in_oklab(plan, light)
        # A gain would tint highlights and white prints, so it takes only what is mostly body.
        body = layers.shading * luminance(plan.product.albedo)
        amount = amount * smoothstep(0.2, 0.6, body / (body + layers.gloss + np.float32(1e-4)))
    else:
        shading = _compressed(layers.shading, plan.aim)
        darker = luminance(plan.aim) / luminance(plan.product.albedo)
        # A print's own color is part of the rest.
        kept = np.float32(_REST_KEPT * min(1.0, float(darker)) if plan.keep_prints else 0.0)
        gloss = layers.gloss * (1 - kept)
        new = np.empty_like(light)
        for channel in range(3):
            plane = new[channel]
            np.multiply(light[channel], kept, out=plane)
            plane += gloss
            plane += shading * plan.aim[channel]
            plane -= layers.shading * (plan.product.albedo[channel] * kept)
    new -= light
    new *= amount
    new += light
    return new


def _scaled_in_oklab(plan: _Plan, light: Floats) -> Floats:
    """Scale lightness by the ratio of the colors; turn and scale chroma likewise."""
    lab = oklab_from_linear(np.ascontiguousarray(light.T))
    source = oklab_from_linear(plan.product.albedo)
    aim = oklab_from_linear(plan.aim)
    chroma = float(np.hypot(source[1], source[2]))
    lightness = lab[:, 0] * (aim[0] / source[0])
    if plan.product.chromatic and plan.keep_prints:
        level = (lab[:, 1] * source[1] + lab[:, 2] * source[2]) / np.float32(chroma * chroma)
    else:
        level = lab[:, 0] / source[0]
    new = np.stack([lightness, level * aim[1], level * aim[2]])
    linear = linear_from_oklab(np.ascontiguousarray(new.T)).T
    return np.ascontiguousarray(linear, np.float32)


def _compressed(shading: Floats, aim: Floats) -> Floats:
    """Bend shading above 1 so that a light color keeps its relief instead of clipping."""
    room = np.float32(max(1 / max(float(aim.max()), 1e-3) - 1, 0.05))
    over = np.maximum(shading - 1, 0)
    return np.asarray(np.minimum(shading, 1) + over / (1 + over / room), np.float32)


def _calibrated(plan: _Plan, sample: _Sample) -> _Plan:
    """Move the aim until the band's median, gloss and all, lands on the target."""
    wanted = oklab_from_linear(plan.aim)
    best, best_miss = plan, np.inf
    light = np.ascontiguousarray(sample.light[:, sample.band])
    layers = sample.layers.of(sample.band)
    current = plan
    for _ in range(_ROUNDS):
        shown = linear_from_srgb(_encoded(_apply(current, light, layers)))
        miss = wanted - oklab_from_linear(np.median(shown, axis=0).astype(np.float32))
        size = float(np.linalg.norm(miss))
        if size < best_miss:
            best, best_miss = current, size
        moved = linear_from_oklab(oklab_from_linear(current.aim) + miss)
        current = replace(plan, aim=np.clip(moved, 0, 1).astype(np.float32))
    return best


def _badness(plan: _Plan, sample: _Sample, target: NamedColor) -> float:
    """Score a plan on a sample: missed color, lost shading, clipping, leftovers of the old hue."""
    new = _apply(plan, sample.light, sample.layers)
    after = _encoded(new)
    shading = r_log_y(sample.light, _planes(after), sample.body)
    return (
        _PRIOR[plan.method]
        + median_delta_e(after[sample.band], target)
        + 20 * max(0.0, 0.85 - shading)
        + 30 * clipped_share(sample.light, new)
        + hue_leftover(after[sample.body], target)
    )


def _planes(pixels: Bytes) -> Floats:
    return np.ascontiguousarray(linear_from_srgb(pixels).T)


def _encoded(light: Floats) -> Bytes:
    return np.ascontiguousarray(srgb_from_linear(light).T)
