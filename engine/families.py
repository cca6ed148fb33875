"""Kinds of models: their diffusers classes, and how these like to be called. Loads no torch.

Read from the pipelines of diffusers 0.42: their `__call__`, `check_inputs` and class lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.request import Mode

MAX_SIDE = 2048
MIN_SIDE = 16

# Modes that the class of another one serves: the engine prepares its inputs. An edit model takes
# the source of image-to-image as a reference.
SERVED_BY: Mapping[Mode, Mode] = {"outpaint": "inpaint", "image-to-image": "edit"}


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share pipeline classes.

    Attributes:
        name: such as "stable-diffusion".
        classes: the diffusers class that serves each mode; the first one loads the model.
        text_encoder: what reads the prompt, in words.
        steps: default denoising steps.
        guidance: default guidance scale.
        size: default side, pixels.
        multiple: both sides must be multiples of this many pixels.
        latent_multiple: both sides of the latents must be multiples of this.
        max_pixels: the largest area worked on; larger sources are scaled down inside.
        prompt_tokens: tokens of the prompt that the pipelines pass on at most.
        negative_prompt: whether the pipelines use one.
        default_negative: negative prompt that turns guidance on when the request has none; None
            where the pipelines need no help.
        guidance_argument: the pipelines' name for the guidance scale.
        guidance_off: the guidance scale that turns guidance off, where 1 does not.
        guidance_doubles: whether guidance costs a second row or forward per step.
        cond_strength_class: class that runs image-to-image when `strength` is given, for
            families whose image-to-image takes the source as a reference and no strength.
        reference_argument: what `references` are passed as; None if it takes none.
        max_references: how many it takes.
        min_reference_side: pixels; smaller references are scaled up.
        max_reference_ratio: longer to shorter side; longer references are padded with white.
        binned_sizes: values of the transformer's `sample_size` for which the pipelines paint the
            nearest size of the training set and scale the picture to the size asked for.
        arguments: further arguments, always the same.
    """

    name: str
    classes: Mapping[Mode, str]
    text_encoder: str = "unknown"
    steps: int = 28
    guidance: float = 4.0
    size: int = 1024
    multiple: int = 8
    latent_multiple: int = 1
    max_pixels: int = MAX_SIDE * MAX_SIDE
    prompt_tokens: int = 512
    negative_prompt: bool = True
    default_negative: str | None = None
    guidance_argument: str = "guidance_scale"
    guidance_off: float | None = None
    guidance_doubles: bool = True
    cond_strength_class: str | None = None
    reference_argument: str | None = None
    max_references: int = 0
    min_reference_side: int = 1
    max_reference_ratio: float | None = None
    binned_sizes: tuple[int, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes it serves."""
        derived = (mode for mode, other in SERVED_BY.items() if other in self.classes)
        return (*self.classes, *(mode for mode in derived if mode not in self.classes))

    def class_for(self, mode: Mode) -> str | None:
        """Return the diffusers class that serves `mode`, or None."""
        return self.classes.get(mode) or self.classes.get(SERVED_BY.get(mode, mode))


STABLE_DIFFUSION = Family(
    "stable-diffusion",
    {
        "text-to-image": "StableDiffusionPipeline",
        "image-to-image": "StableDiffusionImg2ImgPipeline",
        "inpaint": "StableDiffusionInpaintPipeline",
    },
    text_encoder="CLIP",
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
    text_encoder="2x CLIP",
    steps=30,
    guidance=5.0,
)
STABLE_DIFFUSION_3 = Family(
    "stable-diffusion-3",
    {
        "text-to-image": "StableDiffusion3Pipeline",
        "image-to-image": "StableDiffusion3Img2ImgPipeline",
        "inpaint": "StableDiffusion3InpaintPipeline",
    },
    text_encoder="2x CLIP, T5 (may be absent)",
    guidance=7.0,
    multiple=16,
    latent_multiple=2,
    prompt_tokens=256,
)
FLUX1 = Family(
    "flux",
    {
        "text-to-image": "FluxPipeline",
        "image-to-image": "FluxImg2ImgPipeline",
        "inpaint": "FluxInpaintPipeline",
    },
    text_encoder="CLIP (pooled), T5",
    guidance=3.5,
    multiple=16,
    latent_multiple=2,
    negative_prompt=False,
    guidance_doubles=False,
)
FLUX1_FILL = Family(
    "flux-fill",
    {"inpaint": "FluxFillPipeline"},
    text_encoder="CLIP (pooled), T5",
    steps=50,
    guidance=30.0,
    multiple=16,
    latent_multiple=2,
    negative_prompt=False,
    guidance_doubles=False,
)
FLUX1_KONTEXT = Family(
    "flux-kontext",
    {
        "text-to-image": "FluxKontextPipeline",
        "edit": "FluxKontextPipeline",
    },
    text_encoder="CLIP (pooled), T5",
    guidance=3.5,
    multiple=16,
    latent_multiple=2,
    negative_prompt=False,
    guidance_doubles=False,
    reference_argument="image",
    max_references=1,
    min_reference_side=16,
    max_reference_ratio=8.0,
)
FLUX2_KLEIN = Family(
    "flux2-klein",
    {
        "text-to-image": "Flux2KleinPipeline",
        "inpaint": "Flux2KleinInpaintPipeline",
        "edit": "Flux2KleinPipeline",
    },
    text_encoder="Qwen3",
    steps=4,
    guidance=1.0,
    multiple=16,
    latent_multiple=2,
    # Its pipelines scale larger sources down to this area without a word.
    max_pixels=1024 * 1024,
    negative_prompt=False,
    cond_strength_class="Flux2KleinInpaintPipeline",
    reference_argument="image",
    max_references=4,
    min_reference_side=64,
    max_reference_ratio=8.0,
)
Z_IMAGE = Family(
    "z-image",
    {
        "text-to-image": "ZImagePipeline",
        "image-to-image": "ZImageImg2ImgPipeline",
        "inpaint": "ZImageInpaintPipeline",
    },
    text_encoder="Qwen3",
    guidance=5.0,
    steps=50,
    multiple=16,
    latent_multiple=2,
    # It adds `guidance_scale` times the difference, so 1 is guidance already.
    guidance_off=0.0,
)
QWEN_IMAGE = Family(
    "qwen-image",
    {
        "text-to-image": "QwenImagePipeline",
        "image-to-image": "QwenImageImg2ImgPipeline",
        "inpaint": "QwenImageInpaintPipeline",
    },
    text_encoder="Qwen2.5-VL",
    steps=50,
    size=1328,
    multiple=16,
    latent_multiple=2,
    default_negative=" ",
    guidance_argument="true_cfg_scale",
)
QWEN_IMAGE_EDIT = Family(
    "qwen-image-edit",
    {"edit": "QwenImageEditPlusPipeline"},
    text_encoder="Qwen2.5-VL, reads the references too",
    steps=40,
    multiple=16,
    latent_multiple=2,
    default_negative=" ",
    guidance_argument="true_cfg_scale",
    reference_argument="image",
    max_references=3,
    # Its image processor refuses more than 200; its transformer has seen nothing like it.
    max_reference_ratio=16.0,
)
PIXART_SIGMA = Family(
    "pixart-sigma",
    {"text-to-image": "PixArtSigmaPipeline"},
    text_encoder="T5",
    steps=20,
    guidance=4.5,
    multiple=16,
    latent_multiple=2,
    prompt_tokens=300,
    binned_sizes=(32, 64, 128, 256),
    # True would change pictures with the presence of two optional packages.
    arguments={"clean_caption": False},
)
SANA = Family(
    "sana",
    {"text-to-image": "SanaPipeline"},
    text_encoder="Gemma 2",
    steps=20,
    guidance=4.5,
    multiple=32,
    prompt_tokens=300,
    binned_sizes=(16, 32, 64, 128),
)
SANA_SPRINT = Family(
    "sana-sprint",
    {
        "text-to-image": "SanaSprintPipeline",
        "image-to-image": "SanaSprintImg2ImgPipeline",
    },
    text_encoder="Gemma 2",
    steps=2,
    guidance=4.5,
    multiple=32,
    prompt_tokens=300,
    negative_prompt=False,
    guidance_doubles=False,
    binned_sizes=(32,),
)
FAMILIES = (
    STABLE_DIFFUSION,
    SDXL,
    STABLE_DIFFUSION_3,
    FLUX1,
    FLUX1_FILL,
    FLUX1_KONTEXT,
    FLUX2_KLEIN,
    Z_IMAGE,
    QWEN_IMAGE,
    QWEN_IMAGE_EDIT,
    PIXART_SIGMA,
    SANA,
    SANA_SPRINT,
)


def find_family(pipeline_class: str) -> Family | None:
    """Return the family one of whose modes this diffusers class serves, or None."""
    for family in FAMILIES:
        if pipeline_class in family.classes.values():
            return family
    return None
