"""All variants of the product in a gallery picture: recolored exactly, repainted where asked.

Whatever paints, the source's bytes are kept outside the part that changes, and that is measured.
"""

from __future__ import annotations

import asyncio
import io
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops

from agent_tools.appearance import STARTER
from agent_tools.backgrounds import on_color, starter_backdrop
from agent_tools.painting import (
    RECIPE_VERSION,
    Input,
    marked_image,
    new_image,
    open_input,
    paint,
    seeds_from,
)
from agent_tools.recolor import Anchor, recolor
from agent_tools.recolor_checks import outside_max_change
from agent_tools.region_masks import masks_of
from agent_tools.shape_likeness import structure_likeness
from agent_tools.tools.base import ProgressEvent
from agent_tools.variant_batch import (
    TOOL,
    Batch,
    MadeVariant,
    group_of_product,
    words_of_picture,
)
from agent_tools.variants import from_painting, words_for
from engine.edit import flatten
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tools.gallery import ImageRecord
    from agent_tools.provenance import FileFormat
    from agent_tools.region_masks import RegionArguments
    from agent_tools.results import Measurements
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress
    from agent_tools.variant_batch import FoundMask
    from agent_tools.variant_wishes import Wish
    from engine.request import ImageResult

EXACT_MODEL = "exact-recolor"
STARTER_SCENE_NOTE = (
    "The starter model cannot paint scenes: the background is plain {color} instead. Set another "
    "model for more."
)
# Of the noise schedule: enough for another surface, not enough for another shape.
_REPAINT_STRENGTH = 0.6
JPEG_NOTE = (
    "JPEG changes bytes everywhere: what holds bit for bit before it is written (no change outside "
    "the product) ends there. PNG and WebP keep it."
)


@dataclass(frozen=True, slots=True)
class How:
    """How variants are made from a picture.

    Attributes:
        what: the product in words, for what is painted; its title if empty.
        anchor: see `recolor`.
        keep_prints: see `recolor`.
        paint_colors: whether even a color alone is painted by the model.
        steps: denoising steps.
        file_format: of the results.
    """

    what: str = ""
    anchor: Anchor = "perceived"
    keep_prints: bool = True
    paint_colors: bool = False
    steps: int | None = None
    file_format: FileFormat = "png"

    @property
    def said(self) -> dict[str, Any]:
        """The arguments that say so, without what is the default."""
        found = {
            "product": self.what,
            "anchor": "" if self.anchor == "perceived" else self.anchor,
            "mode": "generate" if self.paint_colors else "",
            "format": "" if self.file_format == "png" else self.file_format,
        }
        kept = {} if self.keep_prints else {"keep_prints": False}
        return {name: value for name, value in found.items() if value} | kept


@dataclass(slots=True)
class _Work:
    """One variant under way; `image` is what it looks like so far."""

    image: Image.Image
    measurements: list[Measurements]
    notes: list[str]
    outside: int = 0
    changed: Image.Image | None = None  # mode "L", white where bytes may have changed
    request: ImageRequest | None = None
    result: ImageResult | None = None


