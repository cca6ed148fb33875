"""All variants of one product painted from words: one seed, so that shape and view stay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent_tools.appearance import STARTER
from agent_tools.painting import new_image, paint, seeds_from
from agent_tools.shape_likeness import outline_overlap, structure_likeness
from agent_tools.variant_batch import (
    Batch,
    MadeVariant,
    group_of_product,
    words_of_product,
)
from agent_tools.variant_wishes import VARIANTS_TOOL
from agent_tools.variants import Variant, from_painting, sharp_mask, silhouette_words, words_for
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from agent_tools.provenance import FileFormat
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress
    from agent_tools.variant_wishes import Wish
    from engine.request import ImageResult


class _Painter:
    """Paint one product again and again with the same seeds."""

    def __init__(
        self, studio: Studio, seeds: tuple[int, ...], steps: int | None, progress: Progress
    ) -> None:
        self._studio = studio
        self._steps = steps
        self._progress = progress
        self._silhouettes: dict[tuple[int, str], Image.Image | None] = {}
        self.seeds = seeds
        self.seconds = 0.0

    async def paint(
        self, prompt: str, label: str, share: tuple[float, float], seeds: tuple[int, ...]
    ) -> tuple[ImageRequest, ImageResult]:
        request = ImageRequest(
            prompt=prompt, seeds=seeds, params=SamplingParams(num_inference_steps=self._steps)
        )
        result = await paint(self._studio, request, self._progress, label=label, share=share)
        self.seconds += result.timings_s.get("total", 0.0)
        return request, result

    async def dark_twin_mask(
        self, product: str, wish: Wish, seed: int, at: float
    ) -> Image.Image | None:
        """Return where a product is that is too pale to tell, by the outline of its dark twin.

        The starter model paints the same shape for the same seed in every color.
        """
        if self._studio.engine.model != STARTER:
            return None
        prompt = silhouette_words(product, wish.scene, wish.material)
        if prompt is None:
            return None
        if (seed, prompt) not in self._silhouettes:
            _, result = await self.paint(prompt, "Painting the outline", (at, at), (seed,))
            found = await asyncio.to_thread(sharp_mask, result.images[0])
            self._silhouettes[seed, prompt] = found
        return self._silhouettes[seed, prompt]


async def paint_variants(
    studio: Studio,
    product: str,
    wishes: Sequence[Wish],
    *,
    seed: int | None,
    count: int,
    steps: int | None,
    file_format: FileFormat,
    progress: Progress,
) -> Batch:
    """Paint every variant with the same seeds, measure it and make colors exact that are off."""
    painter = _Painter(studio, seeds_from(seed, count), steps, progress)
    model = studio.engine.model
    group = group_of_product({"product": product, "seed": painter.seeds[0], "model": model})
    made: list[MadeVariant] = []
    warnings: list[str] = []
    first: dict[int, tuple[Image.Image, Image.Image | None]] = {}
    for number, wish in enumerate(wishes):
        words = words_for(product, wish, model)
        end = (number + 1) / len(wishes)
        label = f"Painting {wish.color_names or wish.name} ({number + 1} of {len(wishes)})"
        request, result = await painter.paint(
            words.prompt, label, (number / len(wishes), end), painter.seeds
        )
        warnings += [*words.warnings, *result.warnings]
        for seed_used, image in zip(result.seeds, result.images, strict=True):
            own = await asyncio.to_thread(sharp_mask, image)
            mask = own
            if mask is None and wish.color is not None:
                mask = await painter.dark_twin_mask(product, wish, seed_used, end)
            variant = Variant(image, None)
            if wish.color is not None:
                variant = await asyncio.to_thread(from_painting, image, mask, wish.color)
            reference = first.get(seed_used)
            first.setdefault(seed_used, (image, own))
            new = await asyncio.to_thread(
                new_image,
                variant.image,
                seed=seed_used,
                request=request,
                result=result,
                words=words_of_product(product, wish),
                tool=VARIANTS_TOOL,
                arguments={
                    "product": product,
                    **wish.said,
                    "seed": seed_used,
                    "steps": result.params.num_inference_steps,
                    **({} if file_format == "png" else {"format": file_format}),
                },
                kind="product",
                group=group,
                metadata=wish.metadata | {"product": product},
                notes=variant.notes,
                file_format=file_format,
            )
            made.append(
                MadeVariant(
                    wish,
                    variant.image,
                    new,
                    () if variant.measurements is None else (variant.measurements,),
                    variant.notes,
                    None
                    if reference is None
                    else await asyncio.to_thread(structure_likeness, reference[0], image),
                    None if reference is None else outline_overlap(reference[1], own),
                )
            )
    return Batch(
        group=group,
        model=model,
        seconds=painter.seconds,
        variants=tuple(made),
        seed=painter.seeds[0],
        warnings=tuple(dict.fromkeys(warnings)),
    )
