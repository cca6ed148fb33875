"""Larger pictures: exact size, no seams, one progress over both stages, any of three ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import events_of, paint, photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_companions import (
    build_tiny_latent_upscaler,
    build_tiny_network,
    build_tiny_upscaler,
)

from engine import Done, ImageRequest, SamplingParams, StepEvent
from engine.errors import InvalidRequest, ModelNotLoaded, RequestCancelled, UnsupportedMode
from engine.plan import make_plan
from engine.pricing import work_units
from engine.registry import find_model
from engine.upscale import plan_second_stage, tile_seed
from engine.ways import NO_COMPANIONS, Companions, UpscalerSpec

STARTER = find_model("starter")
SD15 = find_model("stable-diffusion-v1-5")
KLEIN = find_model("FLUX.2-klein-4B")
assert STARTER and SD15 and KLEIN
FAST = SamplingParams(num_inference_steps=4)
EXACT = ImageRequest("a mug", params=FAST, deterministic=True)


def spans(size: tuple[int, int], factor: int = 2, tile: int = 64) -> object:
    spec = replace(SD15, size=tile)
    return plan_second_stage(size, factor, SamplingParams(), spec, NO_COMPANIONS)


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    tile=st.sampled_from((16, 64, 72)),
    scale=st.sampled_from((1, 2, 4)),
    factor=st.sampled_from((2, 4)),
)
def test_tiles_that_nobody_changed_join_to_the_same_picture(
    size: tuple[int, int], tile: int, scale: int, factor: int
) -> None:
    if scale == 1:
        companions = NO_COMPANIONS
    else:
        companions = Companions(upscaler=UpscalerSpec("net", scale, tile, 4))
    stage = plan_second_stage(size, factor, SamplingParams(), replace(SD15, size=tile), companions)
    picture = photograph(size)
    for one in stage.passes:
        start = picture.resize(one.source, Image.Resampling.LANCZOS)
        tiles = one.cut(picture)
        assert {cut.size for cut in tiles} == {one.tile}
        picture = one.join(
            [
                cut.resize((cut.width * scale, cut.height * scale), Image.Resampling.NEAREST)
                for cut in tiles
            ]
        )
        expected = start.resize(picture.size, Image.Resampling.NEAREST)
        difference = np.asarray(picture).astype(int) - np.asarray(expected)
        assert np.abs(difference).max() <= 1, "blending equal pixels changes nothing"
    assert stage.size == (size[0] * factor, size[1] * factor)
    assert picture.size[0] >= stage.size[0]


def test_tiles_that_differ_leave_no_seam() -> None:
    """Give every tile a brightness of its own, the worst that a model could do."""
    stage = spans((150, 110))
    [one] = stage.passes
    rng = np.random.default_rng(0)
    tiles = [
        Image.new("RGB", one.tile, (int(shade),) * 3)
        for shade in rng.integers(0, 256, len(one.boxes))
    ]
    blended = np.asarray(one.join(tiles)).astype(int)[..., 0]
    steps = np.abs(np.diff(blended, axis=1))
    edges = {x for x, _ in one.boxes} | {x + one.tile[0] for x, _ in one.boxes}
    at_edges = [steps[:, x - 1] for x in edges if 0 < x < blended.shape[1]]
    assert len(at_edges) >= 4
    assert np.max(at_edges) <= steps.max() / 2, "weakest where a tile begins or ends"
    pasted = np.zeros_like(blended)
    for (x, y), tile in zip(one.boxes, tiles, strict=True):
        pasted[y : y + one.tile[1], x : x + one.tile[0]] = tile.getpixel((0, 0))[0]
    hard = np.abs(np.diff(pasted, axis=1))
    assert steps.max() < hard.max() / 5, "pasting without blending would show"


@pytest.mark.anyio
async def test_any_model_enlarges_by_tiles_without_seams(model_folder, open_engine) -> None:
    engine = await open_engine(model_folder("stable-diffusion"))
    for factor, size in ((2, (110, 70)), (4, (41, 26))):
        source = photograph(size)
        request = replace(EXACT, image=source, upscale=factor, request_id=f"x{factor}")
        result = await paint(engine, request)
        [picture] = result.images
        assert picture.size == (size[0] * factor, size[1] * factor)
        assert result.params == SamplingParams(4, 7.5, None, 0.3)
        gray = np.asarray(picture.convert("L")).astype(int)
        [one] = make_plan(request, replace(SD15, size=64)).second.passes
        steps = np.abs(np.diff(gray, axis=1)).mean(axis=0)
        edges = [x for x, _ in one.boxes if x] + [
            x + one.tile[0] for x, _ in one.boxes if x + one.tile[0] < gray.shape[1]
        ]
        # What random weights paint has steps of its own, every eight pixels.
        assert steps[[x - 1 for x in edges]].mean() <= np.quantile(steps, 0.9)
        again = await paint(engine, replace(request, request_id=f"again {factor}"))
        assert again.images[0].tobytes() == picture.tobytes()


@pytest.mark.anyio
async def test_refining_paints_and_enlarges_in_one_request_with_one_progress(
    model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder("stable-diffusion"))
    request = replace(EXACT, seeds=(1, 2), refine=True)
    events = await events_of(engine, request)
    steps = [event for event in events if isinstance(event, StepEvent)]
    plan = make_plan(request, replace(SD15, size=64, steps=25))
    tiles = len(plan.second.passes[0].boxes)
    assert tiles == 9
    assert plan.picture_steps == 4 + tiles * plan.second.tile_steps
    assert [event.step for event in steps] == list(range(1, 2 * plan.picture_steps + 1))
    assert {event.total for event in steps} == {2 * plan.picture_steps}
    assert isinstance(events[-1], Done)
    assert [picture.size for picture in events[-1].result.images] == [(128, 128)] * 2
    assert events[-1].result.params == SamplingParams(4, 7.5, None, None)
    base = await paint(engine, replace(request, refine=False, request_id="base"))
    in_two = await paint(
        engine,
        replace(
            EXACT,
            params=SamplingParams(),
            image=base.images[1],
            upscale=2,
            seeds=(2,),
            request_id="second stage alone",
        ),
    )
    assert in_two.images[0].tobytes() == events[-1].result.images[1].tobytes()


@pytest.mark.anyio
async def test_cancel_during_the_second_stage_stops_it(model_folder, open_engine) -> None:
    engine = await open_engine(model_folder("stable-diffusion"))
    request = ImageRequest("a mug", refine=True, upscale=4, params=FAST)
    last = None
    with pytest.raises(RequestCancelled):
        async for event in engine.submit(request):
            last = event
            if isinstance(event, StepEvent) and event.step == 20:
                await engine.cancel(request.request_id)
    assert last.step == 20


@pytest.mark.anyio
async def test_diffusers_upscale_pipelines_do_the_second_stage(
    model_folder, open_engine, tmp_path
) -> None:
    model = model_folder("stable-diffusion")
    builders = {"x4": build_tiny_upscaler, "x2": build_tiny_latent_upscaler}
    for name, build in builders.items():
        engine = await open_engine(model, upscaler=str(build(tmp_path / name, model)))
        source = photograph((21, 15))
        for factor in (2, 4):
            request = ImageRequest("a mug", image=source, upscale=factor, params=SamplingParams(2))
            result = await paint(engine, request)
            assert result.images[0].size == (21 * factor, 15 * factor)
            assert result.params.num_inference_steps == 2
            other = replace(request, seeds=(9,), request_id=f"{name} {factor}")
            assert (await paint(engine, other)).images[0].tobytes() != result.images[0].tobytes()
        with pytest.raises(InvalidRequest, match="no strength"):
            await paint(
                engine,
                ImageRequest("x", image=source, upscale=2, params=SamplingParams(strength=0.5)),
            )
        await engine.close()


@pytest.mark.anyio
async def test_a_network_file_does_the_second_stage(model_folder, open_engine, tmp_path) -> None:
    pytest.importorskip("spandrel", exc_type=ImportError)
    network = build_tiny_network(tmp_path / "compact.safetensors")
    engine = await open_engine(model_folder("stable-diffusion"), upscaler=str(network))
    source = photograph((300, 43))
    for factor in (2, 4):
        request = ImageRequest("a mug", image=source, upscale=factor)
        [picture] = (await paint(engine, request)).images
        assert picture.size == (300 * factor, 43 * factor)
        back = np.asarray(picture.resize(source.size, Image.Resampling.BOX)).astype(int)
        assert np.abs(back - np.asarray(source)).mean() < 30, "it is still the same picture"


@pytest.mark.anyio
async def test_what_is_no_upscaler_is_refused_at_load(model_folder, open_engine, tmp_path) -> None:
    model = model_folder("stable-diffusion")
    pickled = tmp_path / "esrgan.pth"
    pickled.write_bytes(b"\x80\x04.")
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors")
    cases = {str(model): "no upscaler", str(pickled): "not a .safetensors", "missing": "no model"}
    for name, says in cases.items():
        engine = await open_engine(model, upscaler=name)
        with pytest.raises(ModelNotLoaded, match=says):
            await engine.load()
    engine = await open_engine(model, upscaler=str(text))
    with pytest.raises(ModelNotLoaded, match=r"could not be loaded|spandrel"):
        await engine.load()


def test_a_model_of_one_size_does_not_enlarge_by_tiles() -> None:
    for request in (
        ImageRequest("x", image=photograph(), upscale=2),
        ImageRequest("x", refine=True),
    ):
        with pytest.raises(UnsupportedMode, match=r"'upscaler'.*stable-diffusion-v1-5"):
            make_plan(request, STARTER)
        net = Companions(upscaler=UpscalerSpec("net", 4, 128, 1))
        assert make_plan(request, STARTER, net).second.class_name is None


def test_the_size_is_checked_where_it_is_known() -> None:
    wide = ImageRequest("x", width=2048, height=2048, refine=True, upscale=4)
    assert make_plan(replace(wide, upscale=2), SD15).second.size == (4096, 4096)
    with pytest.raises(InvalidRequest, match="8192x8192"):
        make_plan(wide, SD15)


def test_klein_enlarges_with_the_class_that_takes_a_strength() -> None:
    plan = make_plan(ImageRequest("x", image=photograph(), upscale=2), KLEIN)
    assert plan.second.class_name == "Flux2KleinInpaintPipeline"
    assert plan.way is None


def test_every_tile_has_a_seed_of_its_own() -> None:
    seeds = {tile_seed(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_both_stages_are_paid_for() -> None:
    plain = work_units(ImageRequest("x"), SD15)
    refined = work_units(ImageRequest("x", refine=True), SD15)
    more = work_units(ImageRequest("x", refine=True, upscale=4), SD15)
    assert plain < refined < more
    alone = ImageRequest("x", image=photograph((512, 512)), upscale=2)
    assert work_units(alone, SD15) == refined - plain
    assert work_units(ImageRequest("x", refine=True), STARTER) > 0, "refused later, not here"
