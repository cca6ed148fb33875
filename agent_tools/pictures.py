"""Pictures as bytes: decoding what comes from outside behind limits, encoding what we made."""

from __future__ import annotations

import io

from PIL import Image

from agent_tools.errors import AgentToolsError

MAX_PIXELS = 40_000_000
ACCEPTED_FORMATS = ("PNG", "JPEG", "WEBP")


class BadPicture(AgentToolsError):
    """Say why some bytes are not taken as a picture."""

    code = "bad_picture"


def decode_picture(
    data: bytes, *, max_bytes: int = 20_000_000, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a PNG, JPEG or WebP from outside and return it upright, without any metadata.

    It is done in a process of its own (`agent_tools.decoder`), with the pixel count known from the
    header before a pixel is decoded. Blocks.

    Returns:
        Mode "RGB", "RGBA" or "L".

    Raises:
        BadPicture: too large, another format, animated, truncated or damaged.
    """
    if len(data) > max_bytes:
        raise BadPicture(
            f"The picture has {len(data) / 1e6:.1f} MB; at most {max_bytes / 1e6:.0f} are taken.",
            hint="Send a smaller copy.",
        )
    if not looks_like_picture(data):
        raise BadPicture(
            "The bytes are not a readable PNG, JPEG or WebP picture.",
            hint="Send one of these formats, complete and undamaged.",
        )
    from agent_tools.decoder import DECODER

    return DECODER.decode(data, max_pixels=max_pixels)


def looks_like_picture(data: bytes) -> bool:
    """Return whether the first 12 bytes are those of an accepted format, whatever its name says."""
    return data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (
        data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    )


def encode_png(image: Image.Image) -> bytes:
    """Encode as PNG without metadata; same pixels, same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def thumbnail_webp(image: Image.Image, side: int = 384, xmp: str = "") -> bytes:
    """Return a WebP copy whose longest side is at most `side` pixels; it carries the mark `xmp`."""
    copy = image.convert("RGBA" if image.mode in ("RGBA", "LA") else "RGB")
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    mark = {"xmp": xmp.encode()} if xmp else {}
    copy.save(buffer, "WEBP", quality=82, method=4, **mark)
    return buffer.getvalue()
