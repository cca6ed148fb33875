"""Every family through the same door: modes, progress, seeds, cancel, pixels that stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import box_mask, events_of, paint, photograph
from tiny_models import BUILDERS

from engine import Done, ImageRequest, Queued, SamplingParams, StepEvent
from engine.errors import RequestCancelled

pytestmark = pytest.mark.anyio
FAMILIES = tuple(BUILDERS)
FOUR_STEPS = SamplingParams(num_inference_steps=4)


def requests() -> dict[str, ImageRequest]:
    source = photograph()
    return {
        "text-to-image": ImageRequest("a red mug", width=64, height=48, params=FOUR_STEPS),
        "image-to-image": ImageRequest(
            "a red mug", image=source, params=replace(FOUR_STEPS, strength=0.5)
        ),
        "inpaint": ImageRequest(
            "a red mug",
            image=source,
            mask=box_mask(source.size, (20, 20, 49, 39)),
            params=FOUR_STEPS,
        ),
    }


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_family_paints_in_every_mode(family, model_folder, open_engine) -> None:
    engine = await open_engine(model_folder(family))
    for mode, request in requests().items():
        events = await events_of(engine, request)
        steps = [event for event in events if isinstance(event, StepEvent)]
        assert isinstance(events[0], Queued)
        assert isinstance(events[-1], Done)
        assert len(events) == len(steps) + 2
        expected = 2 if mode == "image-to-image" else 4
        assert [(event.step, event.total) for event in steps] == [
            (number, expected) for number in range(1, expected + 1)
        ]
        result = events[-1].result
        assert result.params.num_inference_steps == 4
        assert result.images[0].size == (request.image.size if request.image else (64, 48))
        assert result.timings_s["denoise"] > 0
        again = await paint(engine, replace(request, request_id=mode))
        other = await paint(engine, replace(request, seeds=(1,), request_id=mode))
        assert again.images[0].tobytes() == result.images[0].tobytes()
        assert other.images[0].tobytes() != result.images[0].tobytes()


@pytest.mark.parametrize("family", FAMILIES)
async def test_pixels_outside_the_mask_come_back_byte_for_byte(
    family, model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder(family))
    request = requests()["inpaint"]
    painted = np.asarray((await paint(engine, request)).images[0])
    source, repaint = np.asarray(request.image), np.asarray(request.mask) > 0
    assert (painted[~repaint] == source[~repaint]).all()
    assert (painted[repaint] != source[repaint]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
async def test_cancel_stops_a_family_within_one_step(family, model_folder, open_engine) -> None:
    engine = await open_engine(model_folder(family))
    request = ImageRequest(
        "a red mug", width=64, height=64, params=SamplingParams(num_inference_steps=200)
    )
    events = engine.submit(request)
    seen = []
    with pytest.raises(RequestCancelled):
        async for event in events:
            seen.append(event)
            if isinstance(event, StepEvent) and event.step == 3:
                assert await engine.cancel(request.request_id)
    assert seen[-1].step == 3, "nothing comes out after cancel"
    assert not await engine.cancel(request.request_id), "it is known no more"
    assert (await paint(engine, requests()["text-to-image"])).images


async def test_klein_edits_by_reference_when_no_strength_is_given(
    model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder("flux2-klein"))
    request = requests()["image-to-image"]
    by_reference = await paint(engine, replace(request, params=FOUR_STEPS))
    assert by_reference.params.strength is None
    assert by_reference.images[0].size == request.image.size
    from_source = await paint(engine, replace(request, params=replace(FOUR_STEPS, strength=0.25)))
    assert by_reference.images[0].tobytes() != from_source.images[0].tobytes()


async def test_the_seeds_of_a_request_give_the_bytes_they_give_alone(
    model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder("stable-diffusion"))
    request = replace(requests()["text-to-image"], seeds=(5, 6, 5), deterministic=True)
    events = await events_of(engine, request)
    assert [event.step for event in events[1:-1]] == list(range(1, 13))
    together = events[-1].result
    alone = await paint(engine, replace(request, seeds=(6,)))
    assert together.seeds == (5, 6, 5)
    assert together.images[1].tobytes() == alone.images[0].tobytes()
    assert together.images[0].tobytes() == together.images[2].tobytes()
    assert together.images[0].tobytes() != together.images[1].tobytes()


async def test_an_inpainting_unet_serves_inpainting_only(tmp_path, open_engine) -> None:
    from tiny_models import build_tiny_stable_diffusion

    from engine.errors import UnsupportedMode

    engine = await open_engine(build_tiny_stable_diffusion(tmp_path / "nine", in_channels=9))
    with pytest.raises(UnsupportedMode, match="starter"):
        await paint(engine, requests()["text-to-image"])
    assert (await paint(engine, requests()["inpaint"])).images[0].size == (70, 52)
