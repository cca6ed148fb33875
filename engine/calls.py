"""What a pipeline is called with: one request, its plan and a seed as diffusers arguments."""

from __future__ import annotations

import inspect
from typing import Any

from PIL import Image

from engine.families import Family
from engine.plan import Plan
from engine.references import reference_arguments
from engine.registry import ModelSpec
from engine.request import ImageRequest


def call_arguments(
    view: Any, request: ImageRequest, plan: Plan, prompt: str, seed: int, spec: ModelSpec
) -> dict[str, Any]:
    """Return the keyword arguments for `view.__call__`, only those that it takes.

    Args:
        view: the pipeline view that will be called.
        request: what was asked.
        plan: what it means for this model.
        prompt: the completed prompt.
        seed: of the one picture to paint.
        spec: the model.

    Raises:
        EngineError: if the model cannot take the references.
    """
    import torch

    wanted: dict[str, Any] = {
        "prompt": prompt,
        "num_inference_steps": plan.params.num_inference_steps,
        # CPU generators give the same noise on every device.
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "np",
        **spec.family.arguments,
        **_size_arguments(view, plan, spec.family),
        **_guidance_arguments(request, plan, spec.family),
        **_picture_arguments(request, plan, spec),
    }
    if plan.params.num_inference_steps != 2:
        # Sana-Sprint: set for its two-step schedule, and an error with any other.
        wanted["intermediate_timesteps"] = None
    taken = inspect.signature(type(view).__call__).parameters
    return {name: value for name, value in wanted.items() if name in taken}


def _size_arguments(view: Any, plan: Plan, family: Family) -> dict[str, Any]:
    width, height = plan.size
    # Kontext would paint this many pixels whatever the size asked for.
    arguments: dict[str, Any] = {"width": width, "height": height, "max_area": width * height}
    if family.binned_sizes:
        # A source would be squeezed into the bin's proportions.
        arguments["use_resolution_binning"] = (
            plan.source is None and view.transformer.config.sample_size in family.binned_sizes
        )
    return arguments


def _guidance_arguments(request: ImageRequest, plan: Plan, family: Family) -> dict[str, Any]:
    guidance = plan.params.guidance_scale
    guided = guidance is not None and guidance > 1
    if not guided and family.guidance_off is not None:
        guidance = family.guidance_off
    arguments: dict[str, Any] = {family.guidance_argument: guidance}
    if family.negative_prompt and request.negative_prompt.strip():
        arguments["negative_prompt"] = request.negative_prompt
    elif guided and family.default_negative is not None:
        arguments["negative_prompt"] = family.default_negative
    return arguments


def _picture_arguments(request: ImageRequest, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
    source = plan.area.enter(plan.source) if plan.source is not None and plan.area else None
    if request.references:
        sources = () if source is None else (source,)
        return reference_arguments((*sources, *request.references), spec)
    if source is None:
        return {}
    if plan.params.strength is None and spec.family.reference_argument is not None:
        return reference_arguments((source,), spec)
    mask = plan.area.enter_mask(plan.mask) if plan.mask is not None and plan.area else None
    return {
        "image": source,
        "strength": plan.params.strength,
        "mask_image": mask or Image.new("L", plan.size, 255),
    }
