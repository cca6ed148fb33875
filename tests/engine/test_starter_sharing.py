"""What reproducibility is promised, tested on the model that ships."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import paint

from engine import ImageRequest, SamplingParams

pytestmark = [pytest.mark.anyio, pytest.mark.weights]
REQUESTS = [
    ImageRequest(
        f"a {thing}",
        seeds=(seed,),
        params=SamplingParams(num_inference_steps=steps, guidance_scale=guidance),
    )
    for seed, (thing, steps, guidance) in enumerate(
        [("red mug", 8, 2.5), ("teal teapot", 8, 2.5), ("green lamp", 4, 1.0), ("vase", 4, 1.0)]
    )
]


async def test_in_a_crowd_the_starter_paints_what_it_paints_alone(open_engine) -> None:
    engine = await open_engine("starter")
    crowd = await asyncio.gather(*(paint(engine, each) for each in REQUESTS))
    assert any(result.shared_forwards for result in crowd)
    for wanted, result in zip(REQUESTS, crowd, strict=True):
        alone = await paint(engine, replace(wanted, deterministic=True, request_id="alone"))
        pair = [np.asarray(each.images[0]).astype(int) for each in (alone, result)]
        largest = np.abs(pair[0] - pair[1]).max()
        assert largest <= (0 if alone.precision.startswith("bfloat16") else 1)


async def test_alone_the_starter_repeats_itself_bitwise(open_engine) -> None:
    engine = await open_engine("starter")
    wanted = replace(REQUESTS[0], deterministic=True)
    quiet = await paint(engine, wanted)
    crowd = [replace(each, request_id=f"crowd {n}") for n, each in enumerate(REQUESTS[1:])]
    busy = await asyncio.gather(
        paint(engine, replace(wanted, request_id="busy")), *(paint(engine, each) for each in crowd)
    )
    assert busy[0].shared_forwards == 0
    assert busy[0].images[0].tobytes() == quiet.images[0].tobytes()
    other = await paint(engine, replace(wanted, seeds=(77,), request_id="other"))
    assert other.images[0].tobytes() != quiet.images[0].tobytes()
