"""generate_image: paint pictures from words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from agent_tools.drafts import draft_sheet, draft_steps
from agent_tools.errors import InvalidArguments
from agent_tools.painting import (
    MAX_SEED,
    Input,
    PromptText,
    group_of,
    keep_and_show,
    new_image,
    open_input,
    paint,
    picture_lines,
    seeds_from,
    warning_lines,
)
from agent_tools.policy import check_prompt
from agent_tools.repeats import Fresh
from agent_tools.results import ImageInfo, ToolImage, ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool
from agent_tools.wording import wording
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio

_VARIATION = 0.5


class GenerateImageArguments(Arguments):
    """What to paint."""

    prompt: PromptText | None = Field(
        default=None,
        description="What the picture shows, in plain words: subject, color, material, background. "
        "Example: 'a purple teapot on a white background'. With vary_id the source's own "
        "words if left out.",
    )
    negative_prompt: str = Field(
        default="", max_length=1000, description="What to keep away from; needs guidance above 1."
    )
    count: int = Field(
        default=1, ge=1, le=4, description="How many pictures; picture k has seed + k."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SEED,
        description="Same words and seed give the same picture. Random, and reported, if left out.",
    )
    width: int | None = Field(
        default=None, ge=64, le=2048, description="Pixels; the model's own size if left out."
    )
    height: int | None = Field(
        default=None, ge=64, le=2048, description="Pixels; the model's own size if left out."
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        le=150,
        description="Denoising steps: more is slower and finer. The model's default if left out.",
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=30,
        description="How closely to follow the words. The model's default if left out.",
    )

    sketch_id: str | None = Field(
        default=None,
        description="A line drawing of the gallery that says where things are; for models with a "
        "ControlNet, and for edit models. Its proportions are taken unless a size is given.",
    )
    reference_ids: list[str] = Field(
        default_factory=list,
        max_length=4,
        description="Pictures of the gallery of what must be recognized; for edit models.",
    )
    draft: bool = Field(
        default=False,
        description="Paint quickly, with half the steps, to choose from: several drafts come with "
        "a numbered sheet. Go on with vary_id or upscale_image.",
    )
    vary_id: str | None = Field(
        default=None,
        description="A picture of an earlier result: paint variations of it, in its words.",
    )
    variation: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="With vary_id: how far they may go, 0.3 close, 0.8 far; 0.5 if left out.",
    )
    upscale: Literal[2, 4] | None = Field(
        default=None,
        description="Paint, then enlarge by this factor and add detail, in one go.",
    )
    model: str | None = Field(
        default=None,
        max_length=200,
        description="Which of the server's models paints; its default if left out.",
    )
    fresh: Fresh = False


class GenerateImageOutput(BaseModel):
    """The pictures and how they were painted."""

    images: list[ImageInfo]
    sheet: ImageInfo | None = Field(
        default=None, description="Several drafts on one picture, numbered in this order."
    )
    prompt: str = Field(description="The words they were painted from.")
    model: str
    steps: int | None = Field(description="Denoising steps used.")
    guidance: float | None = Field(description="Guidance used.")
    seconds: float = Field(description="Time the engine took.")
    warnings: list[str] = Field(description="What may be different from what was asked.")


class GenerateImage(Tool):
    """Text to image; also after a sketch or references, and with a second stage."""

    name = "generate_image"
    title = "Generate image"
    description = (
        "Paint one to four new pictures from a description and keep them in the gallery. "
        "Use it for a single scene or object; for the same product in several colors use "
        "create_product_variants, for a person create_persona_avatar, for anything with text, "
        "boxes or arrows draw_diagram. Describe everything that should be visible in one phrase. "
        "Returns image ids (for edit_image, get_image, export_to_kb), seeds, captions and small "
        "copies. To choose first, paint count=4 with draft=true, then go on with vary_id or "
        "upscale_image. To try again with a small change, repeat the call with the reported seed. "
        'Example: {"prompt": "a purple teapot on a white background", "count": 2}.'
    )
    Arguments = GenerateImageArguments
    Output = GenerateImageOutput
    idempotent = False  # without a seed every call paints another picture

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Paint, keep, and report."""
        asked: GenerateImageArguments = arguments
        source = _source(studio, asked)
        prompt = asked.prompt or (_prompt_of(source) if source is not None else "")
        check_prompt(prompt)
        varied = None
        if source is not None:
            varied = await asyncio.to_thread(open_input, studio, "image", source.image_id)
        sketch, references = await asyncio.to_thread(_open_pictures, studio, asked)
        steps = asked.steps
        if asked.draft and steps is None:
            steps = draft_steps(asked.model or studio.engine.model)
        request = ImageRequest(
            prompt=prompt,
            negative_prompt=asked.negative_prompt,
            model=asked.model,
            width=asked.width,
            height=asked.height,
            seeds=seeds_from(asked.seed, asked.count),
            params=SamplingParams(
                num_inference_steps=steps,
                guidance_scale=asked.guidance,
                strength=None if source is None else (asked.variation or _VARIATION),
            ),
            image=None if varied is None else varied[0],
            sketch=None if sketch is None else sketch[0],
            references=tuple(picture for picture, _ in references),
            refine=asked.upscale is not None,
            upscale=asked.upscale,
        )
        opened = [one for one in (varied, sketch) if one is not None] + references
        inputs = [item for _, item in opened]
        label = "Painting" if asked.count == 1 else f"Painting {asked.count} pictures"
        result = await paint(studio, request, progress, label=label)
        words = wording(prompt)
        group = (source.group if source is not None else None) or group_of(self.name, request)
        said = asked.model_dump(
            exclude_none=True, exclude_defaults=True, exclude={"fresh", "draft"}
        ) | {"prompt": prompt}
        if source is not None:
            said["variation"] = result.params.strength or _VARIATION
        images = await asyncio.to_thread(
            lambda: [
                new_image(
                    image,
                    seed=seed,
                    request=request,
                    result=result,
                    words=words,
                    tool=self.name,
                    arguments={
                        **said,
                        "negative_prompt": asked.negative_prompt,
                        "count": 1,
                        "seed": seed,
                        # Before the second stage.
                        "width": image.width // (asked.upscale or 1),
                        "height": image.height // (asked.upscale or 1),
                        "steps": result.params.num_inference_steps,
                        "guidance": result.params.guidance_scale,
                    },
                    kind="picture",
                    source_type="generated" if source is None else "edited",
                    inputs=inputs,
                    group=group,
                    notes=result.warnings,
                )
                for image, seed in zip(result.images, result.seeds, strict=True)
            ]
        )
        if asked.draft and len(images) > 1:
            repeat = said | {"draft": True, "steps": result.params.num_inference_steps}
            images.insert(
                0, await asyncio.to_thread(draft_sheet, self.name, result, prompt, group, repeat)
            )
        _, shown = await keep_and_show(studio, images)
        singles = shown[len(shown) - len(result.images) :]
        output = GenerateImageOutput(
            images=[item.info for item in singles],
            sheet=shown[0].info if len(shown) > len(singles) else None,
            prompt=prompt,
            model=result.model,
            steps=result.params.num_inference_steps,
            guidance=result.params.guidance_scale,
            seconds=round(result.timings_s.get("total", 0.0), 2),
            warnings=list(result.warnings),
        )
        return ToolResult(text=_text(output, singles), data=output, images=shown)


