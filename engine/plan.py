"""What a request means for the model at hand: defaults filled in, sizes decided. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.checks import DEFAULT_UPSCALE, MAX_STEPS, check_size
from engine.errors import InvalidRequest
from engine.families import MAX_SIDE, MIN_SIDE
from engine.registry import ModelSpec
from engine.request import ImageRequest, SamplingParams
from engine.ways import NO_COMPANIONS, Companions, Way, choose_way

if TYPE_CHECKING:
    from PIL import Image

    from engine.edit import EditArea
    from engine.upscale import SecondStage

# How far the proportions of a sketch may be from those of the picture it belongs to.
_SKETCH_TOLERANCE = 0.02
# A very long sketch is not painted thinner than this, pixels.
_MIN_SKETCHED_SIDE = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to run.

    Attributes:
        size: width and height the model paints, pixels.
        params: nothing None that the pipeline needs; of the second stage if there is no other.
        way: the pipeline that paints, or None if there is only the second stage.
        source: RGB source of the result's size, or None.
        mask: mode "L", or None.
        area: the part of the source that goes through the model, or None.
        control: the sketch as its network reads it, of the painted size, or None.
        references: RGB pictures shown to an edit model, the source among them if the way says so.
        second: the second stage, or None.
        warnings: what was changed.
    """

    size: tuple[int, int]
    params: SamplingParams
    way: Way | None = None
    source: Image.Image | None = None
    mask: Image.Image | None = None
    area: EditArea | None = None
    control: Image.Image | None = None
    references: tuple[Image.Image, ...] = ()
    second: SecondStage | None = None
    warnings: tuple[str, ...] = ()

    @property
    def paint_steps(self) -> int:
        """Denoising steps of the painting run, as far as known before it; 0 without one."""
        if self.way is None:
            return 0
        return max(1, int((self.params.num_inference_steps or 1) * (self.params.strength or 1.0)))

    @property
    def picture_steps(self) -> int:
        """Denoising steps of one finished picture, as far as known before."""
        return self.paint_steps + (self.second.steps if self.second is not None else 0)


def make_plan(
    request: ImageRequest, spec: ModelSpec, companions: Companions = NO_COMPANIONS
) -> Plan:
    """Fill in the model's defaults, choose the pipeline and decide sizes.

    Args:
        request: passed `engine.checks.check_request`.
        spec: the model.
        companions: what was loaded beside it.

    Raises:
        InvalidRequest: if the request contradicts itself.
        UnsupportedMode: if the model cannot do it; names what can.
    """
    if request.mode == "upscale":
        return _enlarging_plan(request, spec, companions)
    way = choose_way(request, spec, companions)
    params, warnings = _resolve_params(request, spec, way)
    plan = _painting_plan(request, spec, way, params, (*way.warnings, *warnings))
    if request.sketch is not None and way.reads_sketch:
        plan = replace(plan, control=_control(request.sketch, plan))
    plan = replace(plan, references=_references(request, spec, plan, way))
    if not request.refine:
        return plan
    from engine.upscale import plan_second_stage

    factor = request.upscale or DEFAULT_UPSCALE
    size = plan.source.size if plan.source is not None else plan.size
    check_size("upscale", (size[0] * factor, size[1] * factor))
    second = plan_second_stage(size, factor, SamplingParams(), spec, companions)
    return replace(plan, second=second)


def _enlarging_plan(request: ImageRequest, spec: ModelSpec, companions: Companions) -> Plan:
    from engine.edit import flatten
    from engine.upscale import plan_second_stage

    if request.image is None:
        raise InvalidRequest("upscale needs a picture.", hint="Send image.")
    source, warnings = flatten(request.image)
    second = plan_second_stage(
        source.size, request.upscale or DEFAULT_UPSCALE, request.params, spec, companions
    )
    return Plan(second.size, second.params, source=source, second=second, warnings=warnings)


def _painting_plan(
    request: ImageRequest,
    spec: ModelSpec,
    way: Way,
    params: SamplingParams,
    warnings: tuple[str, ...],
) -> Plan:
    if request.image is None:
        size, more = _canvas(request, spec)
        return Plan(size, params, way, warnings=warnings + more)
    from engine.edit import check_mask, edit_area, extended, extension_area, flatten, resized

    source, more = flatten(request.image)
    warnings += more
    mask = None
    if request.extend is not None:
        area = extension_area(source.size, request.extend, spec)
        kept = None if request.mask is None else check_mask(request.mask, source.size)
        source, mask = extended(source, request.extend, kept)
        if kept is not None:
            area = edit_area(source.size, mask, spec)
    elif request.mask is not None:
        mask = check_mask(request.mask, source.size)
        if (request.width or source.width, request.height or source.height) != source.size:
            raise InvalidRequest(
                f"Inpainting keeps the source's size, {source.width}x{source.height}.",
                hint="Leave width and height unset.",
            )
        area = edit_area(source.size, mask, spec)
    else:
        source, more = resized(source, request.width, request.height)
        warnings += more
        area = edit_area(source.size, None, spec)
    if area.scaled[0] < area.box[2] - area.box[0]:
        warnings += (
            f"The edited part was worked on at {area.scaled[0]}x{area.scaled[1]} pixels "
            "and scaled back up.",
        )
    return Plan(area.work, params, way, source, mask, area, warnings=warnings)


def _references(
    request: ImageRequest, spec: ModelSpec, plan: Plan, way: Way
) -> tuple[Image.Image, ...]:
    """Return what an edit model is shown: the source, the sketch, the references, in this order."""
    shown = [*request.references]
    if request.sketch is not None and not way.reads_sketch:
        shown.insert(0, request.sketch)
    if way.image_is_reference and plan.source is not None and plan.area is not None:
        shown.insert(0, plan.area.enter(plan.source))
    if not shown:
        return ()
    from engine.references import fit_references

    return tuple(fit_references(tuple(shown), spec))


def _control(sketch: Image.Image, plan: Plan) -> Image.Image:
    """Return the sketch as the ControlNet's input, over the part that is painted."""
    from engine.sketch import control_image

    if plan.source is None or plan.area is None:
        return control_image(sketch, plan.size)
    width, height = plan.source.size
    if abs(sketch.width * height / (sketch.height * width) - 1) > _SKETCH_TOLERANCE:
        raise InvalidRequest(
            f"The sketch is {sketch.width}x{sketch.height}, the picture {width}x{height}.",
            hint="Draw it in the proportions of the picture (with extend: of the extended one).",
        )
    return plan.area.enter(control_image(sketch, plan.source.size))


def _resolve_params(
    request: ImageRequest, spec: ModelSpec, way: Way
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
    if request.image is not None and strength is None and not way.image_is_reference:
        masked = request.mask is not None or request.extend is not None
        strength = 1.0 if masked else spec.strength
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
    if request.sketch is not None and request.width is None and request.height is None:
        asked = _size_of_sketch(request.sketch, spec)
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


def _size_of_sketch(sketch: Image.Image, spec: ModelSpec) -> tuple[int, int]:
    """Return the model's own area in the proportions of a sketch, on the model's grid."""
    scale = spec.size / math.sqrt(sketch.width * sketch.height)
    multiple = spec.family.multiple
    lowest = math.ceil(_MIN_SKETCHED_SIDE / multiple) * multiple
    width, height = (
        min(MAX_SIDE, max(lowest, round(side * scale / multiple) * multiple))
        for side in sketch.size
    )
    return (spec.size, spec.size) if spec.fixed_size else (width, height)
