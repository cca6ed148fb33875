"""What goes wrong in one request stays there: bad input, memory, a forward that hangs."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest
from crowd import difference, small, together
from engine_helpers import paint

from engine.errors import GenerationFailed, OutOfMemory

pytestmark = pytest.mark.anyio


class Breaking:
    """A denoiser whose forwards fail as told; `rows` collects the rows it was called with."""

    def __init__(self, monkeypatch, fails) -> None:
        from diffusers import UNet2DConditionModel

        self.rows: list[int] = []
        original = UNet2DConditionModel.forward
        breaking = self

        def forward(module, sample, *args, **kwargs):
            breaking.rows.append(len(sample))
            error = fails(sample)
            if error is not None:
                raise error
            return original(module, sample, *args, **kwargs)

        monkeypatch.setattr(UNet2DConditionModel, "forward", forward)


async def test_one_bad_request_never_breaks_the_batch_it_shared(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    import torch

    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    # The bad one's forwards are known by what only they hold: latents that are not a number.
    good = [small(number, 5) for number in range(3)]
    clean = await together(engine, good)
    from engine.calls import PipelineCall

    original = PipelineCall.arguments

    def poisoned(call, view):
        arguments = original(call, view)
        if call.seed == 7:
            arguments["latents"] = torch.full((1, 4, 4, 4), float("nan"))
        return arguments

    monkeypatch.setattr(PipelineCall, "arguments", poisoned)
    Breaking(
        monkeypatch,
        lambda sample: ValueError("no such number") if sample.isnan().any() else None,
    )
    results = await asyncio.gather(
        *(paint(engine, replace(each, request_id=f"again {each.seeds}")) for each in good),
        paint(engine, replace(small(7, 5), request_id="bad")),
        return_exceptions=True,
    )
    assert isinstance(results[-1], GenerationFailed)
    assert "no such number" in str(results[-1])
    for result, before in zip(results, clean, strict=False):
        assert difference(result, before) <= 1


async def test_out_of_memory_halves_the_batch_and_everybody_gets_a_picture(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    import torch

    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    breaking = Breaking(
        monkeypatch,
        lambda sample: torch.OutOfMemoryError("CUDA out of memory") if len(sample) > 2 else None,
    )
    results = await together(engine, [small(number, 8) for number in range(6)])
    assert all(result.images for result in results)
    assert max(breaking.rows) > 2, "it was tried"
    assert breaking.rows.count(max(breaking.rows)) <= 2, "and learned from"


async def test_memory_that_is_short_for_a_moment_is_waited_out(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    clean = await paint(engine, small(1))
    failures = [MemoryError()]
    Breaking(monkeypatch, lambda sample: failures.pop() if failures else None)
    again = await paint(engine, replace(small(1), request_id="again"))
    assert again.images[0].tobytes() == clean.images[0].tobytes()
    assert not failures


async def test_a_picture_too_large_to_decode_is_decoded_in_tiles(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    import torch
    from diffusers import AutoencoderKL

    engine = await open_engine(tiny_stable_diffusion)
    await engine.load()
    original = AutoencoderKL.decode

    def decode(self, z, *args, **kwargs):
        if not self.use_tiling:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(self, z, *args, **kwargs)

    monkeypatch.setattr(AutoencoderKL, "decode", decode)
    assert (await paint(engine, small(1))).images


async def test_what_never_fits_is_a_clear_error_and_the_engine_lives(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    engine = await open_engine(tiny_stable_diffusion)
    with monkeypatch.context() as patch:
        Breaking(patch, lambda sample: MemoryError())
        with pytest.raises(OutOfMemory, match="smaller size"):
            await paint(engine, small(1))
    assert (await paint(engine, replace(small(1), request_id="after"))).images
    assert engine.health().ok


async def test_a_wedged_forward_turns_health_red_and_the_rest_green_again(
    tiny_stable_diffusion, open_engine, monkeypatch
) -> None:
    from engine import pulse

    monkeypatch.setattr(pulse, "_WEDGED_FLOOR_S", 0.05)
    engine = await open_engine(tiny_stable_diffusion)
    await paint(engine, small(1, 8))
    entered, leave = threading.Event(), threading.Event()

    def wedge(sample) -> None:
        entered.set()
        leave.wait(60)

    with monkeypatch.context() as patch:
        Breaking(patch, wedge)
        stuck = asyncio.create_task(paint(engine, small(2, 1)))
        await asyncio.to_thread(entered.wait, 60)
        while engine.health().ok:
            await asyncio.sleep(0.01)
        assert "denoise" in engine.health().reason
        leave.set()
        await stuck
    assert engine.health().ok
