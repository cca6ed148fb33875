"""Where a picture came from: the recipe beside it and the mark inside it.

The mark is IPTC's machine-readable "made by a trained model" in XMP (EU AI Act Art. 50(2) asks
for one). Prompts stay out of the file: a published picture must not publish what was typed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import PIL
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

import agent_tools

# https://cv.iptc.org/newscodes/digitalsourcetype/
_SOURCE_TYPES = {
    "generated": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "edited": "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
    "algorithmic": "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced",
    "drawn": "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia",
}
SourceType = Literal["generated", "edited", "algorithmic", "drawn"]
FileFormat = Literal["png", "webp", "jpeg"]
NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "at": "https://agent-tools.example/ns/1.0/",
}
# What a run measures about itself; it differs every time and explains nothing.
MEASURED = frozenset({"timings_s", "created_at", "shared_forwards"})
RECIPE_VERSION = 1
PNG_XMP_KEY = "XML:com.adobe.xmp"


def recipe_sha256(recipe: Mapping[str, Any]) -> str:
    """Return the hash that names a recipe: of its JSON with sorted keys.

    What a run measures about itself is left out, so the hash of a stored recipe is the one that
    its picture's file carries.
    """
    said = {name: value for name, value in recipe.items() if name not in MEASURED}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def complete_recipe(recipe: Mapping[str, Any], image: Image.Image) -> dict[str, Any]:
    """Return a recipe with what the bytes of every file depend on: size, encoders, our version."""
    deflate = features.version("zlib_ng") or features.version("zlib") or "unknown"
    versions = {
        "agent-tools": agent_tools.__version__,
        "numpy": version("numpy"),
        "pillow": PIL.__version__,
        "zlib": deflate,
    }
    return {
        "version": RECIPE_VERSION,
        "inputs": [],
        **recipe,
        "width": image.width,
        "height": image.height,
        "libraries": {**recipe.get("libraries", {}), **versions},
    }


def xmp_packet(
    *, caption: str, alt: str, source_type: SourceType, creator_tool: str, recipe_hash: str
) -> str:
    """Write the XMP packet: caption, alternative text, how it was made, recipe hash.

    Fields: dc:description, Iptc4xmpCore:AltTextAccessibility, Iptc4xmpExt:DigitalSourceType
    (IPTC Photo Metadata Standard 2025.1).
    """
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f"<rdf:RDF{_declared('rdf')}>"
        '<rdf:Description rdf:about=""'
        f"{_declared('dc', 'xmp', 'Iptc4xmpCore', 'Iptc4xmpExt', 'at')}"
        f" xmp:CreatorTool={quoteattr(creator_tool)}"
        f" Iptc4xmpExt:DigitalSourceType={quoteattr(_SOURCE_TYPES[source_type])}"
        f" at:recipeSha256={quoteattr(recipe_hash)}>"
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(caption)}</rdf:li>'
        "</rdf:Alt></dc:description>"
        "<Iptc4xmpCore:AltTextAccessibility><rdf:Alt>"
        f'<rdf:li xml:lang="x-default">{escape(alt)}</rdf:li>'
        "</rdf:Alt></Iptc4xmpCore:AltTextAccessibility>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    )


def _declared(*prefixes: str) -> str:
    return "".join(f' xmlns:{prefix}="{NAMESPACES[prefix]}"' for prefix in prefixes)


def source_type_of(data: bytes) -> str:
    """Return the digital source type that a marked file names; "made by a model" if it is bare."""
    packet = read_xmp(data)
    return next(
        (uri for uri in _SOURCE_TYPES.values() if uri in packet), _SOURCE_TYPES["generated"]
    )


def marked_png(image: Image.Image, xmp: str) -> bytes:
    """Encode `image` as PNG with the XMP packet inside; same input, same bytes.

    Pillow ignores save(xmp=...) for PNG without an error, hence the iTXt chunk.
    """
    info = PngInfo()
    info.add_itxt(PNG_XMP_KEY, xmp)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def marked_file(image: Image.Image, xmp: str, file_format: FileFormat) -> bytes:
    """Encode `image` with the XMP packet inside: PNG and WebP without loss, JPEG with some.

    A JPEG has no transparency: what is transparent becomes white.
    """
    if file_format == "png":
        return marked_png(image, xmp)
    buffer = io.BytesIO()
    if file_format == "webp":
        image.save(buffer, "WEBP", lossless=True, exact=True, method=4, xmp=xmp.encode())
        return buffer.getvalue()
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    options: dict[str, Any] = {"quality": 95, "subsampling": 0, "xmp": xmp.encode()}
    try:
        image.save(buffer, "JPEG", optimize=True, **options)
    except OSError:  # Pillow gives the optimizer two bytes a pixel, and noise takes more
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def read_xmp(data: bytes) -> str:
    """Return the XMP packet of a file that `marked_file` wrote, or an empty string."""
    with Image.open(io.BytesIO(data), formats=("PNG", "WEBP", "JPEG")) as image:
        image.load()
        found = image.info.get(PNG_XMP_KEY if image.format == "PNG" else "xmp", "")
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    return found if isinstance(found, str) else ""
