"""Sizes, masks and defaults: what a request becomes before any weight is touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import box_mask, photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine import ImageRequest, SamplingParams
from engine.checks import check_request
from engine.edit import edit_area
from engine.errors import InvalidRequest
from engine.plan import make_plan
from engine.pricing import work_units
from engine.registry import FLUX2_KLEIN, KNOWN_MODELS, ModelSpec, find_model

STARTER = find_model("starter")
SD15 = find_model("stable-diffusion-v1-5")
KLEIN = find_model("FLUX.2-klein-4B")
assert STARTER and SD15 and KLEIN


@settings(deadline=None)
@given(
    spec=st.sampled_from((STARTER, SD15, KLEIN)),
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    masked=st.booleans(),
    color=st.integers(0, 255),
)
def test_any_source_fits_any_model_and_comes_back_in_its_own_size(
    spec: ModelSpec,
    size: tuple[int, int],
    corner: tuple[float, float],
    masked: bool,
    color: int,
) -> None:
    x, y = round(corner[0] * (size[0] - 1)), round(corner[1] * (size[1] - 1))
    mask = box_mask(size, (x, y, x, y)) if masked else None
    source = Image.new("RGB", size, (color, 1, 2))
    area = edit_area(size, mask, spec)
    work = area.enter(source)
    assert work.size == area.work
    assert area.work[0] % spec.family.multiple == area.work[1] % spec.family.multiple == 0
    assert area.work[0] * area.work[1] <= spec.family.max_pixels
    if spec.fixed_size:
        assert area.work == (spec.size, spec.size)
    result = area.leave(Image.new("RGB", area.work, (9, 9, 9)), source, mask)
    assert result.size == size
    if mask is not None:
        assert area.enter_mask(mask).getbbox() is not None, "the model sees what to repaint"
        assert result.getpixel((x, y)) == (9, 9, 9)
        kept = np.asarray(mask) == 0
        assert (np.asarray(result)[kept] == np.asarray(source)[kept]).all()


def test_a_small_repair_in_a_large_photograph_keeps_its_sharpness() -> None:
    size = (3000, 2000)
    area = edit_area(size, box_mask(size, (1500, 900, 1599, 999)), STARTER)
    assert area.box == (1450, 850, 1650, 1050)
    whole = edit_area(size, None, STARTER)
    assert whole.box == (0, 0, 3000, 2000)
    assert (whole.scaled, whole.work) == ((256, 171), (256, 256))


def test_gray_mask_pixels_blend_and_black_ones_never_change() -> None:
    source = photograph((64, 64))
    mask = Image.new("L", (64, 64), 0)
    for row in range(16, 64):
        mask.paste(min(255, row * 5), (0, row, 64, row + 1))
    area = edit_area(source.size, mask, SD15)
    result = np.asarray(area.leave(Image.new("RGB", area.work), source, mask)).astype(int)
    kept = np.asarray(mask) == 0
    assert kept.any()
    assert (result[kept] == np.asarray(source)[kept]).all()
    assert (result[np.asarray(mask) == 255] == 0).all()


def test_transparency_is_put_on_white_and_told() -> None:
    cutout = Image.new("RGBA", (64, 64), (200, 0, 0, 0))
    cutout.paste((0, 0, 200, 255), (0, 0, 32, 64))
    plan = make_plan(ImageRequest("x", image=cutout), SD15)
    assert plan.source.getpixel((63, 0)) == (255, 255, 255)
    assert plan.source.getpixel((0, 0)) == (0, 0, 200)
    assert "on white" in plan.warnings[0]
    opaque = cutout.convert("RGB").convert("RGBA")
    assert make_plan(ImageRequest("x", image=opaque), SD15).warnings == ()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "CMYK", "1", "I;16"])
def test_sources_of_every_color_mode_become_rgb(mode: str) -> None:
    source = Image.new("I;16", (64, 64), 30000) if mode == "I;16" else Image.new("RGB", (64, 64))
    request = ImageRequest("x", image=source if mode == "I;16" else source.convert(mode))
    assert make_plan(request, SD15).source.mode == "RGB"


def test_a_fixed_size_model_paints_its_size_and_says_so() -> None:
    plan = make_plan(ImageRequest("x", width=512, height=300), STARTER)
    assert plan.size == (256, 256)
    assert plan.warnings == (
        "Painted at 256x256 instead of 512x300: model 'starter' paints that size only.",
    )
    assert make_plan(ImageRequest("x"), STARTER).warnings == ()


def test_sizes_go_to_the_nearest_the_model_can_do() -> None:
    plan = make_plan(ImageRequest("x", width=500, height=1001), KLEIN)
    assert plan.size == (496, 1008)
    assert "496x1008 instead of 500x1001" in plan.warnings[0]
    assert make_plan(ImageRequest("x", width=16, height=16), KLEIN).size == (16, 16)


def test_defaults_come_from_the_model() -> None:
    assert make_plan(ImageRequest("x"), STARTER).params == SamplingParams(10, 2.5, None, None)
    source = photograph()
    image = make_plan(ImageRequest("x", image=source), SD15)
    assert image.params.strength == 0.6
    reference = make_plan(ImageRequest("x", image=source), KLEIN)
    assert reference.params.strength is None
    mask = box_mask(source.size, (0, 0, 9, 9))
    assert make_plan(ImageRequest("x", image=source, mask=mask), KLEIN).params.strength == 1.0


@settings(deadline=None)
@given(steps=st.integers(1, 200), strength=st.floats(0.005, 1))
def test_any_strength_runs_at_least_one_step(steps: int, strength: float) -> None:
    request = ImageRequest("x", image=photograph(), params=SamplingParams(steps, strength=strength))
    params = make_plan(request, SD15).params
    assert int(params.num_inference_steps * strength) >= 1
    assert params.num_inference_steps >= steps


def test_an_image_to_image_result_has_the_size_asked_for() -> None:
    request = ImageRequest("x", image=photograph((100, 50)), width=64)
    plan = make_plan(request, SD15)
    assert (plan.source.size, plan.warnings) == ((64, 32), ())
    square = make_plan(replace(request, height=64), SD15)
    assert square.source.size == (64, 64)
    assert "cropped" in square.warnings[0]


def test_a_negative_prompt_that_cannot_work_is_told() -> None:
    request = ImageRequest("x", negative_prompt="blurry")
    assert make_plan(request, SD15).warnings == ()
    assert "no negative prompt" in make_plan(request, KLEIN).warnings[0]
    off = replace(request, params=SamplingParams(guidance_scale=1.0))
    assert "guidance" in make_plan(off, SD15).warnings[0]


def test_a_source_too_large_to_hold_is_refused_unread() -> None:
    with pytest.raises(InvalidRequest, match="9000x10"):
        check_request(ImageRequest("x", image=Image.new("1", (9000, 10))))


def test_work_grows_with_what_is_asked() -> None:
    base = work_units(ImageRequest("x"), SD15)
    assert work_units(ImageRequest("x", seeds=(1, 2, 3)), SD15) == 3 * base
    assert work_units(ImageRequest("x", width=1024), SD15) == 2 * base
    no_guidance = ImageRequest("x", params=SamplingParams(guidance_scale=1.0))
    assert work_units(no_guidance, SD15) == base / 2


def test_every_known_model_says_what_it_serves() -> None:
    assert all(spec.modes for spec in KNOWN_MODELS)
    assert FLUX2_KLEIN.max_pixels == 1024 * 1024
