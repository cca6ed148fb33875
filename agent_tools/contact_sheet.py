"""One picture of several side by side, each with two lines and, if it has one, its color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from agent_tools.diagrams.fonts import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL, _GAP, _LABEL = 288, 20, 64
_SWATCH = 36
_PAPER, _INK, _SOFT, _LINE = "#ffffff", "#1d2026", "#5d6470", "#d8d5cd"


@dataclass(frozen=True, slots=True)
class SheetCell:
    """One variant on the sheet.

    Attributes:
        image: any mode and size; shown whole.
        colors: sRGB bytes of each swatch; none draws none.
        name: the first line beside it.
        detail: the second line.
    """

    image: Image.Image
    colors: tuple[tuple[int, int, int], ...]
    name: str
    detail: str


def contact_sheet(cells: Sequence[SheetCell]) -> Image.Image:
    """Draw the variants in rows of up to four; the same input gives the same pixels."""
    columns = len(cells) if len(cells) <= 4 else min(4, -(-len(cells) // 2))
    ratio = max(cell.image.height / cell.image.width for cell in cells)
    height = round(_CELL * min(max(ratio, 0.5), 1.5))
    rows = -(-len(cells) // columns)
    sheet = Image.new(
        "RGB",
        (
            columns * (_CELL + _GAP) + _GAP,
            rows * (height + _LABEL + _GAP) + _GAP,
        ),
        _PAPER,
    )
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        corner = (_GAP + column * (_CELL + _GAP), _GAP + row * (height + _LABEL + _GAP))
        _draw_cell(sheet, cell, corner, height)
    return sheet


def _draw_cell(sheet: Image.Image, cell: SheetCell, corner: tuple[int, int], height: int) -> None:
    left, top = corner
    picture = cell.image.convert("RGBA")
    scale = min(_CELL / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    sheet.paste(picture, (left + (_CELL - size[0]) // 2, top + (height - size[1]) // 2), picture)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((left, top, left + _CELL - 1, top + height - 1), outline=_LINE)
    below = top + height + 12
    _draw_swatches(draw, cell.colors, left, below)
    indent = _SWATCH + 12 if cell.colors else 0
    room = _CELL - indent
    for text, offset, font, ink in (
        (cell.name, 0, _font("Inter-SemiBold.ttf", 17), _INK),
        (cell.detail, 21, _font("Inter-Regular.ttf", 14), _SOFT),
    ):
        place = (left + indent, below + offset)
        draw.text(place, _fitting(text, font, room), font=font, fill=ink)


def _draw_swatches(
    draw: ImageDraw.ImageDraw, colors: tuple[tuple[int, int, int], ...], left: int, top: int
) -> None:
    """Draw one square, shared by all colors from top to bottom."""
    for number, color in enumerate(colors):
        edges = [top + round(_SWATCH * k / len(colors)) for k in (number, number + 1)]
        ends = (number == 0, number == 0, number == len(colors) - 1, number == len(colors) - 1)
        draw.rounded_rectangle(
            (left, edges[0], left + _SWATCH, edges[1]),
            radius=8,
            fill=color,
            outline=_LINE,
            corners=ends,
        )


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FOLDER / name, size)


def _fitting(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"
