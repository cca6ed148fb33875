"""Networks beside the model: a ControlNet for sketches, an upscaler for the second stage.

They pass the same checks as models (`engine.sources`). torch and diffusers load inside functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, ModelNotLoaded
from engine.registry import ModelSpec
from engine.sources import (
    Source,
    locate,
    open_source,
    read_json,
    refuse_code,
    weights_variant,
)
from engine.ways import CONTROLNET_PIPELINES, Companions, UpscalerSpec, controlnet_families

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from engine.pipelines import LoadedModel
    from engine.stats import EngineStats

logger = logging.getLogger(__name__)
_LATENT_UPSCALER = "StableDiffusionLatentUpscalePipeline"
# Default steps and guidance of each class (stabilityai/stable-diffusion-x4-upscaler's card names
# the guidance only; sd-x2-latent-upscaler's both).
_UPSCALERS: dict[str, tuple[int, float]] = {
    "StableDiffusionUpscalePipeline": (30, 9.0),
    _LATENT_UPSCALER: (20, 0.0),
}
# What a plain network sees at once, pixels: bounds its memory on any picture.
_NETWORK_TILE = 256
# Must agree for a ControlNet's residuals to fit into the model's UNet.
_SHARED = ("cross_attention_dim", "block_out_channels", "layers_per_block", "addition_embed_type")


@dataclass(frozen=True, slots=True)
class ControlNetSource:
    """A ControlNet that passed the checks.

    Attributes:
        name: short name.
        folder: where it lies.
        config: its config.json.
        variant: "fp16" if the weights are stored under that name only, else None.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    variant: str | None


@dataclass(frozen=True, slots=True)
class UpscalerSource:
    """An upscaler that passed the checks.

    Attributes:
        pipeline: the diffusers pipeline it is, or None.
        file: the .safetensors file of a plain network, or None.
        own: the folder of the starter model's own upscaler, or None.
    """

    pipeline: Source | None = None
    file: Path | None = None
    own: Path | None = None


def open_controlnet(model: str, spec: ModelSpec) -> ControlNetSource:
    """Find and check a ControlNet for the model `spec`.

    Args:
        model: a folder, or "owner/name@commit".
        spec: the model that it shall guide.

    Raises:
        ModelNotLoaded: if it is not there, not safe, or not for this kind of model.
    """
    if spec.family.name not in CONTROLNET_PIPELINES:
        raise ModelNotLoaded(
            f"Model '{spec.name}' takes no ControlNet.",
            hint=f"Unset 'controlnet', or use one of: {controlnet_families()}.",
        )
    folder, name, _ = locate(model)
    shown = f"'{name}'"
    refuse_code(folder, shown)
    config = read_json(folder / "config.json", shown)
    if config.get("_class_name") != "ControlNetModel":
        raise ModelNotLoaded(
            f"{shown} is a {str(config.get('_class_name'))[:60]}, not a ControlNetModel.",
            hint="Give a ControlNet for line drawings (scribble, line art).",
        )
    return ControlNetSource(name, folder, config, weights_variant(folder, shown))


def load_controlnet(
    source: ControlNetSource, unet: Any, device: torch.device, dtype: torch.dtype
) -> Any:
    """Read a ControlNet into memory.

    Args:
        source: from `open_controlnet`.
        unet: the denoiser it guides.
        device: where it computes.
        dtype: number format of the weights.

    Raises:
        ModelNotLoaded: if it was made for another kind of model or cannot be read.
    """
    import torch
    from diffusers import ControlNetModel

    for name in _SHARED:
        theirs, ours = source.config.get(name), unet.config.get(name)
        if _plain(theirs) != _plain(ours):
            raise ModelNotLoaded(
                f"ControlNet '{source.name}' was made for another model: its {name} is {theirs}, "
                f"not {ours}.",
                hint="Use one that was trained for this model's family and version.",
            )
    network = _reading(
        source.name,
        lambda: ControlNetModel.from_pretrained(
            str(source.folder),
            torch_dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant=source.variant,
        ),
    )
    network.to(device).eval().requires_grad_(False)
    # Module.to's type stubs know no memory_format.
    torch.nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def open_upscaler(model: str, accept_license: tuple[str, ...] = ()) -> UpscalerSource:
    """Find and check an upscaler.

    Args:
        model: a diffusers folder or "owner/name@commit" with an upscale pipeline, or a
            .safetensors file that spandrel (extra `[spandrel]`) understands.
        accept_license: as in `engine.sources.open_source`.

    Raises:
        ModelNotLoaded: if it is not there, not safe, or no upscaler.
        LicenseNotAccepted: if its license must be accepted first.
    """
    file = Path(model).expanduser()
    if model.strip() and file.is_file():
        if file.suffix != ".safetensors":
            raise ModelNotLoaded(
                f"Upscaler '{file.name}' is not a .safetensors file.",
                hint="Pickled weights are never read: convert it to safetensors.",
            )
        return UpscalerSource(file=file)
    source = open_source(model, accept_license)
    if next(iter(source.spec.family.classes.values())) not in _UPSCALERS:
        raise ModelNotLoaded(
            f"'{source.spec.name}' is no upscaler.",
            hint=f"Give a model of one of these classes: {', '.join(_UPSCALERS)}; or a "
            ".safetensors file of a GAN upscaler.",
        )
    return UpscalerSource(pipeline=source)


