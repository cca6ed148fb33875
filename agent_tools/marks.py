"""Read the mark inside a PNG and find the recipe it belongs to.

Works on bytes from anywhere: chunks are walked (https://www.w3.org/TR/png-3/#5DataRep), nothing is
decoded or inflated, and the XMP is parsed without a document type, so without entities.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree

from agent_tools.errors import NotFound
from agent_tools.pictures import BadPicture
from agent_tools.provenance import PNG_XMP_KEY, recipe_sha256
from kb_export.captions import clean

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PACKET = 65_536
_MAX_CHUNKS = 4_096
_MAX_CANDIDATES = 500
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_OURS = "{https://agent-tools.example/ns/1.0/}recipeSha256"
_SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
_CAPTION = "{http://purl.org/dc/elements/1.1/}description"
_ALT = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}AltTextAccessibility"

Match = Literal["same_file", "same_recipe", "none"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What a PNG says about itself; the words are cleaned, but anybody can write a mark.

    Attributes:
        source_type: last part of IPTC's digital source type, such as "trainedAlgorithmicMedia".
        recipe_sha256: hash of the recipe, or an empty string.
    """

    caption: str
    alt: str
    source_type: str
    recipe_sha256: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file came from.

    Attributes:
        match: "same_file" (its bytes are a gallery picture's), "same_recipe" (its mark names the
            recipe of one, but the bytes differ) or "none".
        record: that picture.
        mark: what the file says about itself, or None if it has no mark of ours.
    """

    match: Match
    record: ImageRecord | None
    mark: Mark | None


def read_origin(gallery: Gallery, data: bytes) -> Origin:
    """Find the gallery's picture that a PNG is, or was made like.

    Raises:
        BadPicture: if the bytes are no PNG.
    """
    return origin_of(gallery, data, read_mark(data))


def origin_of(gallery: Gallery, data: bytes, mark: Mark | None) -> Origin:
    """Find the gallery's picture that a file with this mark is, or was made like."""
    found = gallery.find(data)
    if found is not None:
        return Origin("same_file", found, mark)
    if mark is not None and mark.recipe_sha256:
        for record in _candidates(gallery, mark):
            if recipe_sha256(record.recipe) == mark.recipe_sha256:
                return Origin("same_recipe", record, mark)
    return Origin("none", None, mark)


def read_mark(data: bytes) -> Mark | None:
    """Return the mark of a PNG, or None if it has none that can be read.

    Raises:
        BadPicture: if the bytes are no PNG.
    """
    if not data.startswith(_SIGNATURE):
        raise BadPicture(
            "This is no PNG file.", hint="Pictures made here are PNG files; send the file itself."
        )
    packet = next(_packets(data), None)
    return None if packet is None else read_packet(packet)


def read_packet(packet: bytes) -> Mark | None:
    """Return what an XMP packet from anywhere says, or None if it cannot be read."""
    # A document type could define entities.
    if not packet or len(packet) > _MAX_PACKET or b"<!" in packet:
        return None
    try:
        root = ElementTree.fromstring(packet.decode("utf-8"))
    except (ElementTree.ParseError, UnicodeDecodeError):
        return None
    described = root.find(f".//{_RDF}Description")
    if described is None:
        return None
    recipe = described.get(_OURS, "")
    return Mark(
        caption=_text(described, _CAPTION),
        alt=_text(described, _ALT),
        source_type=clean(described.get(_SOURCE_TYPE, "").rpartition("/")[2], 60),
        recipe_sha256=recipe if _is_hash(recipe) else "",
    )


def _packets(data: bytes) -> Iterator[bytes]:
    """Yield the XMP packets of a PNG: its uncompressed iTXt chunks with XMP's keyword."""
    position = len(_SIGNATURE)
    start = PNG_XMP_KEY.encode() + b"\0\0\0"  # keyword, not compressed, method 0
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        body = data[position + 8 : position + 8 + min(length, _MAX_PACKET)]
        if kind == b"iTXt" and length <= _MAX_PACKET and body.startswith(start):
            parts = body[len(start) :].split(b"\0", 2)  # language, translated keyword, text
            if len(parts) == 3:
                yield parts[2]
        position += length + 12


def _candidates(gallery: Gallery, mark: Mark) -> Iterator[ImageRecord]:
    """Yield pictures that the mark may mean; its recipe's hash is not a column."""
    with gallery.lock:
        rows = gallery.connection.execute(
            "SELECT image_id FROM images WHERE model != 'upload' "
            "ORDER BY caption != ?, created_at DESC LIMIT ?",
            (mark.caption, _MAX_CANDIDATES),
        ).fetchall()
    for row in rows:
        with suppress(NotFound):  # somebody else's
            yield gallery.get(row[0])


def _text(described: ElementTree.Element, name: str) -> str:
    found = described.find(f"{name}/{_RDF}Alt/{_RDF}li")
    return clean(found.text or "") if found is not None else ""


def _is_hash(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
