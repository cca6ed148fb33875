"""Samplers by name: those that fit paint, the others are refused with the list."""

from __future__ import annotations

import pytest
from engine_helpers import paint, photograph

from engine import ImageRequest, SamplingParams
from engine.errors import InvalidRequest
from engine.samplers import DIFFUSION_SAMPLERS, FLOW_MATCH_SAMPLERS, FLOW_SAMPLERS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("stable-diffusion", tuple(DIFFUSION_SAMPLERS)),
        ("stable-diffusion-v", ("dpm++ sde", "euler")),
        ("stable-diffusion-flow", tuple(FLOW_SAMPLERS)),
        ("sdxl", ("euler-a", "unipc")),
        ("flux", tuple(FLOW_MATCH_SAMPLERS)),
        ("flux2-klein", tuple(FLOW_MATCH_SAMPLERS)),
    ],
)
async def test_each_sampler_that_fits_paints_and_repeats_itself(
    family, names, model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder(family))
    pictures = set()
    for name in names:
        params = SamplingParams(num_inference_steps=3, sampler=name)
        first, second = [
            await paint(engine, ImageRequest("a red mug", width=32, height=32, params=params))
            for _ in range(2)
        ]
        assert first.params.sampler == name
        assert first.images[0].tobytes() == second.images[0].tobytes()
        pictures.add(first.images[0].tobytes())
        edited = ImageRequest(
            "a red mug",
            image=photograph((32, 32)),
            params=SamplingParams(num_inference_steps=4, strength=0.5, sampler=name),
        )
        assert (await paint(engine, edited)).images[0].size == (32, 32)
    assert len(pictures) == len(names), "each is a sampler of its own"


@pytest.mark.parametrize(
    ("family", "name", "hint"),
    [
        ("stable-diffusion", "flow-euler", "euler-a"),
        ("stable-diffusion-flow", "ddim", "flow-euler"),
        ("flux", "euler-a", "flow-euler"),
    ],
)
async def test_a_sampler_that_does_not_fit_is_refused_with_those_that_do(
    family, name, hint, model_folder, open_engine
) -> None:
    engine = await open_engine(model_folder(family))
    with pytest.raises(InvalidRequest, match=hint):
        await paint(engine, ImageRequest("x", params=SamplingParams(sampler=name)))
