"""What a request means for the model at hand: checked, defaults filled in. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidRequest
from engine.families import MAX_SIDE, MIN_SIDE
from engine.registry import ModelSpec
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from PIL import Image

    from engine.edit import EditArea

MAX_IMAGES = 64
MAX_STEPS = 200
MAX_GUIDANCE = 50.0
MAX_PROMPT = 8192
MAX_SOURCE_PIXELS = 16_777_216
MAX_SOURCE_SIDE = 8192


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to run.

    Attributes:
        size: width and height the model paints, pixels.
        params: nothing None that the pipeline needs.
        source: RGB source of the result's size, or None.
        mask: mode "L", or None.
        area: the part of the source that goes through the model, or None.
        warnings: what was changed.
    """

    size: tuple[int, int]
    params: SamplingParams
    source: Image.Image | None = None
    mask: Image.Image | None = None
    area: EditArea | None = None
    warnings: tuple[str, ...] = ()


def check_request(request: ImageRequest) -> None:
    """Refuse what no model could serve.

    Raises:
        InvalidRequest: naming the field and what is allowed.
    """
    for name, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt)):
        _require(
            isinstance(text, str) and len(text) <= MAX_PROMPT,
            name,
            text,
            f"text of at most {MAX_PROMPT} characters",
        )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            _require(False, name, "text with lone surrogates", "valid Unicode")
    _require(bool(request.prompt.strip()), "prompt", request.prompt, "words")
    seeds = request.seeds
    _require(
        isinstance(seeds, tuple) and 1 <= len(seeds) <= MAX_IMAGES,
        "seeds",
        f"{len(seeds)} of them" if isinstance(seeds, tuple) else seeds,
        f"1 to {MAX_IMAGES} seeds, one for each picture",
    )
    for seed in seeds:
        _require(_is_int(seed) and 0 <= seed < 2**63, "seeds", seed, "integers from 0 to 2**63 - 1")
    for name, side in (("width", request.width), ("height", request.height)):
        _require(
            side is None or (_is_int(side) and MIN_SIDE <= side <= MAX_SIDE),
            name,
            side,
            f"an integer from {MIN_SIDE} to {MAX_SIDE}",
        )
    _check_params(request.params)
    if request.image is None:
        _require(request.mask is None, "mask", "a mask without image", "the picture it belongs to")
        _require(
            request.params.strength is None,
            "strength",
            request.params.strength,
            "nothing without a source image",
        )
        return
    width, height = request.image.size
    _require(
        1 <= width <= MAX_SOURCE_SIDE
        and 1 <= height <= MAX_SOURCE_SIDE
        and width * height <= MAX_SOURCE_PIXELS,
        "image",
        f"{width}x{height}",
        f"at most {MAX_SOURCE_SIDE} pixels a side and {MAX_SOURCE_PIXELS} in all",
    )


def _check_params(params: SamplingParams) -> None:
    steps, guidance, strength = params.num_inference_steps, params.guidance_scale, params.strength
    _require(
        steps is None or (_is_int(steps) and 1 <= steps <= MAX_STEPS),
        "num_inference_steps",
        steps,
        f"an integer from 1 to {MAX_STEPS}",
    )
    _require(
        guidance is None or (_is_number(guidance) and 0 <= guidance <= MAX_GUIDANCE),
        "guidance_scale",
        guidance,
        f"a number from 0 to {MAX_GUIDANCE:g}",
    )
    _require(
        strength is None or (_is_number(strength) and 0 < strength <= 1),
        "strength",
        strength,
        "a number above 0, at most 1",
    )
    _require(
        params.sampler is None or isinstance(params.sampler, str),
        "sampler",
        params.sampler,
        "a sampler's name",
    )


def make_plan(request: ImageRequest, spec: ModelSpec) -> Plan:
    """Fill in the model's defaults and decide sizes.

    Raises:
        InvalidRequest: if the request contradicts itself.
    """
    params, warnings = _resolve_params(request, spec)
    if request.image is None:
        size, more = _canvas(request, spec)
        return Plan(size, params, warnings=warnings + more)
    from engine.edit import check_mask, edit_area, flatten

    source, more = flatten(request.image)
    warnings += more
    mask = None
    if request.mask is not None:
        mask = check_mask(request.mask, source.size)
        if (request.width or source.width, request.height or source.height) != source.size:
            raise InvalidRequest(
                f"Inpainting keeps the source's size, {source.width}x{source.height}.",
                hint="Leave width and height unset.",
            )
    else:
        source, more = _resized(source, request.width, request.height)
        warnings += more
    area = edit_area(source.size, mask, spec)
    if area.scaled[0] < area.box[2] - area.box[0]:
        warnings += (
            f"The edited part was worked on at {area.scaled[0]}x{area.scaled[1]} pixels "
            "and scaled back up.",
        )
    return Plan(area.work, params, source, mask, area, warnings)


