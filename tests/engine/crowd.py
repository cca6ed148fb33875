"""Small requests that are painted together, and how far their pictures are apart."""

from __future__ import annotations

import asyncio

import numpy as np
from engine_helpers import paint

from engine import ImageRequest, ImageResult, LocalEngine, SamplingParams


def small(seed: int, steps: int = 6, **changes: object) -> ImageRequest:
    params = SamplingParams(num_inference_steps=steps, **changes.pop("params", {}))  # type: ignore
    return ImageRequest("a red mug", seeds=(seed,), width=32, height=32, params=params, **changes)  # type: ignore


async def together(engine: LocalEngine, requests: list[ImageRequest]) -> list[ImageResult]:
    return list(await asyncio.gather(*(paint(engine, each) for each in requests)))


def difference(one: ImageResult, other: ImageResult) -> int:
    """Largest difference of any channel of any pixel."""
    pairs = zip(one.images, other.images, strict=True)
    return max(
        int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max()) for a, b in pairs
    )
