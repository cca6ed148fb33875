"""Rectified-flow transformers: Stable Diffusion 3, FLUX.1, FLUX.2 klein, Z-Image."""

from __future__ import annotations

from pathlib import Path

from tiny_models.parts import (
    clip_config,
    clip_tokenizer,
    flow_scheduler,
    flow_vae,
    qwen3_config,
    qwen_tokenizer,
    t5,
)


def build_tiny_stable_diffusion_3(folder: Path, with_t5: bool = True) -> Path:
    """Stable Diffusion 3: two CLIP text encoders with pooled text, and T5, which may be absent."""
    import torch
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(0)
    tokenizer, text_encoder = t5(64) if with_t5 else (None, None)
    StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=64,
            caption_projection_dim=32,
            pooled_projection_dim=64,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=flow_vae(16),
        text_encoder=CLIPTextModelWithProjection(clip_config()),
        tokenizer=clip_tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(clip_config()),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=text_encoder,
        tokenizer_3=tokenizer,
    ).save_pretrained(folder)
    return folder


def build_tiny_flux(folder: Path, pipeline: str = "FluxPipeline") -> Path:
    """FLUX.1: CLIP pooled text, T5 text, packed 16-channel latents, guidance embedding.

    `pipeline` may also be "FluxKontextPipeline" (edits by one reference) or "FluxFillPipeline"
    (inpainting: masked source and mask are further channels).
    """
    import diffusers
    import torch
    from transformers import CLIPTextModel

    torch.manual_seed(0)
    tokenizer, text_encoder = t5()
    getattr(diffusers, pipeline)(
        scheduler=flow_scheduler(),
        vae=flow_vae(),
        text_encoder=CLIPTextModel(clip_config()),
        tokenizer=clip_tokenizer(),
        text_encoder_2=text_encoder,
        tokenizer_2=tokenizer,
        transformer=diffusers.FluxTransformer2DModel(
            in_channels=16 + 16 + 4 * 8 * 8 if pipeline == "FluxFillPipeline" else 16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
    ).save_pretrained(folder)
    return folder


def build_tiny_flux2_klein(folder: Path, distilled: bool = True) -> Path:
    """FLUX.2 klein: Qwen3 text (layers 9, 18 and 27), edits by reference image.

    The distilled one ignores guidance; the base model makes a second forward of it.
    """
    import torch
    from diffusers import AutoencoderKLFlux2, Flux2KleinPipeline, Flux2Transformer2DModel
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    Flux2KleinPipeline(
        scheduler=flow_scheduler(),
        vae=AutoencoderKLFlux2(
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
        ),
        text_encoder=Qwen3ForCausalLM(qwen3_config(28)),
        tokenizer=qwen_tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=distilled,
    ).save_pretrained(folder)
    return folder


def build_tiny_z_image(folder: Path) -> Path:
    """Z-Image: Qwen3 text (last layer but one), one stream, ragged lists as inputs."""
    import torch
    from diffusers import ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Model

    torch.manual_seed(0)
    ZImagePipeline(
        scheduler=flow_scheduler(),
        vae=flow_vae(),
        text_encoder=Qwen3Model(qwen3_config(2)),
        tokenizer=qwen_tokenizer(),
        transformer=ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[4, 6, 6],
            axes_lens=[1024, 64, 64],
        ),
    ).save_pretrained(folder)
    return folder
