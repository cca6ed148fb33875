"""One request's arguments in the words of a family's pipelines.

The engine says `guidance_scale`, `negative_prompt`, `image` for all; pipelines differ in the names,
in what turns guidance off, and in defaults that would surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.families import Family


def in_dialect(wanted: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return arguments as the pipelines of `family` understand them.

    Args:
        wanted: arguments in the engine's words: `guidance_scale`, `num_inference_steps`, `width`
            and `height` are set, `negative_prompt` and pictures where the request has them.
        family: the model's.
    """
    said = {**wanted, **family.arguments}
    guidance = said.pop("guidance_scale")
    guided = guidance > 1
    if not guided and family.guidance_off is not None:
        guidance = family.guidance_off
    said[family.guidance_argument] = guidance
    if not family.negative_prompt:
        said.pop("negative_prompt", None)
    elif guided and family.default_negative is not None:
        said.setdefault("negative_prompt", family.default_negative)
    name = family.reference_argument
    if name is not None and family.max_references == 1 and isinstance(said.get(name), list):
        [said[name]] = said[name]
    # A source would be squeezed into the proportions of the training size.
    said["use_resolution_binning"] = bool(family.binned_sizes) and "image" not in wanted
    # FLUX.1 Kontext would paint a megapixel whatever the size asked for.
    said["max_area"] = said["width"] * said["height"]
    if said["num_inference_steps"] != 2:
        # Sana-Sprint's default belongs to its two-step schedule, and is an error with any other.
        said["intermediate_timesteps"] = None
    return said
