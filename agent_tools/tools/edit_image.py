"""edit_image: repaint a picture of the gallery, all of it, a masked part, or beyond its edges."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from agent_tools.appearance import STARTER
from agent_tools.errors import InvalidArguments
from agent_tools.instruction import wanted_picture
from agent_tools.painting import (
    MAX_SEED,
    Input,
    PromptText,
    keep_and_show,
    new_image,
    paint,
    picture_lines,
    seeds_from,
    warning_lines,
)
from agent_tools.policy import check_prompt
from agent_tools.results import ImageInfo, ToolImage, ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool
from agent_tools.wording import Wording, lower_first, wording
from engine.edit import flatten
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from agent_tools.gallery import ImageRecord
    from agent_tools.studio import Studio

Side = Literal["left", "right", "up", "down", "all"]
_SIDES: dict[Side, tuple[int, int, int, int]] = {  # left, up, right, down
    "left": (1, 0, 0, 0),
    "right": (0, 0, 1, 0),
    "up": (0, 1, 0, 0),
    "down": (0, 0, 0, 1),
    "all": (1, 1, 1, 1),
}


class EditImageArguments(Arguments):
    """Which picture, and what it shall show."""

    image_id: str = Field(description="The picture to edit, from an earlier result.")
    prompt: PromptText = Field(
        description="What the picture shall show afterwards. With a mask: what shall be in the "
        "masked part. Describe the result ('a red teapot on a white background'); short changes "
        "('make it red') are understood for things the starter model knows."
    )
    mask_id: str | None = Field(
        default=None,
        description="A black and white picture of the same size: white is repainted, black stays "
        "untouched to the byte. Without it the whole picture may change.",
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="How far to go: 0.3 keeps most, 1 keeps nothing. Default 1 with a mask or "
        "expand, else the model's own (mostly 0.6).",
    )
    expand: Side | None = Field(
        default=None,
        description="Paint beyond the picture's edge on this side; the picture itself stays "
        "untouched. Not together with mask_id.",
    )
    expand_pixels: int = Field(
        default=64, ge=8, le=512, multiple_of=8, description="How far expand goes on each side."
    )
    negative_prompt: str = Field(default="", max_length=1000, description="What to keep away from.")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same arguments and seed give the same picture. Random, and reported, if left "
        "out.",
    )
    steps: int | None = Field(
        default=None, ge=1, le=150, description="Denoising steps; the model's default if left out."
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=30,
        description="How closely to follow the words; the model's default if left out.",
    )


class EditImageOutput(BaseModel):
    """The edited picture and what stayed."""

    images: list[ImageInfo] = Field(description="One picture.")
    source_image_id: str
    prompt: str = Field(description="The words it was painted from.")
    model: str
    strength: float | None = Field(description="Strength used; null if the model has none.")
    outside_max_change: int | None = Field(
        description="Largest change of any byte outside the repainted part, measured; 0 means "
        "untouched. null if the whole picture could change."
    )
    seconds: float = Field(description="Time the engine took.")
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What goes to the engine: RGB picture, and where it may paint (None: everywhere)."""

    image: Image.Image
    mask: Image.Image | None
    inputs: tuple[Input, ...]
    warnings: tuple[str, ...]