def own_upscaler(source: Source) -> UpscalerSource | None:
    """Return the upscaler that lies beside the starter model; None for other models."""
    folder = source.folder / "upscaler"
    if source.spec.source != "starter" or not (folder / "config.json").is_file():
        return None
    return UpscalerSource(own=folder)


def describe_upscaler(source: Source) -> UpscalerSpec:
    """Describe a diffusers upscale pipeline from its own JSON files."""
    shown = f"'{source.spec.name}'"
    class_name = next(iter(source.spec.family.classes.values()))
    steps, guidance = _UPSCALERS[class_name]
    unet = read_json(source.folder / "unet" / "config.json", shown)
    vae = read_json(source.folder / "vae" / "config.json", shown)
    factor = 2 ** (len(vae.get("block_out_channels", (0,) * 4)) - 1)
    levels = 2 ** (len(unet.get("block_out_channels", (0,) * 4)) - 1)
    # One works on latents as large as its input, whose decoder enlarges; the other doubles latents.
    scale = 2 if class_name == _LATENT_UPSCALER else factor
    multiple = max(1, factor * levels // scale)
    if class_name == _LATENT_UPSCALER:
        # The pipeline itself scales its input to multiples of 64 without a word.
        multiple = max(multiple, 64)
    side = int(unet.get("sample_size") or 64) * factor // scale
    tile = max(multiple, side // multiple * multiple)
    return UpscalerSpec(source.spec.name, scale, tile, multiple, class_name, steps, guidance)


def load_network(
    file: Path, device: torch.device
) -> tuple[UpscalerSpec, Callable[[Image.Image], Image.Image]]:
    """Read a plain upscale network and return what it is and how to run it on one picture.

    Weights are kept in float32: such networks are small, and many overflow in half precision.

    Raises:
        ModelNotLoaded: if spandrel is not installed or does not know the network.
    """
    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    try:
        from spandrel import ImageModelDescriptor, ModelLoader
    except ImportError:
        raise ModelNotLoaded(
            f"Upscaler '{file.name}' needs the package spandrel.",
            hint="Install it with: pip install spandrel.",
        ) from None
    network = _reading(
        file.name, lambda: ModelLoader(device=device).load_from_state_dict(load_file(file))
    )
    if not isinstance(network, ImageModelDescriptor) or network.input_channels != 3:
        raise ModelNotLoaded(
            f"'{file.name}' is no network that enlarges RGB pictures.",
            hint="Give an upscaler such as ESRGAN, SwinIR or SPAN.",
        )
    if network.scale < 2:
        raise ModelNotLoaded(
            f"'{file.name}' does not enlarge pictures (scale {network.scale}).",
            hint="Give an upscaler for 2 or 4 times the size.",
        )
    network.to(device).eval()

    def enlarge(tile: Image.Image) -> Image.Image:
        pixels = torch.from_numpy(np.asarray(tile, dtype=np.float32) / 255)
        with torch.inference_mode():
            output = network(pixels.permute(2, 0, 1)[None].to(device))[0]
        scaled = output.permute(1, 2, 0).float().clamp(0, 1).mul(255).round()
        return Image.fromarray(scaled.to("cpu", torch.uint8).numpy())

    return UpscalerSpec(file.stem, network.scale, _NETWORK_TILE, 1), enlarge


def load_companions(
    loaded: LoadedModel,
    controlnet: ControlNetSource | None,
    upscaler: UpscalerSource | None,
    stats: EngineStats,
) -> None:
    """Read what was asked for beside a model into memory and hand it to `loaded`.

    Raises:
        ModelNotLoaded: if something cannot be read or does not fit the model.
    """
    spec = None
    if controlnet is not None:
        loaded.extras["controlnet"] = load_controlnet(
            controlnet, loaded.base.unet, loaded.device, loaded.dtype
        )
    if upscaler is not None and upscaler.pipeline is not None:
        from engine.pipelines import load_model

        spec = describe_upscaler(upscaler.pipeline)
        loaded.upscaler = load_model(upscaler.pipeline, loaded.device, loaded.dtype, stats)
    elif upscaler is not None and upscaler.file is not None:
        spec, loaded.enlarge = load_network(upscaler.file, loaded.device)
    elif upscaler is not None and upscaler.own is not None:
        from engine.starter.upscaler import SCALE, load_enlarger

        folder, device, dtype = upscaler.own, loaded.device, loaded.dtype
        loaded.enlarge = _reading("starter upscaler", lambda: load_enlarger(folder, device, dtype))
        spec = UpscalerSpec("starter-upscaler", SCALE, _NETWORK_TILE, 2)
    loaded.companions = Companions(controlnet.name if controlnet is not None else None, spec)


def _reading(name: str, read: Callable[[], Any]) -> Any:
    """Read weights; whatever goes wrong becomes one clear error."""
    try:
        return read()
    except EngineError:
        raise
    except Exception as error:
        logger.exception("%s could not be loaded", name)
        reason = (str(error).splitlines() or [""])[0]
        raise ModelNotLoaded(
            f"'{name}' could not be loaded: {type(error).__name__}: {reason[:200]}.",
            hint="Check that it is complete and of a kind that is supported.",
        ) from error


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
