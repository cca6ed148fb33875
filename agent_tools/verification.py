"""What a picture file says about itself, and what the gallery knows about it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agent_tools.content_credentials import read_credentials
from agent_tools.errors import AgentToolsError
from agent_tools.marks import origin_of, read_packet
from agent_tools.pictures import decode_picture
from agent_tools.provenance import read_xmp

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery


def verify(gallery: Gallery, data: bytes) -> dict[str, Any]:
    """Look into a PNG, JPEG or WebP from anywhere.

    Returns:
        JSON-ready: "sha256"; "mark" (XMP: caption, alt, source_type, recipe_sha256), or null;
        "content_credentials", or null; "gallery": how it matches a picture there ("same_file" or
        "same_recipe") and its "image_id", or null.

    Raises:
        AgentToolsError: if the bytes are no readable picture.
    """
    decode_picture(data)  # behind limits, before anything else looks at it
    mark = read_packet(read_xmp(data).strip("\x00 \n").encode())
    origin = origin_of(gallery, data, mark)
    credentials: dict[str, Any] | None
    try:
        credentials = read_credentials(data)
    except AgentToolsError as error:
        credentials = {"state": "unknown", "problems": [str(error)]}
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "mark": None if mark is None else asdict(mark),
        "content_credentials": credentials,
        "gallery": None
        if origin.record is None
        else {"match": origin.match, "image_id": origin.record.image_id},
    }
