"""Signed addresses of pictures, and the mark inside a file that leads back to its recipe."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from kb_pictures import add_pictures, new_picture
from PIL import Image

from agent_tools.gallery import Gallery
from agent_tools.image_record import ImageRecord
from agent_tools.links import ImageLinks
from agent_tools.marks import read_mark, read_origin
from agent_tools.painting import marked_image
from agent_tools.pictures import BadPicture
from agent_tools.provenance import PNG_XMP_KEY, recipe_sha256, xmp_packet
from agent_tools.wording import wording

RECIPE = {"version": 1, "tool": "generate_image", "model": "starter", "prompt": "red teapot"}


def painted(gallery: Gallery, color: str = "red") -> ImageRecord:
    """Store a marked picture as tools make them."""
    new = marked_image(
        Image.new("RGB", (16, 16), color),
        RECIPE | {"color": color},
        words=wording(f"{color} teapot"),
        kind="picture",
        source_type="generated",
        seed=7,
        measured={"timings_s": {"total": 1.0}},
    )
    return gallery.add([new])[0]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(xmp: bytes) -> bytes:
    """Return a PNG that carries any XMP at all."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    data = buffer.getvalue()
    text = chunk(b"iTXt", PNG_XMP_KEY.encode() + b"\0\0\0\0\0" + xmp)
    return data[:33] + text + data[33:]


def test_an_address_is_the_same_after_a_restart_and_for_every_process(tmp_path: Path) -> None:
    first = Gallery(tmp_path)
    (record,) = add_pictures(first, "red teapot")
    second = Gallery(tmp_path)
    base = "https://pictures.example/tools/"
    url = ImageLinks(first, base).url(record)
    assert url == ImageLinks(second, base).url(record)
    assert url is not None and url.startswith(f"{base}i/{record.image_id}/")
    first.close()
    second.close()


def test_a_signature_shows_its_picture_and_no_other(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "one")
    one, two = add_pictures(gallery, "red teapot", "blue teapot")
    links = ImageLinks(gallery, "https://pictures.example")
    signature = links.path(one).split("/")[-1].removesuffix(".png")
    assert links.accepts(one.image_id, signature)
    for wrong in (signature[:-1], signature[:-1] + "z", "", "ü" * 32, signature.upper() + "0"):
        assert not links.accepts(one.image_id, wrong)
    assert not links.accepts(two.image_id, signature)
    elsewhere = Gallery(tmp_path / "two")
    assert not ImageLinks(elsewhere).accepts(one.image_id, signature)
    assert not links.accepts(one.image_id, links.digest("form", one.image_id))
    gallery.close()
    elsewhere.close()


def test_without_a_public_address_there_is_no_url_and_unsigned_ones_need_the_token(
    tmp_path: Path,
) -> None:
    gallery = Gallery(tmp_path)
    (record,) = add_pictures(gallery, "red teapot")
    assert ImageLinks(gallery).url(record) is None
    plain = ImageLinks(gallery, "https://pictures.example", signed=False).url(record)
    assert plain == f"https://pictures.example/images/{record.image_id}"
    gallery.close()


def test_a_file_made_here_leads_back_to_its_picture_even_after_it_was_made_again(
    tmp_path: Path,
) -> None:
    gallery = Gallery(tmp_path)
    record, _ = painted(gallery), painted(gallery, "blue")
    data = gallery.read_bytes(record.image_id)
    origin = read_origin(gallery, data)
    assert origin.match == "same_file" and origin.record == record
    assert origin.mark is not None and origin.mark.source_type == "trainedAlgorithmicMedia"
    assert origin.mark.recipe_sha256 == recipe_sha256(record.recipe)
    other = data[:-12] + chunk(b"tEXt", b"note\0re-saved") + data[-12:]
    origin = read_origin(gallery, other)
    assert origin.match == "same_recipe" and origin.record == record
    stranger = Gallery(tmp_path / "elsewhere")
    origin = read_origin(stranger, data)
    assert origin.match == "none" and origin.record is None and origin.mark is not None
    gallery.close()
    stranger.close()


@pytest.mark.parametrize(
    "xmp",
    [
        b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>",
        b"<x",
        b"\xff\xfe",
        b"",
        b"<a/>" * 30_000,
        b"<x>" * 9_000 + b"</x>" * 7_000,
        b"<x>" * 9_000 + b"</x>" * 9_000,
    ],
    ids=["entities", "broken", "not utf-8", "empty", "too long", "unclosed", "deep"],
)
def test_a_hostile_mark_is_no_mark(xmp: bytes) -> None:
    assert read_mark(png_with(xmp)) is None


def test_words_of_a_mark_are_cleaned_and_its_hash_is_a_hash_or_nothing() -> None:
    packet = xmp_packet(
        caption="<script>alert(1)</script>A pot. https://evil.example",
        alt="A pot\u202e.",
        source_type="generated",
        creator_tool="x",
        recipe_hash="../../etc/passwd",
    )
    mark = read_mark(png_with(packet.encode()))
    assert mark is not None
    assert (mark.caption, mark.alt, mark.recipe_sha256) == ("A pot.", "A pot.", "")


@pytest.mark.parametrize("cut", [0, 7, 20, 40, 60])
def test_a_damaged_file_is_refused_or_has_no_mark(cut: int) -> None:
    data = new_picture("red teapot").data[:cut]
    if cut < 8:
        with pytest.raises(BadPicture):
            read_mark(data)
    else:
        assert read_mark(data) is None
