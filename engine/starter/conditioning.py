"""One denoiser that also edits: five more input channels, kept in a file of their own.

The denoiser is trained with 9 input channels, in the order of diffusers' inpainting: noisy latents
(4), mask (1), latents of a given picture (4). The last five are zero for text-to-image, so that the
shipped UNet, whose first convolution keeps only the first four, is exactly the trained one and any
text-to-image pipeline runs it. The weights of the other five channels are 1,440 numbers:

- inpainting (`StableDiffusionInpaintPipeline`, 9 channels): mask and the picture without what lies
  under it;
- editing (`StableDiffusionInstructPix2PixPipeline`, 8 channels): no mask, the whole picture, or a
  line drawing.

All pipelines share every other weight in memory.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Final

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE_NAME: Final = "conditioning.safetensors"
LATENT, MASK, GIVEN = 4, 1, 4
_KEY = "conv_in.weight"


def split_denoiser(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Return the 4-channel UNet's weights and those of the other five channels, (C, 5, 3, 3)."""
    whole = state[_KEY]
    return {**state, _KEY: whole[:, :LATENT].contiguous()}, whole[:, LATENT:].contiguous()


def save_conditioning(extra: Tensor, folder: Path) -> None:
    """Write the weights of the five channels beside the pipeline's parts."""
    save_file({_KEY: extra}, folder / FILE_NAME)


def load_conditioning(folder: Path) -> Tensor | None:
    """Return the weights of the five channels, or None if the model was trained without."""
    path = folder / FILE_NAME
    return load_file(path)[_KEY] if path.exists() else None


def for_inpainting(unet: UNet2DConditionModel, extra: Tensor) -> UNet2DConditionModel:
    """Return a 9-channel view of a 4-channel UNet that shares all its other weights."""
    return _widened(unet, extra)


def for_editing(unet: UNet2DConditionModel, extra: Tensor) -> UNet2DConditionModel:
    """Return an 8-channel view of a 4-channel UNet that shares all its other weights."""
    return _widened(unet, extra[:, MASK:])


def _widened(unet: UNet2DConditionModel, extra: Tensor) -> UNet2DConditionModel:
    first = unet.conv_in
    weight = torch.cat([first.weight.detach(), extra.to(first.weight)], dim=1)
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = first.bias
    view = copy.copy(unet)
    view.__dict__["_modules"] = {**unet._modules, "conv_in": conv}
    view.register_to_config(in_channels=weight.shape[1])
    return view
