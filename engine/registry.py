"""The models this engine knows, and what it needs to know about any other. Loads no torch.

Family facts (classes, size grid) come from diffusers 0.42; licenses from the model cards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.request import Mode

MAX_SIDE = 2048
MIN_SIDE = 16


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share pipeline classes.

    Attributes:
        name: such as "stable-diffusion".
        classes: the diffusers class that serves each mode.
        steps: default denoising steps.
        guidance: default guidance scale.
        size: default side, pixels.
        multiple: both sides must be multiples of this many pixels.
        max_pixels: the largest area worked on; larger sources are scaled down inside.
        negative_prompt: whether the pipelines use one.
        cond_strength_class: class that runs image-to-image when `strength` is given, for
            families whose image-to-image takes the source as a reference and no strength.
        max_references: how many reference pictures the "edit" class takes.
        reference_argument: the argument of that class that takes them, as a list.
    """

    name: str
    classes: dict[Mode, str]
    steps: int
    guidance: float
    size: int
    multiple: int = 8
    max_pixels: int = MAX_SIDE * MAX_SIDE
    negative_prompt: bool = True
    cond_strength_class: str | None = None
    max_references: int = 0
    reference_argument: str = "image"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: where it comes from, what it may be used for, how it is best run.

    Attributes:
        name: short name; what `ImageResult.model` says.
        source: "starter", a hub id ("owner/name") or a folder.
        family: its family.
        license: SPDX id or the license's own name; "unknown" if nobody looked.
        commercial: whether the license allows commercial use; None if unknown.
        steps: default denoising steps.
        guidance: default guidance scale.
        size: default side, pixels.
        fixed_size: whether it paints that size only.
        memory_gb: accelerator memory it needs at its default size in 16 bit, None if unknown.
        completer: "module:function" that completes a prompt before it is encoded.
        strength: default image-to-image strength; None: the source is a reference, not a start.
    """

    name: str
    source: str
    family: Family
    license: str
    commercial: bool | None
    steps: int
    guidance: float
    size: int
    fixed_size: bool = False
    memory_gb: float | None = None
    completer: str | None = None
    strength: float | None = 0.6

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes it serves."""
        modes = tuple(self.family.classes)
        return (*modes, "outpaint") if "inpaint" in modes else modes


STABLE_DIFFUSION = Family(
    "stable-diffusion",
    {
        "text-to-image": "StableDiffusionPipeline",
        "image-to-image": "StableDiffusionImg2ImgPipeline",
        "inpaint": "StableDiffusionInpaintPipeline",
    },
    steps=25,
    guidance=7.5,
    size=512,
)
SDXL = Family(
    "stable-diffusion-xl",
    {
        "text-to-image": "StableDiffusionXLPipeline",
        "image-to-image": "StableDiffusionXLImg2ImgPipeline",
        "inpaint": "StableDiffusionXLInpaintPipeline",
    },
    steps=30,
    guidance=5.0,
    size=1024,
)
FLUX1 = Family(
    "flux",
    {
        "text-to-image": "FluxPipeline",
        "image-to-image": "FluxImg2ImgPipeline",
        "inpaint": "FluxInpaintPipeline",
    },
    steps=28,
    guidance=3.5,
    size=1024,
    multiple=16,
    negative_prompt=False,
)
FLUX2_KLEIN = Family(
    "flux2-klein",
    {
        "text-to-image": "Flux2KleinPipeline",
        "image-to-image": "Flux2KleinPipeline",
        "inpaint": "Flux2KleinInpaintPipeline",
        "edit": "Flux2KleinPipeline",
    },
    steps=4,
    guidance=1.0,
    size=1024,
    multiple=16,
    # Its pipelines scale larger sources down to this area without a word.
    max_pixels=1024 * 1024,
    negative_prompt=False,
    cond_strength_class="Flux2KleinInpaintPipeline",
    max_references=4,
)
FAMILIES = (STABLE_DIFFUSION, SDXL, FLUX1, FLUX2_KLEIN)

