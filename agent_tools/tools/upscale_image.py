"""upscale_image: a larger copy of a picture, with detail added."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from agent_tools.painting import (
    EditSeed,
    PromptText,
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
from agent_tools.wording import Wording
from engine.request import ImageRequest, SamplingParams

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio


class UpscaleImageArguments(Arguments):
    """Which picture, and how much larger."""

    image_id: str = Field(description="The picture to enlarge, from an earlier result.")
    factor: Literal[2, 4] = Field(
        default=2, description="How many times wider and higher the result is."
    )
    prompt: PromptText | None = Field(
        default=None,
        description="What the picture shows; the words it was painted from if left out. They "
        "guide the added detail.",
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="How much detail may be added: 0.2 little, 0.5 much. The model's default if "
        "left out; not for upscale networks.",
    )
    seed: EditSeed = None
    steps: int | None = Field(
        default=None,
        ge=1,
        le=150,
        description="Denoising steps of each part; the default if left out.",
    )
    fresh: Fresh = False


class UpscaleImageOutput(BaseModel):
    """The larger picture."""

    images: list[ImageInfo] = Field(description="One picture.")
    source_image_id: str
    factor: int
    model: str
    seconds: float = Field(description="Time the engine took.")
    warnings: list[str]


class UpscaleImage(Tool):
    """The second stage over a picture that exists."""

    name = "upscale_image"
    title = "Upscale image"
    description = (
        "Make a copy of a picture that is 2 or 4 times as wide and high, with detail added by a "
        "model. The source is kept and the caption stays. Needs a model that can do it, or the "
        "setting 'upscaler'; the error says so. To paint a new picture large at once use "
        "generate_image with upscale. Returns the new image id and a small copy. Example: "
        '{"image_id": "img_0123456789abcdef01234567", "factor": 2}.'
    )
    Arguments = UpscaleImageArguments
    Output = UpscaleImageOutput
    idempotent = False  # without a seed every call paints another picture

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Enlarge, keep, and report."""
        asked: UpscaleImageArguments = arguments
        source = studio.gallery.get(asked.image_id)
        prompt = asked.prompt or str(source.recipe.get("prompt") or source.caption or source.title)
        check_prompt(prompt, source.caption)
        picture, used = await asyncio.to_thread(open_input, studio, "image", source.image_id)
        request = ImageRequest(
            prompt=prompt,
            seeds=seeds_from(asked.seed, 1),
            params=SamplingParams(num_inference_steps=asked.steps, strength=asked.strength),
            image=picture,
            upscale=asked.factor,
        )
        result = await paint(studio, request, progress, label="Enlarging")
        seed = result.seeds[0]
        image = await asyncio.to_thread(
            lambda: new_image(
                result.images[0],
                seed=seed,
                request=request,
                result=result,
                words=_words(source),
                tool=self.name,
                arguments={
                    **asked.model_dump(exclude_none=True, exclude={"fresh"}),
                    "prompt": prompt,
                    "seed": seed,
                },
                kind="picture" if source.kind in ("upload", "mask") else source.kind,
                source_type="edited",
                inputs=[used],
                group=source.group,
                metadata={**source.metadata, "enlarged_from": source.image_id},
                notes=result.warnings,
            )
        )
        _, shown = await keep_and_show(studio, [image])
        output = UpscaleImageOutput(
            images=[item.info for item in shown],
            source_image_id=source.image_id,
            factor=asked.factor,
            model=result.model,
            seconds=round(result.timings_s.get("total", 0.0), 2),
            warnings=list(result.warnings),
        )
        return ToolResult(text=_text(output, shown), data=output, images=shown)


def _words(source: ImageRecord) -> Wording:
    """Keep the words: it shows the same thing."""
    return Wording(source.title, source.caption, source.alt, source.use_when, source.tags)


def _text(output: UpscaleImageOutput, shown: tuple[ToolImage, ...]) -> str:
    return (
        f"Enlarged {output.source_image_id} {output.factor} times with model {output.model} "
        f"({output.seconds} s). The source is kept. New picture:\n{picture_lines(shown)}"
        f"{warning_lines(output.warnings)}"
    )
