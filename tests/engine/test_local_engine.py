"""The engine's promises to its callers: queue, cancel, errors that stay with their request."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing
from dataclasses import replace

import pytest
from engine_helpers import events_of, paint, photograph

from engine import Busy, ImageRequest, LocalEngine, Queued, SamplingParams, StepEvent
from engine import pipelines as engine_pipelines
from engine.errors import (
    EngineClosed,
    GenerationFailed,
    InvalidRequest,
    ModelNotLoaded,
    OutOfMemory,
    RequestCancelled,
)

pytestmark = pytest.mark.anyio
SHORT = ImageRequest("a red mug", params=SamplingParams(num_inference_steps=2))
LONG = ImageRequest("a red mug", params=SamplingParams(num_inference_steps=200))


def new(request: ImageRequest, name: str, **changes: object) -> ImageRequest:
    return replace(request, request_id=name, **changes)


async def until_running(events) -> None:
    """Read events until the first step is done."""
    async for event in events:
        if isinstance(event, StepEvent):
            return


def test_importing_and_constructing_the_engine_loads_nothing_heavy() -> None:
    program = (
        "import sys, engine; from engine import LocalEngine, ImageRequest, Busy;"
        "e = LocalEngine('starter'); assert e.model == 'starter';"
        "import engine.plan, engine.registry, engine.sources, engine.worker, engine.samplers;"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'boto3'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_a_result_says_all_that_made_it(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    await engine.load()
    result = await paint(engine, new(SHORT, "one", seeds=(7, 8)))
    assert (len(result.images), result.seeds) == (2, (7, 8))
    assert result.model == engine.model == "tiny-stable-diffusion"
    assert result.revision.startswith("sha256:")
    assert set(result.timings_s) == {"queued", "text", "denoise", "decode", "total"}
    assert set(result.libraries) == {"torch", "diffusers", "transformers"}
    assert result.precision in ("float32 on cpu", "bfloat16 on cpu")
    assert result.params == SamplingParams(2, 7.5, None, None)
    assert all(image.size == (64, 64) and image.mode == "RGB" for image in result.images)


async def test_closing_the_iterator_cancels_the_request(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    async with aclosing(engine.submit(new(LONG, "left early"))) as events:
        await until_running(events)
    assert (await events_of(engine, new(SHORT, "next")))[-1].result.images


async def test_cancelling_the_waiting_task_cancels_the_request(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    running = asyncio.Event()

    async def watch() -> None:
        async for event in engine.submit(new(LONG, "task")):
            if isinstance(event, StepEvent):
                running.set()

    task = asyncio.create_task(watch())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await paint(engine, new(SHORT, "next"))).images
    assert not await engine.cancel("task")


async def test_a_queued_request_is_cancelled_without_running(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    first = engine.submit(new(LONG, "first"))
    await until_running(first)
    second = engine.submit(new(LONG, "second"))
    queued = await anext(second)
    assert isinstance(queued, Queued)
    assert queued.position in (0, 1), "equals go in order; how much of the first is left?"
    assert await engine.cancel("second")
    with pytest.raises(RequestCancelled):
        await anext(second)
    assert isinstance(await anext(first), StepEvent), "the running one goes on"
    assert await engine.cancel("first")
    with pytest.raises(RequestCancelled):
        await anext(first)


async def test_a_full_queue_says_when_to_come_back_and_works_again(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion, max_queue_s=0.0005)
    async with aclosing(engine.submit(new(LONG, "first"))) as first:
        await until_running(first)
        with pytest.raises(Busy) as refused:
            await anext(engine.submit(new(SHORT, "second")))
        assert refused.value.retryable
        assert refused.value.retry_after_s >= 1
        assert await engine.cancel("first")
    assert (await paint(engine, new(SHORT, "third"))).images


async def test_a_short_request_overtakes_a_long_one(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    async with aclosing(engine.submit(new(LONG, "long"))) as long:
        await until_running(long)
        assert (await paint(engine, new(SHORT, "short"))).images
        async for event in long:
            assert isinstance(event, StepEvent)
            assert event.step < event.total, "the long one still had work to do"
            break


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 9000}, "prompt"),
        ({"prompt": "\ud800"}, "Unicode"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"seeds": (2**63,)}, "seeds"),
        ({"seeds": (True,)}, "seeds"),
        ({"seeds": tuple(range(65))}, "seeds"),
        ({"width": 4096}, "width"),
        ({"height": 8}, "height"),
        ({"width": 64.5}, "width"),
        ({"params": SamplingParams(num_inference_steps=0)}, "num_inference_steps"),
        ({"params": SamplingParams(num_inference_steps=201)}, "num_inference_steps"),
        ({"params": SamplingParams(guidance_scale=float("nan"))}, "guidance_scale"),
        ({"params": SamplingParams(guidance_scale=-1)}, "guidance_scale"),
        ({"params": SamplingParams(strength=0.5)}, "strength"),
        ({"image": photograph(), "params": SamplingParams(strength=0.0)}, "strength"),
        ({"image": photograph(), "params": SamplingParams(strength=0.001)}, "strength"),
        ({"mask": photograph().convert("L")}, "mask"),
        ({"image": photograph(), "mask": photograph()}, "mask"),
        ({"image": photograph(), "mask": photograph((8, 8)).convert("L")}, "mask"),
        ({"image": photograph(), "mask": photograph().convert("L").point(lambda _: 0)}, "mask"),
        (
            {"image": photograph(), "mask": photograph().convert("L"), "width": 64},
            "size",
        ),
        ({"params": SamplingParams(sampler="banana")}, "ddim, dpm++"),
        ({"params": SamplingParams(sampler="flow-euler")}, "ddim, dpm++"),
    ],
)
async def test_a_wrong_request_is_named_and_the_next_one_works(
    changes, word, tiny_stable_diffusion, shared_engine
) -> None:
    with pytest.raises(InvalidRequest, match=word.replace("+", r"\+")) as refused:
        await events_of(shared_engine, new(SHORT, "wrong", **changes))
    assert refused.value.hint
    assert (await paint(shared_engine, new(SHORT, "right"))).images


@pytest.fixture
async def shared_engine(tiny_stable_diffusion, open_engine):
    return await open_engine(tiny_stable_diffusion)


async def test_a_request_id_in_use_is_refused(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    async with aclosing(engine.submit(new(LONG, "same"))) as first:
        await until_running(first)
        with pytest.raises(InvalidRequest, match="same"):
            await anext(engine.submit(new(SHORT, "same")))
        assert isinstance(await anext(first), StepEvent), "the first of that id goes on"


class Faulty:
    """Make the denoiser fail at a request's second forward, the way a device or a model would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
        from engine import painter

        forwards: dict[int, int] = {}
        original = painter.RunStage.forward

        def forward(stage, module, args, kwargs):
            result = original(stage, module, args, kwargs)
            forwards[id(stage)] = forwards.get(id(stage), 0) + 1
            if stage.run.job.request.request_id == "fails" and forwards[id(stage)] == 2:
                if error is not None:
                    raise error
                return tuple(part * float("nan") for part in result)
            return result

        monkeypatch.setattr(painter.RunStage, "forward", forward)


