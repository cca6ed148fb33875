"""Line drawings as a condition: ControlNets, edit models, and models that cannot read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import box_mask, paint, photograph
from PIL import Image, ImageDraw
from tiny_companions import build_tiny_controlnet

from engine import ImageRequest, Margins, SamplingParams
from engine.errors import InvalidRequest, ModelNotLoaded, UnsupportedMode
from engine.plan import make_plan
from engine.registry import find_model
from engine.sketch import control_image
from engine.ways import Companions

STARTER = find_model("starter")
SD15 = find_model("stable-diffusion-v1-5")
KLEIN = find_model("FLUX.2-klein-4B")
assert STARTER and SD15 and KLEIN
SCRIBBLE = Companions(controlnet="scribble")
TWO_STEPS = SamplingParams(num_inference_steps=2)


def drawing(size: tuple[int, int] = (64, 48), ink: object = "black", paper: object = "white"):
    picture = Image.new("RGB", size, paper)
    box = (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4)
    ImageDraw.Draw(picture).ellipse(box, outline=ink, width=max(2, size[0] // 40))
    return picture


def test_any_drawing_becomes_white_lines_on_black() -> None:
    plain = np.asarray(control_image(drawing((128, 96)), (128, 96)))
    assert plain.shape == (96, 128, 3)
    assert plain[48, 32].min() > 200, "on the line"
    assert plain[0].max() == plain[48, 64].max() == 0, "on the paper, inside and outside"
    chalk = np.asarray(control_image(drawing((128, 96), "white", "black"), (128, 96)))
    pencil = np.asarray(control_image(drawing((128, 96), (150,) * 3, (235,) * 3), (128, 96)))
    clear = drawing((128, 96)).convert("RGBA")
    clear.putalpha(Image.eval(clear.convert("L"), lambda value: 255 - value))
    for other in (chalk, pencil, np.asarray(control_image(clear, (128, 96)))):
        assert np.abs(other.astype(int) - plain).mean() < 6


def test_uneven_light_on_photographed_paper_is_taken_out() -> None:
    picture = drawing((256, 192))
    shade = np.linspace(0.45, 1.0, 256)[None, :, None]
    photographed = Image.fromarray((np.asarray(picture) * shade).astype(np.uint8))
    lines = np.asarray(control_image(photographed, (256, 192)))
    assert lines[:, :40].max() < 40, "the dark side of the paper is no ink"
    assert lines[96, 64:70].max() > 200
    assert lines[96, 186:194].max() > 200


def test_no_line_is_cut_off_when_proportions_differ() -> None:
    frame = Image.new("L", (200, 100), 255)
    ImageDraw.Draw(frame).rectangle((6, 6, 193, 93), outline=0, width=4)
    lines = np.asarray(control_image(frame, (100, 100)))[..., 0]
    assert lines[:, 3].max() > 100
    assert lines[:, 96].max() > 100
    assert lines[:20].max() == 0, "padded with black above"


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_sheet_is_refused(shade: int) -> None:
    with pytest.raises(InvalidRequest, match="no lines"):
        control_image(Image.new("L", (64, 64), shade), (64, 64))


def test_the_sketch_decides_the_proportions_unless_a_size_is_given() -> None:
    wide = make_plan(ImageRequest("x", sketch=drawing((400, 200))), SD15, SCRIBBLE)
    assert wide.size == (728, 360)
    assert wide.warnings == ()
    assert wide.control.size == wide.size
    square = ImageRequest("x", sketch=drawing((400, 200)), width=512, height=512)
    assert make_plan(square, SD15, SCRIBBLE).size == (512, 512)


def test_a_sketch_must_have_the_proportions_of_its_picture() -> None:
    request = ImageRequest("x", image=photograph((64, 64)), sketch=drawing((64, 48)))
    with pytest.raises(InvalidRequest, match="64x48"):
        make_plan(request, SD15, SCRIBBLE)
    extended = replace(request, extend=Margins(right=64), sketch=drawing((256, 128)))
    assert make_plan(extended, SD15, SCRIBBLE).control.size == (128, 64)


def test_each_combination_has_its_pipeline() -> None:
    source = photograph((64, 48))
    mask = box_mask((64, 48), (8, 8, 30, 30))
    for name, fields in {
        "StableDiffusionControlNetPipeline": {},
        "StableDiffusionControlNetImg2ImgPipeline": {"image": source},
        "StableDiffusionControlNetInpaintPipeline": {"image": source, "mask": mask},
    }.items():
        request = ImageRequest("x", sketch=drawing(), **fields)
        assert make_plan(request, SD15, SCRIBBLE).way.class_name == name


@pytest.mark.parametrize("spec", [STARTER, SD15])
def test_a_model_that_cannot_read_sketches_names_what_can(spec) -> None:
    with pytest.raises(UnsupportedMode, match=r"controlnet.*stable-diffusion-xl.*FLUX.2-klein"):
        make_plan(ImageRequest("x", sketch=drawing()), spec)


def test_a_controlnet_and_references_do_not_go_together() -> None:
    request = ImageRequest("x", sketch=drawing(), references=(photograph(),))
    with pytest.raises(UnsupportedMode, match="references and a sketch"):
        make_plan(request, SD15, SCRIBBLE)


def test_an_edit_model_sees_the_sketch_as_a_reference() -> None:
    plan = make_plan(ImageRequest("x", sketch=drawing(), references=(photograph(),)), KLEIN)
    assert [picture.size for picture in plan.references] == [(86, 64), (87, 64)], "at least 64"
    assert "say in the prompt to follow it" in plan.warnings[0]
    masked = ImageRequest(
        "x", sketch=drawing(), image=photograph(), mask=box_mask((70, 52), (1, 1, 9, 9))
    )
    with pytest.raises(UnsupportedMode, match="controlnet"):
        make_plan(masked, KLEIN)


def test_too_many_references_are_counted() -> None:
    request = ImageRequest("x", image=photograph(), references=(photograph(),) * 4)
    with pytest.raises(InvalidRequest, match=r"5 pictures are too many.*takes 4"):
        make_plan(request, KLEIN)
    with pytest.raises(UnsupportedMode, match=r"FLUX\.2-klein"):
        make_plan(request, SD15)


@pytest.mark.anyio
@pytest.mark.parametrize("family", ["stable-diffusion", "sdxl"])
async def test_a_controlnet_guides_every_way_of_painting(
    family, model_folder, open_engine, tmp_path
) -> None:
    model = model_folder(family)
    engine = await open_engine(
        model, controlnet=str(build_tiny_controlnet(tmp_path / "lines", model))
    )
    source = photograph((64, 48))
    mask = box_mask(source.size, (16, 8, 40, 30))
    for rest in ({}, {"image": source}, {"image": source, "mask": mask}):
        request = ImageRequest(
            "a mug", sketch=drawing(), params=TWO_STEPS, deterministic=True, **rest
        )
        first = (await paint(engine, request)).images[0]
        again = (await paint(engine, replace(request, request_id="again"))).images[0]
        turned = drawing().rotate(90, expand=False, fillcolor="white")
        other = replace(request, sketch=turned, request_id="other")
        assert first.tobytes() == again.tobytes()
        assert first.tobytes() != (await paint(engine, other)).images[0].tobytes()
    kept = np.asarray(mask) == 0
    assert (np.asarray(first)[kept] == np.asarray(source)[kept]).all()
    plain = await paint(engine, ImageRequest("a mug", width=64, height=48, params=TWO_STEPS))
    assert plain.images[0].size == (64, 48), "without a sketch the model paints as before"


@pytest.mark.anyio
async def test_an_edit_model_paints_from_references_and_masks(model_folder, open_engine) -> None:
    engine = await open_engine(model_folder("flux2-klein"))
    one, two = photograph((48, 48)), drawing((40, 56))
    by_one = ImageRequest("a mug", references=(one,), width=64, height=48, params=TWO_STEPS)
    by_both = replace(by_one, references=(one, two), request_id="both")
    first, second = (
        (await paint(engine, by_one)).images[0],
        (await paint(engine, by_both)).images[0],
    )
    assert first.size == second.size == (64, 48)
    assert first.tobytes() != second.tobytes()
    source = photograph((64, 48))
    mask = box_mask(source.size, (16, 8, 40, 30))
    masked = ImageRequest("a mug", image=source, mask=mask, references=(one,), params=TWO_STEPS)
    result = np.asarray((await paint(engine, masked)).images[0])
    other = replace(masked, references=(two,), request_id="other")
    assert (result != np.asarray((await paint(engine, other)).images[0])).any()
    kept = np.asarray(mask) == 0
    assert (result[kept] == np.asarray(source)[kept]).all()
    with pytest.raises(InvalidRequest, match="takes one reference; 2 were given"):
        await paint(engine, replace(masked, references=(one, two), request_id="two"))


@pytest.mark.anyio
async def test_a_controlnet_for_another_model_is_refused_at_load(
    model_folder, open_engine, tmp_path
) -> None:
    xl = model_folder("sdxl")
    wrong = build_tiny_controlnet(tmp_path / "xl-lines", xl)
    engine = await open_engine(model_folder("stable-diffusion"), controlnet=str(wrong))
    with pytest.raises(ModelNotLoaded, match="cross_attention_dim"):
        await engine.load()
    no_family = await open_engine(model_folder("flux2-klein"), controlnet=str(wrong))
    with pytest.raises(ModelNotLoaded, match=r"takes no ControlNet.*stable-diffusion-xl"):
        await no_family.load()
    not_one = await open_engine(
        model_folder("stable-diffusion"), controlnet=str(model_folder("stable-diffusion") / "unet")
    )
    with pytest.raises(ModelNotLoaded, match="UNet2DConditionModel, not a ControlNetModel"):
        await not_one.load()
    (wrong / "evil.py").write_text("print('run')")
    with_code = await open_engine(model_folder("sdxl"), controlnet=str(wrong))
    with pytest.raises(ModelNotLoaded, match="program code"):
        await with_code.load()
    unpinned = await open_engine(model_folder("sdxl"), controlnet="owner/scribble")
    with pytest.raises(ModelNotLoaded, match="fixed revision"):
        await unpinned.load()
