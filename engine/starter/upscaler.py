"""The starter model's second stage: a picture twice as large, with the edges that it should have.

A residual network that works at half the picture's size and grows by sub-pixel convolution (Shi et
al. 2016, arXiv:1609.05158; Lim et al. 2017, arXiv:1707.02921); what it adds goes onto a bicubic
enlargement. It was shown what the starter's decoder makes of pictures (train_upscaler.py), so it
mends what that blurs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from engine.starter.autoencoder import Grow, Residual

SCALE: Final = 2
FOLDER: Final = "upscaler"


class StarterUpscaler(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Enlarge pictures (B, 3, H, W) in -1..1 with even sides to (B, 3, 2H, 2W), about -1..1.

    Args:
        width: channels at half the input's size.
        blocks: residual blocks there.
        middle: channels at the input's size.
        fine: channels at the output's size.
    """

    @register_to_config
    def __init__(self, width: int = 40, blocks: int = 4, middle: int = 24, fine: int = 12) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, width, 3, padding=1),
            *(Residual(width) for _ in range(blocks)),
            Grow(width, middle),
            Residual(middle),
            Grow(middle, fine),
            nn.SiLU(),
            nn.Conv2d(fine, 3, 3, padding=1),
        )
        # Untrained it adds nothing to the bicubic enlargement.
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return the larger pictures, float32: what is not added must not lose its last bits."""
        base = functional.interpolate(
            x.float(), scale_factor=SCALE, mode="bicubic", align_corners=False
        )
        larger: Tensor = base + self.network(x.to(self.dtype)).float()
        return larger


def load_enlarger(
    folder: Path, device: torch.device, dtype: torch.dtype
) -> Callable[[Image.Image], Image.Image]:
    """Return what makes an RGB picture with even sides twice as large.

    Raises:
        OSError: if diffusers cannot read the folder.
    """
    model = StarterUpscaler.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
    )
    model.eval().requires_grad_(False).to(device)
    # Module.to's type stubs know no memory_format.
    nn.Module.to(model, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def enlarge(picture: Image.Image) -> Image.Image:
        pixels = torch.from_numpy(np.asarray(picture, np.float32) / 127.5 - 1)
        given = pixels.permute(2, 0, 1)[None].to(device)
        made = model(given.contiguous(memory_format=torch.channels_last))[0]
        levels = ((made.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0)
        return Image.fromarray(levels.to("cpu", torch.uint8).contiguous().numpy())

    return enlarge
