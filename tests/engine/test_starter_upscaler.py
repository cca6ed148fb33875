"""The starter model's own second stage: taken where its weights lie, and only there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_helpers import paint
from PIL import Image

from engine import ImageRequest
from engine.errors import UnsupportedMode
from engine.starter import WEIGHTS
from engine.starter.upscaler import FOLDER, StarterUpscaler, load_enlarger

pytestmark = pytest.mark.anyio


def saved(folder: Path, *, noise: float = 0.0) -> Path:
    """Save an upscaler that adds nothing to a bicubic enlargement, or some noise."""
    torch.manual_seed(3)
    model = StarterUpscaler()
    with torch.no_grad():
        model.network[-1].weight.normal_(0, noise)
    model.save_pretrained(folder / FOLDER)
    return folder / FOLDER


def picture() -> Image.Image:
    """Return smooth waves, which any enlargement keeps."""
    y, x = np.mgrid[0:48, 0:64] / 8
    waves = np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)
    return Image.fromarray((waves * 90 + 128).astype(np.uint8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_untrained_it_is_a_bicubic_enlargement_to_the_last_bit(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    enlarge = load_enlarger(saved(tmp_path), torch.device("cpu"), dtype)
    made = enlarge(picture())
    assert made.size == (128, 96)
    small = torch.from_numpy(np.array(picture())).permute(2, 0, 1)[None] / 127.5 - 1
    bicubic = torch.nn.functional.interpolate(small, scale_factor=2, mode="bicubic")
    wanted = ((bicubic.clamp(-1, 1) + 1) * 127.5).round()[0].permute(1, 2, 0).byte().numpy()
    assert (np.asarray(made) == wanted).mean() > 0.999
    trained = load_enlarger(saved(tmp_path / "other", noise=0.05), torch.device("cpu"), dtype)
    assert np.abs(np.asarray(trained(picture()), int) - wanted).mean() > 1


async def test_the_engine_takes_it_where_it_lies_beside_the_weights(
    open_engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ImageRequest("waves", seeds=(1,), image=picture(), upscale=2)
    without = await open_engine("starter")
    with pytest.raises(UnsupportedMode, match="cannot enlarge"):
        await paint(without, request)

    folder = tmp_path / "weights"
    folder.mkdir()
    for part in WEIGHTS.iterdir():
        os.symlink(part, folder / part.name)
    saved(folder)
    monkeypatch.setattr("engine.sources.STARTER_WEIGHTS", folder)
    engine = await open_engine("starter")
    result = await paint(engine, request)
    assert result.images[0].size == (128, 96)
