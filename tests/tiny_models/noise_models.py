"""Models with a convolutional UNet, and the two small transformers: PixArt-Sigma and Sana."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from tiny_models.parts import clip_config, clip_tokenizer, gemma, t5, vae

Prediction = Literal["epsilon", "v_prediction", "flow_prediction"]


def _unet(**options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    settings: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**(settings | options))


def _diffusion_scheduler(prediction: Prediction) -> Any:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    if prediction == "flow_prediction":
        return DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.5, steps_offset=1
        )
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )


def build_tiny_stable_diffusion(
    folder: Path, prediction: Prediction = "epsilon", in_channels: int = 4
) -> Path:
    """Stable Diffusion 1.x/2.x: CLIP text, UNet. Flow prediction is what the starter model has."""
    import torch
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionPipeline
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    kind = StableDiffusionPipeline if in_channels == 4 else StableDiffusionInpaintPipeline
    kind(
        vae=vae(),
        text_encoder=CLIPTextModel(clip_config()),
        tokenizer=clip_tokenizer(),
        unet=_unet(in_channels=in_channels),
        scheduler=_diffusion_scheduler(prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def build_tiny_sdxl(folder: Path) -> Path:
    """SDXL: two CLIP text encoders, pooled text and sizes added to the time embedding."""
    import torch
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    unet = _unet(
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
    )
    StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(clip_config()),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet,
        scheduler=_diffusion_scheduler("epsilon"),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def build_tiny_pixart_sigma(folder: Path, sample_size: int = 8) -> Path:
    """PixArt-Sigma: T5 text, a transformer that also predicts the variance.

    With a `sample_size` of 32 it has the aspect-ratio bins of the 256-pixel model.
    """
    import torch
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    torch.manual_seed(0)
    tokenizer, text_encoder = t5()
    PixArtSigmaPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae(),
        transformer=PixArtTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            cross_attention_dim=16,
            sample_size=sample_size,
            caption_channels=32,
            use_additional_conditions=False,
        ),
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)
    return folder


def _deep_vae() -> Any:
    from diffusers import AutoencoderDC

    blocks: dict[str, Any] = {}
    for side in ("encoder", "decoder"):
        blocks |= {
            f"{side}_block_types": ("ResBlock", "ResBlock", "ResBlock", "EfficientViTBlock"),
            f"{side}_block_out_channels": (8, 8, 8, 8),
            f"{side}_layers_per_block": (1, 1, 1, 1),
            f"{side}_qkv_multiscales": ((), (), (), (5,)),
        }
    return AutoencoderDC(latent_channels=4, attention_head_dim=4, scaling_factor=0.41407, **blocks)


def _sana_transformer(**options: Any) -> Any:
    from diffusers import SanaTransformer2DModel

    return SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=16,
        sample_size=8,
        **options,
    )


def build_tiny_sana(folder: Path) -> Path:
    """Sana: Gemma text, linear attention, a deep-compression autoencoder (here by eight)."""
    import torch
    from diffusers import DPMSolverMultistepScheduler, SanaPipeline

    torch.manual_seed(0)
    tokenizer, text_encoder = gemma()
    SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=_deep_vae(),
        transformer=_sana_transformer(),
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    ).save_pretrained(folder)
    return folder


def build_tiny_sana_sprint(folder: Path) -> Path:
    """Sana-Sprint: Sana distilled to few steps, guidance as an input of the transformer."""
    import torch
    from diffusers import SanaSprintPipeline, SCMScheduler

    torch.manual_seed(0)
    tokenizer, text_encoder = gemma()
    SanaSprintPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=_deep_vae(),
        transformer=_sana_transformer(guidance_embeds=True, qk_norm="rms_norm_across_heads"),
        scheduler=SCMScheduler(),
    ).save_pretrained(folder)
    return folder
