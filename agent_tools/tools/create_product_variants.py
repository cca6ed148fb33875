"""create_product_variants: the same product in other colors, with proof of how close they came."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import BaseModel, Field, StringConstraints

from agent_tools.contact_sheet import SheetCell, contact_sheet
from agent_tools.errors import InvalidArguments
from agent_tools.gallery import NewImage
from agent_tools.painting import (
    MAX_SEED,
    RECIPE_VERSION,
    Input,
    keep_and_show,
    marked_image,
    new_image,
    paint,
    seeds_from,
    warning_lines,
)
from agent_tools.policy import check_prompt
from agent_tools.provenance import recipe_sha256
from agent_tools.results import ImageInfo, Measurements, ToolResult
from agent_tools.tools.base import Arguments, Progress, ProgressEvent, Tool
from agent_tools.wording import Wording, lower_first, upper_first, wording
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from agent_tools.color import NamedColor
    from agent_tools.gallery import ImageRecord
    from agent_tools.studio import Studio
    from agent_tools.variants import Variant

EXACT_MODEL = "exact-recolor"
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class CreateProductVariantsArguments(Arguments):
    """A product in words or as a picture, and the colors wanted."""

    product: Words | None = Field(
        default=None,
        description="The product in words, without a color: 'ceramic teapot'. Give this or "
        "image_id.",
    )
    image_id: str | None = Field(
        default=None,
        description="A picture of the product, from an earlier result or an upload: it is "
        "recolored exactly.",
    )
    colors: list[Annotated[str, StringConstraints(min_length=1, max_length=60)]] = Field(
        min_length=1,
        max_length=8,
        description="Color names ('sage', 'navy', 'dusty rose') or hex values ('#9CAF88').",
    )
    mask_id: str | None = Field(
        default=None,
        description="With image_id: a picture of its size, white where the product is. Without "
        "it, transparency or a plain background must tell.",
    )
    scene: Words | None = Field(
        default=None, description="With product: where it stands, e.g. 'white background'."
    )
    material: Words | None = Field(
        default=None, description="With product: what it is made of, e.g. 'glossy'."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="With product: all colors share it, so shape and view stay the same. Random, "
        "and reported, if left out.",
    )
    steps: int | None = Field(
        default=None, ge=1, le=150, description="With product: denoising steps."
    )


class ProductVariant(BaseModel):
    """One color of the product."""

    color: str = Field(description="The color in words.")
    color_hex: str
    image: ImageInfo
    measurements: Measurements | None = Field(
        description="null if the painted product could not be told from its background."
    )


class CreateProductVariantsOutput(BaseModel):
    """The variants, in the order of the colors."""

    variants: list[ProductVariant]
    sheet: ImageInfo | None = Field(description="All variants on one picture, if there are more.")
    group: str = Field(description="All variants of this product share it.")
    source_image_id: str | None
    mask: str | None = Field(
        description="With image_id: where the mask came from: 'mask', 'alpha' or 'automatic'."
    )
    seed: int | None
    model: str
    seconds: float = Field(description="Time the engine or the recoloring took.")
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one call made, before the gallery."""

    group: str
    model: str
    seconds: float
    images: tuple[NewImage, ...]
    variants: tuple[Variant, ...]
    seed: int | None = None
    mask: str | None = None
    warnings: tuple[str, ...] = ()


