"""Requests share forwards: same pictures, fair turns, failures and cancels that stay private."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from contextlib import aclosing
from dataclasses import replace

import pytest
from crowd import difference, small, together
from engine_helpers import events_of, paint
from PIL import Image

from engine import Busy, Done, ImageRequest, StepEvent
from engine.admission import Admission
from engine.errors import DeadlineExceeded, RequestCancelled

pytestmark = pytest.mark.anyio


async def test_requests_of_all_kinds_share_forwards_and_look_as_if_alone(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    requests = [
        small(1, 12, params={"guidance_scale": 5.0}),
        small(2, 4, params={"guidance_scale": 1.0}),
        small(3, 7, params={"guidance_scale": 3.0, "sampler": "euler"}),
        small(4, 9, params={"guidance_scale": 7.5, "sampler": "dpm++"}, negative_prompt="blue"),
        small(5, 4, params={"guidance_scale": 1.0, "sampler": "unipc"}),
        small(6, 5, params={"guidance_scale": 2.0, "sampler": "euler-a"}),
    ]
    shared = await together(engine, requests)
    assert sum(result.shared_forwards > 0 for result in shared) >= 2
    assert engine.stats()["rows_max"] > 2
    for wanted, result in zip(requests, shared, strict=True):
        alone = await paint(
            engine, replace(wanted, deterministic=True, request_id=f"{wanted.seeds}")
        )
        assert alone.shared_forwards == 0
        assert difference(alone, result) <= 1
    other = await paint(engine, replace(requests[0], seeds=(99,), request_id="other"))
    assert difference(other, shared[0]) > 1, "the comparison can fail"


async def test_alone_is_bitwise_repeatable_whatever_else_runs(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    wanted = small(1, 8, deterministic=True)
    quiet = await paint(engine, wanted)
    busy = await together(
        engine,
        [
            replace(wanted, request_id="busy"),
            *(small(10 + number, 8) for number in range(4)),
        ],
    )
    assert busy[0].images[0].tobytes() == quiet.images[0].tobytes()


async def test_images_of_one_request_share_forwards_too(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    result = await paint(engine, replace(small(0), seeds=(1, 2, 3, 4)))
    assert result.shared_forwards > 0
    alone = await paint(engine, small(3))
    assert difference(replace(alone), replace(result, images=(result.images[2],))) <= 1


async def test_the_same_request_at_the_same_moment_is_painted_once(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    before = engine.stats().get("denoise_calls", 0)
    wanted = small(1, 30)
    first, second, other = await asyncio.gather(
        events_of(engine, replace(wanted, request_id="a")),
        events_of(engine, replace(wanted, request_id="b", priority="batch")),
        events_of(engine, replace(wanted, request_id="c", seeds=(2,))),
    )
    assert engine.stats()["denoise_calls"] - before == 60, "two generations of 30, not three"
    assert {event.request_id for event in first} == {"a"}
    assert {event.request_id for event in second} == {"b"}
    assert first[-1].result.images == second[-1].result.images
    assert first[-1].result.images != other[-1].result.images


async def test_pictures_that_differ_in_their_palette_only_are_not_the_same_request() -> None:
    red, blue = Image.new("P", (32, 32)), Image.new("P", (32, 32))
    red.putpalette([255, 0, 0])
    blue.putpalette([0, 0, 255])
    assert red.tobytes() == blue.tobytes()
    admission = Admission(100.0)
    jobs = [
        admission.put(small(1, image=picture, request_id=name), 1.0)[0]
        for name, picture in (("red", red), ("blue", blue), ("red again", red.copy()))
    ]
    assert jobs[0] is not jobs[1]
    assert jobs[0] is jobs[2]
    admission.close()


async def test_one_of_two_that_wait_for_the_same_may_leave(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    wanted = small(1, 60)
    stays = asyncio.create_task(paint(engine, replace(wanted, request_id="stays")))
    async with aclosing(engine.submit(replace(wanted, request_id="leaves"))) as leaves:
        await anext(leaves)
        assert await engine.cancel("leaves")
        with pytest.raises(RequestCancelled):
            await anext(leaves)
    assert (await stays).images
    assert not await engine.cancel("leaves")


async def test_a_thousand_random_cancels_leave_no_thread_no_slot_no_picture(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion, max_queue_s=1e6)
    await engine.load()
    chance = random.Random(0)
    threads = threading.active_count()
    ends: list[str] = []

    async def one(number: int) -> None:
        wanted = replace(
            small(number, chance.randint(1, 4), params={"guidance_scale": chance.choice((1, 3))}),
            request_id=f"random {number}",
        )
        stop_at = chance.randint(0, 5)
        seen = 0
        try:
            async with aclosing(engine.submit(wanted)) as events:
                async for event in events:
                    if isinstance(event, Done):
                        ends.append("done")
                    elif seen == stop_at:
                        if chance.random() < 0.3:
                            ends.append("left")
                            return
                        assert await engine.cancel(wanted.request_id)
                    seen += 1
        except RequestCancelled:
            ends.append("cancelled")

    for start in range(0, 1000, 100):
        await asyncio.gather(*(one(number) for number in range(start, start + 100)))
    assert len(ends) == 1000
    assert min(ends.count(end) for end in ("done", "left", "cancelled")) > 20
    # "left" ones end within a step of their own.
    await paint(engine, replace(small(1), request_id="after"))
    while threading.active_count() > threads:
        await asyncio.to_thread(
            lambda: [t.join() for t in threading.enumerate() if t.name.startswith("engine-job")]
        )
    assert (engine.stats()["waiting"], engine.stats()["running"]) == (0, 0)
    gc.collect()
    held = [thing for thing in gc.get_objects() if type(thing).__name__ in ("Run", "RunStage")]
    assert not held, "nothing of a request stays behind"


async def test_cancel_frees_its_place_within_one_step_even_in_a_crowd(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    others = [asyncio.create_task(paint(engine, small(number, 40))) for number in range(5)]
    wanted = replace(small(9, 200), request_id="crowded")
    steps = 0
    with pytest.raises(RequestCancelled):
        async for event in engine.submit(wanted):
            if isinstance(event, StepEvent):
                steps = event.step
                if steps == 3:
                    assert await engine.cancel("crowded")
    assert steps == 3
    assert all(result.images for result in await asyncio.gather(*others))


async def test_a_deadline_is_checked_at_the_door_and_at_each_step(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    with pytest.raises(DeadlineExceeded, match="It would take"):
        await paint(engine, small(1, 200, deadline_s=1e-6))
    from engine import jobs

    clock = {"now": 0.0}
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock["now"])
    steps = 0
    with pytest.raises(DeadlineExceeded, match="has passed"):
        async for event in engine.submit(small(2, 200, deadline_s=1000)):
            if isinstance(event, StepEvent):
                steps = event.step
                clock["now"] = 2000.0
    assert 0 < steps < 200


async def test_a_caller_fills_its_share_and_others_still_get_in(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion, max_queue_s=1.0, caller_share=1e-4)
    greedy = replace(small(1, 200), caller="greedy")
    async with aclosing(engine.submit(greedy)) as events:
        await anext(events)
        with pytest.raises(Busy, match="your requests") as refused:
            await paint(engine, replace(small(2, 200), caller="greedy"))
        assert refused.value.retry_after_s >= 1
        assert (await paint(engine, replace(small(2, 2), caller="modest"))).images


async def test_waiting_requests_start_by_class_then_by_size(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion, max_running=1)
    first = asyncio.create_task(paint(engine, small(0, 60)))
    while engine.stats()["running"] == 0:
        await asyncio.sleep(0)
    finished: list[str] = []

    async def watch(name: str, wanted: ImageRequest) -> None:
        await paint(engine, replace(wanted, request_id=name))
        finished.append(name)

    await asyncio.gather(
        watch("batch", small(1, 2, priority="batch")),
        watch("long", small(2, 20)),
        watch("short", small(3, 3)),
    )
    await first
    assert finished == ["short", "long", "batch"]


async def test_a_prompt_is_encoded_once(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    first = await paint(engine, small(1))
    assert engine.stats().get("text_cache_hits", 0) == 0
    second = await paint(engine, replace(small(1), request_id="again"))
    assert engine.stats()["text_cache_hits"] == 1
    assert second.images[0].tobytes() == first.images[0].tobytes()
    await paint(engine, replace(small(1), prompt="a blue mug", request_id="other words"))
    await paint(engine, replace(small(1), negative_prompt="red", request_id="other negative"))
    assert engine.stats()["text_cache_hits"] == 1


async def test_previews_come_when_asked_for_and_show_the_picture_under_way(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    events = await events_of(engine, replace(small(1, 6), preview_every=2))
    steps = [event for event in events if isinstance(event, StepEvent)]
    assert [event.preview is not None for event in steps] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert steps[1].preview.size == (256, 256)
    plain = await events_of(engine, replace(small(1, 6), request_id="plain"))
    assert all(event.preview is None for event in plain if isinstance(event, StepEvent))
    assert plain[-1].result.images[0].tobytes() == events[-1].result.images[0].tobytes()


async def test_an_exclusive_model_lets_one_run_finish_before_the_next(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    engine._worker._painter._loaded.exclusive = True
    order: list[str] = []

    async def watch(name: str, wanted: ImageRequest) -> None:
        async for event in engine.submit(replace(wanted, request_id=name)):
            if isinstance(event, StepEvent):
                order.append(name)

    await asyncio.gather(watch("a", small(1, 5)), watch("b", small(2, 5)))
    assert order in (["a"] * 5 + ["b"] * 5, ["b"] * 5 + ["a"] * 5)


async def test_measured_costs_are_kept_and_used_at_the_next_start(
    tiny_stable_diffusion, open_engine, tmp_path, monkeypatch
) -> None:
    from engine import calibrate

    file = tmp_path / "costs.json"
    await (await open_engine(tiny_stable_diffusion, cost_file=file)).load()
    assert '"1":' in file.read_text()
    monkeypatch.setattr(calibrate, "_measure", lambda *args: pytest.fail("measured again"))
    await (await open_engine(tiny_stable_diffusion, cost_file=file)).load()
    monkeypatch.undo()
    file.write_text("{broken")
    await (await open_engine(tiny_stable_diffusion, cost_file=file)).load()
    assert '"1":' in file.read_text()
