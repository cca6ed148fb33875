"""Tiny random-weight models of each family, built from config: real classes, no download.

Each builder writes a diffusers folder. A picture of 64x32 takes some milliseconds a step.
"""

from __future__ import annotations

from tiny_models.flow_models import (
    build_tiny_flux,
    build_tiny_flux2_klein,
    build_tiny_stable_diffusion_3,
    build_tiny_z_image,
)
from tiny_models.noise_models import (
    build_tiny_pixart_sigma,
    build_tiny_sana,
    build_tiny_sana_sprint,
    build_tiny_sdxl,
    build_tiny_stable_diffusion,
)
from tiny_models.qwen_models import build_tiny_qwen_image, build_tiny_qwen_image_edit_plus

__all__ = [
    "BUILDERS",
    "build_tiny_flux",
    "build_tiny_flux2_klein",
    "build_tiny_pixart_sigma",
    "build_tiny_qwen_image",
    "build_tiny_qwen_image_edit_plus",
    "build_tiny_sana",
    "build_tiny_sana_sprint",
    "build_tiny_sdxl",
    "build_tiny_stable_diffusion",
    "build_tiny_stable_diffusion_3",
    "build_tiny_z_image",
]

BUILDERS = {
    "stable-diffusion": build_tiny_stable_diffusion,
    "stable-diffusion-v": lambda folder: build_tiny_stable_diffusion(folder, "v_prediction"),
    "stable-diffusion-flow": lambda folder: build_tiny_stable_diffusion(folder, "flow_prediction"),
    "sdxl": build_tiny_sdxl,
    "stable-diffusion-3": build_tiny_stable_diffusion_3,
    "flux": build_tiny_flux,
    "flux-kontext": lambda folder: build_tiny_flux(folder, "FluxKontextPipeline"),
    "flux-fill": lambda folder: build_tiny_flux(folder, "FluxFillPipeline"),
    "flux2-klein": build_tiny_flux2_klein,
    "flux2-klein-base": lambda folder: build_tiny_flux2_klein(folder, distilled=False),
    "z-image": build_tiny_z_image,
    "qwen-image": build_tiny_qwen_image,
    "qwen-image-edit-plus": build_tiny_qwen_image_edit_plus,
    "pixart-sigma": build_tiny_pixart_sigma,
    "sana": build_tiny_sana,
    "sana-sprint": build_tiny_sana_sprint,
}
