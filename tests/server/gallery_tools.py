"""A real gallery without a painting engine: exact recolors of a photograph, and noise by seed."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from pydantic import Field
from small_tools import SquareOutput, small_studio

import agent_tools
from agent_tools.image_record import ImageRecord, NewImage
from agent_tools.knowledge import Knowledge
from agent_tools.provenance import marked_png, recipe_sha256, xmp_packet
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import Arguments, Progress, ProgressEvent, Tool
from agent_tools.tools.create_product_variants import CreateProductVariants
from agent_tools.tools.export_to_kb import ExportToKb

ASSETS = Path(agent_tools.__file__).parent / "assets"
PHOTO_TITLE = "Espresso cup and saucer on a wooden table"


class NoiseArguments(Arguments):
    """What to paint."""

    prompt: str = Field(min_length=1, max_length=2000, description="The words.")
    seed: int | None = Field(default=None, ge=0, description="Same seed, same picture.")
    steps: int = Field(default=4, ge=1, le=1000, description="Steps.")


class PaintNoise(Tool):
    """Paint 64 pixels of noise that follow from words and seed; a test holds the steps."""

    name = "generate_image"
    title = "Paint noise"
    description = "Paint noise."
    Arguments = NoiseArguments
    Output = SquareOutput
    gate: ClassVar[asyncio.Event | None] = None
    seeds: ClassVar[int] = 1000

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        asked: NoiseArguments = arguments
        cls = type(self)
        seed = asked.seed
        if seed is None:
            cls.seeds += 1
            seed = cls.seeds
        digest = hashlib.sha256(f"{asked.prompt} {seed}".encode()).digest()
        picture = Image.frombytes("RGB", (4, 2), digest[:24]).resize((64, 64))
        for step in range(1, asked.steps + 1):
            preview = picture.resize((32, 32)) if studio.activity.watched else None
            message = f"Painting: step {step} of {asked.steps}"
            await progress(
                ProgressEvent(step, asked.steps + 1, message, step, asked.steps, 3.0, preview)
            )
            if cls.gate is not None and step == 2:
                await cls.gate.wait()
        recipe = {
            "version": 1,
            "tool": self.name,
            "arguments": {"prompt": asked.prompt, "seed": seed, "steps": asked.steps},
            "prompt": asked.prompt,
            "model": "noise",
            "params": {"num_inference_steps": asked.steps},
        }
        packet = xmp_packet(
            caption=asked.prompt,
            alt=asked.prompt,
            source_type="generated",
            creator_tool="test",
            recipe_hash=recipe_sha256(recipe),
        )
        kept = NewImage(
            data=marked_png(picture, packet),
            media_type="image/png",
            width=64,
            height=64,
            model="noise",
            tool=self.name,
            kind="picture",
            title=asked.prompt[:80],
            caption=asked.prompt,
            alt=asked.prompt,
            seed=seed,
            use_when=f"Someone asks to see {asked.prompt}.",
            recipe={**recipe, "timings_s": {"total": 0.1}},
        )
        shown = studio.show(studio.keep([kept])[0])
        return ToolResult(text="", data=SquareOutput(image=shown.info), images=(shown,))


def gallery_studio(settings: Settings) -> Studio:
    """Return a studio with a knowledge base and the tools above."""
    studio = small_studio(settings)
    studio.knowledge = Knowledge(studio.gallery, settings)
    tools: tuple[Tool, ...] = (PaintNoise(), CreateProductVariants(), ExportToKb())
    studio.tools |= {tool.name: tool for tool in tools}
    PaintNoise.gate = None
    return studio


async def fill(studio: Studio) -> dict[str, ImageRecord]:
    """Take in the demo's photograph, recolor it twice, paint one picture of noise."""
    gallery = studio.gallery
    photo = gallery.add_upload((ASSETS / "coffee-cup.png").read_bytes(), title=PHOTO_TITLE)
    mask = gallery.add_upload((ASSETS / "coffee-cup-mask.png").read_bytes(), kind="mask")
    await studio.call(
        "create_product_variants",
        {"image_id": photo.image_id, "mask_id": mask.image_id, "colors": ["#9caf88", "navy"]},
    )
    await studio.call("generate_image", {"prompt": "a field of noise", "seed": 5})
    named = {record.metadata.get("color"): record for record in gallery.list(kind="product")}
    return {
        "photo": photo,
        "mask": mask,
        "navy": named["navy"],
        "sage": next(record for color, record in named.items() if color != "navy"),
        "noise": gallery.list(tool="generate_image")[0],
    }
