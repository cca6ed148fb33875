"""What a model that is not in the registry says about itself in its files. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.families import MAX_SIDE, MIN_SIDE, Family, find_family
from engine.registry import ModelSpec


def describe(
    name: str, source: str, index: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]
) -> ModelSpec:
    """Describe a model nobody has listed from its own JSON files.

    Args:
        name: what to call it.
        source: its folder or hub id.
        index: model_index.json.
        configs: config.json of each component, by component.
    """
    pipeline_class = str(index.get("_class_name"))
    family = find_family(pipeline_class)
    if family is None:
        family = Family(pipeline_class, {"text-to-image": pipeline_class})
    factor = _vae_factor(configs.get("vae", {}))
    if factor is not None:
        multiple = math.lcm(family.multiple, factor * family.latent_multiple)
        family = replace(family, multiple=multiple)
    size = family.size
    denoiser = configs.get("unet") or configs.get("transformer") or {}
    sample = denoiser.get("sample_size")
    if sample not in family.binned_sizes:
        family = replace(family, binned_sizes=())
    if isinstance(sample, int) and _is_count(sample) and factor is not None:
        size = sample * factor
    if denoiser.get("in_channels") == 9 and "inpaint" in family.classes:
        # Mask and masked source are further input channels: it can do nothing else.
        family = replace(family, classes={"inpaint": family.classes["inpaint"]})
    takes_reference = family.reference_argument is not None
    return ModelSpec(
        name,
        source,
        family,
        "unknown",
        None,
        steps=family.steps,
        guidance=family.guidance,
        size=max(MIN_SIDE, min(size, MAX_SIDE)),
        strength=None if takes_reference else 0.6,
    )


def _vae_factor(config: Mapping[str, Any]) -> int | None:
    """Return the pixels of a latent's side, from an autoencoder's config; None if unreadable."""
    for name in ("block_out_channels", "encoder_block_out_channels"):
        blocks = config.get(name)
        if isinstance(blocks, list) and 0 < len(blocks) <= 8:
            return int(2 ** (len(blocks) - 1))
    # Spelled so in AutoencoderKLQwenImage.
    levels = config.get("temperal_downsample")
    if isinstance(levels, list) and len(levels) <= 8:
        return int(2 ** len(levels))
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
