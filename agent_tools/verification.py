"""What a picture file says about itself, and what the gallery knows about it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from agent_tools.content_credentials import read_credentials
from agent_tools.errors import AgentToolsError, NotFound
from agent_tools.pictures import decode_picture
from agent_tools.provenance import NAMESPACES, read_xmp, recipe_sha256

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery

_MAX_XMP = 200_000
_SCANNED = 10_000


def verify(gallery: Gallery, data: bytes) -> dict[str, Any]:
    """Look into a PNG, JPEG or WebP from anywhere.

    Returns:
        JSON-ready: "sha256"; "mark" (XMP: caption, alt, digital_source_type, creator_tool,
        recipe_sha256), or null; "content_credentials", or null; "gallery": how it relates to a
        picture there ("same file", "same recipe", or null) and its "image_id".

    Raises:
        AgentToolsError: if the bytes are no readable picture.
    """
    decode_picture(data)  # behind limits, before anything else looks at it
    digest = hashlib.sha256(data).hexdigest()
    mark = read_mark(data)
    credentials: dict[str, Any] | None
    try:
        credentials = read_credentials(data)
    except AgentToolsError as error:
        credentials = {"state": "unknown", "problems": [str(error)]}
    return {
        "sha256": digest,
        "mark": mark,
        "content_credentials": credentials,
        "gallery": _in_gallery(gallery, digest, (mark or {}).get("recipe_sha256")),
    }


def read_mark(data: bytes) -> dict[str, str] | None:
    """Return what the XMP packet of a picture says, or None if there is none that can be read."""
    packet = read_xmp(data)
    # An entity could swell to gigabytes; no honest packet has one.
    if not packet or len(packet) > _MAX_XMP or "<!" in packet:
        return None
    try:
        root = ElementTree.fromstring(packet.strip("\x00 \n"))
    except ElementTree.ParseError:
        return None
    said = root.find(".//rdf:Description", NAMESPACES)
    if said is None:
        return None

    def text(path: str) -> str:
        return (said.findtext(f"{path}/rdf:Alt/rdf:li", "", NAMESPACES) or "")[:2000]

    def attribute(prefix: str, name: str) -> str:
        return said.get(f"{{{NAMESPACES[prefix]}}}{name}", "")[:500]

    return {
        "caption": text("dc:description"),
        "alt": text("Iptc4xmpCore:AltTextAccessibility"),
        "digital_source_type": attribute("Iptc4xmpExt", "DigitalSourceType"),
        "creator_tool": attribute("xmp", "CreatorTool"),
        "recipe_sha256": attribute("at", "recipeSha256"),
    }


def _in_gallery(gallery: Gallery, digest: str, recipe_hash: str | None) -> dict[str, Any] | None:
    with gallery.lock:
        rows = gallery.connection.execute(
            "SELECT image_id FROM images WHERE sha256 = ?", (digest,)
        ).fetchall()
    for row in rows:
        try:
            return {"relation": "same file", "image_id": gallery.get(row[0]).image_id}
        except NotFound:
            continue  # somebody else's
    if recipe_hash:
        for record in gallery.list(limit=_SCANNED):
            if recipe_sha256(record.recipe) == recipe_hash:
                return {"relation": "same recipe", "image_id": record.image_id}
    return None
