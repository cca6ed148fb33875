"""Pictures as bytes: decoding what comes from outside behind limits, encoding what we made."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

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

    Size and pixel count are checked from the header before a pixel is decoded.

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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: Image.Image = Image.open(io.BytesIO(data), formats=ACCEPTED_FORMATS)
            width, height = picture.size
            if width * height > max_pixels:
                raise BadPicture(
                    f"The picture has {width}x{height} pixels; at most {max_pixels:,} are taken.",
                    hint="Send a smaller copy.",
                )
            if getattr(picture, "n_frames", 1) > 1:
                raise BadPicture("The picture is animated.", hint="Send a single frame.")
            picture.load()
            picture = ImageOps.exif_transpose(picture)
    except AgentToolsError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise BadPicture(
            "The bytes are not a readable PNG, JPEG or WebP picture.",
            hint="Send one of these formats, complete and undamaged.",
        ) from error
    if picture.mode in ("L", "1"):
        mode = "L"
    elif picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        mode = "RGBA"
    else:
        mode = "RGB"
    clean = picture.convert(mode)
    clean.info = {}
    return clean


def encode_png(image: Image.Image) -> bytes:
    """Encode as PNG without metadata; same pixels, same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def thumbnail_webp(image: Image.Image, side: int = 384) -> bytes:
    """Return a WebP copy whose longest side is at most `side` pixels."""
    copy = image.convert("RGBA" if image.mode in ("RGBA", "LA") else "RGB")
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    copy.save(buffer, "WEBP", quality=82, method=4)
    return buffer.getvalue()
