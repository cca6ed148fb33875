"""The bundled fonts: where they lie, what they can write, and how wide a text is.

Layout and raster must agree on every width, or labels are clipped; both use these files and
never the machine's fonts, so the same diagram gives the same bytes everywhere.
"""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

from PIL import ImageFont

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "fonts"
FAMILY = "Inter"
FALLBACK_FAMILY = "DejaVu Sans"
REGULAR = FOLDER / "Inter-Regular.ttf"
SEMIBOLD = FOLDER / "Inter-SemiBold.ttf"
FALLBACK = FOLDER / "DejaVuSans-subset.ttf"
FILES = (REGULAR, SEMIBOLD, FALLBACK)

_MEASURE_AT = 100  # pixels; widths are scaled from here, so hinting cannot matter
# Joiners, variation selectors and direction marks take no room and need no glyph.
_INVISIBLE = frozenset(
    [0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10)]
)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width in pixels of one line of `text` at font size `size`."""
    width = sum(_run_width(path, run) for path, run in _runs(text, bold))
    return width * (size / _MEASURE_AT)


def missing_characters(text: str) -> str:
    """Return the characters of `text`, each once, that no bundled font can write."""
    known = coverage(REGULAR) | coverage(FALLBACK) | _INVISIBLE
    seen = dict.fromkeys(text)
    return "".join(c for c in seen if not c.isspace() and ord(c) not in known)


@cache
def coverage(path: Path) -> frozenset[int]:
    """Return the code points that a font file has glyphs for.

    Reads the Unicode `cmap` subtables of formats 4 and 12
    (https://learn.microsoft.com/typography/opentype/spec/cmap).
    """
    data = path.read_bytes()
    table = 0
    for index in range(struct.unpack(">H", data[4:6])[0]):
        tag, _, offset, _ = struct.unpack(">4sIII", data[12 + 16 * index : 28 + 16 * index])
        if tag == b"cmap":
            table = offset
    points: set[int] = set()
    for index in range(struct.unpack(">H", data[table + 2 : table + 4])[0]):
        at = table + 4 + 8 * index
        subtable = table + struct.unpack(">I", data[at + 4 : at + 8])[0]
        form = struct.unpack(">H", data[subtable : subtable + 2])[0]
        if form == 4:
            double = struct.unpack(">H", data[subtable + 6 : subtable + 8])[0]
            count = double // 2
            ends = struct.unpack_from(f">{count}H", data, subtable + 14)
            starts = struct.unpack_from(f">{count}H", data, subtable + 16 + double)
            for start, end in zip(starts, ends, strict=True):
                points.update(range(start, end + 1))
        elif form == 12:
            groups = struct.unpack(">I", data[subtable + 12 : subtable + 16])[0]
            for group in range(groups):
                start, end, _ = struct.unpack_from(">III", data, subtable + 16 + 12 * group)
                points.update(range(start, end + 1))
    return frozenset(points - {0xFFFF})


def _runs(text: str, bold: bool) -> list[tuple[Path, str]]:
    main, covered, fallback = (
        SEMIBOLD if bold else REGULAR,
        coverage(REGULAR),
        coverage(FALLBACK),
    )
    visible = (c for c in text if ord(c) not in _INVISIBLE)
    return [
        (path, "".join(characters))
        for path, characters in groupby(
            visible, lambda c: FALLBACK if ord(c) in fallback and ord(c) not in covered else main
        )
    ]


@lru_cache(maxsize=20_000)
def _run_width(path: Path, run: str) -> float:
    return _font(path).getlength(run)


@cache
def _font(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), _MEASURE_AT)
