"""Small pictures of a run that is under way, straight from its latents.

The autoencoder is far too dear for every step. A linear map from latent channels to colors, fitted
once per model on a picture of random patches, shows composition and color well enough.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from engine.pipelines import LoadedModel

logger = logging.getLogger(__name__)
_SIDE = 256  # pixels of the picture that the map is fitted on
_LONGEST = 256  # pixels of a preview's longer side


class LatentPreview:
    """Turn latents into small pictures. One for each model; used by many threads."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._map: torch.Tensor | None = None
        self._failed = False

    def picture(
        self,
        step_result: Any,
        size: tuple[int, int],
        alone: Callable[[str, Callable[[], Any]], Any],
        scheduler: Any = None,
    ) -> Image.Image | None:
        """Return a picture of what a sampler's step returned, or None if it cannot be read.

        Args:
            step_result: tuple or output of a diffusers scheduler's `step`.
            size: width and height of the picture under way.
            alone: runs a function on the computing thread.
            scheduler: whose step it was; some keep there what they do not return.
        """
        latents = _latents(step_result, scheduler)
        if latents is None or self._failed:
            return None
        latents = self._spread(latents[:1], size)
        if latents is None:
            return None
        if self._map is None:
            try:
                self._map = alone("encode", self._fit)
            except (RuntimeError, ValueError, AttributeError, KeyError) as error:
                logger.warning("no previews for this model: %s", error)
                self._failed = True
                return None
        channels = latents[0].to("cpu", torch.float32).permute(1, 2, 0)
        if channels.shape[-1] + 1 != len(self._map):
            return None
        ones = torch.ones(*channels.shape[:2], 1)
        colors = torch.cat([channels, ones], dim=-1) @ self._map
        pixels = ((colors + 1) * 127.5).clamp(0, 255).round().to(torch.uint8).numpy()
        scale = _LONGEST / max(size)
        return Image.fromarray(pixels).resize(
            (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))),
            Image.Resampling.BICUBIC,
        )

    def _spread(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor | None:
        """Return latents as (1, channels, height, width) in the autoencoder's own scale."""
        config = self._loaded.base.vae.config
        if latents.ndim == 3 and config.get("scaling_factor") is not None:
            # FLUX.1 packs 2x2 patches into channels.
            side = 2 ** len(config["block_out_channels"])
            rows, columns = size[1] // side, size[0] // side
            count, features = latents.shape[1:]
            if count != rows * columns or features % 4:
                return None
            spread = latents.view(1, rows, columns, features // 4, 2, 2)
            latents = spread.permute(0, 3, 1, 4, 2, 5).reshape(1, features // 4, rows * 2, -1)
        if latents.ndim != 4 or config.get("scaling_factor") is None:
            return None
        return latents / config["scaling_factor"] + (config.get("shift_factor") or 0.0)

    def _fit(self) -> torch.Tensor:
        """Fit colors in [-1, 1] to latents by least squares; return (channels + 1, 3)."""
        vae: Any = self._loaded.base.vae
        factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        cells = max(4, _SIDE // (4 * factor))
        patches = np.random.default_rng(0).uniform(-1, 1, (cells, cells, 3))
        picture = torch.tensor(patches, dtype=torch.float32).permute(2, 0, 1)[None]
        side = cells * 4 * factor
        picture = torch.nn.functional.interpolate(picture, size=(side, side), mode="bilinear")
        output = vae.encode(picture.to(vae.device, vae.dtype))
        # AutoencoderTiny has no distribution.
        encoded = output.latents[0] if "latents" in output else output.latent_dist.mode()[0]
        known = encoded.to("cpu", torch.float32).flatten(1).T
        colors = torch.nn.functional.interpolate(picture, size=encoded.shape[-2:], mode="area")
        known = torch.cat([known, torch.ones(len(known), 1)], dim=1)
        return torch.linalg.lstsq(known, colors[0].flatten(1).T).solution


def _latents(step_result: Any, scheduler: Any) -> torch.Tensor | None:
    """Return the best guess of the finished latents that a step gives, else the noisy ones."""
    returned = step_result if isinstance(step_result, tuple) else ()
    noisy = returned[0] if returned else getattr(step_result, "prev_sample", None)
    guesses = (
        getattr(step_result, "pred_original_sample", None),
        returned[1] if len(returned) > 1 else None,
        _kept_guess(scheduler),
    )
    for guess in guesses:
        if isinstance(guess, torch.Tensor) and guess.shape == getattr(noisy, "shape", None):
            return guess
    return noisy if isinstance(noisy, torch.Tensor) else None


def _kept_guess(scheduler: Any) -> Any:
    """Return the newest prediction of the finished latents that a multistep solver keeps."""
    outputs = getattr(scheduler, "model_outputs", None)
    config = getattr(scheduler, "config", None)
    if not isinstance(outputs, list) or not outputs or config is None:
        return None
    predicts = config.get("predict_x0") or str(config.get("algorithm_type")).endswith("dpmsolver++")
    return outputs[-1] if predicts else None