async def test_a_model_that_is_not_the_engines_is_refused(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    with pytest.raises(ModelNotLoaded, match="no model 'banana'"):
        await paint(engine, new(SHORT, "other", model="banana"))
    assert (await paint(engine, new(SHORT, "own", model=engine.model))).model == engine.model


async def test_a_thread_that_cannot_start_fails_its_request_and_no_other(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("engine-job"):
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(GenerationFailed):
            async with asyncio.timeout(10):
                await paint(engine, new(SHORT, "refused"))
    assert engine.health().ok
    assert (await paint(engine, new(SHORT, "next"))).images


async def test_when_the_computing_thread_dies_nobody_waits_forever(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()

    def broken(ladder: object, kind: str, attempt: int) -> bool:
        raise ValueError("the device is gone")

    def no_memory(*args: object, **kwargs: object) -> None:
        raise MemoryError

    coalescer = engine._worker._coalescer
    monkeypatch.setattr(coalescer, "_recover", broken)
    monkeypatch.setattr(coalescer, "network", lambda module: no_memory)
    async with asyncio.timeout(20):
        with pytest.raises(GenerationFailed, match="The computing thread stopped"):
            await paint(engine, new(SHORT, "struck"))
        assert not engine.health().ok
        with pytest.raises(GenerationFailed, match="The computing thread stopped"):
            await paint(engine, new(SHORT, "late"))


async def test_an_error_in_one_request_leaves_the_engine_healthy(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    import torch

    engine = await open_engine(tiny_stable_diffusion)
    clean = await paint(engine, new(SHORT, "before"))
    for error, expected in (
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB"), OutOfMemory),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), GenerationFailed),
        (None, GenerationFailed),
    ):
        with monkeypatch.context() as patch:
            Faulty(patch, error)
            failing = engine.submit(new(SHORT, "fails", seeds=(1,)))
            await anext(failing)
            alone = new(SHORT, "neighbor", deterministic=True)
            neighbor = asyncio.create_task(paint(engine, alone))
            with pytest.raises(expected) as failed:
                async for _ in failing:
                    pass
            assert (await neighbor).images[0].tobytes() == clean.images[0].tobytes()
        assert failed.value.hint
        assert failed.value.__cause__ is None, "its frames would keep the tensors alive"
        after = await paint(engine, new(SHORT, "after"))
        assert after.images[0].tobytes() == clean.images[0].tobytes()


async def test_closing_while_running_ends_the_request_and_the_thread(
    tiny_stable_diffusion, open_engine
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    running, waiting = engine.submit(new(LONG, "running")), engine.submit(new(LONG, "waiting"))
    await until_running(running)
    await anext(waiting)
    await engine.close()
    for events in (running, waiting):
        with pytest.raises(EngineClosed):
            await anext(events)
    assert "engine-worker" not in {thread.name for thread in threading.enumerate()}
    await engine.close()
    with pytest.raises(EngineClosed):
        await anext(engine.submit(new(SHORT, "late")))
    with pytest.raises(EngineClosed):
        await engine.load()


async def test_a_failed_load_fails_what_waits_and_is_tried_again(tmp_path, open_engine) -> None:
    from tiny_models import build_tiny_stable_diffusion

    folder = tmp_path / "later"
    folder.mkdir()
    engine = await open_engine(folder)
    with pytest.raises(ModelNotLoaded, match=r"model_index\.json"):
        await paint(engine, new(SHORT, "too early"))
    with pytest.raises(ModelNotLoaded):
        await engine.load()
    build_tiny_stable_diffusion(folder)
    await engine.load()
    assert (await paint(engine, new(SHORT, "now"))).images


async def test_one_engine_serves_several_event_loops(tiny_stable_diffusion) -> None:
    engine = LocalEngine(str(tiny_stable_diffusion), threads=1, device="cpu")

    def in_own_loop(name: str) -> bytes:
        result = asyncio.run(paint(engine, new(SHORT, name)))
        return result.images[0].tobytes()

    try:
        pictures = await asyncio.gather(
            *(asyncio.to_thread(in_own_loop, f"loop {number}") for number in range(3))
        )
        assert len(set(pictures)) == 1
    finally:
        await engine.close()


async def test_random_cancels_leave_nothing_behind(tiny_stable_diffusion, open_engine) -> None:
    import random

    engine = await open_engine(tiny_stable_diffusion)
    chance = random.Random(0)

    async def one(number: int) -> str:
        stop_after = chance.randrange(7)
        request = new(
            SHORT,
            f"random {number}",
            params=SamplingParams(num_inference_steps=4),
            width=32,
            height=32,
            seeds=(number,),
        )
        try:
            async with aclosing(engine.submit(request)) as events:
                async for event in events:
                    if isinstance(event, StepEvent) and event.step == stop_after:
                        if number % 2:
                            return "left"
                        await engine.cancel(request.request_id)
        except RequestCancelled:
            return "cancelled"
        return "done"

    ends = await asyncio.gather(*(one(number) for number in range(24)))
    assert {"left", "cancelled", "done"} == set(ends)
    assert engine.stats()["waiting"] == engine.stats()["running"] == 0
    assert (await paint(engine, new(SHORT, "after"))).images


async def test_a_completer_changes_the_prompt_and_its_warnings_are_told(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    import types

    from engine import sources

    prompts: list[str] = []

    def complete(prompt: str) -> tuple[str, tuple[str, ...]]:
        prompts.append(prompt)
        return prompt + " on a white background", ("'sparkly' is not a word it knows.",)

    module = types.ModuleType("temporary_completer")
    module.complete = complete
    monkeypatch.setitem(sys.modules, "temporary_completer", module)
    plain = await paint(await open_engine(tiny_stable_diffusion), new(SHORT, "plain"))
    describe = sources.describe
    monkeypatch.setattr(
        sources,
        "describe",
        lambda *args: replace(describe(*args), completer="temporary_completer:complete"),
    )
    completed = await paint(await open_engine(tiny_stable_diffusion), new(SHORT, "completed"))
    assert prompts == ["a red mug"]
    assert completed.warnings == ("'sparkly' is not a word it knows.",)
    assert completed.images[0].tobytes() != plain.images[0].tobytes()


async def test_a_prompt_longer_than_the_encoder_is_told(tiny_stable_diffusion, open_engine) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    result = await paint(engine, new(SHORT, "long", prompt="teapot " * 20))
    assert "122 tokens; only the first 77" in result.warnings[0]
    assert (await paint(engine, new(SHORT, "short"))).warnings == ()


async def test_a_device_that_is_not_there_is_named(tiny_stable_diffusion) -> None:
    engine = LocalEngine(str(tiny_stable_diffusion), device="warp-drive")
    with pytest.raises(ModelNotLoaded, match="warp-drive"):
        await engine.load()
    await engine.close()


class InPlace:
    """Compute everything where it is called."""

    def forward(self, module, args, kwargs):
        return module(*args, **kwargs)

    def alone(self, kind, compute):
        return compute()

    def on_step(self, result) -> None:
        pass


def test_views_share_weights_but_no_state(tiny_stable_diffusion) -> None:
    import torch

    from engine.sources import open_source
    from engine.stats import EngineStats

    loaded = engine_pipelines.load_model(
        open_source(str(tiny_stable_diffusion)), torch.device("cpu"), torch.float32, EngineStats()
    )
    pipeline = loaded.pipeline("StableDiffusionPipeline")
    views = [loaded.view(pipeline, sampler=name, stage=InPlace()) for name in (None, "euler")]
    assert views[0].unet.inner is views[1].unet.inner is pipeline.unet
    assert views[0].scheduler is not pipeline.scheduler
    assert type(views[1].scheduler).__name__ == "EulerDiscreteScheduler"
    assert pipeline.config["scheduler"] == ("diffusers", "DDIMScheduler")
    assert views[0].unet.config is pipeline.unet.config
    assert views[0].unet.dtype == torch.float32
    views[0].vae.to(dtype=torch.float64)
    assert pipeline.vae.dtype == torch.float32, "no run may cast what all of them share"
