"""Every family through the same door: modes, progress, seeds, cancel, pixels that stay."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest
from engine_helpers import box_mask, events_of, paint, photograph
from tiny_models import BUILDERS, build_tiny_pixart_sigma, build_tiny_stable_diffusion_3

from engine import Done, ImageRequest, LocalEngine, Queued, SamplingParams, StepEvent, families
from engine.errors import InvalidRequest, RequestCancelled, UnsupportedMode
from engine.request import Mode

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("small_references")]
FAMILIES = tuple(BUILDERS)
# Other batch sizes take other matrix kernels, whose sums differ in the last bits; random weights
# carry that further than trained ones do (1 of 255, docs/reproducibility.md).
ROUNDING = 2
FOUR_STEPS = SamplingParams(num_inference_steps=4)
EDITORS = ("flux-kontext", "flux2-klein", "qwen-image-edit-plus")
PAINTERS = tuple(name for name in FAMILIES if name not in ("flux-fill", "qwen-image-edit-plus"))
# Their guidance is another forward, or a second row of each.
GUIDED = tuple(
    name
    for name in FAMILIES
    if name not in ("flux", "flux-kontext", "flux-fill", "flux2-klein", "sana-sprint")
)


@pytest.fixture(scope="module")
def engine_for(
    model_folder: Callable[[str], Path], cost_file: Path
) -> Iterator[Callable[[str | Path], LocalEngine]]:
    """Return one engine per model: all tests here talk to it."""
    opened: dict[Path, LocalEngine] = {}

    def open_one(model: str | Path) -> LocalEngine:
        folder = model if isinstance(model, Path) else model_folder(model)
        if folder not in opened:
            opened[folder] = LocalEngine(str(folder), threads=1, device="cpu", cost_file=cost_file)
        return opened[folder]

    async def close() -> None:
        for engine in opened.values():
            await engine.close()

    with pytest.MonkeyPatch.context() as patch:
        # Whether sharing pays is measured elsewhere; here as much is shared as fits.
        patch.setattr("engine.cost.CostCurve.knee", lambda curve: curve.limit)
        patch.setattr("engine.calibrate.BUDGET_S", 0.2)
        yield open_one
        asyncio.run(close())
    assert not [t.name for t in threading.enumerate() if t.name.startswith("engine-")]


def family_of(tiny: str) -> str:
    """The name in the registry of a tiny model's family."""
    other = {
        "stable-diffusion-v": "stable-diffusion",
        "stable-diffusion-flow": "stable-diffusion",
        "sdxl": "stable-diffusion-xl",
        "flux2-klein-base": "flux2-klein",
        "qwen-image-edit-plus": "qwen-image-edit",
    }
    return other.get(tiny, tiny)


def requests() -> dict[Mode, ImageRequest]:
    """One request for each mode that families serve by a class of their own."""
    source = photograph()
    return {
        "text-to-image": ImageRequest("a red mug", width=64, height=32, params=FOUR_STEPS),
        "image-to-image": ImageRequest("a red mug", image=source, params=FOUR_STEPS),
        "inpaint": ImageRequest(
            "a red mug",
            image=source,
            mask=box_mask(source.size, (20, 20, 49, 39)),
            params=FOUR_STEPS,
        ),
        "edit": ImageRequest(
            "a red mug", width=64, height=32, references=(source,), params=FOUR_STEPS
        ),
    }


def served(family: str) -> dict[Mode, ImageRequest]:
    """Those of `requests` that a family serves."""
    [modes] = [known.modes for known in families.FAMILIES if known.name == family_of(family)]
    return {mode: request for mode, request in requests().items() if mode in modes}


