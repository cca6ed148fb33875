"""What a pipeline is called with: one request, its plan and a seed as diffusers arguments."""

from __future__ import annotations

import inspect
from typing import Any

from PIL import Image

from engine.dialect import in_dialect
from engine.plan import Plan
from engine.references import fit_references
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

    params = plan.params
    wanted: dict[str, Any] = {
        "prompt": prompt,
        "width": plan.size[0],
        "height": plan.size[1],
        "num_inference_steps": params.num_inference_steps,
        "guidance_scale": params.guidance_scale,
        # CPU generators give the same noise on every device.
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "np",
    }
    if request.negative_prompt.strip():
        wanted["negative_prompt"] = request.negative_prompt
    source = plan.area.enter(plan.source) if plan.source is not None and plan.area else None
    by_reference = params.strength is None and spec.family.reference_argument is not None
    if request.references or (source is not None and by_reference):
        sources = () if source is None else (source,)
        name = spec.family.reference_argument or "image"
        wanted[name] = fit_references((*sources, *request.references), spec)
    elif source is not None and plan.area is not None:
        wanted["image"] = source
        wanted["strength"] = params.strength
        wanted["mask_image"] = (
            plan.area.enter_mask(plan.mask)
            if plan.mask is not None
            else Image.new("L", plan.size, 255)
        )
    taken = inspect.signature(type(view).__call__).parameters
    said = in_dialect(wanted, spec.family)
    return {name: value for name, value in said.items() if name in taken}
