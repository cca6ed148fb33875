"""All variants of one product in one go: painted from words, or recolored from a picture."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from agent_tools.appearance import STARTER
from agent_tools.contact_sheet import SheetCell, contact_sheet
from agent_tools.painting import (
    RECIPE_VERSION,
    Input,
    marked_image,
    new_image,
    paint,
    seeds_from,
)
from agent_tools.provenance import recipe_sha256
from agent_tools.segmentation import segment
from agent_tools.tools.base import Progress, ProgressEvent
from agent_tools.variants import (
    asked_words,
    from_painting,
    from_picture,
    sharp_mask,
    silhouette_words,
    words_for,
)
from agent_tools.wording import Wording, lower_first, shorten, upper_first, wording
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from agent_tools.color import NamedColor
    from agent_tools.gallery import ImageRecord, NewImage
    from agent_tools.results import Measurements
    from agent_tools.segmentation import Source
    from agent_tools.studio import Studio
    from agent_tools.variants import Variant
    from engine.request import ImageResult

TOOL = "create_product_variants"
EXACT_MODEL = "exact-recolor"


@dataclass(frozen=True, slots=True)
class Product:
    """A product in words.

    Attributes:
        product: what it is, without a color.
        scene: where it stands; may be empty.
        material: what it is made of; may be empty.
    """

    product: str
    scene: str = ""
    material: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was made, before the gallery; `images` and `variants` in the order of the colors.

    Attributes:
        seconds: time the engine, or the recoloring, took.
        seed: that all painted variants share.
        mask: where the mask of a recolored picture came from.
    """

    group: str
    model: str
    seconds: float
    images: tuple[NewImage, ...]
    variants: tuple[Variant, ...]
    seed: int | None = None
    mask: Source | None = None
    warnings: tuple[str, ...] = ()


class _Painter:
    """Paint one product again and again with the same seed."""

    def __init__(
        self, studio: Studio, seed: int | None, steps: int | None, progress: Progress
    ) -> None:
        self._studio = studio
        self._steps = steps
        self._progress = progress
        self._silhouette: Image.Image | None = None
        self.seeds = seeds_from(seed, 1)
        self.seconds = 0.0

    async def paint(
        self, prompt: str, label: str, share: tuple[float, float]
    ) -> tuple[ImageRequest, ImageResult]:
        request = ImageRequest(
            prompt=prompt,
            seeds=self.seeds,
            params=SamplingParams(num_inference_steps=self._steps),
        )
        result = await paint(self._studio, request, self._progress, label=label, share=share)
        self.seconds += result.timings_s.get("total", 0.0)
        return request, result

    async def mask_of(self, image: Image.Image, product: Product, at: float) -> Image.Image | None:
        """Return where the product is: by its own edges or, too pale, by its dark twin's.

        The starter model paints the same shape for the same seed in every color.
        """
        own = await asyncio.to_thread(sharp_mask, image)
        if own is not None or self._studio.engine.model != STARTER:
            return own
        prompt = silhouette_words(product.product, product.scene, product.material)
        if self._silhouette is None and prompt is not None:
            _, result = await self.paint(prompt, "Painting the outline", (at, at))
            self._silhouette = await asyncio.to_thread(sharp_mask, result.images[0])
        return self._silhouette


async def paint_variants(
    studio: Studio,
    product: Product,
    colors: Sequence[tuple[str, NamedColor]],
    *,
    seed: int | None,
    steps: int | None,
    progress: Progress,
) -> Batch:
    """Paint every color with the same seed, measure it and make it exact where it is off."""
    painter = _Painter(studio, seed, steps, progress)
    model = studio.engine.model
    named = {k: v for k, v in asdict(product).items() if v} | {"seed": painter.seeds[0]}
    group = _group(named | {"model": model})
    images, variants, warnings = [], [], []
    for number, (text, color) in enumerate(colors):
        words = words_for(product.product, color, product.scene, product.material, model)
        end = (number + 1) / len(colors)
        label = f"Painting {color.name} ({number + 1} of {len(colors)})"
        request, result = await painter.paint(words.prompt, label, (number / len(colors), end))
        mask = await painter.mask_of(result.images[0], product, end)
        variant = await asyncio.to_thread(from_painting, result.images[0], mask, color)
        warnings += [*words.warnings, *result.warnings]
        images.append(
            await asyncio.to_thread(
                new_image,
                variant.image,
                seed=painter.seeds[0],
                request=request,
                result=result,
                words=_words_of_product(product, color),
                tool=TOOL,
                arguments=named | {"colors": [text], "steps": result.params.num_inference_steps},
                kind="product",
                group=group,
                metadata=_facts(color) | {"product": product.product},
                notes=variant.notes,
            )
        )
        variants.append(variant)
    return Batch(
        group=group,
        model=model,
        seconds=painter.seconds,
        images=tuple(images),
        variants=tuple(variants),
        seed=painter.seeds[0],
        warnings=tuple(dict.fromkeys(warnings)),
    )


