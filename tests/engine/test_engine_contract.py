"""What every engine promises, wherever it paints: in this process or on another server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_helpers import box_mask, events_of, paint, photograph
from images_api_stub import KEY, ImagesApi, serving
from PIL import Image

from engine import Done, Engine, ImageRequest, LocalEngine, Queued, SamplingParams, StepEvent
from engine.errors import EngineClosed, InvalidRequest, RequestCancelled
from engine.remote import RemoteEngine

pytestmark = pytest.mark.anyio
SHORT = ImageRequest("a red mug", seeds=(3, 4), params=SamplingParams(num_inference_steps=2))


@pytest.fixture(params=["local", "remote"])
async def engine(
    request: pytest.FixtureRequest, anyio_backend: str, tiny_stable_diffusion: Path
) -> AsyncIterator[Engine]:
    """An engine of each kind."""
    async with AsyncExitStack() as stack:
        opened: Engine
        if request.param == "local":
            opened = LocalEngine(str(tiny_stable_diffusion), threads=1, device="cpu")
        else:
            api = await stack.enter_async_context(serving(ImagesApi("vllm-omni")))
            api.size = (64, 64)
            opened = RemoteEngine(api.url, KEY)
        stack.push_async_callback(opened.close)
        yield opened


def new(**changes: object) -> ImageRequest:
    return replace(SHORT, request_id=uuid.uuid4().hex, **changes)


def difference(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of two pixels; which forwards were shared may make it 1 of 255."""
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


async def test_events_come_in_order_and_end_with_the_pictures(engine: Engine) -> None:
    await engine.load()
    request = new()
    first, *steps, last = await events_of(engine, request)
    assert isinstance(first, Queued) and isinstance(last, Done)
    assert steps and all(isinstance(step, StepEvent) for step in steps)
    counts = [step.step for step in steps]
    assert counts == sorted(counts) and counts[-1] == steps[-1].total
    assert {event.request_id for event in (first, *steps, last)} == {request.request_id}
    result = last.result
    assert result.seeds == (3, 4) and len(result.images) == 2
    assert result.model == engine.model and result.revision
    assert all(picture.mode == "RGB" and picture.size == (64, 64) for picture in result.images)
    assert {"queued", "text", "denoise", "decode", "total"} == set(result.timings_s)


async def test_same_seed_same_picture(engine: Engine) -> None:
    one, other = await paint(engine, new()), await paint(engine, new(seeds=(4, 5)))
    assert difference(one.images[1], other.images[0]) <= 1
    assert difference(one.images[0], one.images[1]) > 1


async def test_what_the_mask_keeps_comes_back_byte_for_byte(engine: Engine) -> None:
    source, mask = photograph((64, 64)), box_mask((64, 64), (8, 8, 40, 40))
    kept = np.asarray(mask) == 0
    for picture in (await paint(engine, new(image=source, mask=mask))).images:
        assert picture.size == source.size
        assert (np.asarray(picture)[kept] == np.asarray(source)[kept]).all()
        assert (np.asarray(picture)[~kept] != np.asarray(source)[~kept]).any()


async def test_a_wrong_request_is_one_error_and_the_engine_goes_on(engine: Engine) -> None:
    for changes in ({"prompt": ""}, {"seeds": ()}, {"width": -1}, {"seeds": (-1,)}):
        with pytest.raises(InvalidRequest):
            await events_of(engine, new(**changes))
    assert (await paint(engine, new())).images


async def test_a_cancelled_request_says_so_and_nothing_more_comes(engine: Engine) -> None:
    request = new()
    assert not await engine.cancel(request.request_id)
    async with aclosing(engine.submit(request)) as events:
        assert isinstance(await anext(events), Queued)
        assert await engine.cancel(request.request_id)
        with pytest.raises(RequestCancelled):
            await anext(events)
    assert not await engine.cancel(request.request_id)
    assert (await paint(engine, new())).images


async def test_many_requests_at_once_all_get_their_own(engine: Engine) -> None:
    requests = [replace(SHORT, request_id=f"r{k}", seeds=(k,)) for k in range(8)]
    alone = [await paint(engine, replace(r, request_id=f"a{r.request_id}")) for r in requests[:2]]
    together = await asyncio.gather(*(paint(engine, request) for request in requests))
    assert [result.seeds for result in together] == [(k,) for k in range(8)]
    for one, other in zip(alone, together, strict=False):
        assert difference(one.images[0], other.images[0]) <= 1


async def test_a_closed_engine_stays_closed(engine: Engine) -> None:
    await engine.close()
    await engine.close()
    with pytest.raises(EngineClosed):
        await events_of(engine, new())
    with pytest.raises(EngineClosed):
        await engine.load()
