"""Several models, one memory budget: who is idle longest leaves, who works stays."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from dataclasses import replace

import pytest
from engine_helpers import paint

from engine import Busy, ImageRequest, LocalEngine, ModelPool, SamplingParams, StepEvent
from engine.errors import EngineClosed, InvalidRequest, ModelNotLoaded, RequestCancelled

pytestmark = pytest.mark.anyio
REQUEST = ImageRequest(
    "a red mug", width=64, height=64, params=SamplingParams(num_inference_steps=2)
)
NAMES = ("stable-diffusion", "stable-diffusion-v", "sdxl")


@pytest.fixture
async def open_pool(anyio_backend, model_folder):
    pools = []

    def open_one(budget_bytes: int) -> ModelPool:
        folders = [str(model_folder(name)) for name in NAMES]

        def open_engine(model: str, turn: threading.Lock) -> LocalEngine:
            return LocalEngine(model, threads=1, device="cpu", turn=turn)

        pools.append(ModelPool(folders, budget_bytes, open_engine))
        return pools[-1]

    yield open_one
    for pool in pools:
        await pool.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("engine-")]


def named(name: str, **changes: object) -> ImageRequest:
    return replace(REQUEST, model=f"tiny-{name}", request_id=name, **changes)  # type: ignore


async def test_each_request_is_painted_by_the_model_it_names(open_pool) -> None:
    pool = open_pool(10**9)
    assert not pool.loaded
    assert (await paint(pool, REQUEST)).model == "tiny-stable-diffusion"
    assert (await paint(pool, named("sdxl"))).model == "tiny-sdxl"
    with pytest.raises(ModelNotLoaded, match="no model 'banana'") as refused:
        await paint(pool, replace(REQUEST, model="banana"))
    assert "tiny-stable-diffusion" in refused.value.hint
    assert len(pool.loaded) == 2
    assert pool.stats()["models_loaded"] == 2
    assert pool.health().ok


async def test_a_request_can_name_no_model_that_the_operator_did_not(
    open_pool, model_folder
) -> None:
    pool = open_pool(10**9)
    with pytest.raises(ModelNotLoaded):
        await paint(pool, replace(REQUEST, model=str(model_folder("flux"))))


async def test_the_least_recently_used_model_leaves_when_memory_is_short(open_pool) -> None:
    probe = open_pool(10**9)
    for name in NAMES:
        await paint(probe, named(name))
    sizes = {name: engine.weights_bytes() for name, engine in probe._engines.items()}
    assert all(size > 10_000 for size in sizes.values())
    pool = open_pool(sum(sizes.values()) - 1)
    await paint(pool, named("stable-diffusion"))
    await paint(pool, named("stable-diffusion-v"))
    await paint(pool, replace(named("stable-diffusion"), request_id="again"))
    await paint(pool, named("sdxl"))
    left = [name.rpartition("/")[2] for name in pool.loaded]
    assert left == ["tiny-stable-diffusion", "tiny-sdxl"], "the one in between had waited longest"
    assert (await paint(pool, replace(named("stable-diffusion-v"), request_id="back"))).images


async def test_a_model_at_work_is_not_unloaded(open_pool) -> None:
    pool = open_pool(1)
    long = replace(
        named("stable-diffusion"), params=SamplingParams(num_inference_steps=200), request_id="long"
    )
    async with aclosing(pool.submit(long)) as events:
        async for event in events:
            if isinstance(event, StepEvent):
                break
        with pytest.raises(Busy):
            await paint(pool, named("sdxl"))
        assert await pool.cancel("long")
    assert (await paint(pool, replace(named("sdxl"), request_id="now"))).model == "tiny-sdxl"
    assert len(pool.loaded) == 1


async def test_two_models_take_turns_on_one_device(open_pool) -> None:
    pool = open_pool(10**9)
    results = await asyncio.gather(
        *(paint(pool, replace(named(name), seeds=(1, 2))) for name in NAMES)
    )
    assert [result.model for result in results] == [f"tiny-{name}" for name in NAMES]


async def test_a_closed_pool_says_so(open_pool) -> None:
    pool = open_pool(10**9)
    await pool.load()
    await pool.close()
    with pytest.raises(EngineClosed):
        await paint(pool, REQUEST)


async def test_a_request_is_cancelled_while_its_model_is_loading(open_pool) -> None:
    pool = open_pool(10**9)
    loading = asyncio.create_task(paint(pool, named("sdxl")))
    while "sdxl" not in pool._requests:
        await asyncio.sleep(0)
    with pytest.raises(InvalidRequest, match="in use"):
        await paint(pool, named("sdxl"))
    assert await pool.cancel("sdxl")
    with pytest.raises(RequestCancelled):
        await loading
    assert not await pool.cancel("sdxl")
    assert (await paint(pool, named("sdxl"))).images