KNOWN_MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        "starter",
        "starter",
        STABLE_DIFFUSION,
        "Apache-2.0",
        True,
        steps=10,
        guidance=2.5,
        size=256,
        fixed_size=True,
        memory_gb=0.5,
        completer="engine.starter.captions:complete",
    ),
    ModelSpec(
        "FLUX.2-klein-4B",
        "black-forest-labs/FLUX.2-klein-4B",
        FLUX2_KLEIN,
        "Apache-2.0",
        True,
        steps=4,
        guidance=1.0,
        size=1024,
        memory_gb=13,
        strength=None,
    ),
    ModelSpec(
        "FLUX.2-klein-9B",
        "black-forest-labs/FLUX.2-klein-9B",
        FLUX2_KLEIN,
        "FLUX Non-Commercial License",
        False,
        steps=4,
        guidance=1.0,
        size=1024,
        strength=None,
    ),
    ModelSpec(
        "FLUX.1-schnell",
        "black-forest-labs/FLUX.1-schnell",
        FLUX1,
        "Apache-2.0",
        True,
        steps=4,
        guidance=0.0,
        size=1024,
        memory_gb=34,
    ),
    ModelSpec(
        "FLUX.1-dev",
        "black-forest-labs/FLUX.1-dev",
        FLUX1,
        "FLUX.1 [dev] Non-Commercial License",
        False,
        steps=28,
        guidance=3.5,
        size=1024,
        memory_gb=34,
    ),
    ModelSpec(
        "stable-diffusion-xl-base-1.0",
        "stabilityai/stable-diffusion-xl-base-1.0",
        SDXL,
        "CreativeML Open RAIL++-M",
        True,
        steps=30,
        guidance=5.0,
        size=1024,
        memory_gb=8,
    ),
    ModelSpec(
        "sdxl-turbo",
        "stabilityai/sdxl-turbo",
        SDXL,
        "sai-nc-community",
        False,
        steps=4,
        guidance=0.0,
        size=512,
        memory_gb=8,
    ),
    ModelSpec(
        "stable-diffusion-v1-5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        STABLE_DIFFUSION,
        "CreativeML Open RAIL-M",
        True,
        steps=25,
        guidance=7.5,
        size=512,
        memory_gb=3,
    ),
    ModelSpec(
        "sd-turbo",
        "stabilityai/sd-turbo",
        STABLE_DIFFUSION,
        "sai-nc-community",
        False,
        steps=4,
        guidance=0.0,
        size=512,
        memory_gb=3,
    ),
)


def find_model(name: str) -> ModelSpec | None:
    """Return the known model of this short name or hub id (any revision), or None."""
    wanted = name.partition("@")[0].lower()
    for spec in KNOWN_MODELS:
        if wanted in (spec.name.lower(), spec.source.lower()):
            return spec
    return None


def find_family(pipeline_class: str) -> Family | None:
    """Return the family one of whose modes this diffusers class serves, or None."""
    for family in FAMILIES:
        if pipeline_class in family.classes.values():
            return family
    return None


def models_serving(mode: Mode) -> tuple[str, ...]:
    """Return the names of known models that serve `mode`."""
    return tuple(spec.name for spec in KNOWN_MODELS if mode in spec.modes)


def describe(
    name: str, source: str, index: dict[str, Any], configs: dict[str, dict[str, Any]]
) -> ModelSpec:
    """Describe a model nobody has listed from its own JSON files.

    Args:
        name: what to call it.
        source: its folder or hub id.
        index: model_index.json.
        configs: config.json of each component, by component.
    """
    pipeline_class = str(index.get("_class_name"))
    family = find_family(pipeline_class) or Family(
        pipeline_class, {"text-to-image": pipeline_class}, steps=28, guidance=4.0, size=1024
    )
    size = family.size
    sample = configs.get("unet", {}).get("sample_size")
    vae = configs.get("vae", {})
    factor = 2 ** (len(vae.get("block_out_channels", (0,) * 4)) - 1)
    if isinstance(sample, int):
        size = sample * factor
    packed = family.multiple // 8
    family = replace(family, multiple=max(factor * packed, 1))
    if configs.get("unet", {}).get("in_channels") == 9 and "inpaint" in family.classes:
        # Mask and masked source are further input channels: it can do nothing else.
        family = replace(family, classes={"inpaint": family.classes["inpaint"]})
    return ModelSpec(
        name,
        source,
        family,
        "unknown",
        None,
        steps=family.steps,
        guidance=family.guidance,
        size=max(MIN_SIDE, min(size, MAX_SIDE)),
        strength=None if family.cond_strength_class else 0.6,
    )
