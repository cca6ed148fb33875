"""What a tool hands back, before a door shapes it for its client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.links import ImageLinks


class ImageInfo(BaseModel):
    """One picture as every door describes it."""

    image_id: str = Field(description="Use this id in later calls.")
    uri: str = Field(description="The picture as an MCP resource.")
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    seed: int | None = Field(default=None, description="Same seed and words give the same picture.")
    model: str = Field(description="What made it, e.g. 'starter' or 'exact-recolor'.")
    caption: str = Field(description="A sentence to show beside the picture.")
    alt: str = Field(description="Alternative text for people who cannot see it.")
    url: str | None = Field(default=None, description="Web address, when the server has one.")
    notes: list[str] = Field(default_factory=list, description="What to know about this picture.")


class Measurements(BaseModel):
    """How close a variant came to the color that was asked for."""

    target: str = Field(description="Requested color as #rrggbb.")
    target_name: str = Field(description="Requested color in words.")
    achieved_delta_e: float = Field(
        description="CIEDE2000 between the request and the product, at the anchor; below 2 is a "
        "match."
    )
    painted_delta_e: float | None = Field(
        default=None,
        description="The same for what the model painted, before its color was made exact; null "
        "for a recolored picture.",
    )
    outside_max_change: int | None = Field(
        default=None, description="Largest change of any byte outside the mask; 0 is proof."
    )
    r_log_y: float | None = Field(default=None, description="How well shading was kept, up to 1.")
    mask_area: float | None = Field(default=None, description="Share of the picture recolored.")
    clipped_share: float | None = Field(default=None, description="Share of clipped pixels.")
    method: str = Field(description="How the color was made.")
    anchor: str = Field(
        default="perceived",
        description="Where it was compared: 'perceived' in the mid-tone, 'albedo' in full light.",
    )
    warnings: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ToolImage:
    """A picture to show: its description, its file and a small copy.

    Attributes:
        info: what is published about it.
        path: the full picture on this machine (shown only by the command line).
        thumbnail: WebP bytes, longest side 384 px; of a contact sheet 1024 px.
        kind: what the gallery says it is, such as "product" or "sheet".
    """

    info: ImageInfo
    path: Path
    thumbnail: bytes
    kind: str = "picture"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The outcome of one call.

    Attributes:
        text: everything a model needs in words (ids, seeds, captions, warnings), complete alone.
        data: the same as structured data, an instance of the tool's `Output`.
        images: pictures to show, most important first.
    """

    text: str
    data: BaseModel
    images: tuple[ToolImage, ...] = ()


INLINE_LIMIT = 700_000


def within_inline_limit(
    images: tuple[ToolImage, ...], limit: int = INLINE_LIMIT
) -> tuple[tuple[ToolImage, ...], tuple[ToolImage, ...]]:
    """Split pictures into those whose thumbnails fit into one result, and the rest.

    Args:
        images: most important first.
        limit: characters of base64 in all; hosts refuse results of more than 1 MB.
    """
    used = 0
    shown, left_out = [], []
    for image in images:
        size = 4 * ((len(image.thumbnail) + 2) // 3)
        if used + size <= limit:
            used += size
            shown.append(image)
        else:
            left_out.append(image)
    return tuple(shown), tuple(left_out)


def image_info(record: ImageRecord, links: ImageLinks | None = None) -> ImageInfo:
    """Describe a gallery record as every door does."""
    return ImageInfo(
        image_id=record.image_id,
        uri=f"image://{record.image_id}",
        width=record.width,
        height=record.height,
        seed=record.seed,
        model=record.model,
        caption=record.caption,
        alt=record.alt,
        url=None if links is None else links.url(record),
        notes=list(record.notes),
    )


def tool_image(record: ImageRecord, gallery: Gallery, links: ImageLinks | None = None) -> ToolImage:
    """Return a gallery record as a picture to show, with its thumbnail."""
    return ToolImage(
        info=image_info(record, links),
        path=record.path,
        # A sheet stands for all its pictures, so they must be told apart on it.
        thumbnail=gallery.thumbnail(record.image_id, 1024 if record.kind == "sheet" else 384),
        kind=record.kind,
    )