class CreateProductVariants(Tool):
    """Product variants, painted with one seed or recolored exactly."""

    name = "create_product_variants"
    title = "Create product variants"
    description = (
        "Show the same product in up to 8 colors. From words: every color is painted with the "
        "same seed, then measured and corrected to the exact color. From a picture (image_id): "
        "only the product's color changes, light and shade stay, every byte outside the product "
        "stays, and the result proves it. A picture with a busy background needs mask_id. "
        "Returns one image id per color with its measured difference (delta E; below 2 is a "
        "match) and a sheet of all. Examples: "
        '{"product": "glossy teapot", "colors": ["purple", "sage"], "scene": "white background"}; '
        '{"image_id": "img_0123456789abcdef01234567", "colors": ["#9CAF88", "navy"]}.'
    )
    Arguments = CreateProductVariantsArguments
    Output = CreateProductVariantsOutput
    idempotent = False  # without a seed every call paints another product

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Make, measure, keep, and report."""
        from agent_tools.variants import colors_of

        asked: CreateProductVariantsArguments = arguments
        _check_combination(asked)
        colors, warnings = colors_of(asked.colors)
        if asked.image_id is None:
            batch = await _paint(studio, asked, colors, progress)
        else:
            batch = await _recolor(studio, asked, colors, progress)
        new = list(batch.images)
        if len(new) > 1:
            new.insert(0, await asyncio.to_thread(_sheet, asked, batch, colors))
        _, shown = await keep_and_show(studio, new)
        singles = shown[len(shown) - len(colors) :]
        output = CreateProductVariantsOutput(
            variants=[
                ProductVariant(
                    color=color.name,
                    color_hex=color.hex,
                    image=item.info,
                    measurements=variant.measurements,
                )
                for (_, color), item, variant in zip(colors, singles, batch.variants, strict=True)
            ],
            sheet=shown[0].info if len(shown) > len(colors) else None,
            group=batch.group,
            source_image_id=asked.image_id,
            mask=batch.mask,
            seed=batch.seed,
            model=batch.model,
            seconds=round(batch.seconds, 2),
            warnings=[*warnings, *batch.warnings, *_own_warnings(batch, colors)],
        )
        return ToolResult(text=_text(output), data=output, images=shown)


def _check_combination(asked: CreateProductVariantsArguments) -> None:
    """Refuse arguments that contradict each other rather than ignore one of them."""
    if (asked.product is None) == (asked.image_id is None):
        raise InvalidArguments(
            "Give either product (words) or image_id (a picture)."
            if asked.product is None
            else "product and image_id do not go together.",
            hint="Use product to paint it from words, image_id to recolor a picture of it.",
        )
    of_words = ("scene", "material", "seed", "steps")
    wrong = [name for name in of_words if getattr(asked, name) is not None]
    if asked.image_id is not None and wrong:
        raise InvalidArguments(
            f"{' and '.join(wrong)} cannot be used with image_id: a picture is recolored as it is.",
            hint="Leave it out, or give product instead of image_id.",
        )
    if asked.product is not None and asked.mask_id is not None:
        raise InvalidArguments(
            "mask_id needs image_id: a product from words has no picture yet.",
            hint="Leave mask_id out, or give image_id instead of product.",
        )


async def _paint(
    studio: Studio,
    asked: CreateProductVariantsArguments,
    colors: list[tuple[str, NamedColor]],
    progress: Progress,
) -> _Batch:
    from agent_tools.variants import from_painting, words_for

    product, scene, material = asked.product or "", asked.scene or "", asked.material or ""
    check_prompt(product, scene, material)
    seeds = seeds_from(asked.seed, 1)
    named = {"product": product, "scene": scene, "material": material, "seed": seeds[0]}
    group = _group(named | {"model": studio.engine.model})
    images, variants, warnings = [], [], []
    seconds, model = 0.0, studio.engine.model
    for number, (text, color) in enumerate(colors):
        words = words_for(product, color, scene, material, studio.engine.model)
        request = ImageRequest(
            prompt=words.prompt,
            seeds=seeds,
            params=SamplingParams(num_inference_steps=asked.steps),
        )
        share = (number / len(colors), (number + 1) / len(colors))
        label = f"Painting {color.name} ({number + 1} of {len(colors)})"
        result = await paint(studio, request, progress, label=label, share=share)
        variant = await asyncio.to_thread(from_painting, result.images[0], color)
        seconds += result.timings_s.get("total", 0.0)
        model = result.model
        warnings += [*words.warnings, *result.warnings]
        repeat = {k: v for k, v in named.items() if v != ""} | {
            "colors": [text],
            "steps": result.params.num_inference_steps,
        }
        images.append(
            await asyncio.to_thread(
                new_image,
                variant.image,
                seed=seeds[0],
                request=request,
                result=result,
                words=_words_of_product(asked, color),
                tool=CreateProductVariants.name,
                arguments=repeat,
                kind="product",
                group=group,
                metadata=_facts(color) | {"product": product},
                notes=variant.notes,
            )
        )
        variants.append(variant)
    return _Batch(
        group=group,
        model=model,
        seconds=seconds,
        images=tuple(images),
        variants=tuple(variants),
        seed=seeds[0],
        warnings=tuple(dict.fromkeys(warnings)),
    )


async def _recolor(
    studio: Studio,
    asked: CreateProductVariantsArguments,
    colors: list[tuple[str, NamedColor]],
    progress: Progress,
) -> _Batch:
    from time import perf_counter

    from agent_tools.segmentation import segment
    from agent_tools.variants import from_picture

    gallery = studio.gallery
    source = gallery.get(asked.image_id or "")
    inputs = [Input("image", source.image_id, source.sha256)]
    mask = None
    if asked.mask_id is not None:
        record = gallery.get(asked.mask_id)
        inputs.append(Input("mask", record.image_id, record.sha256))
        mask = await asyncio.to_thread(gallery.open_image, record.image_id)
    image = await asyncio.to_thread(gallery.open_image, source.image_id)
    started = perf_counter()
    found = await asyncio.to_thread(segment, image, mask)
    group = source.group or _group({"image": source.sha256})
    images, variants = [], []
    for number, (text, color) in enumerate(colors):
        label = f"Recoloring to {color.name} ({number + 1} of {len(colors)})"
        await progress(ProgressEvent(number / len(colors), 1.0, label))
        variant = await asyncio.to_thread(from_picture, image, found.mask, color)
        repeat = {"image_id": source.image_id, "mask_id": asked.mask_id, "colors": [text]}
        images.append(
            await asyncio.to_thread(
                _recolored_image,
                variant,
                words=_words_of_picture(source, color),
                arguments={k: v for k, v in repeat.items() if v is not None},
                inputs=inputs,
                group=group,
                # The source's facts stay true (its SKU, its name), apart from its color.
                metadata=dict(source.metadata) | _facts(color),
            )
        )
        variants.append(variant)
    await progress(ProgressEvent(1.0, 1.0, "Recolored"))
    return _Batch(
        group=group,
        model=EXACT_MODEL,
        seconds=perf_counter() - started,
        images=tuple(images),
        variants=tuple(variants),
        mask=found.source,
    )


def _recolored_image(
    variant: Variant,
    *,
    words: Wording,
    arguments: dict[str, Any],
    inputs: list[Input],
    group: str,
    metadata: dict[str, str | int | float | bool],
) -> NewImage:
    measured = cast("Measurements", variant.measurements)
    recipe = {
        "version": RECIPE_VERSION,
        "tool": CreateProductVariants.name,
        "arguments": arguments,
        "model": EXACT_MODEL,
        "method": measured.method,
        "target": measured.target,
        "inputs": [asdict(item) for item in inputs],
    }
    return marked_image(
        variant.image,
        recipe,
        words=words,
        kind="product",
        source_type="algorithmic",
        inputs=inputs,
        group=group,
        metadata=metadata,
        notes=measured.warnings,
    )


def _sheet(
    asked: CreateProductVariantsArguments, batch: _Batch, colors: list[tuple[str, NamedColor]]
) -> NewImage:
    """Draw all variants on one picture."""
    cells = [
        SheetCell(variant.image, color.rgb, upper_first(color.name), _detail(color, variant))
        for (_, color), variant in zip(colors, batch.variants, strict=True)
    ]
    subject = asked.product or batch.images[0].title.partition(",")[0]
    names = ", ".join(color.name for _, color in colors)
    recipe = {
        "version": RECIPE_VERSION,
        "tool": CreateProductVariants.name,
        "arguments": asked.model_dump(exclude_none=True)
        | ({} if batch.seed is None else {"seed": batch.seed}),
        "model": batch.model,
    }
    return marked_image(
        contact_sheet(cells),
        recipe,
        words=wording(f"{subject} in {names}"),
        kind="sheet",
        source_type="generated" if batch.seed is not None else "algorithmic",
        seed=batch.seed,
        group=batch.group,
    )


def _detail(color: NamedColor, variant: Variant) -> str:
    if variant.measurements is None:
        return color.hex
    return f"{color.hex}   \u0394E {variant.measurements.achieved_delta_e:.1f}"


def _words_of_product(asked: CreateProductVariantsArguments, color: NamedColor) -> Wording:
    thing = " ".join(f"{asked.material or ''} {asked.product}".split())
    place = f", {asked.scene}" if asked.scene else ""
    return wording(f"{color.name} {thing}{place}", extra_tags=_color_tags(color))


def _words_of_picture(source: ImageRecord, color: NamedColor) -> Wording:
    what = source.title.strip(" .") or "Product"
    words = wording(f"{what}, recolored to {color.label}", extra_tags=_color_tags(color))
    return replace(words, use_when=f"Someone asks to see {lower_first(what)} in {color.name}.")


def _color_tags(color: NamedColor) -> tuple[str, ...]:
    """Return the color's own name and the plain word that people ask with."""
    from agent_tools.variants import plain_color

    return tuple(dict.fromkeys((color.name, plain_color(color))))


