"""A kept picture as its caller wants it: another size, format, or without its background.

The gallery keeps what was painted, as PNG. Asked for exactly that, the answer is the file itself.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFilter, ImageOps

from agent_tools.errors import Refused
from agent_tools.image_record import ImageRecord
from agent_tools.provenance import marked_png, read_xmp
from agent_tools.segmentation import segment
from server.images_api.bodies import Asked, OutputFormat, Painted
from server.images_api.errors import ApiError

# Models paint on grids of 8 to 64 pixels, so their proportions are near what was asked for.
# What differs by less than the first is resized, by less than the second trimmed at its edges.
_SAME_SHAPE, _NEAR_SHAPE = 0.02, 0.1
_LONGEST_PARTIAL = 512


@dataclass(frozen=True, slots=True)
class Rendition:
    """How a picture shall look in the answer.

    Attributes:
        size: wanted width and height, or None for the picture's own.
        format: of the file.
        quality: 0 to 100, of WebP and JPEG.
        transparent: whether the background goes.
    """

    size: tuple[int, int] | None = None
    format: OutputFormat = "png"
    quality: int = 100
    transparent: bool = False

    @classmethod
    def of(cls, body: Asked) -> Rendition:
        """Read it from a body."""
        if not isinstance(body, Painted):
            return cls(body.wanted_size)
        return cls(
            body.wanted_size,
            body.output_format,
            body.output_compression,
            body.background == "transparent",
        )


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture as it is sent: its file, its size, and what was done to it."""

    data: bytes
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


def render(record: ImageRecord, wanted: Rendition) -> Rendered:
    """Return a kept picture as it is wanted. Takes time.

    Raises:
        ApiError: if its background cannot be told from the thing in front of it.
    """
    kept = record.path.read_bytes()
    size, notes = fitting_size((record.width, record.height), wanted.size)
    unchanged = size == (record.width, record.height) and not wanted.transparent
    if unchanged and record.media_type == f"image/{wanted.format}" == "image/png":
        return Rendered(kept, size)
    with Image.open(io.BytesIO(kept), formats=("PNG", "JPEG", "WEBP")) as opened:
        opened.load()
        picture = opened.copy()
    if wanted.transparent:
        picture = cut_out(picture, record.image_id)
    if picture.size != size:
        picture = _scaled(picture, size)
    xmp = read_xmp(kept) if record.media_type == "image/png" else ""
    return Rendered(encode(picture, wanted.format, wanted.quality, xmp), size, notes)


def fitting_size(
    painted: tuple[int, int], wanted: tuple[int, int] | None
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return the size of the answer's picture, and what to say about it.

    It is scaled to what is wanted and never squeezed. Where the model has painted clearly other
    proportions, the picture gets as large as fits into the wanted size, and nothing is cut off.
    """
    if wanted is None or wanted == painted:
        return painted, ()
    if _differ(painted, wanted) <= _NEAR_SHAPE:
        size, why = wanted, ""
    else:
        scale = min(wanted[0] / painted[0], wanted[1] / painted[1])
        size = (max(1, round(painted[0] * scale)), max(1, round(painted[1] * scale)))
        why = f"; {wanted[0]}x{wanted[1]} has other proportions"
    return size, (
        f"Painted at {painted[0]}x{painted[1]} and scaled to {size[0]}x{size[1]}{why}. The gallery "
        "keeps it as painted.",
    )


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if _differ(picture.size, size) <= _SAME_SHAPE:
        return picture.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def _differ(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return by which share two proportions differ."""
    shape = one[0] * other[1] / (one[1] * other[0])
    return max(shape, 1 / shape) - 1


def cut_out(picture: Image.Image, image_id: str) -> Image.Image:
    """Return the picture as RGBA with its background transparent.

    Raises:
        ApiError: if the background cannot be told from the thing in front of it.
    """
    try:
        mask = segment(picture.convert("RGB")).mask
    except Refused as doubt:
        raise ApiError(
            f"The background of the picture could not be removed: {doubt.message} The picture is "
            f"kept, opaque, as {image_id}. Ask for one thing on a plain, contrasting background.",
            kind="image_generation_user_error",
            param="background",
            code="background_not_removed",
        ) from None
    # The edge pixels hold some of the background: one off, and the rest softened.
    soft = mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.8))
    cut = picture.convert("RGBA")
    cut.putalpha(ImageChops.darker(soft, mask))
    return cut


def encode(picture: Image.Image, kind: OutputFormat, quality: int, xmp: str) -> bytes:
    """Encode a picture with the mark of its origin inside.

    Args:
        picture: RGB or RGBA.
        kind: of the file.
        quality: 0 to 100, of WebP and JPEG.
        xmp: the mark; empty if there is none.
    """
    if kind == "png":
        return marked_png(picture, xmp)
    buffer = io.BytesIO()
    mark = {"xmp": xmp.encode()} if xmp else {}
    if kind == "jpeg":
        picture.convert("RGB").save(buffer, "JPEG", quality=quality, **mark)
    else:
        picture.save(buffer, "WEBP", quality=quality, method=4, **mark)
    return buffer.getvalue()


def encode_partial(preview: Image.Image, wanted: Rendition) -> bytes:
    """Encode a preview in the format of the answer, small."""
    picture = preview.convert("RGB")
    picture.thumbnail((_LONGEST_PARTIAL, _LONGEST_PARTIAL))
    return encode(picture, wanted.format, min(wanted.quality, 80), "")
