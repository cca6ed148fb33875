"""An engine behind an OpenAI-compatible Images API: same promises, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_helpers import box_mask, events_of, paint, photograph
from images_api_stub import KEY, ImagesApi, serving
from PIL import Image

from engine import Busy, Done, ImageRequest, Margins, Queued, SamplingParams, StepEvent
from engine.errors import (
    DeadlineExceeded,
    EngineClosed,
    EngineError,
    GenerationFailed,
    InvalidRequest,
    ModelNotLoaded,
    RemoteRefused,
    RemoteUnavailable,
    RequestCancelled,
    UnsupportedMode,
)
from engine.remote import RemoteEngine

pytestmark = pytest.mark.anyio
Remote = Callable[..., Awaitable[tuple[ImagesApi, RemoteEngine]]]
MUG = ImageRequest("a red mug", width=64, height=64, seeds=(7,))


def ask(request: ImageRequest = MUG, **changes: Any) -> ImageRequest:
    """The request under a new id."""
    return replace(ImageRequest(request.prompt), **{**_fields(request), **changes})


def _fields(request: ImageRequest) -> dict[str, Any]:
    names = [n for n in ImageRequest.__dataclass_fields__ if n != "request_id"]
    return {name: getattr(request, name) for name in names}


def picture_bytes(size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, kind)
    return buffer.getvalue()


def answer_with(data: bytes) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": base64.b64encode(data).decode()}]}


@pytest.fixture
async def remote(anyio_backend: str) -> AsyncIterator[Remote]:
    """Start a stub server and an engine on it; both are closed after the test."""
    async with AsyncExitStack() as stack:

        async def start(
            dialect: str = "vllm-omni",
            *,
            server: dict[str, Any] | None = None,
            key: str | None = KEY,
            **settings: Any,
        ) -> tuple[ImagesApi, RemoteEngine]:
            api = await stack.enter_async_context(serving(ImagesApi(dialect, **(server or {}))))
            engine = RemoteEngine(api.url, key, **{"backoff_s": 0.001, **settings})
            stack.push_async_callback(engine.close)
            return api, engine

        yield start


# --- painting


async def test_each_seed_is_one_call_and_the_same_seed_is_the_same_picture(remote: Remote) -> None:
    api, engine = await remote()
    first = await paint(engine, ask(seeds=(7, 8)))
    again = await paint(engine, ask(seeds=(8, 7)))
    assert sorted(call.fields["seed"] for call in api.received) == [7, 7, 8, 8]
    assert first.images[0].tobytes() == again.images[1].tobytes()
    assert first.images[0].tobytes() != first.images[1].tobytes()
    assert first.seeds == (7, 8) and first.model == engine.model == "painter-1"
    assert first.warnings == () and first.timings_s["total"] > 0


async def test_what_the_request_says_arrives_under_the_servers_names(remote: Remote) -> None:
    api, engine = await remote()
    params = SamplingParams(num_inference_steps=9, guidance_scale=3.5)
    await paint(engine, ask(negative_prompt="blur", params=params, width=96, height=64))
    assert api.received[0].fields == {
        "model": "painter-1",
        "prompt": "a red mug",
        "n": 1,
        "size": "96x64",
        "seed": 7,
        "negative_prompt": "blur",
        "num_inference_steps": 9,
        "guidance_scale": 3.5,
        "output_format": "png",
        "response_format": "b64_json",
    }


async def test_events_are_queued_steps_done(remote: Remote) -> None:
    _, engine = await remote()
    request = ask(seeds=(1, 2, 3))
    events = await events_of(engine, request)
    assert [type(event) for event in events] == [Queued, StepEvent, StepEvent, StepEvent, Done]
    assert {event.request_id for event in events} == {request.request_id}
    assert [(e.step, e.total) for e in events if isinstance(e, StepEvent)] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]


async def test_without_a_size_the_server_chooses(remote: Remote) -> None:
    api, engine = await remote()
    result = await paint(engine, ask(width=None, height=None))
    assert "size" not in api.received[0].fields
    assert result.images[0].size == (1024, 1024) and result.warnings == ()


async def test_a_size_off_the_grid_is_rounded_and_said(remote: Remote) -> None:
    api, engine = await remote("openai")
    result = await paint(engine, ask(width=100, height=70))
    assert api.received[0].fields["size"] == "96x64"
    assert "Painted at 96x64 instead of 100x70: the remote server chose the size." in (
        result.warnings
    )


async def test_what_has_no_field_is_refused_with_the_way_out(remote: Remote) -> None:
    api, engine = await remote()
    source = photograph()
    for changes in (
        {"sketch": source},
        {"image": source, "upscale": 2, "width": None, "height": None},
        {"refine": True, "upscale": 2},
        {"deterministic": True},
    ):
        with pytest.raises(UnsupportedMode, match="AGENT_TOOLS_ENGINE"):
            await paint(engine, ask(**changes))
    assert api.received == []


async def test_a_sampler_is_left_to_the_server_and_said(remote: Remote) -> None:
    _, engine = await remote()
    result = await paint(engine, ask(params=SamplingParams(sampler="euler")))
    assert "The remote server chooses the sampler." in result.warnings
    assert result.params.sampler is None


# --- servers that know OpenAI's keys only


async def test_keys_that_a_strict_server_refuses_are_left_out_once_and_for_all(
    remote: Remote,
) -> None:
    api, engine = await remote("openai")
    params = SamplingParams(num_inference_steps=9, guidance_scale=3.5)
    request = ask(negative_prompt="blur", params=params, seeds=(1, 2))
    result = await paint(engine, request)
    assert len(api.received) == 2  # refusals are no received calls
    assert set(api.received[0].fields) == {"model", "prompt", "n", "size", "output_format"}
    for word in ("seed", "negative prompt", "number of steps", "guidance"):
        assert any(word in warning for warning in result.warnings), word
    await paint(engine, replace(request, request_id="later", seeds=(1, 2, 3)))
    assert [call.fields["n"] for call in api.received] == [1, 1, 3]


async def test_extras_off_sends_no_such_key(remote: Remote) -> None:
    api, engine = await remote(extras="off")
    result = await paint(engine, ask(negative_prompt="blur", seeds=(1, 2)))
    assert not {"seed", "negative_prompt"} & api.received[0].fields.keys()
    assert api.received[0].fields["n"] == 2 and len(result.images) == 2


async def test_extras_on_insists_and_the_servers_words_reach_the_caller(remote: Remote) -> None:
    api, engine = await remote("openai", extras="on")
    with pytest.raises(InvalidRequest, match="Unknown parameter: 'seed'"):
        await paint(engine, ask())
    assert api.painted == 0


async def test_a_wrong_value_of_a_known_key_is_an_error_and_not_a_missing_key(
    remote: Remote,
) -> None:
    api, engine = await remote()
    with pytest.raises(InvalidRequest, match="guidance_scale: Input should be at most 20"):
        await paint(engine, ask(params=SamplingParams(guidance_scale=25)))
    assert (await paint(engine, ask(params=SamplingParams(guidance_scale=5)))).warnings == ()
    assert api.received[-1].fields["guidance_scale"] == 5


async def test_pydantic_servers_that_forbid_extra_keys_are_understood(remote: Remote) -> None:
    api, engine = await remote()
    said = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs ..."}
    api.answer_next(422, {"detail": [said]})
    result = await paint(engine, ask())
    assert "seed" not in api.received[-1].fields
    assert any("seed" in warning for warning in result.warnings)


async def test_a_server_that_gives_one_picture_a_call_is_asked_until_all_are_there(
    remote: Remote,
) -> None:
    api, engine = await remote(extras="off")
    api.at_most = 2
    result = await paint(engine, ask(seeds=(1, 2, 3, 4, 5)))
    assert len(result.images) == 5
    assert [call.fields["n"] for call in api.received] == [5, 3, 1]


# --- editing


async def test_outside_the_mask_every_byte_comes_back(remote: Remote) -> None:
    api, engine = await remote("openai")
    source, mask = photograph((210, 130)), box_mask((210, 130), (40, 30, 90, 80))
    result = await paint(engine, ask(image=source, mask=mask, width=None, height=None))
    kept = np.asarray(mask) == 0
    painted, before = np.asarray(result.images[0]), np.asarray(source)
    assert (painted[kept] == before[kept]).all()
    assert (painted[~kept] != before[~kept]).any(axis=-1).mean() > 0.5
    names = [name for name, _ in api.received[0].files]
    assert api.received[0].path == "/v1/images/edits" and names == ["image", "mask"]


async def test_the_masks_transparent_part_is_what_is_repainted(remote: Remote) -> None:
    api, engine = await remote()
    source, mask = photograph((64, 64)), box_mask((64, 64), (16, 16, 31, 31))
    await paint(engine, ask(image=source, mask=mask))
    sent = np.asarray(api.received[0].files[1][1])
    scale = sent.shape[0] // 64
    inside, outside = sent[20 * scale, 20 * scale], sent[50 * scale, 50 * scale]
    assert inside.tolist() == [255, 255, 255, 0] and outside.tolist() == [0, 0, 0, 255]


async def test_a_large_source_is_shown_around_its_mask_only(remote: Remote) -> None:
    api, engine = await remote("openai")
    source, mask = photograph((1600, 1000)), box_mask((1600, 1000), (700, 500, 800, 600))
    result = await paint(engine, ask(image=source, mask=mask, width=None, height=None))
    shown = api.received[0].files[0][1]
    assert shown.width * shown.height <= 1024 * 1024
    assert result.images[0].size == (1600, 1000)


async def test_the_border_is_extended_and_the_source_kept(remote: Remote) -> None:
    api, engine = await remote("openai")
    source = photograph((100, 60))
    margins = Margins(left=20, right=41, bottom=30)
    result = await paint(engine, ask(image=source, extend=margins, width=None, height=None))
    assert result.images[0].size == (161, 90)
    assert result.images[0].crop((20, 0, 120, 60)).tobytes() == source.tobytes()
    assert [name for name, _ in api.received[0].files] == ["image", "mask"]


async def test_image_to_image_comes_back_in_the_sources_size(remote: Remote) -> None:
    api, engine = await remote()
    params = SamplingParams(strength=0.5)
    source = photograph((70, 52))
    result = await paint(engine, ask(image=source, params=params, width=None, height=None))
    assert result.images[0].size == (70, 52)
    assert api.received[0].fields["strength"] == 0.5
    wider = await paint(engine, ask(image=source, width=128, height=64))
    assert wider.images[0].size == (128, 64)
    assert "The source was cropped to the proportions asked for." in wider.warnings


async def test_references_travel_as_a_list_behind_the_source(remote: Remote) -> None:
    api, engine = await remote("openai")
    one, two = photograph((64, 64)), photograph((80, 48))
    await paint(engine, ask(references=(one, two)))
    big = photograph((512, 512))
    await paint(engine, ask(image=big, references=(two,), width=None, height=None))
    assert [name for name, _ in api.received[0].files] == ["image[]", "image[]"]
    assert [picture.size for _, picture in api.received[1].files] == [(512, 512), (80, 48)]


async def test_a_painted_shape_that_does_not_fit_the_mask_is_refused(remote: Remote) -> None:
    api, engine = await remote("openai")
    api.size = (768, 512)
    source = photograph((256, 256))
    with pytest.raises(GenerationFailed, match="768x512"):
        mask = box_mask((256, 256), (0, 0, 50, 50))
        await paint(engine, ask(image=source, mask=mask, width=None, height=None))
    result = await paint(engine, ask(image=source, width=None, height=None))
    assert result.images[0].size == (256, 256)
    assert any("768x512" in warning for warning in result.warnings)


async def test_a_server_without_editing_says_so_and_still_paints(remote: Remote) -> None:
    _, engine = await remote(server={"edits": False})
    with pytest.raises(UnsupportedMode, match="cannot edit"):
        await paint(engine, ask(image=photograph()))
    assert (await paint(engine, ask())).images


async def test_bad_edits_are_refused_before_anything_is_sent(remote: Remote) -> None:
    api, engine = await remote()
    source = photograph((64, 64))
    for changes in (
        {"image": source, "mask": Image.new("L", (64, 64), 0)},
        {"image": source, "mask": Image.new("L", (32, 64), 255)},
        {"image": source, "mask": box_mask((64, 64), (1, 1, 9, 9)), "width": 128},
        {"image": source, "extend": Margins()},
        {"image": source, "extend": Margins(left=-5, right=9)},
        {"image": source, "extend": Margins(left=9000), "width": None, "height": None},
        {"extend": Margins(left=5)},
        {"references": (source,) * 17},
        {"prompt": " "},
    ):
        with pytest.raises(InvalidRequest):
            await paint(engine, ask(**changes))
    assert api.received == []


# --- streaming


@pytest.mark.parametrize("editing", [False, True])
async def test_partial_pictures_become_small_previews(remote: Remote, editing: bool) -> None:
    api, engine = await remote("openai")
    source = {"image": photograph((1024, 512)), "width": None, "height": None}
    request = ask(
        preview_every=1, seeds=(1, 2), **(source if editing else {"width": 512, "height": 384})
    )
    steps = [e for e in await events_of(engine, request) if isinstance(e, StepEvent)]
    assert {call.fields["partial_images"] for call in api.received} == {3}
    assert [step.step for step in steps] == list(range(1, 9)) and steps[0].total == 8
    previews = [step.preview for step in steps if step.preview is not None]
    assert len(previews) == 6 and all(max(preview.size) <= 256 for preview in previews)


async def test_a_server_that_does_not_stream_is_asked_without(remote: Remote) -> None:
    api, engine = await remote()
    request = ask(image=photograph((64, 64)), preview_every=2)
    events = await events_of(engine, request)
    assert isinstance(events[-1], Done)
    assert "stream" not in api.received[-1].fields
    assert (await events_of(engine, ask(preview_every=2)))[-1].result.images  # and ignores it


@pytest.mark.parametrize(
    ("code", "kind"),
    [("moderation_blocked", InvalidRequest), (None, RemoteUnavailable)],
)
async def test_an_error_inside_a_stream_is_an_error(
    remote: Remote, code: str | None, kind: type[EngineError]
) -> None:
    api, engine = await remote("openai")
    await paint(engine, ask())  # it learns which keys are taken
    error = {"type": "error", "error": {"message": "blocked or broken", "code": code}}
    body = f"event: error\ndata: {json.dumps(error)}\n\n".encode()
    api.answer_next(200, body, {"content-type": "text/event-stream"})
    with pytest.raises(kind, match="blocked or broken"):
        await paint(engine, ask(preview_every=1))


async def test_a_stream_that_ends_early_is_retryable(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(200, b"data: [DONE]\n\n", {"content-type": "text/event-stream"})
    with pytest.raises(RemoteUnavailable, match="without a picture") as caught:
        await paint(engine, ask(preview_every=1))
    assert caught.value.retryable


# --- failures


async def test_a_busy_server_is_asked_again_after_the_time_it_names(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(429, {"error": {"message": "slow down"}}, {"retry-after": "1"})
    assert (await paint(engine, ask())).images
    first, second = api.received
    assert second.at - first.at >= 1.0
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


async def test_a_server_that_stays_busy_is_busy(remote: Remote) -> None:
    api, engine = await remote(attempts=3)
    for _ in range(3):
        api.answer_next(429, {"error": {"message": "slow down"}})
    with pytest.raises(Busy, match="slow down"):
        await paint(engine, ask())
    assert len(api.received) == 3


async def test_a_wait_longer_than_the_deadline_is_not_waited_for(remote: Remote) -> None:
    api, engine = await remote()
    for wait_s, deadline_s in (("20", 5.0), ("500", None), ("Wed, 21 Oct 2099 07:28:00 GMT", None)):
        api.answer_next(429, {}, {"retry-after": wait_s})
        with pytest.raises(Busy) as caught:
            await paint(engine, ask(deadline_s=deadline_s))
        assert caught.value.retry_after_s >= 20


@pytest.mark.parametrize(("status", "calls"), [(500, 2), (502, 2), (503, 4), (504, 1)])
async def test_only_what_cannot_paint_twice_is_tried_again(
    remote: Remote, status: int, calls: int
) -> None:
    api, engine = await remote()
    for _ in range(4):
        api.answer_next(status, {"detail": "out of order"})
    with pytest.raises(RemoteUnavailable, match="out of order") as caught:
        await paint(engine, ask())
    assert caught.value.retryable and len(api.received) == calls


async def test_one_failure_is_survived(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(500, {"detail": "once"})
    assert (await paint(engine, ask())).images and len(api.received) == 2


async def test_a_server_that_says_do_not_retry_is_believed(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(503, {}, {"x-should-retry": "false"})
    with pytest.raises(RemoteUnavailable):
        await paint(engine, ask())
    assert len(api.received) == 1


async def test_an_empty_account_is_not_tried_again(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(429, {"error": {"message": "pay", "code": "insufficient_quota"}})
    with pytest.raises(RemoteRefused, match="quota"):
        await paint(engine, ask())
    assert len(api.received) == 1


async def test_a_wrong_key_names_the_setting_and_not_the_key(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "sk-wrong-key-9876543210"
    _, engine = await remote(key=wrong, model="painter-1")
    for attempt in (engine.load(), paint(engine, ask())):
        with pytest.raises(RemoteRefused, match="AGENT_TOOLS_ENGINE_API_KEY") as caught:
            await attempt
        assert not caught.value.retryable
        assert wrong not in str(caught.value) and wrong not in repr(caught.value)
    assert wrong not in caplog.text and wrong not in repr(engine)


async def test_the_key_is_in_no_log_whatever_happens(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api, engine = await remote()
    await paint(engine, ask())
    for status in (429, 500, 404):
        for _ in range(4):
            api.answer_next(status, {"error": f"Bearer {KEY} cannot be served"})
        with pytest.raises(EngineError) as caught:
            await paint(engine, ask())
        assert KEY not in str(caught.value)
        api.answers.clear()
    assert len(caplog.records) > 5 and KEY not in caplog.text


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    engine = RemoteEngine("http://127.0.0.1:9/v1", model="m", backoff_s=0.001)
    with pytest.raises(RemoteUnavailable, match=r"127\.0\.0\.1:9.*AGENT_TOOLS_ENGINE") as caught:
        await paint(engine, ask())
    assert caught.value.retryable
    with pytest.raises(RemoteUnavailable):
        await engine.load()


async def test_a_redirect_is_not_followed(remote: Remote) -> None:
    api, engine = await remote()
    api.answer_next(307, {}, {"location": "http://127.0.0.1:1/v1/images/generations"})
    with pytest.raises(RemoteRefused, match="another address"):
        await paint(engine, ask())


async def test_hanging_ends_with_the_deadline_or_the_time_limit(remote: Remote) -> None:
    api, engine = await remote(timeout_s=0.4, model="painter-1")
    api.hang = True
    with pytest.raises(DeadlineExceeded):
        await paint(engine, ask(deadline_s=0.2))
    with pytest.raises(RemoteUnavailable, match=r"within 0\.4 s"):
        await paint(engine, ask())
    api.hang = False
    assert (await paint(engine, ask())).images


# --- answers that are not to be trusted


def wide_png() -> bytes:
    """A small file that would decode to 900 million pixels."""
    body = bytearray(picture_bytes())
    body[16:24] = (30_000).to_bytes(4, "big") * 2
    crc = zlib.crc32(body[12:29])
    body[29:33] = crc.to_bytes(4, "big")
    return bytes(body)


BAD_BODIES = {
    "html": b"<html>It works!</html>",
    "no pictures": b'{"created": 1, "data": []}',
    "not an object": b"[1, 2]",
    "deep": b"[" * 100_000,
    "an entry that is none": b'{"data": [7]}',
    "no base64": b'{"data": [{"b64_json": "???"}]}',
    "no picture": b'{"data": [{"b64_json": "aGVsbG8="}]}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_garbled_answer_is_one_clear_error(remote: Remote, name: str) -> None:
    api, engine = await remote()
    api.answer_next(200, BAD_BODIES[name])
    with pytest.raises(GenerationFailed, match="remote server's answer"):
        await paint(engine, ask())
    assert len(api.received) == 1
    assert (await paint(engine, ask())).images


@pytest.mark.parametrize(
    "data",
    [picture_bytes(kind="GIF"), picture_bytes(kind="BMP"), picture_bytes()[:60], wide_png()],
    ids=["gif", "bmp", "truncated", "bomb"],
)
async def test_a_picture_of_another_kind_damaged_or_huge_is_refused(
    remote: Remote, data: bytes
) -> None:
    api, engine = await remote()
    api.answer_next(200, answer_with(data))
    with pytest.raises(GenerationFailed):
        await paint(engine, ask())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
async def test_other_picture_formats_are_taken(remote: Remote, kind: str) -> None:
    api, engine = await remote()
    api.answer_next(200, answer_with(picture_bytes(kind=kind)))
    assert (await paint(engine, ask())).images[0].mode == "RGB"


async def test_an_answer_without_end_is_cut_off(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.remote_client._MAX_ANSWER", 100_000)
    api, engine = await remote()
    api.answer_next(200, b" " * 1_000_000)
    with pytest.raises(GenerationFailed, match="larger than"):
        await paint(engine, ask())


async def test_pictures_are_fetched_from_the_server_itself_only(remote: Remote) -> None:
    api, engine = await remote()
    api.as_url = lambda number: f"/v1/images/p{number}/content"
    assert (await paint(engine, ask())).images
    other, _ = await remote()
    for address in (f"{other.url}/models", "http://localhost/x.png", "file:///etc/passwd", "//x/y"):
        api.as_url = lambda number, address=address: address
        with pytest.raises(GenerationFailed, match="another host"):
            await paint(engine, ask())


# --- stopping


async def test_cancelling_hangs_up_at_once(remote: Remote) -> None:
    api, engine = await remote(model="painter-1")
    api.hang = True
    request = ask()
    running = asyncio.create_task(events_of(engine, request))
    await asyncio.wait_for(api.waiting.wait(), 10)
    assert await engine.cancel(request.request_id)
    with pytest.raises(RequestCancelled):
        await running
    await asyncio.wait_for(api.left.wait(), 10)
    assert not await engine.cancel(request.request_id)


async def test_leaving_the_iterator_hangs_up(remote: Remote) -> None:
    api, engine = await remote(model="painter-1")
    api.hang = True

    async def leave() -> None:
        async with aclosing(engine.submit(ask())) as events:
            async for _ in events:
                asyncio.get_running_loop().call_later(0.2, task.cancel)

    task = asyncio.create_task(leave())
    await asyncio.wait_for(api.waiting.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(api.left.wait(), 10)
    assert engine._jobs == {}


async def test_closing_stops_everything_and_is_final(remote: Remote) -> None:
    api, engine = await remote(model="painter-1")
    api.hang = True
    running = asyncio.create_task(events_of(engine, ask()))
    await asyncio.wait_for(api.waiting.wait(), 10)
    await engine.close()
    with pytest.raises(EngineClosed):
        await running
    await asyncio.wait_for(api.left.wait(), 10)
    await engine.close()
    with pytest.raises(EngineClosed):
        await paint(engine, ask())


async def test_an_error_in_one_picture_stops_the_others(remote: Remote) -> None:
    api, engine = await remote(model="painter-1")
    api.answer_next(400, {"detail": "no"})
    api.hang = True
    with pytest.raises(InvalidRequest):
        await paint(engine, ask(seeds=(1, 2, 3)))


async def test_cancel_from_another_thread_and_loop(remote: Remote) -> None:
    api, engine = await remote(model="painter-1")
    api.hang = True
    request = ask()
    running = asyncio.create_task(events_of(engine, request))
    await asyncio.wait_for(api.waiting.wait(), 10)
    known = await asyncio.to_thread(lambda: asyncio.run(engine.cancel(request.request_id)))
    assert known
    with pytest.raises(RequestCancelled):
        await running
    assert "asyncio" not in {t.name for t in threading.enumerate()}


async def test_a_request_id_in_use_is_refused(remote: Remote) -> None:
    api, engine = await remote(model="painter-1")
    api.hang = True
    async with aclosing(engine.submit(ask(request_id="one"))) as events:
        assert isinstance(await anext(events), Queued)
        with pytest.raises(InvalidRequest, match="in use"):
            await events_of(engine, ask(request_id="one"))


# --- loading and settings


async def test_loading_finds_the_only_model(remote: Remote) -> None:
    api, engine = await remote()
    assert engine.model in api.url
    await engine.load()
    await engine.load()
    assert engine.model == "painter-1"


@pytest.mark.parametrize(
    ("models", "model", "message"),
    [
        (("a", "b"), None, "'a', 'b'"),
        (("a", "b"), "c", "no model 'c'"),
        ((), None, "AGENT_TOOLS_ENGINE_MODEL"),
        (None, None, "AGENT_TOOLS_ENGINE_MODEL"),
    ],
)
async def test_a_model_that_is_not_clear_is_not_loaded(
    remote: Remote, models: tuple[str, ...] | None, model: str | None, message: str
) -> None:
    _, engine = await remote(server={"models": models}, model=model)
    with pytest.raises(ModelNotLoaded, match=message):
        await engine.load()


async def test_a_server_without_a_list_is_taken_at_its_word(remote: Remote) -> None:
    _, engine = await remote(server={"models": None}, model="mine")
    await engine.load()
    assert (await paint(engine, ask())).model == "mine"


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/v1",
        "ftp://localhost/v1",
        "localhost:8000/v1",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host:port/v1",
        "https://",
        "",
    ],
)
def test_an_address_that_could_leak_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ValueError) as caught:
        RemoteEngine(address, KEY)
    assert "secret" not in str(caught.value) and KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", ""])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        RemoteEngine("https://host/v1", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://host/v1/", "http://[::1]:8000/v1", "http://localhost"]
)
def test_https_and_this_machine_are_taken(address: str) -> None:
    assert RemoteEngine(address).model


def test_importing_and_constructing_loads_no_http_and_no_torch() -> None:
    program = (
        "import sys; from engine import RemoteEngine; RemoteEngine('https://host/v1', 'k');"
        "heavy = {'torch', 'httpx2', 'httpx', 'PIL', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