async def recolor_variants(
    studio: Studio,
    image_id: str,
    mask_id: str | None,
    colors: Sequence[tuple[str, NamedColor]],
    *,
    progress: Progress,
) -> Batch:
    """Give the product in a gallery picture each color; every byte outside the mask stays.

    Raises:
        NotFound: if a picture is not in the gallery.
        InvalidArguments: the mask has another size, is empty, or covers everything.
        Refused: there is no mask and the product cannot be told from its background.
    """
    gallery = studio.gallery
    source = gallery.get(image_id)
    inputs = [Input("image", source.image_id, source.sha256)]
    given = None
    if mask_id is not None:
        record = gallery.get(mask_id)
        inputs.append(Input("mask", record.image_id, record.sha256))
        given = await asyncio.to_thread(gallery.open_image, mask_id)
    image = await asyncio.to_thread(gallery.open_image, image_id)
    started = perf_counter()
    found = await asyncio.to_thread(segment, image, given)
    group = source.group or _group({"image": source.sha256})
    images, variants = [], []
    for number, (text, color) in enumerate(colors):
        label = f"Recoloring to {color.name} ({number + 1} of {len(colors)})"
        await progress(ProgressEvent(number / len(colors), 1.0, label))
        variant = await asyncio.to_thread(from_picture, image, found.mask, color)
        repeat = {"image_id": image_id, "mask_id": mask_id, "colors": [text]}
        measured = cast("Measurements", variant.measurements)
        recipe = {
            "version": RECIPE_VERSION,
            "tool": TOOL,
            "arguments": {k: v for k, v in repeat.items() if v is not None},
            "model": EXACT_MODEL,
            "method": measured.method,
            "target": measured.target,
            "inputs": [asdict(item) for item in inputs],
        }
        images.append(
            await asyncio.to_thread(
                marked_image,
                variant.image,
                recipe,
                words=_words_of_picture(source, color),
                kind="product",
                source_type="algorithmic",
                inputs=inputs,
                group=group,
                # The source's own facts stay true (its SKU, its name), apart from the color.
                metadata=dict(source.metadata) | _facts(color),
                notes=measured.warnings,
            )
        )
        variants.append(variant)
    await progress(ProgressEvent(1.0, 1.0, "Recolored"))
    return Batch(
        group=group,
        model=EXACT_MODEL,
        seconds=perf_counter() - started,
        images=tuple(images),
        variants=tuple(variants),
        mask=found.source,
    )


def sheet_of(
    batch: Batch, colors: Sequence[tuple[str, NamedColor]], arguments: Mapping[str, Any]
) -> NewImage:
    """Draw all variants on one picture; `arguments` make them again."""
    cells = [
        SheetCell(variant.image, color.rgb, upper_first(color.name), _detail(color, variant))
        for (_, color), variant in zip(colors, batch.variants, strict=True)
    ]
    subject = arguments.get("product") or batch.images[0].title.partition(", recolored")[0]
    names = ", ".join(color.name for _, color in colors)
    seed = {} if batch.seed is None else {"seed": batch.seed}
    recipe = {
        "version": RECIPE_VERSION,
        "tool": TOOL,
        "arguments": {**arguments, **seed},
        "model": batch.model,
    }
    return marked_image(
        contact_sheet(cells),
        recipe,
        words=wording(f"{subject} in {names}"),
        kind="sheet",
        source_type="algorithmic" if batch.seed is None else "generated",
        seed=batch.seed,
        group=batch.group,
    )


def _detail(color: NamedColor, variant: Variant) -> str:
    if variant.measurements is None:
        return color.hex
    return f"{color.hex}   \u0394E {variant.measurements.achieved_delta_e:.1f}"


def _words_of_product(product: Product, color: NamedColor) -> Wording:
    thing = " ".join(f"{product.material} {product.product}".split())
    place = f", {product.scene}" if product.scene else ""
    words = wording(f"{color.name} {thing}{place}", extra_tags=asked_words(color))
    return replace(words, use_when=_use_when(thing, color))


def _words_of_picture(source: ImageRecord, color: NamedColor) -> Wording:
    what = source.title.strip(" .") or "Product"
    words = wording(f"{what}, recolored to {color.label}", extra_tags=asked_words(color))
    return replace(words, use_when=_use_when(lower_first(what), color))


def _use_when(thing: str, color: NamedColor) -> str:
    return f"Someone asks to see {shorten(thing, 160)} in {' or '.join(asked_words(color))}."


def _facts(color: NamedColor) -> dict[str, str | int | float | bool]:
    return {"color": color.name, "color_hex": color.hex}


def _group(facts: Mapping[str, Any]) -> str:
    return f"grp_{recipe_sha256({'tool': TOOL, **facts})[:12]}"