def test_every_family_is_tried_here() -> None:
    assert {family_of(tiny) for tiny in BUILDERS} == {known.name for known in families.FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_family_paints_in_every_mode(family, engine_for) -> None:
    engine = engine_for(family)
    for mode, request in served(family).items():
        events = await events_of(engine, request)
        steps = [event for event in events if isinstance(event, StepEvent)]
        assert isinstance(events[0], Queued)
        assert isinstance(events[-1], Done)
        assert len(events) == len(steps) + 2
        total = len(steps)
        assert [(event.step, event.total) for event in steps] == [
            (number, total) for number in range(1, total + 1)
        ]
        result = events[-1].result
        # A noised source has fewer steps to go than a reference.
        from_source = mode == "image-to-image" and result.params.strength is not None
        assert total in (2, 3) if from_source else total == 4
        assert result.params.num_inference_steps == 4
        assert result.images[0].size == (request.image.size if request.image else (64, 32))
        assert result.timings_s["denoise"] > 0
        again = await paint(engine, replace(request, preview_every=1, request_id=mode))
        other = await paint(engine, replace(request, seeds=(1,), request_id=mode))
        assert again.images[0].tobytes() == result.images[0].tobytes()
        assert other.images[0].tobytes() != result.images[0].tobytes()


@pytest.mark.parametrize("family", FAMILIES)
async def test_what_shares_forwards_looks_as_if_it_had_been_alone(family, engine_for) -> None:
    """Other steps, guidance and seeds in one batch: at most 1/255 apart in float32."""
    engine = engine_for(family)
    first = next(iter(served(family).values()))
    wanted = [
        replace(
            first,
            seeds=(index, index + 10),
            params=SamplingParams(num_inference_steps=steps, guidance_scale=guidance),
            request_id=f"together-{index}",
        )
        for index, (steps, guidance) in enumerate([(9, 4.0), (6, 2.5), (4, 1.0)])
    ]
    together: dict[str, list[np.ndarray]] = {}
    shared = 0

    async def run(request: ImageRequest) -> None:
        nonlocal shared
        result = await paint(engine, request)
        together[request.request_id] = [np.asarray(image, int) for image in result.images]
        shared += result.shared_forwards

    async with anyio.create_task_group() as group:
        for request in wanted:
            group.start_soon(run, request)
    for request in wanted:
        alone = await paint(engine, replace(request, deterministic=True, request_id="alone"))
        assert alone.shared_forwards == 0
        for image, pixels in zip(alone.images, together[request.request_id], strict=True):
            assert np.abs(np.asarray(image, int) - pixels).max() <= ROUNDING
    # The others' forwards are joined in test_family_forwards.py: nothing measures their cost before
    # the first request, and the scheduler may then prefer to run them one after the other.
    if "text-to-image" in served(family):
        assert shared > 0, "nothing was shared, so nothing was compared"


@pytest.mark.parametrize("family", ["z-image", "qwen-image", "flux", "flux2-klein"])
async def test_two_shapes_of_the_same_area_do_not_mix(family, engine_for) -> None:
    """Wide and tall have as many tokens: only their positions differ."""
    engine = engine_for(family)
    wide = replace(requests()["text-to-image"], width=64, height=32, seeds=(0, 1, 2))
    tall = replace(wide, width=32, height=64, request_id="tall")
    together = {}

    async def run(request: ImageRequest) -> None:
        together[request.request_id] = await paint(engine, request)

    async with anyio.create_task_group() as group:
        group.start_soon(run, wide)
        group.start_soon(run, tall)
    for request in (wide, tall):
        alone = await paint(engine, replace(request, deterministic=True, request_id="alone"))
        for one, other in zip(together[request.request_id].images, alone.images, strict=True):
            difference = np.abs(np.asarray(one, int) - np.asarray(other, int))
            assert difference.max() <= ROUNDING
        first, second = (np.asarray(image, int) for image in alone.images[:2])
        assert np.abs(first - second).max() > 5 * ROUNDING, "so flat that nothing was compared"


@pytest.mark.parametrize("family", FAMILIES)
async def test_pixels_outside_the_mask_come_back_byte_for_byte(family, engine_for) -> None:
    engine = engine_for(family)
    request = requests()["inpaint"]
    if "inpaint" not in served(family):
        with pytest.raises(UnsupportedMode, match="inpaint") as refused:
            await paint(engine, request)
        assert "starter" in refused.value.hint
        return
    painted = np.asarray((await paint(engine, request)).images[0])
    source, repaint = np.asarray(request.image), np.asarray(request.mask) > 0
    assert (painted[~repaint] == source[~repaint]).all()
    assert (painted[repaint] != source[repaint]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
async def test_cancel_stops_a_family_within_one_step(family, engine_for) -> None:
    engine = engine_for(family)
    short = next(iter(served(family).values()))
    request = replace(short, params=SamplingParams(num_inference_steps=200), request_id="long")
    events = engine.submit(request)
    seen = []
    with pytest.raises(RequestCancelled):
        async for event in events:
            seen.append(event)
            if isinstance(event, StepEvent) and event.step == 3:
                assert await engine.cancel(request.request_id)
    assert seen[-1].step == 3, "nothing comes out after cancel"
    assert not await engine.cancel(request.request_id), "it is known no more"
    assert (await paint(engine, short)).images


@pytest.mark.parametrize("family", GUIDED)
async def test_guidance_of_one_or_less_is_off_and_more_changes_the_picture(
    family, engine_for
) -> None:
    engine = engine_for(family)
    first = next(iter(served(family).values()))

    async def painted(guidance: float, negative: str = "") -> bytes:
        params = SamplingParams(num_inference_steps=2, guidance_scale=guidance)
        request = replace(
            first, params=params, negative_prompt=negative, request_id=f"{guidance}{negative}"
        )
        return (await paint(engine, request)).images[0].tobytes()

    off = await painted(1.0)
    assert await painted(0.0) == off
    guided = await painted(3.0)
    assert guided != off
    # FLUX.2 is guided away from the empty prompt only.
    assert (await painted(3.0, "blue") == guided) == (family == "flux2-klein-base")


@pytest.mark.parametrize("family", PAINTERS)
async def test_every_sampler_that_a_family_lists_paints(family, engine_for) -> None:
    engine = engine_for(family)
    request = requests()["text-to-image"]
    with pytest.raises(InvalidRequest) as refused:
        await paint(engine, replace(request, params=SamplingParams(sampler="no such sampler")))
    names = refused.value.hint.removeprefix("Samplers that do: ").removesuffix(".").split(", ")
    for name in names:
        params = SamplingParams(num_inference_steps=3, sampler=name)
        events = await events_of(engine, replace(request, params=params, request_id=name))
        assert [event.step for event in events[1:-1]] == [1, 2, 3], name


@pytest.mark.parametrize("family", EDITORS)
async def test_an_editor_looks_at_its_reference(family, engine_for) -> None:
    engine = engine_for(family)
    request = requests()["edit"]
    painted = await paint(engine, request)
    other = replace(request, references=(photograph((64, 64)),), request_id="other")
    assert painted.params.strength is None
    assert (await paint(engine, other)).images[0].tobytes() != painted.images[0].tobytes()


@pytest.mark.parametrize("family", ["flux2-klein", "qwen-image-edit-plus"])
async def test_the_source_is_the_first_reference(family, engine_for) -> None:
    engine = engine_for(family)
    source, other = photograph((64, 64)), photograph((96, 64))
    request = replace(requests()["image-to-image"], image=source, references=(other,))
    painted = await paint(engine, request)
    turned = replace(request, references=(other.rotate(180),), request_id="turned")
    assert painted.images[0].size == source.size
    assert painted.images[0].tobytes() != (await paint(engine, turned)).images[0].tobytes()
    many = replace(request, references=(other,) * 4, request_id="many")
    with pytest.raises(InvalidRequest, match="too many"):
        await paint(engine, many)


@pytest.mark.parametrize("size", [(3, 3), (200, 4), (4, 200)])
@pytest.mark.parametrize("family", EDITORS)
async def test_references_of_any_shape_are_taken(family, size, engine_for) -> None:
    engine = engine_for(family)
    request = replace(requests()["edit"], references=(photograph(size).convert("RGBA"),))
    assert (await paint(engine, request)).images[0].size == (64, 32)


async def test_klein_edits_by_reference_when_no_strength_is_given(engine_for) -> None:
    engine = engine_for("flux2-klein")
    request = requests()["image-to-image"]
    by_reference = await paint(engine, request)
    assert by_reference.params.strength is None
    assert by_reference.images[0].size == request.image.size
    from_source = await paint(engine, replace(request, params=replace(FOUR_STEPS, strength=0.25)))
    assert by_reference.images[0].tobytes() != from_source.images[0].tobytes()


async def test_a_model_that_only_takes_references_refuses_a_strength(engine_for) -> None:
    engine = engine_for("qwen-image-edit-plus")
    params = replace(FOUR_STEPS, strength=0.25)
    with pytest.raises(InvalidRequest, match="strength"):
        await paint(engine, replace(requests()["image-to-image"], params=params))
    with pytest.raises(UnsupportedMode, match="text-to-image"):
        await paint(engine, requests()["text-to-image"])


async def test_a_model_without_references_names_one_that_takes_them(engine_for) -> None:
    engine = engine_for("sdxl")
    with pytest.raises(UnsupportedMode) as refused:
        await paint(engine, requests()["edit"])
    assert "FLUX.2-klein-4B" in refused.value.hint


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_sana_sprint_paints_in_any_number_of_steps(steps, engine_for) -> None:
    engine = engine_for("sana-sprint")
    params = SamplingParams(num_inference_steps=steps)
    events = await events_of(engine, replace(requests()["text-to-image"], params=params))
    assert [event.step for event in events[1:-1]] == list(range(1, steps + 1))


async def test_stable_diffusion_3_paints_without_its_largest_text_encoder(
    tmp_path, engine_for
) -> None:
    engine = engine_for(build_tiny_stable_diffusion_3(tmp_path / "no-t5", with_t5=False))
    assert (await paint(engine, requests()["text-to-image"])).images[0].size == (64, 32)


async def test_a_model_with_sizes_of_its_own_still_gives_the_size_asked_for(
    tmp_path, engine_for
) -> None:
    engine = engine_for(build_tiny_pixart_sigma(tmp_path / "bins", sample_size=32))
    result = await paint(engine, replace(requests()["text-to-image"], width=96, height=48))
    assert result.images[0].size == (96, 48)
    assert result.warnings == ()


async def test_the_seeds_of_a_request_give_the_bytes_they_give_alone(engine_for) -> None:
    engine = engine_for("stable-diffusion")
    request = replace(requests()["text-to-image"], seeds=(5, 6, 5), deterministic=True)
    events = await events_of(engine, request)
    assert [event.step for event in events[1:-1]] == list(range(1, 13))
    together = events[-1].result
    alone = await paint(engine, replace(request, seeds=(6,)))
    assert together.seeds == (5, 6, 5)
    assert together.images[1].tobytes() == alone.images[0].tobytes()
    assert together.images[0].tobytes() == together.images[2].tobytes()
    assert together.images[0].tobytes() != together.images[1].tobytes()


async def test_an_inpainting_unet_serves_inpainting_only(tmp_path, engine_for) -> None:
    from tiny_models import build_tiny_stable_diffusion

    engine = engine_for(build_tiny_stable_diffusion(tmp_path / "nine", in_channels=9))
    with pytest.raises(UnsupportedMode, match="starter"):
        await paint(engine, requests()["text-to-image"])
    assert (await paint(engine, requests()["inpaint"])).images[0].size == (70, 52)
