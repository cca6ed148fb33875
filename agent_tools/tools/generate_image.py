"""generate_image: paint pictures from words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from agent_tools.painting import (
    MAX_SEED,
    PromptText,
    group_of,
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
from agent_tools.wording import wording
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from agent_tools.studio import Studio


class GenerateImageArguments(Arguments):
    """What to paint."""

    prompt: PromptText = Field(
        description="What the picture shows, in plain words: subject, color, material, background. "
        "Example: 'a purple teapot on a white background'."
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


class GenerateImageOutput(BaseModel):
    """The pictures and how they were painted."""

    images: list[ImageInfo]
    prompt: str = Field(description="The words they were painted from.")
    model: str
    steps: int | None = Field(description="Denoising steps used.")
    guidance: float | None = Field(description="Guidance used.")
    seconds: float = Field(description="Time the engine took.")
    warnings: list[str] = Field(description="What may be different from what was asked.")


class GenerateImage(Tool):
    """Text to image."""

    name = "generate_image"
    title = "Generate image"
    description = (
        "Paint one to four new pictures from a description and keep them in the gallery. "
        "Use it for a single scene or object; for the same product in several colors use "
        "create_product_variants, for a person create_persona_avatar, for anything with text, "
        "boxes or arrows draw_diagram. Describe everything that should be visible in one phrase. "
        "Returns image ids (for edit_image, get_image, export_to_kb), seeds, captions and small "
        "copies. To try again with a small change, repeat the call with the reported seed. "
        'Example: {"prompt": "a purple teapot on a white background", "count": 2}.'
    )
    Arguments = GenerateImageArguments
    Output = GenerateImageOutput
    idempotent = False  # without a seed every call paints another picture

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Paint, keep, and report."""
        asked: GenerateImageArguments = arguments
        check_prompt(asked.prompt)
        request = ImageRequest(
            prompt=asked.prompt,
            negative_prompt=asked.negative_prompt,
            width=asked.width,
            height=asked.height,
            seeds=seeds_from(asked.seed, asked.count),
            params=SamplingParams(num_inference_steps=asked.steps, guidance_scale=asked.guidance),
        )
        label = "Painting" if asked.count == 1 else f"Painting {asked.count} pictures"
        result = await paint(studio, request, progress, label=label)
        words = wording(asked.prompt)
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
                        "prompt": asked.prompt,
                        "negative_prompt": asked.negative_prompt,
                        "count": 1,
                        "seed": seed,
                        "width": image.width,
                        "height": image.height,
                        "steps": result.params.num_inference_steps,
                        "guidance": result.params.guidance_scale,
                    },
                    kind="picture",
                    group=group_of(self.name, request),
                    notes=result.warnings,
                )
                for image, seed in zip(result.images, result.seeds, strict=True)
            ]
        )
        _, shown = await keep_and_show(studio, images)
        output = GenerateImageOutput(
            images=[item.info for item in shown],
            prompt=asked.prompt,
            model=result.model,
            steps=result.params.num_inference_steps,
            guidance=result.params.guidance_scale,
            seconds=round(result.timings_s.get("total", 0.0), 2),
            warnings=list(result.warnings),
        )
        return ToolResult(text=_text(output, shown), data=output, images=shown)


def _text(output: GenerateImageOutput, shown: tuple[ToolImage, ...]) -> str:
    count = "1 picture" if len(shown) == 1 else f"{len(shown)} pictures"
    return (
        f"Painted {count} with model {output.model} ({output.steps} steps, guidance "
        f"{output.guidance}, {output.seconds} s):\n{picture_lines(shown)}"
        f"{warning_lines(output.warnings)}"
    )
