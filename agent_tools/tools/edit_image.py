"""edit_image: repaint a picture of the gallery, all of it, a masked part, or beyond its edges."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent_tools.appearance import STARTER
from agent_tools.edit_arguments import EditImageArguments, EditImageOutput, check_combination
from agent_tools.instruction import backdrop, wanted_picture
from agent_tools.painting import (
    keep_and_show,
    new_image,
    paint,
    picture_lines,
    seeds_from,
    warning_lines,
)
from agent_tools.policy import check_prompt
from agent_tools.region_arguments import RegionArguments, check_region
from agent_tools.results import ToolImage, ToolResult
from agent_tools.tools.base import Progress, Tool
from agent_tools.wording import Wording, lower_first, wording
from engine.request import ImageRequest, Margins, SamplingParams

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio

# More makes the starter paint things where only its backdrop belongs (seen in pictures).
_BACKDROP_STRENGTH = 0.1
_NO_PHOTOGRAPHS = (
    "The starter model never saw photographs: what it paints into one may not fit. A new color "
    "(create_product_variants) or background ('background') is exact."
)


class EditImage(Tool):
    """Image to image, inpainting, outpainting; also after a sketch or references."""

    name = "edit_image"
    title = "Edit image"
    description = (
        "Repaint a picture of the gallery: the whole of it, only a masked part (everything "
        "outside stays untouched to the byte, and the result proves it), or beyond its edges "
        "(extend_left and so on). background cuts a product out or puts it on another background "
        "and keeps its own bytes. The source is kept; the result is a new picture. For exact "
        "colors of a product use create_product_variants, for another expression of a person "
        "create_persona_avatar, for a larger copy upscale_image. "
        "Returns the new image id, the seed, the measurement and a small copy. Example: "
        '{"image_id": "img_0123456789abcdef01234567", "prompt": "a red teapot on a white '
        'background", "strength": 0.6}.'
    )
    Arguments = EditImageArguments
    Output = EditImageOutput
    idempotent = False  # without a seed every call paints another picture

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Repaint, measure, keep, and report."""
        asked: EditImageArguments = arguments
        # What works on pixels is imported when it is needed: tools are listed without it.
        from agent_tools.edit_pictures import kept_change, open_edit_pictures

        source = studio.gallery.get(asked.image_id)
        check_combination(asked)
        if asked.background is not None:
            return await _with_background(studio, asked, source, progress)
        check_prompt(asked.prompt or "", source.caption)
        margins = _margins(asked)
        pictures = await asyncio.to_thread(
            open_edit_pictures,
            studio,
            source.image_id,
            mask_id=asked.mask_id,
            margins=margins,
            sketch_id=asked.sketch_id,
            reference_ids=asked.reference_ids,
        )
        prompt, params, warnings = _wanted(studio, asked, source)
        request = ImageRequest(
            prompt=prompt,
            negative_prompt=asked.negative_prompt,
            seeds=seeds_from(asked.seed, 1),
            model=asked.model,
            params=params,
            image=pictures.source,
            mask=pictures.mask,
            extend=pictures.margins,
            sketch=pictures.sketch,
            references=pictures.references,
        )
        result = await paint(studio, request, progress, label="Editing")
        painted, seed = result.images[0], result.seeds[0]
        change = await asyncio.to_thread(kept_change, pictures, painted)
        warnings = [*pictures.warnings, *warnings, *result.warnings]
        if change:
            warnings.append(f"Bytes outside the mask changed by up to {change}.")
        repeat = {
            **asked.model_dump(exclude_none=True, exclude={"fresh"}),
            "seed": seed,
            "strength": result.params.strength,
            "steps": result.params.num_inference_steps,
            "guidance": result.params.guidance_scale,
        }
        image = await asyncio.to_thread(
            lambda: new_image(
                painted,
                seed=seed,
                request=request,
                result=result,
                words=_words(asked, prompt, source),
                tool=self.name,
                arguments=repeat,
                kind="picture" if source.kind in ("upload", "mask") else source.kind,
                source_type="edited",
                inputs=pictures.inputs,
                group=source.group,
                # Not the source's own facts: an edit may change its color or expression.
                metadata={"edited_from": source.image_id},
                notes=warnings,
            )
        )
        _, shown = await keep_and_show(studio, [image])
        output = EditImageOutput(
            images=[item.info for item in shown],
            source_image_id=source.image_id,
            prompt=prompt,
            model=result.model,
            strength=result.params.strength,
            outside_max_change=change,
            seconds=round(result.timings_s.get("total", 0.0), 2),
            warnings=warnings,
        )
        return ToolResult(text=_text(output, shown), data=output, images=shown)


