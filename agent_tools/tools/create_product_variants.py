"""create_product_variants: the same product in other looks, with proof of how close they came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agent_tools.errors import InvalidArguments
from agent_tools.painting import keep_and_show, warning_lines
from agent_tools.policy import check_prompt
from agent_tools.results import ToolImage, ToolResult
from agent_tools.tools.base import Progress, Tool
from agent_tools.variant_arguments import (
    CreateProductVariantsArguments,
    CreateProductVariantsOutput,
    MaskInfo,
    ProductVariant,
    check_combination,
    wishes_of,
)
from agent_tools.variant_batch import sheet_of
from agent_tools.variant_wishes import VARIANTS_TOOL, check_fact_count

if TYPE_CHECKING:
    from agent_tools.studio import Studio
    from agent_tools.variant_batch import Batch, MadeVariant

MAX_PICTURES = 8


class CreateProductVariants(Tool):
    """Product variants, painted with one seed or made from a picture of the product."""

    name = VARIANTS_TOOL
    title = "Create product variants"
    description = (
        "Show the same product in up to 8 looks: colors, materials, scenes, styles. From words "
        "(product): every look is painted with the same seed, then its color is measured and made "
        "exact. From a picture (image_id): a color changes only the product, light and shade stay, "
        "every byte outside stays, and the result proves it; material, scene and style are painted "
        "around or inside the product. Say where the product is with point, box, from_color or "
        "mask_id, unless it stands on a plain background; several regions take one color each. "
        "Returns one image id per look with its measured difference (delta E; below 2 is a match) "
        "and a sheet of all. Examples: "
        '{"product": "glossy teapot", "colors": ["purple", "sage"], "scene": "white background"}; '
        '{"image_id": "img_0123456789abcdef01234567", "point": [250, 230], "colors": ["navy"]}; '
        '{"image_id": "img_0123456789abcdef01234567", "regions": [{"from_color": "red"}, '
        '{"from_color": "white"}], "variants": [{"colors": ["sage", "navy"], "sku": "M-7"}]}.'
    )
    Arguments = CreateProductVariantsArguments
    Output = CreateProductVariantsOutput
    idempotent = False  # without a seed every call paints another product

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Make, measure, keep, and report."""
        # What works on pixels is imported when it is needed: tools are listed without it.
        from agent_tools.picture_maker import How
        from agent_tools.picture_variants import vary_picture
        from agent_tools.product_variants import paint_variants

        asked: CreateProductVariantsArguments = arguments
        wishes, warnings = wishes_of(asked)
        check_combination(asked, wishes)
        pictures = len(wishes) * asked.count
        if pictures > MAX_PICTURES:
            raise InvalidArguments(
                f"{len(wishes)} variants times count {asked.count} are {pictures} pictures; "
                f"{MAX_PICTURES} at most.",
                hint="Ask for fewer at a time.",
            )
        check_prompt(
            asked.product or "",
            *(text for wish in wishes for text in (wish.scene, wish.material, wish.style)),
        )
        if asked.image_id is not None:
            check_fact_count(wishes, studio.gallery.get(asked.image_id).metadata)
            batch = await vary_picture(
                studio,
                asked.image_id,
                asked.all_regions,
                wishes,
                How(
                    asked.product or "",
                    asked.anchor,
                    asked.keep_prints,
                    asked.mode == "generate",
                    asked.steps,
                    asked.format,
                ),
                seed=asked.seed,
                count=asked.count,
                progress=progress,
            )
        else:
            check_fact_count(wishes, {"product": ""})
            batch = await paint_variants(
                studio,
                asked.product or "",
                wishes,
                seed=asked.seed,
                count=asked.count,
                steps=asked.steps,
                file_format=asked.format,
                progress=progress,
            )
        said = asked.model_dump(exclude_none=True, exclude_defaults=True, exclude={"fresh"})
        sheet = await asyncio.to_thread(sheet_of, batch, said)
        # What matters most comes first: the sheet of several, the picture itself of one.
        alone = len(batch.variants) == 1
        new = [made.new for made in batch.variants]
        _, shown = await keep_and_show(studio, [*new, sheet] if alone else [sheet, *new])
        singles = shown[:-1] if alone else shown[1:]
        output = CreateProductVariantsOutput(
            variants=[
                _described(made, item) for made, item in zip(batch.variants, singles, strict=True)
            ],
            sheet=(shown[-1] if alone else shown[0]).info,
            group=batch.group,
            source_image_id=asked.image_id,
            mask=batch.masks[0].source if batch.masks else None,
            masks=[
                MaskInfo(mask_id=found.image_id, source=found.source, area=found.area)
                for found in batch.masks
            ],
            seed=batch.seed,
            model=batch.model,
            seconds=round(batch.seconds, 2),
            warnings=[*warnings, *batch.warnings, *_own_warnings(batch)],
        )
        return ToolResult(text=_text(output), data=output, images=shown)


def _described(made: MadeVariant, item: ToolImage) -> ProductVariant:
    color = made.wish.color
    several = len(made.measurements) > 1
    return ProductVariant(
        name=made.wish.name,
        color=made.wish.color_names,
        color_hex="" if color is None else color.hex,
        sku=made.wish.sku or None,
        image=item.info,
        measurements=made.measurements[0] if made.measurements else None,
        region_measurements=list(made.measurements) if several else [],
        alike=made.alike,
        outline_overlap=made.outline_overlap,
    )


def _own_warnings(batch: Batch) -> list[str]:
    """Return what concerns single variants, each naming its look."""
    found = [
        f"{made.wish.name}: {note}"
        for made in batch.variants
        for note in (*made.notes, *(w for m in made.measurements for w in m.warnings))
    ]
    return list(dict.fromkeys(found))


def _text(output: CreateProductVariantsOutput) -> str:
    lines = [f"{k}. {_line(variant)}" for k, variant in enumerate(output.variants, start=1)]
    if output.source_image_id is None:
        how = f"Painted with model {output.model}, seed {output.seed}"
    else:
        where = ", ".join(
            found.source + (f" {found.mask_id}" if found.mask_id else "") for found in output.masks
        )
        done = "Recolored" if output.seed is None else f"Painted with {output.model} over"
        exactly = " exactly" if output.seed is None else f", seed {output.seed}"
        how = f"{done} {output.source_image_id}{exactly} (mask: {where})"
    count = len(output.variants)
    return (
        f"{how}: {count} variant{'' if count == 1 else 's'} in {output.seconds} s.\n"
        + "\n".join(lines)
        + f"\nAll on one picture: image_id={output.sheet.image_id}"
        + warning_lines(output.warnings)
    )


def _line(variant: ProductVariant) -> str:
    measured = variant.region_measurements or (
        [variant.measurements] if variant.measurements else []
    )
    proof = [f"delta E {found.achieved_delta_e:.1f} to {found.target}" for found in measured]
    if variant.color and not measured:
        proof.append("color not measured")
    if measured and measured[0].outside_max_change is not None:
        proof.append(f"largest change outside the product {measured[0].outside_max_change}")
    if variant.alike is not None:
        proof.append(f"structure {variant.alike:.2f} alike")
    look = f"{variant.name} ({variant.color_hex})" if variant.color_hex else variant.name
    sku = f" [{variant.sku}]" if variant.sku else ""
    return (
        f"{look}{sku}: image_id={variant.image.image_id}; {', '.join(proof)}. "
        f"{variant.image.caption}"
    )