def _open_pictures(
    studio: Studio, asked: GenerateImageArguments
) -> tuple[tuple[Image.Image, Input] | None, list[tuple[Image.Image, Input]]]:
    sketch = None
    if asked.sketch_id is not None:
        sketch = open_input(studio, "sketch", asked.sketch_id)
    return sketch, [open_input(studio, "reference", name) for name in asked.reference_ids]


def _source(studio: Studio, asked: GenerateImageArguments) -> ImageRecord | None:
    """Return the picture to vary, if one is named."""
    if asked.vary_id is not None:
        return studio.gallery.get(asked.vary_id)
    if asked.prompt is None:
        raise InvalidArguments(
            "'prompt' is missing.", hint="Say what the picture shows, or give vary_id."
        )
    if asked.variation is not None:
        raise InvalidArguments(
            "variation needs vary_id.", hint="Leave it out, or name the picture to vary."
        )
    return None


def _prompt_of(source: ImageRecord) -> str:
    return str(source.recipe.get("prompt") or source.caption or source.title)


def _text(output: GenerateImageOutput, singles: tuple[ToolImage, ...]) -> str:
    sheet = ""
    if output.sheet is not None:
        sheet = (
            f"\nAll on one picture: image_id={output.sheet.image_id}. Go on with one: vary_id for "
            "variations, upscale_image to enlarge, or the same words and its seed for the full "
            "steps."
        )
    count = "1 picture" if len(singles) == 1 else f"{len(singles)} pictures"
    return (
        f"Painted {count} with model {output.model} ({output.steps} steps, guidance "
        f"{output.guidance}, {output.seconds} s):\n{picture_lines(singles)}"
        f"{sheet}{warning_lines(output.warnings)}"
    )
