"""create_product_variants: the same product in other colors, with proof of how close they came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from agent_tools.errors import InvalidArguments
from agent_tools.painting import MAX_SEED, keep_and_show, warning_lines
from agent_tools.policy import check_prompt
from agent_tools.product_variants import (
    TOOL,
    Batch,
    Product,
    paint_variants,
    recolor_variants,
    sheet_of,
)
from agent_tools.repeats import Fresh
from agent_tools.results import ImageInfo, Measurements, ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool
from agent_tools.variants import colors_of
from agent_tools.wording import upper_first

if TYPE_CHECKING:
    from agent_tools.color import NamedColor
    from agent_tools.studio import Studio

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
    fresh: Fresh = False


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


class CreateProductVariants(Tool):
    """Product variants, painted with one seed or recolored exactly."""

    name = TOOL
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
        asked: CreateProductVariantsArguments = arguments
        _check_combination(asked)
        colors, warnings = colors_of(asked.colors)
        if asked.image_id is not None:
            batch = await recolor_variants(
                studio, asked.image_id, asked.mask_id, colors, progress=progress
            )
        else:
            product = Product(asked.product or "", asked.scene or "", asked.material or "")
            check_prompt(product.product, product.scene, product.material)
            batch = await paint_variants(
                studio, product, colors, seed=asked.seed, steps=asked.steps, progress=progress
            )
        new = list(batch.images)
        if len(new) > 1:
            said = asked.model_dump(exclude_none=True, exclude={"fresh"})
            new.insert(0, await asyncio.to_thread(sheet_of, batch, colors, said))
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


def _own_warnings(batch: Batch, colors: list[tuple[str, NamedColor]]) -> list[str]:
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
