"""Small ways to run an engine and to make pictures for it."""

from __future__ import annotations

from PIL import Image, ImageDraw

from engine import Done, ImageEvent, ImageRequest, ImageResult, LocalEngine


async def events_of(engine: LocalEngine, request: ImageRequest) -> list[ImageEvent]:
    """Run a request to its end and return all of its events."""
    return [event async for event in engine.submit(request)]


async def paint(engine: LocalEngine, request: ImageRequest) -> ImageResult:
    """Run a request to its end and return its result."""
    last = (await events_of(engine, request))[-1]
    assert isinstance(last, Done)
    return last.result


def photograph(size: tuple[int, int] = (70, 52)) -> Image.Image:
    """A picture whose every pixel is worth comparing; its sides are no multiples of eight."""
    noise = Image.effect_noise(size, 80)
    return Image.merge("RGB", (noise, noise.rotate(90).resize(size), noise.rotate(180)))


def box_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """A mask that repaints a box (right and bottom included)."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask
