"""The engine in the replicas of a Ray Serve deployment, on a cluster of this machine's own."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from engine_helpers import events_of, paint

from engine import Busy, Done, ImageRequest, LocalEngine, Queued, SamplingParams, StepEvent
from engine.errors import (
    EngineClosed,
    EngineError,
    InvalidRequest,
    ModelNotLoaded,
    RequestCancelled,
    UnsupportedMode,
)
from engine.ray_serve import RayEngine, RayReplicas, SentError, deploy

pytestmark = pytest.mark.anyio
SHORT = ImageRequest("a red mug", seeds=(3, 4), params=SamplingParams(num_inference_steps=2))
LONG = ImageRequest("a red mug", params=SamplingParams(num_inference_steps=200))


@pytest.mark.parametrize(
    "error",
    [
        Busy("full", retry_after_s=3.5, hint="later"),
        InvalidRequest("wrong", hint="mend it"),
        UnsupportedMode("cannot"),
    ],
)
def test_an_error_survives_the_way_between_processes(error: EngineError) -> None:
    back = pickle.loads(pickle.dumps(SentError.of(error))).error()
    assert type(back) is type(error) and str(back) == str(error) and back.hint == error.hint
    assert getattr(back, "retry_after_s", None) == getattr(error, "retry_after_s", None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**28)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def engine(cluster: None, tiny_stable_diffusion: Path) -> RayEngine:
    """One replica on half a CPU."""
    return deploy(str(tiny_stable_diffusion), replicas=RayReplicas(cpus=0.5))


@pytest.mark.slow
async def test_events_stream_and_the_pictures_are_the_local_engines(
    engine: RayEngine, tiny_stable_diffusion: Path
) -> None:
    await engine.load()
    assert engine.model == "tiny-stable-diffusion"
    first, *steps, last = await events_of(engine, SHORT)
    assert isinstance(first, Queued) and isinstance(last, Done)
    assert [(step.step, step.total) for step in steps if isinstance(step, StepEvent)] == [
        (1, 4),
        (2, 4),
        (3, 4),
        (4, 4),
    ]
    local = LocalEngine(str(tiny_stable_diffusion), threads=1, device="cpu")
    here = await paint(local, SHORT)
    await local.close()
    for there, picture in zip(last.result.images, here.images, strict=True):
        # which forwards were shared depends on the moment: at most 1/255
        assert np.abs(np.asarray(there, int) - np.asarray(picture, int)).max() <= 1


@pytest.mark.slow
async def test_requests_at_once_all_get_their_own(engine: RayEngine) -> None:
    requests = [ImageRequest("a mug", seeds=(k,), params=SHORT.params) for k in range(6)]
    results = await asyncio.gather(*(paint(engine, request) for request in requests))
    assert [result.seeds for result in results] == [(k,) for k in range(6)]


@pytest.mark.slow
async def test_cancel_stops_the_replica_and_says_so(engine: RayEngine) -> None:
    steps = 0
    async with aclosing(engine.submit(LONG)) as events:
        with pytest.raises(RequestCancelled):
            async for event in events:
                if isinstance(event, StepEvent):
                    steps = event.step
                    assert await engine.cancel(LONG.request_id) or steps > 1
    assert 1 <= steps < 200
    while (await engine._handle.stats.remote())["running"]:
        await asyncio.sleep(0.01)
    assert (await engine._handle.stats.remote())["denoise_calls"] < 200
    assert not await engine.cancel(LONG.request_id)
    assert (await paint(engine, ImageRequest("after", params=SHORT.params))).images


@pytest.mark.slow
async def test_errors_come_back_as_themselves(engine: RayEngine) -> None:
    with pytest.raises(InvalidRequest):
        await paint(engine, ImageRequest(" "))
    with pytest.raises(InvalidRequest, match="sampler"):
        await paint(engine, ImageRequest("a", params=SamplingParams(sampler="no such sampler")))


@pytest.mark.slow
async def test_a_model_that_is_not_there_is_not_loaded(cluster: None, tmp_path: Path) -> None:
    broken = deploy(str(tmp_path), name="broken", replicas=RayReplicas(cpus=0.1))
    with pytest.raises(ModelNotLoaded):
        await broken.load()


@pytest.mark.slow
async def test_a_closed_engine_stays_closed(engine: RayEngine) -> None:
    other = RayEngine(engine._handle, engine.model)
    await other.close()
    with pytest.raises(EngineClosed):
        await paint(other, ImageRequest("a mug"))