class EditImage(Tool):
    """Image to image, inpainting and outpainting."""

    name = "edit_image"
    title = "Edit image"
    description = (
        "Repaint a picture of the gallery: the whole of it, only a masked part (everything "
        "outside stays untouched to the byte, and the result proves it), or beyond its edges. The "
        "source is kept; the result is a new picture. For exact colors of a product use "
        "create_product_variants, for another expression of a person create_persona_avatar. "
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
        source = studio.gallery.get(asked.image_id)
        check_prompt(asked.prompt, source.caption)
        canvas = await asyncio.to_thread(_canvas, studio, asked, source)
        prompt = asked.prompt
        if studio.engine.model == STARTER:
            prompt = wanted_picture(asked.prompt, str(source.recipe.get("prompt", "")))
        request = ImageRequest(
            prompt=prompt,
            negative_prompt=asked.negative_prompt,
            seeds=seeds_from(asked.seed, 1),
            params=SamplingParams(
                num_inference_steps=asked.steps,
                guidance_scale=asked.guidance,
                strength=asked.strength,
            ),
            image=canvas.image,
            mask=canvas.mask,
        )
        result = await paint(studio, request, progress, label="Editing")
        painted, seed = result.images[0], result.seeds[0]
        change = await asyncio.to_thread(outside_max_change, canvas.image, painted, canvas.mask)
        warnings = [*canvas.warnings, *result.warnings]
        if change:
            warnings.append(f"Bytes outside the mask changed by up to {change}.")
        repeat = {
            **asked.model_dump(exclude_none=True),
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
                inputs=canvas.inputs,
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


def _words(asked: EditImageArguments, prompt: str, source: ImageRecord) -> Wording:
    """Say what the whole picture shows; with a mask or expand the prompt names only a part."""
    whole = asked.mask_id is None and asked.expand is None
    if whole or prompt != asked.prompt:  # a short change was joined with what was there
        return wording(prompt)
    part = lower_first(wording(asked.prompt).title)
    done = "extended" if asked.expand is not None else "edited"
    return wording(f"{source.caption.rstrip('.')}, {done} to show {part}")


def outside_max_change(
    before: Image.Image, after: Image.Image, mask: Image.Image | None
) -> int | None:
    """Measure the largest change of any byte where `mask` is 0; None without a mask.

    Raises:
        ValueError: if the pictures differ in size.
    """
    if mask is None:
        return None
    if before.size != after.size:
        raise ValueError(f"edited picture is {after.size}, its source {before.size}")
    outside = np.asarray(mask) == 0
    if not outside.any():
        return None
    pixels = [
        np.asarray(image.convert("RGB"), dtype=np.int16)[outside] for image in (before, after)
    ]
    return int(np.abs(pixels[0] - pixels[1]).max())


def _canvas(studio: Studio, asked: EditImageArguments, source: ImageRecord) -> _Canvas:
    image, warnings = flatten(studio.gallery.open_image(source.image_id))
    inputs = (Input("image", source.image_id, source.sha256),)
    if asked.expand is not None:
        if asked.mask_id is not None:
            raise InvalidArguments(
                "expand and mask_id do not go together.",
                hint="Expand first, then edit the result with a mask of its size.",
            )
        image, mask = _expanded(image, _SIDES[asked.expand], asked.expand_pixels)
        return _Canvas(image, mask, inputs, warnings)
    if asked.mask_id is None:
        return _Canvas(image, None, inputs, warnings)
    record = studio.gallery.get(asked.mask_id)
    mask = _black_and_white(studio.gallery.open_image(record.image_id))
    if mask.size != image.size:
        raise InvalidArguments(
            f"The mask is {mask.width}x{mask.height}, the picture {image.width}x{image.height}.",
            hint="Give a mask of exactly the picture's size.",
            data={"mask": list(mask.size), "image": list(image.size)},
        )
    if mask.getextrema() == (0, 0):
        raise InvalidArguments(
            "The mask is black everywhere, so nothing would be repainted.",
            hint="Paint the part to change white.",
        )
    return _Canvas(image, mask, (*inputs, Input("mask", record.image_id, record.sha256)), warnings)


def _black_and_white(mask: Image.Image) -> Image.Image:
    """Return mode "L" with only 0 and 255; transparent parts count as black."""
    if mask.mode == "RGBA":
        mask = Image.alpha_composite(Image.new("RGBA", mask.size, "black"), mask)
    return mask.convert("L").point([0] * 128 + [255] * 128)


def _expanded(
    image: Image.Image, sides: tuple[int, int, int, int], pixels: int
) -> tuple[Image.Image, Image.Image]:
    """Continue the edge colors outward, as a start for the painter, and mask the new part."""
    left, up, right, down = (side * pixels for side in sides)
    array = np.pad(np.asarray(image), ((up, down), (left, right), (0, 0)), mode="edge")
    mask = Image.new("L", (array.shape[1], array.shape[0]), 255)
    mask.paste(0, (left, up, left + image.width, up + image.height))
    return Image.fromarray(array), mask


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
