"""What reproducibility is promised, tested on the model that ships."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from engine_helpers import events_of, paint

from engine import ImageRequest, SamplingParams, StepEvent

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


async def test_previews_of_the_starter_show_what_is_coming(open_engine) -> None:
    """Halfway the preview is nearer to the finished picture than to another one."""
    engine = await open_engine("starter")
    yellow, blue = [
        await events_of(engine, ImageRequest(words, seeds=(5,), preview_every=1))
        for words in ("a yellow sofa on a white background", "a blue teapot on a gray background")
    ]
    half = next(e for e in yellow if isinstance(e, StepEvent) and e.step * 2 >= e.total).preview
    assert half is not None
    finished = [events[-1].result.images[0].resize(half.size) for events in (yellow, blue)]
    shown, ours, other = (np.asarray(image, dtype=float) for image in (half, *finished))
    assert np.abs(shown - ours).mean() < np.abs(shown - other).mean() / 2
