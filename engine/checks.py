"""What no model could serve: each field of a request, and fields that contradict each other."""

from __future__ import annotations

import math
from typing import Any

from engine.errors import InvalidRequest
from engine.families import MAX_SIDE, MIN_SIDE
from engine.request import ImageRequest, Margins, SamplingParams

MAX_IMAGES = 64
MAX_STEPS = 200
MAX_GUIDANCE = 50.0
MAX_PROMPT = 8192
MAX_SOURCE_PIXELS = 16_777_216
MAX_SOURCE_SIDE = 8192
MAX_REFERENCES = 16
MAX_NAME = 256
UPSCALE_FACTORS = (2, 4)
DEFAULT_UPSCALE = 2
_PRIORITIES = ("interactive", "batch")


def check_request(request: ImageRequest) -> None:
    """Refuse what no model could serve.

    Raises:
        InvalidRequest: naming the field and what is allowed.
    """
    _check_words(request)
    _check_seeds(request.seeds)
    for name, side in (("width", request.width), ("height", request.height)):
        _require(
            side is None or (_is_int(side) and MIN_SIDE <= side <= MAX_SIDE),
            name,
            side,
            f"an integer from {MIN_SIDE} to {MAX_SIDE}",
        )
    _check_params(request.params)
    _check_handling(request)
    _check_pictures(request)
    _check_second_stage(request)
    _check_extension(request)


def check_size(name: str, size: tuple[int, int]) -> None:
    """Refuse a picture too large to hold.

    Raises:
        InvalidRequest: naming it and the limits.
    """
    width, height = size
    _require(
        1 <= width <= MAX_SOURCE_SIDE
        and 1 <= height <= MAX_SOURCE_SIDE
        and width * height <= MAX_SOURCE_PIXELS,
        name,
        f"{width}x{height}",
        f"at most {MAX_SOURCE_SIDE} pixels a side and {MAX_SOURCE_PIXELS} in all",
    )


def _check_words(request: ImageRequest) -> None:
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


def _check_seeds(seeds: Any) -> None:
    _require(
        isinstance(seeds, tuple) and 1 <= len(seeds) <= MAX_IMAGES,
        "seeds",
        f"{len(seeds)} of them" if isinstance(seeds, tuple) else seeds,
        f"1 to {MAX_IMAGES} seeds, one for each picture",
    )
    for seed in seeds:
        _require(_is_int(seed) and 0 <= seed < 2**63, "seeds", seed, "integers from 0 to 2**63 - 1")


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


def _check_handling(request: ImageRequest) -> None:
    """Check what says how a request is treated, not what it shows."""
    for name, flag in (("deterministic", request.deterministic), ("refine", request.refine)):
        _require(isinstance(flag, bool), name, flag, "True or False")
    _require(
        request.priority in _PRIORITIES, "priority", request.priority, " or ".join(_PRIORITIES)
    )
    deadline = request.deadline_s
    _require(
        deadline is None or (_is_number(deadline) and deadline > 0),
        "deadline_s",
        deadline,
        "a number of seconds above 0",
    )
    for name, value in (("caller", request.caller), ("request_id", request.request_id)):
        _require(
            (name == "caller" and value is None)
            or (isinstance(value, str) and 1 <= len(value) <= MAX_NAME),
            name,
            value,
            f"a name of 1 to {MAX_NAME} characters",
        )
    _require(
        _is_int(request.preview_every) and 0 <= request.preview_every <= MAX_STEPS,
        "preview_every",
        request.preview_every,
        f"an integer from 0 (none) to {MAX_STEPS}",
    )


def _check_pictures(request: ImageRequest) -> None:
    references = request.references
    _require(
        isinstance(references, tuple) and len(references) <= MAX_REFERENCES,
        "references",
        f"{len(references)} of them" if isinstance(references, tuple) else references,
        f"a tuple of at most {MAX_REFERENCES} pictures",
    )
    named = [("image", request.image), ("mask", request.mask), ("sketch", request.sketch)]
    named += [("references", reference) for reference in references]
    given = [(name, picture) for name, picture in named if picture is not None]
    if given:
        from PIL import Image

        for name, picture in given:
            _require(isinstance(picture, Image.Image), name, type(picture).__name__, "PIL pictures")
            check_size(name, picture.size)
    if request.image is None:
        _require(request.mask is None, "mask", "a mask without image", "the picture it belongs to")
        strength = request.params.strength
        _require(strength is None, "strength", strength, "nothing without a source image")


def _check_second_stage(request: ImageRequest) -> None:
    factor = request.upscale
    _require(
        factor is None or (_is_int(factor) and factor in UPSCALE_FACTORS),
        "upscale",
        factor,
        " or ".join(map(str, UPSCALE_FACTORS)),
    )
    if factor is None or request.refine:
        return
    _require(
        request.image is not None,
        "upscale",
        "a factor without a picture",
        "with image, or with refine=True to enlarge what is painted",
    )
    others = {
        "mask": request.mask,
        "extend": request.extend,
        "sketch": request.sketch,
        "references": request.references or None,
        "width": request.width,
        "height": request.height,
    }
    for name, value in others.items():
        _require(
            value is None,
            "upscale",
            f"a factor together with {name}",
            "with image alone; with refine=True the painted picture is enlarged",
        )
    if request.image is not None:
        width, height = request.image.size
        check_size("upscale", (width * factor, height * factor))


def _check_extension(request: ImageRequest) -> None:
    margins = request.extend
    if margins is None:
        return
    _require(isinstance(margins, Margins), "extend", margins, "Margins")
    for side in ("left", "top", "right", "bottom"):
        pixels = getattr(margins, side)
        _require(
            _is_int(pixels) and 0 <= pixels <= MAX_SIDE,
            f"extend.{side}",
            pixels,
            f"an integer from 0 to {MAX_SIDE}",
        )
    _require(any(margins), "extend", "0 on every side", "at least one side above 0")
    if request.image is None:
        _require(False, "extend", "margins without image", "the picture to extend")
        return
    for name, value in (("width", request.width), ("height", request.height)):
        _require(value is None, name, value, "nothing with extend, which decides the size")
    check_size("extend", margins.around(request.image.size))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise InvalidRequest(f"{name} cannot be {str(value)[:60]!r}.", hint=f"Allowed: {allowed}.")
