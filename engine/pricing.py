"""How much work a request is, before it is accepted. Loads no torch."""

from __future__ import annotations

from engine.checks import DEFAULT_UPSCALE
from engine.errors import EngineError
from engine.registry import ModelSpec
from engine.request import ImageRequest, SamplingParams
from engine.ways import NO_COMPANIONS, Companions


def work_units(
    request: ImageRequest, spec: ModelSpec, companions: Companions = NO_COMPANIONS
) -> float:
    """Return the size of a request for the queue: pixels x steps x denoiser rows x pictures.

    Rough on purpose: it is multiplied by a measured cost.
    """
    params = request.params
    steps = params.num_inference_steps or spec.steps
    guidance = spec.guidance if params.guidance_scale is None else params.guidance_scale
    rows = 2 if guidance > 1 and spec.family.guidance_doubles else 1
    size = _result_size(request, spec)
    pixels = spec.size * spec.size
    if not spec.fixed_size:
        pixels = min(size[0] * size[1], spec.family.max_pixels)
    share = 1.0
    if request.image is not None:
        masked = request.mask is not None or request.extend is not None
        share = params.strength or (1.0 if masked else spec.strength or 1.0)
    units = pixels * max(1.0, steps * share) * rows if request.mode != "upscale" else 0.0
    if request.mode == "upscale" or request.refine:
        units += _second_stage_units(request, size, rows, spec, companions)
    return units * len(request.seeds)


def _second_stage_units(
    request: ImageRequest,
    size: tuple[int, int],
    rows: int,
    spec: ModelSpec,
    companions: Companions,
) -> float:
    from engine.upscale import plan_second_stage

    params = SamplingParams() if request.refine else request.params
    try:
        second = plan_second_stage(
            size, request.upscale or DEFAULT_UPSCALE, params, spec, companions
        )
    except EngineError:
        # It will be refused when its turn comes, at no cost.
        return 1.0
    pixels = sum(len(one.boxes) * one.tile[0] * one.tile[1] for one in second.passes)
    return float(pixels * max(1, second.tile_steps) * rows)


def _result_size(request: ImageRequest, spec: ModelSpec) -> tuple[int, int]:
    """Return the size of the picture before any second stage, as asked."""
    if request.image is None:
        return request.width or spec.size, request.height or spec.size
    if request.extend is not None:
        return request.extend.around(request.image.size)
    return request.image.size
