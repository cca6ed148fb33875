"""What every avatar is drawn with: a square of 512 units, ovals, mixed colors, mouths."""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageColor, ImageDraw

UNIT: Final = 512  # the drawing's own coordinates
INK: Final = "#2a2224"


def mixed(color: str, other: str, share: float) -> str:
    """Return `color` with a share of another one in it."""
    one, two = ImageColor.getrgb(color), ImageColor.getrgb(other)
    values = [round(x * (1 - share) + y * share) for x, y in zip(one, two, strict=False)]
    return f"#{values[0]:02x}{values[1]:02x}{values[2]:02x}"


class Canvas:
    """A picture in the making."""

    def __init__(self, background: str) -> None:
        self.image = Image.new("RGB", (UNIT, UNIT), background)
        self.draw = ImageDraw.Draw(self.image)

    def oval(self, x: float, y: float, rx: float, ry: float, color: str) -> None:
        """Fill an ellipse about (x, y)."""
        self.draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=color)

    def mouth(self, mood: str, y: float, lips: str) -> None:
        """Draw the mouth of an expression about (256, y)."""
        if mood == "smiling":
            self.draw.chord((206, y - 50, 306, y + 30), 8, 172, fill=lips)
            self.draw.chord((218, y - 34, 294, y + 10), 12, 168, fill="#ffffff")
        elif mood == "surprised":
            self.oval(256, y + 2, 23, 29, lips)
        elif mood == "sad":
            self.draw.arc((204, y - 14, 308, y + 56), 205, 335, fill=lips, width=15)
        elif mood == "thinking":
            self.draw.line((240, y + 6, 294, y - 10), fill=lips, width=13)
        else:
            self.draw.line((222, y, 290, y), fill=lips, width=13)
