"""Take away or replace the background of a gallery picture; the product's own bytes stay."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from PIL import Image

from agent_tools.appearance import STARTER
from agent_tools.backgrounds import cut_out, on_color, plain_color, starter_backdrop
from agent_tools.painting import (
    RECIPE_VERSION,
    marked_image,
    new_image,
    open_input,
    paint,
    seeds_from,
)
from agent_tools.recolor_checks import outside_max_change
from agent_tools.region_masks import masks_of
from agent_tools.wording import wording
from engine.edit import flatten
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord, NewImage
    from agent_tools.region_arguments import RegionArguments
    from agent_tools.segmentation import Source
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress

TRANSPARENT = "transparent"
EXACT_MODEL = "exact-background"


@dataclass(frozen=True, slots=True)
class BackgroundEdit:
    """A picture with another background, before the gallery.

    Attributes:
        change: largest change of any byte where the mask is white; 0 is proof.
        mask_id: the mask's picture; None for the source's own transparency.
        mask: where the mask came from.
    """

    new: NewImage
    model: str
    prompt: str
    change: int
    seconds: float
    mask_id: str | None
    mask: Source
    warnings: tuple[str, ...]


async def replace_background(
    studio: Studio,
    source: ImageRecord,
    region: RegionArguments,
    background: str,
    *,
    tool: str,
    seed: int | None,
    steps: int | None,
    progress: Progress,
) -> BackgroundEdit:
    """Put what `region` means on another background.

    Args:
        studio: its gallery, segmenter and engine.
        source: the picture.
        region: where the thing is that stays; empty finds it.
        background: "transparent", a color, or words that a model paints.
        tool: the tool's name, for the recipe.
        seed: for what is painted.
        steps: likewise.
        progress: told how far it is.

    Raises:
        InvalidArguments: a region that does not fit, or words that the starter cannot paint.
        DoubtfulMask: the thing cannot be told from its background.
    """
    image, used = await asyncio.to_thread(open_input, studio, "image", source.image_id)
    transparent = background.strip().lower() in (TRANSPARENT, "none")
    color = None if transparent else plain_color(background)
    if color is None and not transparent and studio.engine.model == STARTER:
        color = starter_backdrop(background)
    warnings: tuple[str, ...] = ()
    started = perf_counter()
    masks, found = await asyncio.to_thread(masks_of, studio, source, image, [region])
    mask = masks[0]
    inputs = [used, *(one.used for one in found if one.used is not None)]
    arguments: dict[str, Any] = {"image_id": source.image_id, "background": background}
    if found[0].used is not None:
        arguments["mask_id"] = found[0].used.image_id
    what = source.title.strip(" .") or "Picture"
    behind = "cut out on a transparent background" if transparent else _behind(background)
    shared: dict[str, Any] = {
        "words": wording(f"{what}, {behind}"),
        "kind": "picture" if source.kind in ("upload", "mask") else source.kind,
        "inputs": inputs,
        "group": source.group,
        "metadata": dict(source.metadata),
    }
    if transparent or color is not None:
        made = await asyncio.to_thread(
            lambda: cut_out(image, mask) if color is None else on_color(image, mask, color)
        )
        recipe = {
            "version": RECIPE_VERSION,
            "tool": tool,
            "arguments": arguments,
            "model": EXACT_MODEL,
            "inputs": [asdict(item) for item in inputs],
        }
        new = await asyncio.to_thread(
            lambda: marked_image(made, recipe, source_type="algorithmic", **shared)
        )
        model, prompt = EXACT_MODEL, ""
    else:
        before, warnings = flatten(image)
        request = ImageRequest(
            prompt=f"{what}, {background}",
            seeds=seeds_from(seed, 1),
            params=SamplingParams(num_inference_steps=steps),
            image=before,
            mask=mask.point([255] * 128 + [0] * 128),
        )
        result = await paint(studio, request, progress, label="Painting the background")
        made = result.images[0]
        arguments |= {
            "seed": request.seeds[0],
            "steps": result.params.num_inference_steps,
        }
        warnings = (*warnings, *result.warnings)
        new = await asyncio.to_thread(
            lambda: new_image(
                made,
                seed=request.seeds[0],
                request=request,
                result=result,
                tool=tool,
                arguments=arguments,
                source_type="edited",
                notes=warnings,
                **shared,
            )
        )
        model, prompt = result.model, request.prompt
    change = await asyncio.to_thread(_kept_change, image, made, mask)
    return BackgroundEdit(
        new,
        model,
        prompt,
        change,
        perf_counter() - started,
        found[0].image_id,
        found[0].source,
        warnings,
    )


def _behind(background: str) -> str:
    plain = background.strip().rstrip(".")
    return plain if " " in plain else f"on {plain}"


def _kept_change(before: Image.Image, after: Image.Image, mask: Image.Image) -> int:
    """Measure colors where the mask is all white: alpha may differ outside, as asked."""
    changed = mask.point([255] * 255 + [0])
    return outside_max_change(before.convert("RGB"), after.convert("RGB"), changed)