def work_units(request: ImageRequest, spec: ModelSpec) -> float:
    """Return the size of a request for the queue: pixels x steps x denoiser rows x pictures.

    Rough on purpose: it is multiplied by a measured cost.
    """
    params = request.params
    steps = params.num_inference_steps or spec.steps
    guidance = spec.guidance if params.guidance_scale is None else params.guidance_scale
    pixels = spec.size * spec.size
    if not spec.fixed_size:
        if request.image is not None:
            pixels = min(request.image.width * request.image.height, spec.family.max_pixels)
        else:
            pixels = (request.width or spec.size) * (request.height or spec.size)
    share = 1.0
    if request.image is not None:
        share = params.strength or (1.0 if request.mask is not None else spec.strength or 1.0)
    rows = 2 if guidance > 1 and spec.family.guidance_doubles else 1
    return pixels * max(1.0, steps * share) * rows * len(request.seeds)


def _resolve_params(
    request: ImageRequest, spec: ModelSpec
) -> tuple[SamplingParams, tuple[str, ...]]:
    given = request.params
    steps = given.num_inference_steps or spec.steps
    guidance = float(spec.guidance if given.guidance_scale is None else given.guidance_scale)
    warnings: tuple[str, ...] = ()
    if request.negative_prompt.strip():
        if not spec.family.negative_prompt:
            warnings += (f"Model '{spec.name}' has no negative prompt; it was left out.",)
        elif guidance <= 1:
            warnings += ("A negative prompt works with a guidance scale above 1 only.",)
    strength = given.strength
    by_reference = spec.family.reference_argument is not None and (
        request.mode == "edit"
        or (request.mode == "image-to-image" and spec.family.cond_strength_class is None)
    )
    if strength is not None and by_reference:
        raise InvalidRequest(
            f"Model '{spec.name}' takes the picture as a reference and knows no strength.",
            hint="Leave strength unset, or say in the prompt how much to change.",
        )
    if request.image is not None and strength is None and not by_reference:
        strength = 1.0 if request.mask is not None else spec.strength
    if strength is not None and int(steps * strength) < 1:
        # Fewer than one step would return the source as it is.
        enough = math.ceil(1 / strength)
        if enough > MAX_STEPS:
            raise InvalidRequest(
                f"A strength of {strength:g} is less than one step.",
                hint=f"Use at least {1 / MAX_STEPS:g}.",
            )
        while int(enough * strength) < 1:
            enough += 1
        warnings += (f"A strength of {strength:g} needs {enough} steps; {steps} were asked for.",)
        steps = enough
    return SamplingParams(steps, guidance, given.sampler, strength), warnings


def _canvas(request: ImageRequest, spec: ModelSpec) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return the size to paint for text-to-image: the nearest one that the model can do."""
    asked = (request.width or spec.size, request.height or spec.size)
    if spec.fixed_size:
        size = (spec.size, spec.size)
    else:
        multiple = spec.family.multiple
        lowest = math.ceil(MIN_SIDE / multiple) * multiple
        size = (
            max(lowest, round(asked[0] / multiple) * multiple),
            max(lowest, round(asked[1] / multiple) * multiple),
        )
    if size == asked:
        return size, ()
    why = "paints that size only" if spec.fixed_size else "needs it"
    return size, (
        f"Painted at {size[0]}x{size[1]} instead of {asked[0]}x{asked[1]}: "
        f"model '{spec.name}' {why}.",
    )


def _resized(
    source: Image.Image, width: int | None, height: int | None
) -> tuple[Image.Image, tuple[str, ...]]:
    """Scale and center-crop an image-to-image source to the size asked for."""
    if width is None and height is None:
        return source, ()
    from PIL import Image, ImageOps

    if width is None:
        width = max(1, round(source.width * (height or 1) / source.height))
    if height is None:
        height = max(1, round(source.height * width / source.width))
    if (width, height) == source.size:
        return source, ()
    warnings: tuple[str, ...] = ()
    if abs(source.width * height - source.height * width) > max(source.size) + max(width, height):
        warnings = ("The source was cropped to the proportions asked for.",)
    return ImageOps.fit(source, (width, height), Image.Resampling.LANCZOS), warnings


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise InvalidRequest(f"{name} cannot be {str(value)[:60]!r}.", hint=f"Allowed: {allowed}.")