async def _with_background(
    studio: Studio, asked: EditImageArguments, source: ImageRecord, progress: Progress
) -> ToolResult:
    from agent_tools.background_edit import replace_background

    background = asked.background or ""
    check_prompt(background, source.caption)
    region = RegionArguments(mask_id=asked.mask_id, point=asked.point, box=asked.box)
    check_region(region)
    made = await replace_background(
        studio,
        source,
        region,
        background,
        tool=EditImage.name,
        seed=asked.seed,
        steps=asked.steps,
        progress=progress,
    )
    _, shown = await keep_and_show(studio, [made.new])
    output = EditImageOutput(
        images=[item.info for item in shown],
        source_image_id=source.image_id,
        prompt=made.prompt,
        model=made.model,
        strength=None,
        outside_max_change=made.change,
        mask_id=made.mask_id,
        seconds=round(made.seconds, 2),
        warnings=list(made.warnings),
    )
    mask = f" {made.mask_id}" if made.mask_id else ""
    text = (
        f"Put {source.image_id} on another background ({background}; mask: {made.mask}{mask}; "
        f"largest change of what stays: {made.change}). The source is kept. New picture:\n"
        f"{picture_lines(shown)}{warning_lines(output.warnings)}"
    )
    return ToolResult(text=text, data=output, images=shown)


def _wanted(
    studio: Studio, asked: EditImageArguments, source: ImageRecord
) -> tuple[str, SamplingParams, list[str]]:
    """Return the prompt and parameters for the model at hand, and what to know about them."""
    params = SamplingParams(
        num_inference_steps=asked.steps, guidance_scale=asked.guidance, strength=asked.strength
    )
    said = asked.prompt or ""
    if studio.engine.model != STARTER:
        return said, params, []
    prompt = wanted_picture(said, str(source.recipe.get("prompt", "")))
    if _margins(asked) is None or asked.mask_id is not None:
        return prompt, params, [_NO_PHOTOGRAPHS] if source.kind == "upload" else []
    # It has seen whole products only and would paint a second one beyond the edge.
    params = replace(
        params,
        guidance_scale=1.0 if asked.guidance is None else asked.guidance,
        strength=asked.strength or _BACKDROP_STRENGTH,
    )
    return backdrop(prompt), params, ["The starter model continues the backdrop, nothing else."]


def _words(asked: EditImageArguments, prompt: str, source: ImageRecord) -> Wording:
    """Say what the whole picture shows; masked or extended the prompt names only a part."""
    extends = _margins(asked) is not None
    if not extends and (asked.mask_id is None or prompt != asked.prompt):
        return wording(prompt)  # the whole is painted, or a short change was joined with it
    part = lower_first(wording(prompt if extends else asked.prompt or "").title)
    done = "extended" if extends else "edited"
    return wording(f"{source.caption.rstrip('.')}, {done} to show {part}")


def _margins(asked: EditImageArguments) -> Margins | None:
    margins = Margins(asked.extend_left, asked.extend_top, asked.extend_right, asked.extend_bottom)
    return margins if any(margins) else None


def _text(output: EditImageOutput, shown: tuple[ToolImage, ...]) -> str:
    proof = (
        "the whole picture could change"
        if output.outside_max_change is None
        else f"largest change outside the repainted part: {output.outside_max_change}"
    )
    return (
        f"Edited {output.source_image_id} with model {output.model} (strength {output.strength}, "
        f"{output.seconds} s; {proof}). The source is kept. New picture:\n{picture_lines(shown)}"
        f"{warning_lines(output.warnings)}"
    )
