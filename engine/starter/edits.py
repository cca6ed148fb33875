"""Recoloring a render under its exact mask: does it take the color, does the rest stay?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.starter.captions import product_caption
from engine.starter.conditioning import for_inpainting, load_conditioning
from engine.starter.judge import Judge
from engine.starter.render.dataset import Item
from engine.starter.requests import Studio, seen_products
from engine.starter.training import to_tensor
from engine.starter.vocabulary import Vocabulary


def inpainting(pipeline: Any, folder: Path) -> Any:
    """Return the stock inpainting pipeline: with the five extra channels if the model has them."""
    from diffusers import StableDiffusionInpaintPipeline

    extra = load_conditioning(folder)
    unet = pipeline.unet if extra is None else for_inpainting(pipeline.unet, extra)
    sibling = StableDiffusionInpaintPipeline(
        **{**pipeline.components, "unet": unet}, requires_safety_checker=False
    )
    sibling.set_progress_bar_config(disable=True)
    return sibling


def recolored(
    pipeline: Any,
    pictures: Tensor,
    masks: Tensor,
    captions: Sequence[str],
    steps: int,
    guidance: float,
) -> Tensor:
    """Repaint what lies under each mask (N, H, W) bool; every other pixel is put back."""
    results = []
    for i, caption in enumerate(captions):
        source = _image(pictures[i])
        mask = Image.fromarray(masks[i].byte().mul(255).numpy())
        made = pipeline(
            caption,
            image=source,
            mask_image=mask,
            strength=1.0,
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=256,
            width=256,
            generator=torch.Generator("cpu").manual_seed(i),
        ).images[0]
        results.append(torch.where(masks[i], _tensor(made), pictures[i]))
    return torch.stack(results)


def recolor_figures(
    pipeline: Any,
    folder: Path,
    judge: Judge,
    studio: Studio,
    known: Vocabulary,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return `edit_color`, `edit_kind`, `edit_outside_max_change` (0..255) and the pictures.

    Args:
        options: `prompts`, of which one in fifteen is an edit, `steps` and `guidance`.
    """
    count = max(options.prompts // 15, 4)
    befores = [
        {**item, "attributes": _plain(item["attributes"])}
        for item in seen_products(count, known, 31)
    ]
    others = seen_products(count, known, 32)
    afters: list[Item] = [
        {**item, "attributes": {**item["attributes"], "color": other["attributes"]["color"]}}
        for item, other in zip(befores, others, strict=True)
    ]
    pictures = studio.render(befores)
    masks = torch.stack([studio.mask(item) for item in befores])
    made = recolored(
        inpainting(pipeline, folder),
        pictures,
        masks,
        [product_caption(item["attributes"], known) for item in afters],
        options.steps,
        options.guidance,
    )
    found = judge.judge(made)
    outside = (made - pictures).abs() * ~masks[:, None]
    return {
        "edit_color": _share(found, afters, "color"),
        "edit_kind": _share(found, afters, "kind"),
        "edit_outside_max_change": round(float(outside.max()) * 127.5, 2),
        "edited": torch.stack([pictures, made], dim=1).flatten(0, 1)[:64],
    }


def _plain(attributes: dict[str, str]) -> dict[str, str]:
    return {**attributes, "pattern": "plain"}


def _share(found: Sequence[dict[str, str]], items: Sequence[Item], name: str) -> float:
    right = [
        answer[f"product_{name}"] == item["attributes"][name]
        for answer, item in zip(found, items, strict=True)
    ]
    return round(sum(right) / len(right), 4)


def _image(picture: Tensor) -> Image.Image:
    pixels = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous()
    return Image.fromarray(pixels.numpy())


def _tensor(image: Image.Image) -> Tensor:
    return to_tensor(np.asarray(image)[None])[0]
