"""Painting beyond the edges: the source comes back byte for byte, whatever its size or side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import paint, photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine import ImageRequest, Margins, SamplingParams
from engine.edit import extended, extension_area
from engine.errors import UnsupportedMode
from engine.plan import make_plan
from engine.registry import ModelSpec, find_model

STARTER = find_model("starter")
SD15 = find_model("stable-diffusion-v1-5")
KLEIN = find_model("FLUX.2-klein-4B")
assert STARTER and SD15 and KLEIN
FOUR_STEPS = SamplingParams(num_inference_steps=4)
SIDES = (Margins(left=13), Margins(top=24), Margins(right=1), Margins(bottom=31), Margins(3, 9, 20))


def inside(picture: Image.Image, margins: Margins, size: tuple[int, int]) -> np.ndarray:
    corner = (margins.left, margins.top)
    return np.asarray(picture.crop((*corner, corner[0] + size[0], corner[1] + size[1])))


@pytest.mark.anyio
@pytest.mark.parametrize("family", ["stable-diffusion", "stable-diffusion-flow", "flux2-klein"])
async def test_a_picture_grows_on_any_side_and_stays_itself(
    family, model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder(family))
    source = photograph((53, 38))
    for margins in SIDES:
        request = ImageRequest("a mug", image=source, extend=margins, params=FOUR_STEPS)
        result = await paint(engine, request)
        [picture] = result.images
        assert picture.size == margins.around(source.size)
        assert (inside(picture, margins, source.size) == np.asarray(source)).all()
        assert result.params.strength == 1.0
        canvas, mask = extended(source, margins)
        new = np.asarray(mask) > 0
        assert (np.asarray(picture)[new] != np.asarray(canvas)[new]).any(axis=-1).mean() > 0.5


@pytest.mark.anyio
@pytest.mark.weights
async def test_the_starter_extends_a_picture_of_any_size_and_keeps_its_bytes(open_engine) -> None:
    engine = await open_engine("starter")
    source = photograph((301, 177))
    margins = Margins(left=40, bottom=23)
    request = ImageRequest(
        "a red mug on a white background",
        image=source,
        extend=margins,
        params=SamplingParams(num_inference_steps=2),
    )
    [picture] = (await paint(engine, request)).images
    assert picture.size == (341, 200)
    assert (inside(picture, margins, source.size) == np.asarray(source)).all()


@settings(deadline=None)
@given(
    spec=st.sampled_from((STARTER, SD15, KLEIN)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    margins=st.builds(Margins, *[st.integers(0, 90)] * 4).filter(any),
)
def test_any_source_and_any_margins_fit_any_model(
    spec: ModelSpec, size: tuple[int, int], margins: Margins
) -> None:
    source = Image.new("RGB", size, (1, 2, 3))
    canvas, mask = extended(source, margins)
    assert canvas.size == mask.size == margins.around(size)
    assert (inside(canvas, margins, size) == (1, 2, 3)).all()
    assert not inside(mask, margins, size).any()
    assert np.count_nonzero(mask) == canvas.width * canvas.height - size[0] * size[1]
    area = extension_area(size, margins, spec)
    assert area.enter(canvas).size == area.enter_mask(mask).size == area.work
    done = np.asarray(area.leave(Image.new("RGB", area.work, (9, 9, 9)), canvas, mask))
    new = np.asarray(mask) > 0
    assert (done[new] == 9).all(), "every new pixel is painted"
    assert (done[~new] == (1, 2, 3)).all(), "no old one is"


def test_one_side_of_a_large_photograph_is_worked_on_unscaled() -> None:
    size = (6000, 2000)
    right = extension_area(size, Margins(right=256), SD15)
    assert right.box == (4160, 0, 6256, 2000)
    assert right.scaled == (2096, 2000)
    left = extension_area(size, Margins(left=256), SD15)
    assert left.box == (0, 0, 2096, 2000)
    below = extension_area((2000, 6000), Margins(bottom=100), SD15)
    assert below.box == (0, 4004, 2000, 6100)
    around = extension_area(size, Margins(256, 0, 256, 0), SD15)
    assert around.box == (0, 0, 6512, 2000), "opposite sides need all that is between"


def test_a_shift_in_color_is_taken_out_where_new_meets_old() -> None:
    source = photograph((80, 60))
    margins = Margins(right=40)
    canvas, mask = extended(source, margins)
    area = extension_area(source.size, margins, SD15)
    shift = np.array((12, -9, 5))
    shifted = np.asarray(area.enter(canvas)) + shift
    painted = Image.fromarray(shifted.clip(0, 255).astype(np.uint8))
    plain = np.asarray(area.leave(painted, canvas, mask)).astype(int)
    matched = np.asarray(area.leave(painted, canvas, mask, match_border=True)).astype(int)
    wanted = np.asarray(canvas).astype(int)
    assert (matched[:, :80] == wanted[:, :80]).all()
    at_border, far = np.s_[5:55, 80:84], np.s_[:, 112:]
    before, after = (
        np.abs(each[at_border] - wanted[at_border]).mean() for each in (plain, matched)
    )
    assert before > 5
    assert after < before / 2
    assert (matched[far] == plain[far]).all()


def test_another_motif_beyond_the_edge_is_no_shift() -> None:
    canvas, mask = extended(Image.new("RGB", (64, 64), "white"), Margins(right=64))
    area = extension_area((64, 64), Margins(right=64), SD15)
    dark = Image.new("RGB", area.work, (10, 10, 10))
    matched = np.asarray(area.leave(dark, canvas, mask, match_border=True))
    assert matched[:, 64:].max() <= 10 + 32


def test_new_parts_start_from_the_edge_colors() -> None:
    source = Image.new("RGB", (40, 40), (200, 0, 0))
    source.paste((0, 0, 200), (30, 0, 40, 40))
    canvas, _ = extended(source, Margins(20, 0, 20, 0))
    assert canvas.getpixel((0, 20)) == (200, 0, 0)
    assert canvas.getpixel((79, 20)) == (0, 0, 200)


def test_a_model_without_inpainting_names_those_that_have_it() -> None:
    no_inpaint = replace(
        SD15, family=replace(SD15.family, classes={"text-to-image": "StableDiffusionPipeline"})
    )
    request = ImageRequest("x", image=photograph(), extend=Margins(8))
    with pytest.raises(UnsupportedMode, match=r"outpaint.*starter"):
        make_plan(request, no_inpaint)
