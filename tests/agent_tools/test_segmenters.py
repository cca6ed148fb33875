"""Segmentation models by setting: tiny ones with random weights on the real path."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent_tools.errors import AgentToolsError
from agent_tools.regions import Region, find_region
from agent_tools.segmentation import DoubtfulMask
from agent_tools.segmenters import open_segmenter
from benchmarks.rendered_truth import mug


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a Sam2Model of a few thousand random weights as transformers does."""
    import torch
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2Model,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    torch.manual_seed(1)
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 2, 2],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    prompt = Sam2PromptEncoderConfig(hidden_size=32, image_size=64)
    decoder = Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
    )
    config = Sam2Config(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-sam2"
    Sam2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def cut_out_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a network that calls dark pixels the thing, in OpenVINO's own format."""
    ov = pytest.importorskip("openvino", reason="openvino is not installed")
    from openvino import opset13 as ops

    pixels = ops.parameter([1, 3, 32, 32], np.float32, name="pixels")
    gray = ops.reduce_mean(pixels, np.array([1]), keep_dims=True)
    dark = ops.sigmoid(ops.multiply(gray, np.float32(-40)))
    path = tmp_path_factory.mktemp("networks") / "dark-things.xml"
    ov.save_model(ov.Model([dark], [pixels], "dark-things"), path)
    return path


def test_sam2_turns_points_and_boxes_into_masks_of_the_pictures_size(sam2: Path) -> None:
    segmenter = open_segmenter(str(sam2), device="cpu")
    image = mug("#B3201C", 200).image.crop((0, 0, 200, 150))
    asked = (
        {"point": (90, 70)},
        {"box": (20, 20, 150, 140)},
        {"point": (9, 9), "box": (1, 1, 99, 99)},
    )
    for prompt in asked:
        mask, score = segmenter.mask(image, **prompt)
        assert mask.size == image.size and mask.mode == "L"
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
        assert 0 <= score <= 1
        again, _ = segmenter.mask(image, **prompt)
        assert again.tobytes() == mask.tobytes()


def test_an_unsure_model_is_not_believed(sam2: Path) -> None:
    segmenter = open_segmenter(str(sam2), device="cpu")
    image = mug("#B3201C", 200).image
    _, score = segmenter.mask(image, point=(90, 100))
    if score >= 0.5:
        found = find_region(image, Region(point=(90, 100)), segmenter)
        assert found.source == "point"
    else:
        with pytest.raises(DoubtfulMask, match="% sure"):
            find_region(image, Region(point=(90, 100)), segmenter)


def test_a_sure_model_decides_instead_of_the_color(sam2: Path) -> None:
    class Sure:
        name = "sure"
        takes_prompts = True

        def mask(self, image, *, point=None, box=None):
            made = Image.new("L", image.size, 0)
            made.paste(255, (10, 10, 60, 60))
            return made, 0.95

    found = find_region(mug("#B3201C", 200).image, Region(point=(90, 100)), Sure())
    assert Image.fromarray(np.asarray(found.mask)).getbbox() == (10, 10, 60, 60)
    by_color = find_region(mug("#B3201C", 200).image, Region(point=(90, 100)))
    assert by_color.mask.getbbox() != found.mask.getbbox()


def test_a_cut_out_network_finds_what_the_plain_way_refuses(cut_out_network: Path) -> None:
    rng = np.random.default_rng(0)
    busy = rng.integers(150, 256, (128, 128, 3), dtype=np.uint8)
    busy[40:90, 30:100] = 10
    image = Image.fromarray(busy)
    with pytest.raises(DoubtfulMask):
        find_region(Image.effect_noise((128, 128), 90).convert("RGB"), Region())
    segmenter = open_segmenter(str(cut_out_network))
    mask, score = segmenter.mask(image)
    assert score > 0.8
    left, top, right, bottom = mask.getbbox()
    assert abs(left - 30) <= 4 and abs(top - 40) <= 4
    assert abs(right - 100) <= 4 and abs(bottom - 90) <= 4


@pytest.mark.parametrize(("model_type", "name"), [("sam3_tracker", "sam3"), ("sam3_video", "sam3")])
def test_sam3s_own_license_must_be_accepted(tmp_path: Path, model_type: str, name: str) -> None:
    folder = tmp_path / "local-copy"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(AgentToolsError, match="license of its own") as caught:
        open_segmenter(str(folder))
    assert caught.value.code == "license_not_accepted" and name in caught.value.hint
    assert open_segmenter(str(folder), accept_license=(name,)).takes_prompts


@pytest.mark.parametrize("model", ["briaai/RMBG-2.0@" + "0" * 40, "/models/rmbg-2.0.onnx"])
def test_a_non_commercial_network_is_never_used_unasked(model: str) -> None:
    with pytest.raises(AgentToolsError, match="no commercial use") as caught:
        open_segmenter(model)
    assert caught.value.code == "license_not_accepted"


def test_what_is_no_segmentation_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentToolsError, match=r"no file missing\.onnx"):
        open_segmenter(str(tmp_path / "missing.onnx"))
    with pytest.raises(AgentToolsError, match=r"config\.json"):
        open_segmenter(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    wrong = open_segmenter(str(tmp_path))
    with pytest.raises(AgentToolsError, match="takes no points") as caught:
        wrong.mask(Image.new("RGB", (32, 32)), point=(3, 3))
    assert caught.value.code == "bad_segmenter"
    unpinned = open_segmenter("facebook/sam2.1-hiera-tiny")
    with pytest.raises(AgentToolsError, match="no fixed revision"):
        unpinned.mask(Image.new("RGB", (32, 32)), point=(3, 3))
