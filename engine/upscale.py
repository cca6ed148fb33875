"""The second stage: a picture in overlapping tiles through a model, blended without seams.

Three ways: a diffusers upscale pipeline, a plain network (a GAN upscaler), or, without either,
low-strength image-to-image over the enlarged picture with the loaded model itself. Tiles keep
memory and each model's own working size; cosine windows that end at zero on a tile's edge leave
no seam (the same idea as MultiDiffusion, arXiv:2302.08113, applied to pixels).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from engine.errors import InvalidRequest, UnsupportedMode
from engine.registry import KNOWN_MODELS, ModelSpec
from engine.request import SamplingParams
from engine.ways import Companions, UpscalerSpec, start_class

# Share of a tile that its neighbor also covers.
_OVERLAP = 0.25
# Enough to add detail of the model's own, too little to move edges.
_TILE_STRENGTH = 0.3


@dataclass(frozen=True, slots=True)
class Pass:
    """Once over the whole picture.

    Attributes:
        source: size the picture is brought to before it is cut into tiles, pixels.
        tile: size of every tile, pixels.
        boxes: left and top of each tile in `source`.
        scale: how many times larger a tile comes out.
    """

    source: tuple[int, int]
    tile: tuple[int, int]
    boxes: tuple[tuple[int, int], ...]
    scale: int

    def cut(self, image: Image.Image) -> list[Image.Image]:
        """Cut a picture of any size into this pass's tiles; the edge is repeated where it ends."""
        if image.size != self.source:
            image = image.resize(self.source, Image.Resampling.LANCZOS)
        pad = [max(0, self.tile[axis] - self.source[axis]) for axis in (0, 1)]
        if any(pad):
            pixels = np.pad(np.asarray(image), ((0, pad[1]), (0, pad[0]), (0, 0)), mode="edge")
            image = Image.fromarray(pixels)
        width, height = self.tile
        return [image.crop((x, y, x + width, y + height)) for x, y in self.boxes]

    def join(self, tiles: Sequence[Image.Image]) -> Image.Image:
        """Blend the tiles, each `scale` times larger by now, into one picture."""
        size = (self.tile[0] * self.scale, self.tile[1] * self.scale)
        whole = [max(self.source[axis], self.tile[axis]) * self.scale for axis in (0, 1)]
        total = np.zeros((whole[1], whole[0], 3), dtype=np.float32)
        weights = np.zeros((whole[1], whole[0], 1), dtype=np.float32)
        window = np.outer(_window(size[1]), _window(size[0]))[..., None].astype(np.float32)
        for (x, y), tile in zip(self.boxes, tiles, strict=True):
            part = np.s_[
                y * self.scale : y * self.scale + size[1], x * self.scale : x * self.scale + size[0]
            ]
            total[part] += np.asarray(tile, dtype=np.float32) * window
            weights[part] += window
        blended = Image.fromarray((total / weights).round().clip(0, 255).astype(np.uint8))
        return blended.crop((0, 0, self.source[0] * self.scale, self.source[1] * self.scale))


@dataclass(frozen=True, slots=True)
class SecondStage:
    """How a picture is enlarged.

    Attributes:
        size: width and height of the result, exact, pixels.
        passes: one after the other; each starts from what the one before made.
        network: "base" for the model that paints, "upscaler" for a network of its own.
        class_name: the diffusers class of each tile's run; None for a plain network.
        params: sampling parameters of each run.
        tile_steps: denoising steps of each run.
    """

    size: tuple[int, int]
    passes: tuple[Pass, ...]
    network: str
    class_name: str | None
    params: SamplingParams
    tile_steps: int

    @property
    def steps(self) -> int:
        """Denoising steps of the whole stage."""
        return self.tile_steps * sum(len(one.boxes) for one in self.passes)


def plan_second_stage(
    size: tuple[int, int],
    factor: int,
    params: SamplingParams,
    spec: ModelSpec,
    companions: Companions,
) -> SecondStage:
    """Choose the way to enlarge a picture of `size`, and its tiles.

    Args:
        size: width and height before, pixels.
        factor: 2 or 4.
        params: what was asked for this stage; None where the way's own default shall do.
        spec: the model that paints.
        companions: what was loaded beside it.

    Raises:
        UnsupportedMode: if there is no way; names models and the setting that make one.
        InvalidRequest: if `params` has what the way does not know.
    """
    goal = (size[0] * factor, size[1] * factor)
    if companions.upscaler is not None:
        return _by_network(size, goal, factor, params, companions.upscaler)
    class_name = start_class(spec)
    if class_name is None or spec.fixed_size:
        # A model that was trained on whole pictures of one size paints a whole picture into every
        # tile, even at a strength of 0.1.
        able = ", ".join(
            known.name for known in KNOWN_MODELS if not known.fixed_size and start_class(known)
        )
        raise UnsupportedMode(
            f"Model '{spec.name}' cannot enlarge pictures.",
            hint=f"Set 'upscaler' to an upscale network, or use one of: {able}.",
        )
    steps = params.num_inference_steps or spec.steps
    strength = params.strength or _TILE_STRENGTH
    steps = max(steps, math.ceil(1 / strength))
    guidance = spec.guidance if params.guidance_scale is None else params.guidance_scale
    multiple = spec.family.multiple
    one = _pass(goal, _round_up(spec.size, multiple), multiple, 1)
    params = SamplingParams(steps, guidance, params.sampler, strength)
    return SecondStage(goal, (one,), "base", class_name, params, max(1, int(steps * strength)))


def tile_seed(seed: int, number: int) -> int:
    """Derive the seed of tile `number`: equal noise in every tile would show as a pattern."""
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _by_network(
    size: tuple[int, int],
    goal: tuple[int, int],
    factor: int,
    params: SamplingParams,
    upscaler: UpscalerSpec,
) -> SecondStage:
    if params.strength is not None:
        raise InvalidRequest(
            f"Upscaler '{upscaler.name}' has no strength.", hint="Leave strength unset."
        )
    passes = []
    reached = 1
    while reached < factor:
        source = (size[0] * reached, size[1] * reached)
        passes.append(_pass(source, upscaler.tile, upscaler.multiple, upscaler.scale))
        reached *= upscaler.scale
    if upscaler.class_name is None:
        own = SamplingParams()
    else:
        guidance = params.guidance_scale
        own = SamplingParams(
            params.num_inference_steps or upscaler.steps,
            upscaler.guidance if guidance is None else guidance,
            params.sampler,
        )
    steps = own.num_inference_steps or 0
    return SecondStage(goal, tuple(passes), "upscaler", upscaler.class_name, own, steps)


def _pass(source: tuple[int, int], side: int, multiple: int, scale: int) -> Pass:
    tile = (
        min(side, _round_up(source[0], multiple)),
        min(side, _round_up(source[1], multiple)),
    )
    columns, rows = (_starts(source[axis], tile[axis]) for axis in (0, 1))
    return Pass(source, tile, tuple((x, y) for y in rows for x in columns), scale)


def _starts(length: int, tile: int) -> list[int]:
    """Spread tiles evenly over a length so that neighbors overlap by at least `_OVERLAP`."""
    if tile >= length:
        return [0]
    count = math.ceil((length - tile) / (tile * (1 - _OVERLAP))) + 1
    return [round(index * (length - tile) / (count - 1)) for index in range(count)]


def _window(length: int) -> np.ndarray:
    """Weights over a tile: 1 in the middle, falling to (almost) 0 at both edges."""
    return np.sin((np.arange(length) + 0.5) / length * math.pi) ** 2


def _round_up(value: int, multiple: int) -> int:
    return math.ceil(value / multiple) * multiple
