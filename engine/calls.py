"""What a pipeline is called with: one request, its plan and a seed as diffusers arguments."""

from __future__ import annotations

import inspect
from typing import Any

from PIL import Image

from engine.plan import Plan
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
    if spec.family.negative_prompt and request.negative_prompt.strip():
        wanted["negative_prompt"] = request.negative_prompt
    if plan.source is not None and plan.area is not None:
        wanted["image"] = plan.area.enter(plan.source)
        wanted["strength"] = params.strength
        wanted["mask_image"] = (
            plan.area.enter_mask(plan.mask)
            if plan.mask is not None
            else Image.new("L", plan.size, 255)
        )
    taken = inspect.signature(type(view).__call__).parameters
    return {name: value for name, value in wanted.items() if name in taken}
