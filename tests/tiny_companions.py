"""Tiny random-weight networks beside a model: ControlNets and upscale pipelines, from config."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def build_tiny_controlnet(folder: Path, model: Path, **changes: Any) -> Path:
    """A ControlNet for the UNet of a tiny model, with weights that are not the usual zeros."""
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    controlnet = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(8, 8, 8, 8), load_weights_from_unet=False
    )
    for parameter in controlnet.parameters():
        # A fresh ControlNet ends in zero convolutions: it would change nothing.
        torch.nn.init.normal_(parameter, std=0.2)
    controlnet.register_to_config(**changes)
    controlnet.save_pretrained(folder)
    return folder


def build_tiny_upscaler(folder: Path, model: Path) -> Path:
    """StableDiffusionUpscalePipeline: four times larger, the noise level as a class label."""
    import torch
    from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline

    torch.manual_seed(2)
    words = _text_parts(model)
    StableDiffusionUpscalePipeline(
        **words,
        vae=_vae(levels=3, scaling_factor=0.08333),
        unet=_unet(in_channels=7, out_channels=4, num_class_embeds=1000),
        low_res_scheduler=DDPMScheduler(),
        scheduler=DDIMScheduler(prediction_type="v_prediction"),
        max_noise_level=350,
    ).save_pretrained(folder)
    return folder


def build_tiny_latent_upscaler(folder: Path, model: Path) -> Path:
    """StableDiffusionLatentUpscalePipeline: twice larger, guided by pooled text."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionLatentUpscalePipeline

    torch.manual_seed(3)
    words = _text_parts(model)
    StableDiffusionLatentUpscalePipeline(
        **words,
        vae=_vae(levels=4),
        unet=_unet(in_channels=8, out_channels=5, time_cond_proj_dim=128 + 32, sample_size=16),
        scheduler=EulerDiscreteScheduler(prediction_type="sample"),
    ).save_pretrained(folder)
    return folder


def build_tiny_network(file: Path, scale: int = 2) -> Path:
    """The weights of a small Compact upscaler (Real-ESRGAN's SRVGGNet) with random values."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(4)
    width, out = 8, 3 * scale * scale
    shapes = {"body.0": (width, 3), "body.2": (width, width), "body.4": (out, width)}
    weights = {}
    for name, (outputs, inputs) in shapes.items():
        weights[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3) * 0.05
        weights[f"{name}.bias"] = torch.zeros(outputs)
    for name in ("body.1", "body.3"):
        weights[f"{name}.weight"] = torch.full((width,), 0.2)
    save_file(weights, file)
    return file


def _text_parts(model: Path) -> dict[str, Any]:
    from transformers import CLIPTextModel, CLIPTokenizer

    return {
        "text_encoder": CLIPTextModel.from_pretrained(model / "text_encoder"),
        "tokenizer": CLIPTokenizer.from_pretrained(model / "tokenizer"),
    }


def _vae(levels: int, **options: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        **options,
    )


def _unet(**options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    settings: dict[str, Any] = {
        "sample_size": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**(settings | options))
