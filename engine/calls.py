"""The pipeline runs behind one picture, and what each pipeline is called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from engine.dialect import in_dialect
from engine.plan import Plan
from engine.request import ImageRequest, SamplingParams
from engine.upscale import Pass, SecondStage, tile_seed

if TYPE_CHECKING:
    from engine.registry import ModelSpec


@dataclass(frozen=True, slots=True)
class PipelineCall:
    """One run of one diffusers pipeline.

    Attributes:
        network: "base" for the loaded model, "upscaler" for the one beside it.
        class_name: the diffusers class.
        size: width and height of what comes out, pixels.
        steps: denoising steps, as far as known before the run.
        sampler: a sampler's name, or None for the model's own.
        seed: of this run.
        wanted: arguments, whether or not the class takes them all.
        is_tile: whether it paints a part of the picture only.
    """

    network: str
    class_name: str
    size: tuple[int, int]
    steps: int
    sampler: str | None
    seed: int
    wanted: Mapping[str, Any]
    is_tile: bool = False

    def arguments(self, pipeline: Any) -> dict[str, Any]:
        """Return the keyword arguments for `pipeline.__call__`, only those that it takes."""
        import torch

        given = {
            **self.wanted,
            # CPU generators give the same noise on every device.
            "generator": torch.Generator("cpu").manual_seed(self.seed),
            "output_type": "np",
        }
        taken = inspect.signature(type(pipeline).__call__).parameters
        return {name: value for name, value in given.items() if name in taken}


# Runs calls that do not depend on each other, in any order or at once; pictures in their order.
Runner = Callable[[Sequence[PipelineCall]], list[Image.Image]]
# A plain network: one tile in, one tile `scale` times larger out.
Enlarger = Callable[[Image.Image], Image.Image]


def paint_picture(
    request: ImageRequest,
    plan: Plan,
    prompt: str,
    seed: int,
    spec: ModelSpec,
    run: Runner,
    enlarge: Enlarger | None = None,
) -> Image.Image:
    """Make one finished picture: the painting run, then the second stage, as the plan says.

    Args:
        request: what was asked.
        plan: what it means for this model.
        prompt: the completed prompt.
        seed: of this picture.
        spec: the model.
        run: runs pipelines.
        enlarge: the plain network of the second stage, if that is what the plan uses.

    Raises:
        EngineError: from `run` and `enlarge`.
    """
    picture = plan.source
    if plan.way is not None:
        [painted] = run([painting_call(request, plan, prompt, seed, spec)])
        if plan.source is None or plan.area is None:
            picture = painted
        else:
            picture = plan.area.leave(
                painted, plan.source, plan.mask, match_border=request.extend is not None
            )
    if picture is None:
        raise ValueError("a plan without a painting run needs a source")
    if plan.second is not None:
        words = _words(request, prompt)
        picture = _second_stage(plan.second, picture, words, seed, spec, run, enlarge)
    return picture


def painting_call(
    request: ImageRequest, plan: Plan, prompt: str, seed: int, spec: ModelSpec
) -> PipelineCall:
    """Return the run that paints a picture, before any second stage.

    Raises:
        ValueError: if the plan has none.
    """
    way = plan.way
    if way is None:
        raise ValueError("the plan has no painting run")
    wanted: dict[str, Any] = {**_words(request, prompt), **_sampling(plan.params, plan.size)}
    if plan.source is not None and plan.area is not None and not way.image_is_reference:
        wanted["image"] = plan.area.enter(plan.source)
        wanted["strength"] = plan.params.strength
        wanted["mask_image"] = (
            plan.area.enter_mask(plan.mask)
            if plan.mask is not None
            else Image.new("L", plan.size, 255)
        )
    if plan.references and way.reference_argument is not None:
        wanted[way.reference_argument] = list(plan.references)
    if plan.control is not None:
        wanted["control_image" if plan.source is not None else "image"] = plan.control
    return PipelineCall(
        "base",
        way.class_name,
        plan.size,
        plan.paint_steps,
        plan.params.sampler,
        seed,
        in_dialect(wanted, spec.family),
    )


def _second_stage(
    stage: SecondStage,
    picture: Image.Image,
    words: Mapping[str, Any],
    seed: int,
    spec: ModelSpec,
    run: Runner,
    enlarge: Enlarger | None,
) -> Image.Image:
    number = 0
    for one in stage.passes:
        tiles = one.cut(picture)
        if stage.class_name is None:
            if enlarge is None:
                raise ValueError("the plan needs an upscale network that was not given")
            done = [enlarge(tile) for tile in tiles]
        else:
            done = run(
                [
                    _tile_call(
                        stage,
                        stage.class_name,
                        one,
                        tile,
                        words,
                        tile_seed(seed, number + index),
                        spec,
                    )
                    for index, tile in enumerate(tiles)
                ]
            )
        number += len(tiles)
        picture = one.join(done)
    if picture.size != stage.size:
        picture = picture.resize(stage.size, Image.Resampling.LANCZOS)
    return picture


def _tile_call(
    stage: SecondStage,
    class_name: str,
    one: Pass,
    tile: Image.Image,
    words: Mapping[str, Any],
    seed: int,
    spec: ModelSpec,
) -> PipelineCall:
    size = (one.tile[0] * one.scale, one.tile[1] * one.scale)
    wanted: dict[str, Any] = {**words, **_sampling(stage.params, size), "image": tile}
    if stage.network == "base":
        wanted["strength"] = stage.params.strength
        wanted["mask_image"] = Image.new("L", size, 255)
        wanted = in_dialect(wanted, spec.family)
    return PipelineCall(
        stage.network,
        class_name,
        size,
        stage.tile_steps,
        stage.params.sampler,
        seed,
        wanted,
        is_tile=True,
    )


def _words(request: ImageRequest, prompt: str) -> dict[str, Any]:
    words: dict[str, Any] = {"prompt": prompt}
    if request.negative_prompt.strip():
        words["negative_prompt"] = request.negative_prompt
    return words


def _sampling(params: SamplingParams, size: tuple[int, int]) -> dict[str, Any]:
    return {
        "width": size[0],
        "height": size[1],
        "num_inference_steps": params.num_inference_steps,
        "guidance_scale": params.guidance_scale,
    }
