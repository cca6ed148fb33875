"""The models this engine knows by name. Loads no torch.

Licenses, steps and memory come from the model cards; what nobody has looked up is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.families import (
    FLUX1,
    FLUX1_FILL,
    FLUX1_KONTEXT,
    FLUX2_KLEIN,
    PIXART_SIGMA,
    QWEN_IMAGE,
    QWEN_IMAGE_EDIT,
    SANA,
    SANA_SPRINT,
    SDXL,
    STABLE_DIFFUSION,
    STABLE_DIFFUSION_3,
    Z_IMAGE,
    Family,
)
from engine.request import Mode


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: where it comes from, what it may be used for, how it is best run.

    Attributes:
        name: short name; what `ImageResult.model` says.
        source: "starter", a hub id ("owner/name") or a folder.
        family: its family.
        license: SPDX id or the license's own name; "unknown" if nobody looked.
        commercial: whether the license allows commercial use without further conditions (rules
            of conduct aside); None if unknown. Otherwise it must be accepted by name.
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
        return self.family.modes


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
        "FLUX.2-klein-base-4B",
        "black-forest-labs/FLUX.2-klein-base-4B",
        FLUX2_KLEIN,
        "Apache-2.0",
        True,
        steps=50,
        guidance=4.0,
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
    ModelSpec(
        "stable-diffusion-3.5-medium",
        "stabilityai/stable-diffusion-3.5-medium",
        STABLE_DIFFUSION_3,
        "Stability AI Community License (commercial use below 1M USD of yearly revenue)",
        False,
        steps=40,
        guidance=4.5,
        size=1024,
    ),
    ModelSpec(
        "Z-Image-Turbo",
        "Tongyi-MAI/Z-Image-Turbo",
        Z_IMAGE,
        "Apache-2.0",
        True,
        steps=9,
        guidance=0.0,
        size=1024,
        memory_gb=22,
    ),
    ModelSpec(
        "Qwen-Image",
        "Qwen/Qwen-Image",
        QWEN_IMAGE,
        "Apache-2.0",
        True,
        steps=50,
        guidance=4.0,
        size=1328,
    ),
    ModelSpec(
        "Qwen-Image-Edit-2511",
        "Qwen/Qwen-Image-Edit-2511",
        QWEN_IMAGE_EDIT,
        "Apache-2.0",
        True,
        steps=40,
        guidance=4.0,
        size=1024,
        strength=None,
    ),
    ModelSpec(
        "FLUX.1-Kontext-dev",
        "black-forest-labs/FLUX.1-Kontext-dev",
        FLUX1_KONTEXT,
        "FLUX.1 [dev] Non-Commercial License",
        False,
        steps=28,
        guidance=2.5,
        size=1024,
        memory_gb=34,
        strength=None,
    ),
    ModelSpec(
        "FLUX.1-Fill-dev",
        "black-forest-labs/FLUX.1-Fill-dev",
        FLUX1_FILL,
        "FLUX.1 [dev] Non-Commercial License",
        False,
        steps=50,
        guidance=30.0,
        size=1024,
        memory_gb=34,
    ),
    ModelSpec(
        "PixArt-Sigma-XL-2-1024-MS",
        "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
        PIXART_SIGMA,
        "CreativeML Open RAIL++-M",
        True,
        steps=20,
        guidance=4.5,
        size=1024,
    ),
    ModelSpec(
        "Sana-1600M-1024px",
        "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers",
        SANA,
        "NVIDIA License (NSCL v2-custom) and Gemma Terms of Use",
        False,
        steps=20,
        guidance=4.5,
        size=1024,
    ),
    ModelSpec(
        "Sana-Sprint-1.6B-1024px",
        "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
        SANA_SPRINT,
        "NVIDIA License (NSCL v2-custom) and Gemma Terms of Use",
        False,
        steps=2,
        guidance=4.5,
        size=1024,
    ),
)


def find_model(name: str) -> ModelSpec | None:
    """Return the known model of this short name or hub id (any revision), or None."""
    wanted = name.partition("@")[0].lower()
    for spec in KNOWN_MODELS:
        if wanted in (spec.name.lower(), spec.source.lower()):
            return spec
    return None


def short_name(model: str) -> str:
    """Return what a model is called: its known name, a folder's last part, a hub id; no path."""
    known = find_model(model)
    if known is not None:
        return known.name
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model.partition("@")[0]


def models_serving(mode: Mode) -> tuple[str, ...]:
    """Return the names of known models that serve `mode`."""
    return tuple(spec.name for spec in KNOWN_MODELS if mode in spec.modes)
