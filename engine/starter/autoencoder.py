"""The starter model's autoencoder: 256 px pictures to 32x32x4 latents and back, cheap on a CPU.

Three latent channels are the picture itself, averaged over 8x8 pixels; the fourth is learned and
tells the decoder what averaging lost. The network works at 32 px and grows by sub-pixel
convolution (Shi et al. 2016, arXiv:1609.05158), so that a decode costs a tenth of
`AutoencoderKL` of the same quality: full-resolution layers dominate there.

It has the interface of diffusers' autoencoders and is loaded by `DiffusionPipeline` from the
name in `model_index.json`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

FACTOR = 8


class Residual(nn.Module):
    """Two convolutions on top of what comes in; untrained it changes nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(functional.silu(self.conv1(functional.silu(x))))
        return out


class Grow(nn.Module):
    """Double the side by a sub-pixel convolution."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 4 * out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.conv(functional.silu(x)), 2)


class StarterAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Encode pictures (B, 3, H, W) in -1..1 to latents (B, 4, H/8, W/8), and decode them.

    Args:
        width: channels of the layers at latent resolution.
        encoder_blocks: residual blocks that find the fourth channel.
        decoder_blocks: residual blocks before the picture grows.
        block_out_channels: channels at each scale, finest first; its length tells pipelines the
            factor of 8.
        picture_mean: subtracted from the averaged picture, so that latents are centered.
        picture_scale: multiplies the centered average, so that latents have unit variance.
        scaling_factor: what pipelines multiply latents by; 1, the scale is inside already.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        latent_channels: int = 4,
        width: int = 96,
        encoder_blocks: int = 2,
        decoder_blocks: int = 6,
        block_out_channels: tuple[int, ...] = (16, 32, 64, 96),
        picture_mean: float = 0.45,
        picture_scale: float = 1.6,
        scaling_factor: float = 1.0,
        force_upcast: bool = False,
    ) -> None:
        super().__init__()
        fine, middle, coarse, _ = block_out_channels
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(FACTOR),
            nn.Conv2d(in_channels * FACTOR**2, width, 1),
            *(Residual(width) for _ in range(encoder_blocks)),
            nn.SiLU(),
            nn.Conv2d(width, latent_channels - in_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, width, 3, padding=1),
            *(Residual(width) for _ in range(decoder_blocks)),
            Grow(width, coarse),
            Residual(coarse),
            Grow(coarse, middle),
            Residual(middle),
            Grow(middle, fine),
            nn.SiLU(),
            nn.Conv2d(fine, out_channels, 3, padding=1),
        )
        # The untrained decoder adds nothing to the upsampled average.
        for parameter in self.decoder[-1].parameters():
            nn.init.zeros_(parameter)

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Return the latents; there is no randomness in them."""
        average = functional.avg_pool2d(x, FACTOR)
        average = (average - self.config.picture_mean) * self.config.picture_scale
        # Bounded, so that the denoiser meets no outliers.
        detail = 2.0 * torch.tanh(self.encoder(x) * 0.5)
        latents = torch.cat([average, detail], dim=1)
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(self, z: Tensor, generator: Any = None, return_dict: bool = True) -> Any:
        """Return the picture, about -1..1; `generator` is taken for the interface's sake."""
        average = z[:, : self.config.out_channels] / self.config.picture_scale
        average = average + self.config.picture_mean
        base = functional.interpolate(
            average, scale_factor=FACTOR, mode="bilinear", align_corners=False
        )
        picture = base + self.decoder(z)
        return DecoderOutput(sample=picture) if return_dict else (picture,)

    def forward(self, x: Tensor) -> Tensor:
        """Return the picture as it survives encoding and decoding."""
        picture: Tensor = self.decode(self.encode(x).latents).sample
        return picture
