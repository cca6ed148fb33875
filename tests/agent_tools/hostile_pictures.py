"""Picture files that no honest program writes, several hundred, the same on every run."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

from PIL import Image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def honest() -> dict[str, bytes]:
    """Return small pictures of every accepted kind."""
    noise = Image.effect_noise((48, 32), 80)
    color = Image.merge("RGB", [noise, noise.rotate(90).resize((48, 32)), noise])
    clear = color.copy()
    clear.putalpha(noise)
    return {
        "png": encoded(color, "PNG"),
        "png-alpha": encoded(clear, "PNG"),
        "png-palette": encoded(color.convert("P"), "PNG", transparency=3),
        "png-gray": encoded(noise, "PNG"),
        "jpeg": encoded(color, "JPEG"),
        "jpeg-progressive": encoded(color, "JPEG", progressive=True),
        "webp": encoded(color, "WEBP"),
        "webp-lossless": encoded(clear, "WEBP", lossless=True),
    }


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    body = kind + data
    return struct.pack("!I", len(data)) + body + struct.pack("!I", zlib.crc32(body))


def png(*chunks: bytes) -> bytes:
    """Return a PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def header(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    """Return a PNG header that may claim anything."""
    return chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, depth, color, 0, 0, 0))


def bombs() -> dict[str, bytes]:
    """Return files that claim or unpack to far more than they hold."""
    end = chunk(b"IEND", b"")
    rows = zlib.compress(b"\0" * 40_000_000, 9)
    found = {
        f"claims {w}x{h}, depth {depth}": png(
            header(w, h, depth, color), chunk(b"IDAT", rows[:2000]), end
        )
        for w, h in (
            (10_000, 10_000),
            (65_535, 65_535),
            (2**31 - 1, 1),
            (1, 2**31 - 1),
            (40_000, 900),
        )
        for depth, color in ((8, 2), (16, 6), (1, 0))
    }
    found["unpacks to more than it claims"] = png(header(10, 10), chunk(b"IDAT", rows), end)
    found["text that unpacks"] = png(
        header(10, 10), chunk(b"zTXt", b"note\0\0" + rows), chunk(b"IDAT", rows[:500]), end
    )
    found["profile that unpacks"] = png(
        header(10, 10), chunk(b"iCCP", b"p\0\0" + rows), chunk(b"IDAT", rows[:500]), end
    )
    found["a million chunks"] = png(header(10, 10), chunk(b"tEXt", b"k\0v") * 100_000, end)
    found["animated webp"] = encoded(
        Image.new("RGB", (8, 8)), "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8), 9)]
    )
    found["animated png"] = encoded(
        Image.new("RGB", (8, 8)), "PNG", save_all=True, append_images=[Image.new("RGB", (8, 8), 9)]
    )
    found["webp canvas 16383x16383"] = (
        b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10)
        + b"\x10\0\0\0" + b"\xfe\x3f\x00" + b"\xfe\x3f\x00" + b"\0" * 8
    )  # fmt: skip
    jpeg = honest()["jpeg"]
    place = jpeg.index(b"\xff\xc0") + 5
    for height, width in ((65_535, 65_535), (65_500, 65_500), (0, 48), (32, 0)):
        found[f"jpeg claims {width}x{height}"] = (
            jpeg[:place] + struct.pack("!HH", height, width) + jpeg[place + 4 :]
        )
    return found


def strangers() -> dict[str, bytes]:
    """Return files of other formats, and of two at once."""
    good = honest()
    small = Image.new("RGB", (8, 8))
    other = {
        kind: encoded(small, kind) for kind in ("GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "PCX")
    }
    found = {f"a {kind} file": data for kind, data in other.items()}
    page = b"<html><script>alert(1)</script></html>"
    found |= {
        "nothing": b"",
        "one byte": b"\x89",
        "a page": page,
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "zip": b"PK\x03\x04" + b"\0" * 60,
        "pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "a program": b"\x7fELF\x02\x01\x01" + b"\0" * 60,
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "png magic and a page": good["png"][:8] + page,
        "jpeg magic and a page": b"\xff\xd8\xff\xe0" + page,
        "webp magic and a page": b"RIFF\xff\xff\xff\xffWEBP" + page,
        "gif magic and a png": b"GIF89a" + good["png"],
        "psd": b"8BPS\0\1" + b"\0" * 60,
        "zeros": b"\0" * 5000,
    }
    return found


def damaged() -> Iterator[tuple[str, bytes]]:
    """Yield honest pictures cut short or changed at random places."""
    chance = random.Random(7)
    for kind, data in honest().items():
        for share in range(1, 13):
            yield f"{kind} cut at {share}/13", data[: len(data) * share // 13]
        for number in range(26):
            changed = bytearray(data)
            for _ in range(chance.choice((1, 4, 30))):
                # The first bytes decide most: half of all changes happen there.
                end = len(changed) if chance.random() < 0.5 else min(64, len(changed))
                changed[chance.randrange(end)] = chance.randrange(256)
            yield f"{kind} changed {number}", bytes(changed)


def all_hostile() -> dict[str, bytes]:
    """Return every hostile file by what is wrong with it."""
    return {**bombs(), **strangers(), **dict(damaged())}