class _Maker:
    """Make variants of one picture."""

    def __init__(
        self,
        studio: Studio,
        source: ImageRecord,
        image: Image.Image,
        masks: Sequence[Image.Image],
        how: How,
        progress: Progress,
    ) -> None:
        self._studio = studio
        self._source = source
        self._image = image
        self._masks = masks
        self._how = how
        self._progress = progress
        self._what = how.what or source.title.strip(" .")

    async def make(self, wish: Wish, seed: int, label: str, share: tuple[float, float]) -> _Work:
        """Recolor, repaint the product, repaint its surroundings: as much as was asked for."""
        work = _Work(self._image, [], [])
        repaints = bool(wish.material or wish.style or self._how.paint_colors)
        painted = int(repaints) + int(bool(wish.scene))
        middle = share[0] + (share[1] - share[0]) * (0.5 if painted == 2 else 1.0)
        if repaints:
            await self._repaint_product(work, wish, seed, label, (share[0], middle))
        else:
            for mask, (_, color) in zip(self._masks, wish.colors, strict=False):
                made = await asyncio.to_thread(
                    recolor,
                    work.image,
                    mask,
                    color,
                    anchor=self._how.anchor,
                    keep_prints=self._how.keep_prints,
                )
                work.image = made.image
                work.measurements.append(made.measurements)
                work.notes += made.measurements.warnings
        together = await asyncio.to_thread(_union, self._masks)
        if wish.scene:
            start = middle if repaints else share[0]
            await self._repaint_scene(work, wish, seed, label, (start, share[1]))
        else:
            work.changed = together
            before = self._image if work.result is None else flatten(self._image)[0]
            change = await asyncio.to_thread(outside_max_change, before, work.image, together)
            work.outside = max(work.outside, change)
        work.measurements = [
            found.model_copy(update={"outside_max_change": work.outside})
            for found in work.measurements
        ]
        return work

    async def _repaint_product(
        self, work: _Work, wish: Wish, seed: int, label: str, share: tuple[float, float]
    ) -> None:
        together = await asyncio.to_thread(_union, self._masks)
        words = words_for(self._what, replace(wish, scene=""), self._studio.engine.model)
        work.notes += words.warnings
        await self._paint(
            work, words.prompt, _hard(together), seed, label, share, strength=_REPAINT_STRENGTH
        )
        if len(self._masks) == len(wish.colors):
            for mask, (_, color) in zip(self._masks, wish.colors, strict=True):
                variant = await asyncio.to_thread(from_painting, work.image, mask, color, sure=True)
                work.image = variant.image
                if variant.measurements is not None:
                    work.measurements.append(variant.measurements)
                    work.notes += variant.measurements.warnings

    async def _repaint_scene(
        self, work: _Work, wish: Wish, seed: int, label: str, share: tuple[float, float]
    ) -> None:
        """Paint all but the product; its own bytes come back untouched."""
        together = await asyncio.to_thread(_union, self._masks)
        ground = together.point([255] * 128 + [0] * 128)
        if self._studio.engine.model == STARTER:
            # It knows whole products only and would paint a second one.
            color = starter_backdrop(wish.scene)
            before, warnings = flatten(work.image)
            work.image = await asyncio.to_thread(on_color, work.image, together, color)
            work.outside = outside_max_change(before, work.image, _not_white(together))
            work.notes += [*warnings, STARTER_SCENE_NOTE.format(color=color.label)]
            work.changed = _not_white(together)
            return
        prompt = f"{wish.color_names} {self._what}, {wish.scene}".strip()
        await self._paint(work, prompt, ground, seed, label, share)

    async def _paint(
        self,
        work: _Work,
        prompt: str,
        mask: Image.Image,
        seed: int,
        label: str,
        share: tuple[float, float],
        strength: float | None = None,
    ) -> None:
        before, warnings = flatten(work.image)
        request = ImageRequest(
            prompt=prompt,
            seeds=(seed,),
            params=SamplingParams(num_inference_steps=self._how.steps, strength=strength),
            image=before,
            mask=mask,
        )
        result = await paint(self._studio, request, self._progress, label=label, share=share)
        work.notes += [*warnings, *result.warnings]
        work.outside = max(work.outside, outside_max_change(before, result.images[0], mask))
        work.changed = mask
        work.image, work.request, work.result = result.images[0], request, result


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
    image, used = await asyncio.to_thread(open_input, studio, "image", image_id)
    started = perf_counter()
    masks, found = await asyncio.to_thread(masks_of, studio, source, image, regions)
    inputs = [used, *(mask.used for mask in found if mask.used is not None)]
    group = source.group or group_of_product({"image": source.sha256})
    maker = _Maker(studio, source, image, masks, how, progress)
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
    work: _Work,
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
            tool=TOOL,
            arguments={**arguments, "seed": seed, "steps": steps},
            source_type="edited",
            **shared,
        )
    else:
        recipe = {
            "version": RECIPE_VERSION,
            "tool": TOOL,
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


def _union(masks: Sequence[Image.Image]) -> Image.Image:
    together = masks[0]
    for mask in masks[1:]:
        together = ImageChops.lighter(together, mask)
    return together


def _hard(mask: Image.Image) -> Image.Image:
    return mask.point([0] * 128 + [255] * 128)


def _not_white(mask: Image.Image) -> Image.Image:
    """Return white wherever the product does not cover the whole pixel."""
    return mask.point([255] * 255 + [0])
