"""Give a photographed product another color exactly, and measure what came of it.

Two models of how light leaves a surface compete; a check on a sample of pixels picks one:

* "dichromatic": a pixel is body color times shading plus white gloss plus a rest (S. A. Shafer,
  "Using color to separate reflection components", 1985), all in linear light. Only the body color
  is replaced, so highlights and white or black prints stay.
* "oklab-gain": lightness and chroma are scaled in Oklab (https://bottosson.github.io/posts/oklab/).

Everything is elementwise float32 numpy: the same input gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from agent_tools.color import (
    NamedColor,
    delta_e_2000,
    lab_from_linear,
    linear_from_oklab,
    linear_from_srgb,
    oklab_from_linear,
    srgb_from_linear,
)
from agent_tools.product_color import (
    Flags,
    Floats,
    ProductColor,
    find_product_color,
    luminance,
    midtone,
    selected,
    smoothstep,
    split_layers,
)
from agent_tools.results import Measurements
from agent_tools.segmentation import check_mask

Bytes = npt.NDArray[np.uint8]
Method = Literal["dichromatic", "oklab-gain"]

METHODS: tuple[Method, ...] = ("dichromatic", "oklab-gain")
GOOD_DELTA_E = 2.0
_SAMPLE = 40_000
_CHUNK = 65_536  # pixels at a time: the planes stay in the processor's cache
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


def recolor(
    image: Image.Image, mask: Image.Image, target: NamedColor, *, method: Method | None = None
) -> Recolored:
    """Recolor the product under `mask` so that its mid-tone is `target`.

    Args:
        image: "RGB", "RGBA" or "L" (an "L" picture comes back as "RGB").
        mask: the picture's size; white = product, grays blend in linear light.
        target: the color wanted.
        method: one of `METHODS`; None lets the check decide.

    Returns:
        The picture, byte for byte the source's where the mask is 0 and in its alpha channel; and
        what was measured on it. Colors are measured on up to 40,000 pixels, bytes on all.

    Raises:
        InvalidArguments: if the mask has another size, is empty or covers everything.
    """
    weights = check_mask(image, mask)
    before = np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"))
    rows, columns = _bounding_box(weights)
    inside = weights[rows, columns] > 0
    own = before[rows, columns, :3][inside]
    cover = weights[rows, columns][inside].astype(np.float32) / np.float32(255)

    chosen = _sample(len(own))
    solid = chosen[cover[chosen] > 0.5]
    light = _planes(own[solid])
    product = find_product_color(light)
    band = midtone(light, product)
    plans = [
        _calibrated(
            _Plan(name, product, linear_from_srgb(np.array(target.rgb, np.uint8))), light, band
        )
        for name in METHODS
        if method in (None, name)
    ]
    plan = min(plans, key=lambda one: _badness(one, light, band, target))

    changed = np.empty_like(own)
    for start in range(0, len(own), _CHUNK):
        part = slice(start, start + _CHUNK)
        changed[part] = _encoded(_apply(plan, _planes(own[part]), cover[part]))
    after = before.copy()
    block = after[rows, columns]
    block[inside, :3] = changed
    result = Image.fromarray(after)
    return Recolored(
        result,
        Measurements(
            target=target.hex,
            target_name=target.name,
            achieved_delta_e=round(_midtone_delta_e(changed[solid][band], target), 2),
            outside_max_change=outside_max_change(image, result, mask),
            r_log_y=round(_r_log_y(light, _planes(changed[solid]), _body(plan, light)), 3),
            mask_area=round(float((weights > 0).mean()), 4),
            clipped_share=round(_clipped_share(plan, light), 4),
            method=plan.method,
            warnings=_warnings(plan, target, _midtone_delta_e(changed[solid][band], target)),
        ),
    )


def outside_max_change(before: Image.Image, after: Image.Image, mask: Image.Image) -> int:
    """Return the largest change of any byte where `mask` is 0, alpha everywhere included."""
    mode = "RGBA" if "A" in before.getbands() else "RGB"
    old, new = np.asarray(before.convert(mode)), np.asarray(after.convert(mode))
    change = np.maximum(old, new) - np.minimum(old, new)
    outside = np.asarray(mask.convert("L")) == 0
    worst = int(change[outside].max(initial=0))
    return max(worst, int(change[..., 3].max(initial=0))) if mode == "RGBA" else worst


def color_difference(image: Image.Image, mask: Image.Image, target: NamedColor) -> float:
    """Return CIEDE2000 between `target` and the mid-tone of the product under `mask`.

    Raises:
        InvalidArguments: if the mask has another size, is empty or covers everything.
    """
    solid = check_mask(image, mask) > 127
    pixels = np.asarray(image.convert("RGB"))[solid]
    pixels = pixels[_sample(len(pixels))]
    light = _planes(pixels)
    return _midtone_delta_e(pixels[midtone(light, find_product_color(light))], target)


def _apply(plan: _Plan, light: Floats, cover: Floats | None = None) -> Floats:
    """Return recolored light, shape (3, n), not yet clipped."""
    layers = split_layers(plan.product, light)
    amount = layers.weight if cover is None else layers.weight * cover
    if plan.method == "oklab-gain":
        new = _scaled_in_oklab(plan, light)
        # A gain would tint highlights and white prints, so it takes only what is mostly body.
        body = layers.shading * luminance(plan.product.albedo)
        amount = amount * smoothstep(0.2, 0.6, body / (body + layers.gloss + np.float32(1e-4)))
    else:
        shading = _compressed(layers.shading, plan.aim)
        darker = luminance(plan.aim) / luminance(plan.product.albedo)
        kept = np.float32(_REST_KEPT * min(1.0, float(darker)))
        new = np.empty_like(light)
        gloss = layers.gloss * (1 - kept)
        for channel in range(3):
            body = plan.product.albedo[channel] * kept
            new[channel] = light[channel] * kept + gloss
            new[channel] += shading * plan.aim[channel] - layers.shading * body
    result: Floats = light + amount * (new - light)
    return result


def _scaled_in_oklab(plan: _Plan, light: Floats) -> Floats:
    """Scale lightness by the ratio of the colors; turn and scale chroma likewise."""
    lab = oklab_from_linear(np.ascontiguousarray(light.T))
    source = oklab_from_linear(plan.product.albedo)
    aim = oklab_from_linear(plan.aim)
    chroma = float(np.hypot(source[1], source[2]))
    lightness = lab[:, 0] * (aim[0] / source[0])
    if plan.product.chromatic:
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


def _calibrated(plan: _Plan, light: Floats, band: Flags) -> _Plan:
    """Move the aim until the mid-tone, gloss and all, lands on the target."""
    wanted = oklab_from_linear(plan.aim)
    best, best_miss = plan, np.inf
    sample = light[:, band]
    current = plan
    for _ in range(_ROUNDS):
        shown = linear_from_srgb(_encoded(_apply(current, sample)))
        miss = wanted - oklab_from_linear(np.median(shown, axis=0).astype(np.float32))
        size = float(np.linalg.norm(miss))
        if size < best_miss:
            best, best_miss = current, size
        moved = linear_from_oklab(oklab_from_linear(current.aim) + miss)
        current = _Plan(plan.method, plan.product, np.clip(moved, 0, 1).astype(np.float32))
    return best


def _badness(plan: _Plan, light: Floats, band: Flags, target: NamedColor) -> float:
    """Score a plan on a sample: missed color, lost shading, clipping, leftovers of the old hue."""
    after = _encoded(_apply(plan, light))
    body = _body(plan, light)
    shading = _r_log_y(light, _planes(after), body)
    return (
        _PRIOR[plan.method]
        + _midtone_delta_e(after[band], target)
        + 20 * max(0.0, 0.85 - shading)
        + 30 * _clipped_share(plan, light)
        + _hue_leftover(after[body], target)
    )


def _body(plan: _Plan, light: Floats) -> Flags:
    body = selected(split_layers(plan.product, light), plan.product)
    return body if body.any() else np.ones(light.shape[1], bool)


def _midtone_delta_e(pixels: Bytes, target: NamedColor) -> float:
    lab = np.median(lab_from_linear(linear_from_srgb(pixels)), axis=0)
    wanted = lab_from_linear(linear_from_srgb(np.array(target.rgb, np.uint8)))
    return float(delta_e_2000(lab, wanted))


def _hue_leftover(pixels: Bytes, target: NamedColor) -> float:
    """Return how far, in Lab units, pixels stray from the line between gray and the target."""
    lab = lab_from_linear(linear_from_srgb(pixels))
    wanted = lab_from_linear(linear_from_srgb(np.array(target.rgb, np.uint8)))
    chroma = float(np.hypot(wanted[1], wanted[2]))
    if chroma < 3:
        return float(np.hypot(lab[:, 1], lab[:, 2]).mean())
    across = (lab[:, 1] * wanted[2] - lab[:, 2] * wanted[1]) / chroma
    return float(np.abs(across).mean())


def _r_log_y(before: Floats, after: Floats, body: Flags) -> float:
    """Return the correlation of log luminance before and after: how well shading was kept."""
    old = np.log(luminance(before)[body] + np.float32(1e-3)).astype(np.float64)
    new = np.log(luminance(after)[body] + np.float32(1e-3)).astype(np.float64)
    if old.std() < 1e-6 or new.std() < 1e-6:
        return 1.0 if old.std() < 1e-6 else 0.0
    return float(np.corrcoef(old, new)[0, 1])


def _clipped_share(plan: _Plan, light: Floats) -> float:
    """Return the share of pixels that this plan pushes out of the displayable range."""
    new = _apply(plan, light)
    pushed = ((new > 1.004) & (light < 0.996)) | ((new < -0.004) & (light > 0.004))
    return float(pushed.any(axis=0).mean())


def _warnings(plan: _Plan, target: NamedColor, delta_e: float) -> list[str]:
    wanted = lab_from_linear(linear_from_srgb(np.array(target.rgb, np.uint8)))[0]
    own = lab_from_linear(plan.product.albedo)[0]
    found = []
    if delta_e > GOOD_DELTA_E:
        found.append(
            f"The mid-tone misses {target.hex} by CIEDE2000 {delta_e:.1f}: this picture's light "
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
    if own > 88 and not plan.product.chromatic:
        found.append(
            "The product is almost white in the source: white prints and highlights cannot be told "
            "from it and are colored too. Leave them out of the mask."
        )
    if plan.product.other_share > 0.08:
        found.append(
            f"The product has several colors: {plan.product.other_share:.0%} of it has another hue "
            "and was left alone. Mask each color by itself to change it."
        )
    return found


def _bounding_box(weights: Bytes) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(weights.any(axis=1)), np.flatnonzero(weights.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _sample(count: int) -> npt.NDArray[np.int64]:
    """Return indices of all pixels, or of the same 40,000 every time."""
    if count <= _SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).integers(0, count, _SAMPLE))


def _planes(pixels: Bytes) -> Floats:
    return np.ascontiguousarray(linear_from_srgb(pixels).T)


def _encoded(light: Floats) -> Bytes:
    return np.ascontiguousarray(srgb_from_linear(light).T)
