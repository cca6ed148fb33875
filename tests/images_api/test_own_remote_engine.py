"""Our own server as the remote engine of another studio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from served import Served, gradient, serving

from agent_tools.settings import Settings
from agent_tools.studio import Studio
from engine import Done, ImageRequest, LocalEngine, SamplingParams, StepEvent
from engine.errors import Busy, RemoteRefused, RequestCancelled
from engine.remote import RemoteEngine

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-enough-characters"
FEW = SamplingParams(num_inference_steps=4)


@pytest.fixture(scope="module")
def painter(
    tmp_path_factory: pytest.TempPathFactory, tiny_stable_diffusion: Path
) -> Iterator[Served]:
    with serving(
        tmp_path_factory.mktemp("painter"), tiny_stable_diffusion, token=TOKEN, max_queue_s=20
    ) as served:
        yield served


def remote(painter: Served, **options: Any) -> RemoteEngine:
    return RemoteEngine(f"{painter.url}/v1", TOKEN, **{"attempts": 1, **options})


async def events_of(engine: Any, request: ImageRequest) -> list[Any]:
    return [event async for event in engine.submit(request)]


async def paint(engine: Any, request: ImageRequest) -> Any:
    event = (await events_of(engine, request))[-1]
    assert isinstance(event, Done)
    return event.result


async def test_the_same_seed_gives_the_same_picture_there_and_here(
    painter: Served, tiny_stable_diffusion: Path
) -> None:
    request = ImageRequest(
        "a red mug", negative_prompt="blur", seeds=(3, 4), width=96, height=64, params=FEW
    )
    engine = remote(painter)
    far = await paint(engine, request)
    assert engine.model == "tiny-stable-diffusion" and far.warnings == ()
    here = LocalEngine(str(tiny_stable_diffusion), threads=1)
    near = await paint(here, ImageRequest(**{**_fields(request), "deterministic": True}))
    await here.close()
    await engine.close()
    assert [image.tobytes() for image in far.images] == [image.tobytes() for image in near.images]


def _fields(request: ImageRequest) -> dict[str, Any]:
    names = ("prompt", "negative_prompt", "seeds", "width", "height", "params")
    return {name: getattr(request, name) for name in names}


async def test_an_edit_with_a_mask_changes_the_mask_only(painter: Served) -> None:
    import numpy as np

    source = gradient(512, 512)
    mask = Image.new("L", source.size)
    mask.paste(255, (100, 100, 200, 200))
    engine = remote(painter)
    request = ImageRequest("a leaf", image=source, mask=mask, seeds=(1,), params=FEW)
    edited = (await paint(engine, request)).images[0]
    await engine.close()
    changed = (np.asarray(source) != np.asarray(edited)).any(axis=-1)
    assert changed[100:200, 100:200].mean() > 0.5
    changed[100:200, 100:200] = False
    assert not changed.any()
    kept = painter.studio.gallery.list(kind="mask")
    assert kept and kept[0].width == 512


async def test_previews_arrive_as_progress(painter: Served) -> None:
    engine = remote(painter)
    params = SamplingParams(num_inference_steps=12)
    request = ImageRequest("a vase", seeds=(8,), params=params, preview_every=4)
    steps = [event for event in await events_of(engine, request) if isinstance(event, StepEvent)]
    await engine.close()
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert all(event.preview is not None for event in steps[:-1])


async def test_cancelling_here_stops_the_painting_there(
    painter: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = painter.studio.engine
    submit, began, ended = there.submit, asyncio.Event(), asyncio.Event()
    loop, seen = asyncio.get_running_loop(), [0]

    async def watched(request: Any) -> Any:
        try:
            async for event in submit(request):
                seen[0] += 1
                if seen[0] == 5:
                    loop.call_soon_threadsafe(began.set)
                yield event
        finally:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(there, "submit", watched)
    before = painter.pictures
    engine = remote(painter)
    slow = SamplingParams(num_inference_steps=150)
    request = ImageRequest("a slow mug", seeds=(9,), width=256, height=256, params=slow)
    running = asyncio.create_task(events_of(engine, request))
    await began.wait()
    assert await engine.cancel(request.request_id)
    with pytest.raises(RequestCancelled):
        await running
    await ended.wait()
    await engine.close()
    assert seen[0] < 140 and painter.pictures == before


async def test_busy_there_is_busy_here_with_its_time(
    painter: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(request: Any) -> Any:
        raise Busy("Full.", retry_after_s=6.4)
        yield

    monkeypatch.setattr(painter.studio.engine, "submit", full)
    engine = remote(painter)
    with pytest.raises(Busy) as caught:
        await paint(engine, ImageRequest("a busy mug", params=FEW))
    await engine.close()
    assert caught.value.retry_after_s == 7


async def test_a_wrong_token_is_refused(painter: Served) -> None:
    engine = RemoteEngine(f"{painter.url}/v1", "wrong-token-of-enough-characters", attempts=1)
    with pytest.raises(RemoteRefused):
        await engine.load()
    await engine.close()


async def test_a_studio_paints_and_edits_through_another_studio(
    painter: Served, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path / "near", engine=f"{painter.url}/v1", engine_api_key=TOKEN)
    studio = Studio.open(settings)
    painted = await studio.call(
        "generate_image", {"prompt": "a green bottle", "seed": 6, "steps": 2}
    )
    edited = await studio.call(
        "edit_image",
        {
            "image_id": painted.images[0].info.image_id,
            "prompt": "a blue bottle",
            "seed": 6,
            "steps": 4,
        },
    )
    await studio.close()
    assert "tiny-stable-diffusion" in painted.text and edited.images
    assert painter.studio.gallery.list(limit=1)[0].tool == "edit_image"
