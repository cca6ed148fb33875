"""get_image: look at a picture of the gallery again, larger, with everything known about it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from agent_tools.results import ImageInfo, ToolImage, ToolResult, image_info
from agent_tools.tools.base import Arguments, Progress, Tool
from agent_tools.variant_wishes import VARIANTS_TOOL

if TYPE_CHECKING:
    from agent_tools.studio import Studio

LARGE_SIDE = 768
_SHOWN_VARIANTS = 20


class GetImageArguments(Arguments):
    """Which picture."""

    image_id: str = Field(description="From an earlier result.")


class GetImageOutput(BaseModel):
    """Everything the gallery knows about one picture."""

    image: ImageInfo
    title: str
    kind: str = Field(description="product, persona, diagram, picture, sheet, upload or mask.")
    tool: str = Field(description="The tool that made it.")
    use_when: str = Field(description="When to show it.")
    long_description: str
    tags: list[str]
    group: str | None = Field(description="Pictures of one call share it.")
    parent_id: str | None = Field(description="The picture it was made from.")
    variants_of: str | None = Field(
        default=None, description="The product's picture that it is a variant of."
    )
    variants: list[str] = Field(
        default_factory=list, description="Pictures made from this one, newest first."
    )
    metadata: dict[str, str | int | float | bool]
    recipe: dict[str, Any] = Field(description="Everything needed to make it again.")
    created_at: str = Field(description="ISO 8601, UTC.")


class GetImage(Tool):
    """Read one record."""

    name = "get_image"
    title = "Get image"
    description = (
        "Look at one picture of the gallery again, larger than in other results, with its "
        "caption, alternative text, tags and the recipe it was made by. Use it to check details "
        "before you show or edit a picture, or to repeat it. Changes nothing. To find pictures by "
        'words use find_images. Example: {"image_id": "img_0123456789abcdef01234567"}.'
    )
    Arguments = GetImageArguments
    Output = GetImageOutput
    read_only = True

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Read the record and make the larger copy."""
        asked: GetImageArguments = arguments
        record = studio.gallery.get(asked.image_id)
        thumbnail = studio.gallery.recent_thumbnail(record, LARGE_SIDE)
        if thumbnail is None:
            thumbnail = await asyncio.to_thread(
                studio.gallery.thumbnail, record.image_id, LARGE_SIDE
            )
        made_from_it = studio.gallery.list(_SHOWN_VARIANTS, parent=record.image_id)
        info = image_info(record, studio.links)
        output = GetImageOutput(
            image=info,
            title=record.title,
            kind=record.kind,
            tool=record.tool,
            use_when=record.use_when,
            long_description=record.long_description,
            tags=list(record.tags),
            group=record.group,
            parent_id=record.parent_id,
            variants_of=record.parent_id if record.tool == VARIANTS_TOOL else None,
            variants=[one.image_id for one in made_from_it],
            metadata=record.metadata,
            recipe=record.recipe,
            created_at=datetime.fromtimestamp(record.created_at, UTC).isoformat(timespec="seconds"),
        )
        shown = ToolImage(info=info, path=record.path, thumbnail=thumbnail)
        return ToolResult(text=_text(output), data=output, images=(shown,))


def _text(output: GetImageOutput) -> str:
    image = output.image
    facts = {
        "image_id": image.image_id,
        "uri": image.uri,
        "size": f"{image.width}x{image.height}",
        "title": output.title,
        "caption": image.caption,
        "alt": image.alt,
        "kind": output.kind,
        "made by": f"{output.tool}, model {image.model}",
        "seed": image.seed,
        "use when": output.use_when,
        "description": output.long_description,
        "tags": ", ".join(output.tags),
        "made from": output.parent_id,
        "made from it": ", ".join(output.variants),
        "group": output.group,
        "url": image.url,
        "created": output.created_at,
        "to make it again": json.dumps(
            {k: output.recipe[k] for k in ("tool", "arguments") if k in output.recipe},
            ensure_ascii=False,
        ),
    }
    lines = [f"{name}: {value}" for name, value in facts.items() if value not in (None, "")]
    return "\n".join(lines + [f"Note: {note}" for note in image.notes])
