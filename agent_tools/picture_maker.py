"""Make one variant of a picture: recolor, repaint the product, replace its surroundings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops

from agent_tools.appearance import STARTER
from agent_tools.backgrounds import on_color, starter_backdrop
from agent_tools.painting import paint
from agent_tools.recolor import Anchor, recolor
from agent_tools.recolor_checks import outside_max_change
from agent_tools.variants import from_painting, words_for
from engine.edit import flatten
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tools.image_record import ImageRecord
    from agent_tools.provenance import FileFormat
    from agent_tools.results import Measurements
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress
    from agent_tools.variant_wishes import Wish
    from engine.request import ImageResult

STARTER_SCENE_NOTE = (
    "The starter model cannot paint scenes: the background is plain {color} instead. Set another "
    "model for more."
)
# Of the noise schedule: enough for another surface, not enough for another shape.
_REPAINT_STRENGTH = 0.6


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
class Work:
    """One variant under way; `image` is what it looks like so far."""

    image: Image.Image
    measurements: list[Measurements]
    notes: list[str]
    outside: int = 0
    changed: Image.Image | None = None  # mode "L", white where bytes may have changed
    request: ImageRequest | None = None
    result: ImageResult | None = None


class PictureMaker:
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

    async def make(self, wish: Wish, seed: int, label: str, share: tuple[float, float]) -> Work:
        """Recolor, repaint the product, repaint its surroundings: as much as was asked for."""
        work = Work(self._image, [], [])
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
        together = await asyncio.to_thread(union, self._masks)
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
        self, work: Work, wish: Wish, seed: int, label: str, share: tuple[float, float]
    ) -> None:
        together = await asyncio.to_thread(union, self._masks)
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
        self, work: Work, wish: Wish, seed: int, label: str, share: tuple[float, float]
    ) -> None:
        """Paint all but the product; its own bytes come back untouched."""
        together = await asyncio.to_thread(union, self._masks)
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
        work: Work,
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


def union(masks: Sequence[Image.Image]) -> Image.Image:
    """Return the masks of all regions as one."""
    together = masks[0]
    for mask in masks[1:]:
        together = ImageChops.lighter(together, mask)
    return together


def _hard(mask: Image.Image) -> Image.Image:
    return mask.point([0] * 128 + [255] * 128)


def _not_white(mask: Image.Image) -> Image.Image:
    """Return white wherever the product does not cover the whole pixel."""
    return mask.point([255] * 255 + [0])
