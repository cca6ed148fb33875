"""All variants of the product in a gallery picture: recolored exactly, repainted where asked.

Whatever paints, the source's bytes are kept outside the part that changes, and that is measured.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

from PIL import Image

from agent_tools.appearance import STARTER
from agent_tools.backgrounds import starter_backdrop
from agent_tools.errors import InvalidArguments
from agent_tools.painting import (
    RECIPE_VERSION,
    Input,
    marked_image,
    new_image,
    open_input,
    seeds_from,
)
from agent_tools.picture_maker import How, PictureMaker, Work
from agent_tools.recolor_checks import outside_max_change
from agent_tools.region_masks import masks_of
from agent_tools.shape_likeness import structure_likeness
from agent_tools.tools.base import ProgressEvent
from agent_tools.variant_batch import (
    Batch,
    MadeVariant,
    group_of_product,
    words_of_picture,
)
from agent_tools.variant_wishes import VARIANTS_TOOL
from engine.edit import flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tools.image_record import ImageRecord
    from agent_tools.region_arguments import RegionArguments
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress
    from agent_tools.variant_batch import FoundMask
    from agent_tools.variant_wishes import Wish

MAX_WEBP_SIDE = 16_383
EXACT_MODEL = "exact-recolor"
JPEG_NOTE = (
    "JPEG changes bytes everywhere: what holds bit for bit before it is written (no change outside "
    "the product) ends there. PNG and WebP keep it."
)


async def vary_picture(
    studio: Studio,
    image_id: str,
    regions: Sequence[RegionArguments],
    wishes: Sequence[Wish],
    how: How,
    *,
    seed: int | None,
    count: int,
    progress: Progress,
) -> Batch:
    """Give the product in a gallery picture each look; every byte outside the change stays.

    Raises:
        NotFound: if a picture is not in the gallery.
        InvalidArguments: a mask, point or box that does not fit.
        DoubtfulMask: the product cannot be told from its background; the candidate is kept.
    """
    source = studio.gallery.get(image_id)
    if how.file_format == "webp" and max(source.width, source.height) > MAX_WEBP_SIDE:
        raise InvalidArguments(
            f"A WebP has at most {MAX_WEBP_SIDE} pixels on a side; the picture is "
            f"{source.width}x{source.height}.",
            hint="Set format to png or jpeg.",
        )
    image, used = await asyncio.to_thread(open_input, studio, "image", image_id)
    started = perf_counter()
    masks, found = await asyncio.to_thread(masks_of, studio, source, image, regions)
    inputs = [used, *(mask.used for mask in found if mask.used is not None)]
    group = source.group or group_of_product({"image": source.sha256})
    maker = PictureMaker(studio, source, image, masks, how, progress)
    paints = how.paint_colors or any(wish.paints for wish in wishes)
    if studio.engine.model == STARTER:
        for wish in wishes:
            if wish.scene:
                starter_backdrop(wish.scene)  # what it cannot do is said before anything is made
    seeds = seeds_from(seed, count) if paints else (0,)
    made = []
    jobs = [
        (wish, one)
        for wish in wishes
        for one in (seeds if how.paint_colors or wish.paints else seeds[:1])
    ]
    for number, (wish, one_seed) in enumerate(jobs):
        total = len(jobs)
        verb = "Painting" if how.paint_colors or wish.paints else "Recoloring to"
        label = f"{verb} {wish.color_names or wish.name} ({number + 1} of {total})"
        await progress(ProgressEvent(number / total, 1.0, label))
        work = await maker.make(wish, one_seed, label, (number / total, (number + 1) / total))
        made.append(
            await asyncio.to_thread(
                _finished, source, image, work, wish, how, inputs, _told(image_id, found), group
            )
        )
    await progress(ProgressEvent(1.0, 1.0, "Done"))
    return Batch(
        group=group,
        model=studio.engine.model if paints else EXACT_MODEL,
        seconds=perf_counter() - started,
        variants=tuple(made),
        seed=seeds[0] if paints else None,
        source=image,
        masks=found,
    )


def _finished(
    source: ImageRecord,
    image: Image.Image,
    work: Work,
    wish: Wish,
    how: How,
    inputs: Sequence[Input],
    told: dict[str, Any],
    group: str,
) -> MadeVariant:
    """Write the file, its words and its recipe."""
    notes = list(dict.fromkeys(work.notes))
    if how.file_format == "jpeg":
        notes.append(JPEG_NOTE)
    arguments = {**told, **wish.said, **how.said}
    shared: dict[str, Any] = {
        "words": words_of_picture(source, wish),
        "kind": "product",
        "inputs": inputs,
        "group": group,
        # The source's own facts stay true (its SKU, its name), apart from what changes.
        "metadata": dict(source.metadata) | wish.metadata,
        "notes": notes,
        "file_format": how.file_format,
    }
    if work.request is not None and work.result is not None:
        seed = work.request.seeds[0]
        steps = work.result.params.num_inference_steps
        new = new_image(
            work.image,
            seed=seed,
            request=work.request,
            result=work.result,
            tool=VARIANTS_TOOL,
            arguments={**arguments, "seed": seed, "steps": steps},
            source_type="edited",
            **shared,
        )
    else:
        recipe = {
            "version": RECIPE_VERSION,
            "tool": VARIANTS_TOOL,
            "arguments": arguments,
            "model": EXACT_MODEL,
            "method": " and ".join(found.method for found in work.measurements),
            "target": " and ".join(found.target for found in work.measurements),
            "inputs": [asdict(item) for item in inputs],
        }
        new = marked_image(work.image, recipe, source_type="algorithmic", **shared)
    measurements = work.measurements
    if how.file_format == "jpeg" and work.changed is not None:
        written = Image.open(io.BytesIO(new.data)).convert("RGB")
        outside = outside_max_change(flatten(work.image)[0], written, work.changed)
        measurements = [m.model_copy(update={"outside_max_change": outside}) for m in measurements]
    return MadeVariant(
        wish,
        work.image,
        new,
        tuple(measurements),
        tuple(notes),
        structure_likeness(image, work.image),
    )


def _told(image_id: str, found: Sequence[FoundMask]) -> dict[str, Any]:
    """Return the arguments that name the picture and where its product is."""
    ids = [mask.used.image_id for mask in found if mask.used is not None]
    if not ids:
        return {"image_id": image_id}
    if len(ids) == 1:
        return {"image_id": image_id, "mask_id": ids[0]}
    return {"image_id": image_id, "regions": [{"mask_id": one} for one in ids]}
