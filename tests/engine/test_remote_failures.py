"""A remote server that is busy, broken, strange or hostile; requests that are stopped."""

from __future__ import annotations

import asyncio
import logging
import threading
import zlib
from contextlib import aclosing

import pytest
from engine_helpers import events_of, paint
from images_api_stub import KEY
from remote_helpers import Remote, answer_with, ask, picture_bytes

from engine import Busy, Queued
from engine.errors import (
    DeadlineExceeded,
    EngineClosed,
    EngineError,
    GenerationFailed,
    InvalidRequest,
    RemoteRefused,
    RemoteUnavailable,
    RequestCancelled,
)
from engine.remote import RemoteEngine

pytestmark = pytest.mark.anyio


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
    assert caplog.records and KEY not in caplog.text


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


async def test_cancels_at_any_moment_leave_nothing_behind(remote: Remote) -> None:
    _, engine = await remote(model="painter-1")
    before = asyncio.all_tasks()
    for moment in range(40):
        request = ask(seeds=(1, 2), preview_every=moment % 2)
        running = asyncio.create_task(events_of(engine, request))
        for _ in range(moment):
            await asyncio.sleep(0)
        running.cancel() if moment % 3 else await engine.cancel(request.request_id)
        await asyncio.gather(running, return_exceptions=True)
    assert engine._jobs == {}
    await paint(engine, ask())
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "uvicorn" not in repr(task.get_coro())]
