"""The copy of a picture that knowledge bases take: PNG or JPEG, under 2 MB.

The original is kept beside it. The smallest limits among common platforms are Dify's (JPEG, PNG
or GIF under 2 MB, https://docs.dify.ai) and Amazon Bedrock's (JPEG or PNG under 3.75 MB,
https://docs.aws.amazon.com/bedrock/latest/userguide/knowledge-base-ds.md).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from kb_export.errors import RecordRefused
from kb_export.record import KBRecord

MAX_DELIVERY_BYTES = 2_000_000
_TAKEN = frozenset({"image/png", "image/jpeg"})
_QUALITIES = (92, 85, 75)
_SMALLER = 0.75
_LEAST_SIDE = 64
_XMP_KEY = "XML:com.adobe.xmp"  # where a PNG keeps its mark


@dataclass(frozen=True, slots=True)
class Delivery:
    """One picture file ready to be sent.

    Attributes:
        suffix: the file name's ending, such as ".jpg".
    """

    data: bytes
    media_type: str
    suffix: str


def needs_copy(record: KBRecord) -> bool:
    """Tell whether the original is too large, or of a kind that platforms do not take."""
    return record.image_bytes > MAX_DELIVERY_BYTES or record.media_type not in _TAKEN


def delivery(record: KBRecord, image: bytes) -> Delivery:
    """Return the file to send: the original where platforms take it, else a JPEG under 2 MB.

    The copy keeps the mark (XMP) that says how the picture was made; transparent parts become
    white. The same bytes give the same copy.

    Args:
        image: the original's bytes.

    Raises:
        RecordRefused: if the file cannot be decoded.
    """
    if not needs_copy(record):
        return Delivery(image, record.media_type, record.suffix)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "JPEG", "WEBP")) as opened:
            found = opened.info.get("xmp") or opened.info.get(_XMP_KEY) or b""
            rgba = opened.convert("RGBA")
    except Exception as error:  # Pillow raises many kinds for damaged files
        raise RecordRefused(
            f"The file of {record.image_id} cannot be decoded ({type(error).__name__}).",
            hint="Make the picture again from its recipe.",
        ) from error
    mark = found.encode() if isinstance(found, str) else bytes(found)
    picture = Image.new("RGB", rgba.size, "white")
    picture.paste(rgba, mask=rgba.getchannel("A"))
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=quality, xmp=mark)
            if buffer.tell() < MAX_DELIVERY_BYTES:
                return Delivery(buffer.getvalue(), "image/jpeg", ".jpg")
        width, height = (max(1, round(side * _SMALLER)) for side in picture.size)
        if max(width, height) < _LEAST_SIDE:  # only a mark of megabytes leads here
            mark = b""
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
