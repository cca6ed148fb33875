"""One denoiser paints, fills in and edits: its extra channels cost nothing and change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from PIL import Image

from engine.starter import WEIGHTS
from engine.starter.autoencoder import StarterAutoencoder
from engine.starter.conditioning import (
    for_editing,
    for_inpainting,
    load_conditioning,
    save_conditioning,
    split_denoiser,
)
from engine.starter.evaluate import load_pipeline
from engine.starter.latents import Encoded
from engine.starter.render.dataset import draw_items, render
from engine.starter.tasks import TASKS, Conditions
from engine.starter.train_denoiser import widened_weights

SIDE = 8


def small_unet(in_channels: int) -> UNet2DConditionModel:
    torch.manual_seed(in_channels)
    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()


@pytest.fixture(scope="module")
def trained() -> UNet2DConditionModel:
    return small_unet(9)


@pytest.fixture
def shipped(trained: UNet2DConditionModel) -> tuple[UNet2DConditionModel, torch.Tensor]:
    weights, extra = split_denoiser(trained.state_dict())
    unet = small_unet(4)
    unet.load_state_dict(weights)
    return unet.requires_grad_(False), extra


@torch.no_grad()
def run(unet: UNet2DConditionModel, *parts: torch.Tensor) -> torch.Tensor:
    text = torch.ones(1, 3, 16)
    out: torch.Tensor = unet(torch.cat(parts, dim=1), 500, text).sample
    return out


def test_the_shipped_denoiser_is_the_trained_one_with_empty_channels(trained, shipped) -> None:
    unet, _ = shipped
    x = torch.randn(1, 4, SIDE, SIDE)
    assert torch.allclose(run(unet, x), run(trained, x, torch.zeros(1, 5, SIDE, SIDE)), atol=1e-5)


def test_its_views_fill_in_and_edit_as_it_was_trained_to(trained, shipped, tmp_path: Path) -> None:
    unet, extra = shipped
    save_conditioning(extra, tmp_path)
    loaded = load_conditioning(tmp_path)
    assert loaded is not None and load_conditioning(tmp_path / "elsewhere") is None
    x, given = torch.randn(2, 1, 4, SIDE, SIDE)
    mask = torch.ones(1, 1, SIDE, SIDE)
    filled = run(for_inpainting(unet, loaded), x, mask, given)
    assert torch.allclose(filled, run(trained, x, mask, given), atol=1e-5)
    edited = run(for_editing(unet, loaded), x, given)
    assert torch.allclose(edited, run(trained, x, 0 * mask, given), atol=1e-5)
    assert not torch.allclose(filled, edited, atol=1e-3)  # the mask is not ignored


def test_a_view_shares_its_weights_and_leaves_the_denoiser_as_it_was(shipped) -> None:
    unet, extra = shipped
    view = for_inpainting(unet, extra)
    assert (view.config.in_channels, unet.config.in_channels) == (9, 4)
    assert view.conv_in.weight.shape[1] == 9 and unet.conv_in.weight.shape[1] == 4
    shared = {id(p) for p in unet.parameters()} & {id(p) for p in view.parameters()}
    assert len(shared) == len(list(unet.parameters())) - 1


def test_an_earlier_denoiser_goes_on_with_channels_that_start_silent(trained) -> None:
    earlier = small_unet(4)
    later = small_unet(9)
    later.load_state_dict(widened_weights(earlier.state_dict(), later))
    x, given = torch.randn(1, 4, SIDE, SIDE), torch.randn(1, 5, SIDE, SIDE)
    assert torch.allclose(run(earlier, x), run(later, x, given), atol=1e-5)


def test_a_training_batch_holds_every_task(tmp_path: Path) -> None:
    items = draw_items(8, 0.0, 3, held_out=True)
    render({tmp_path / "train.npy": items}, 64, 1)
    autoencoder = StarterAutoencoder().eval()
    latents = np.arange(8, dtype=np.float16)[:, None, None, None] * np.ones(
        (1, 4, 8, 8), np.float16
    )
    encoded = Encoded(latents + 1, latents + 101, np.zeros((9, 1, 1, 1), np.float16))
    rng = np.random.default_rng(0)
    conditions = Conditions(tmp_path, encoded, autoencoder, rng)
    chosen = np.tile(np.arange(8), 40)
    extra = conditions.fill(chosen)
    seen = set()
    for i, channels in zip(chosen, extra, strict=True):
        mask, given = channels[0], channels[1:]
        if mask.any():
            assert set(mask.unique().tolist()) <= {0.0, 1.0}
            seen.add("fill")
        elif not given.any():
            seen.add("paint")
        elif given[0, 0, 0] > 100:
            assert (given == 101 + i).all()
            seen.add("ink")
        else:
            assert (given == 1 + (i ^ 1)).all()  # the other picture of its pair
            seen.add("edit")
    assert seen == set(TASKS)


def test_what_is_to_be_filled_in_is_hidden_from_the_denoiser(tmp_path: Path) -> None:
    render({tmp_path / "train.npy": draw_items(2, 0.0, 3, held_out=True)}, 64, 1)
    autoencoder = StarterAutoencoder().eval()
    encoded = Encoded(*(np.zeros((2, 4, 8, 8), np.float16) for _ in range(3)))
    conditions = Conditions(tmp_path, encoded, autoencoder, np.random.default_rng(1))
    extra = conditions.fill(np.zeros(200, np.int64))
    whole = [channels[1:] for channels in extra if channels[0].all()]
    assert whole
    gray = autoencoder.encode(torch.zeros(1, 3, 64, 64)).latents[0]
    assert all(torch.allclose(given, gray, atol=1e-5) for given in whole)


@pytest.mark.weights
def test_stock_pipelines_run_the_views_of_the_shipped_denoiser() -> None:
    pipeline = load_pipeline(WEIGHTS)
    width = pipeline.unet.conv_in.weight.shape[0]
    silent = torch.zeros(width, 5, 3, 3)
    mask = {"mask_image": Image.new("L", (64, 64)), "height": 64, "width": 64}
    views = {
        StableDiffusionInpaintPipeline: (for_inpainting, mask),
        StableDiffusionInstructPix2PixPipeline: (for_editing, {"image_guidance_scale": 1.2}),
    }
    for stock, (view, arguments) in views.items():
        parts = {**pipeline.components, "unet": view(pipeline.unet, silent)}
        other = stock(**parts, requires_safety_checker=False)
        other.set_progress_bar_config(disable=True)
        source = Image.new("RGB", (64, 64), "red")
        made = other("a teal mug", image=source, num_inference_steps=2, **arguments).images[0]
        assert made.size == (64, 64)
