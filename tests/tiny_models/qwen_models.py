"""Qwen-Image and its editor: Qwen2.5-VL reads the words, and the pictures to edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_models.parts import QWEN_WORDS, flow_scheduler, qwen_tokenizer

_PATCH = 14


def _parts() -> dict[str, Any]:
    from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    special = {
        f"{name}_token_id": QWEN_WORDS.index(word)
        for name, word in (
            ("vision_start", "<|vision_start|>"),
            ("vision_end", "<|vision_end|>"),
            ("image", "<|image_pad|>"),
            ("video", "<|video_pad|>"),
        )
    }
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(QWEN_WORDS) + 256,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_parameters": {
                "mrope_section": [1, 1, 2],
                "rope_type": "default",
                "rope_theta": 1e6,
            },
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": _PATCH,
            "fullatt_block_indexes": [0],
        },
        **special,
    )
    return {
        "scheduler": flow_scheduler(),
        "vae": AutoencoderKLQwenImage(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(config),
        "tokenizer": qwen_tokenizer(),
        "transformer": QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 6, 6),
        ),
    }


def build_tiny_qwen_image(folder: Path) -> Path:
    """Qwen-Image: text of any length, guidance as a second forward (`true_cfg_scale`)."""
    import torch
    from diffusers import QwenImagePipeline

    torch.manual_seed(0)
    QwenImagePipeline(**_parts()).save_pretrained(folder)
    return folder


def build_tiny_qwen_image_edit_plus(folder: Path) -> Path:
    """Qwen-Image-Edit-Plus: up to three pictures go into the text encoder and the transformer."""
    import torch
    from diffusers import QwenImageEditPlusPipeline
    from transformers import Qwen2VLImageProcessorPil

    torch.manual_seed(0)
    parts = _parts()
    QwenImageEditPlusPipeline(processor=None, **parts).save_pretrained(folder)
    # The processor's class cannot be made, or saved, without torchvision.
    Qwen2VLImageProcessorPil(patch_size=_PATCH, merge_size=2).save_pretrained(folder / "processor")
    parts["tokenizer"].save_pretrained(folder / "processor")
    index = json.loads((folder / "model_index.json").read_text())
    index["processor"] = ["transformers", "Qwen2VLProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