def _facts(color: NamedColor) -> dict[str, str | int | float | bool]:
    return {"color": color.name, "color_hex": color.hex}


def _group(facts: dict[str, Any]) -> str:
    named = {"tool": CreateProductVariants.name, **facts}
    return f"grp_{recipe_sha256(named)[:12]}"


def _own_warnings(batch: _Batch, colors: list[tuple[str, NamedColor]]) -> list[str]:
    """Return what concerns single variants, each naming its color."""
    return [
        f"{upper_first(color.name)}: {note}"
        for (_, color), variant in zip(colors, batch.variants, strict=True)
        for note in (
            *variant.notes,
            *(variant.measurements.warnings if variant.measurements else ()),
        )
    ]


def _text(output: CreateProductVariantsOutput) -> str:
    lines = []
    for number, variant in enumerate(output.variants, start=1):
        measured = variant.measurements
        proof = "color not measured"
        if measured is not None:
            proof = f"delta E {measured.achieved_delta_e:.1f} to {measured.target}"
            if measured.outside_max_change is not None:
                proof += f", largest change outside the product {measured.outside_max_change}"
        lines.append(
            f"{number}. {variant.color} ({variant.color_hex}): image_id={variant.image.image_id}; "
            f"{proof}. {variant.image.caption}"
        )
    how = (
        f"Painted with model {output.model}, seed {output.seed}"
        if output.seed is not None
        else f"Recolored {output.source_image_id} exactly (mask: {output.mask})"
    )
    sheet = f"\nAll on one picture: image_id={output.sheet.image_id}" if output.sheet else ""
    count = len(output.variants)
    return (
        f"{how}: {count} variant{'' if count == 1 else 's'} in {output.seconds} s.\n"
        + "\n".join(lines)
        + sheet
        + warning_lines(output.warnings)
    )
