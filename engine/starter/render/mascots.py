"""The mascots' heads: robot, cat, fox and bear, on the body that people have too."""

from __future__ import annotations

from typing import Final

from engine.starter.render.canvas import INK, Canvas, mixed
from engine.starter.vocabulary import COLORS

_NATURAL: Final = {"robot": "#aeb6c2", "cat": "#8a8f9b", "fox": "#e07b2c", "bear": "#8b5a35"}
_FUR: Final = {"white": "#dedcd6"}  # to be seen on white


class Head:
    """A head that shows an expression.

    Attributes:
        shade: the color of the neck.
        eye_x, eye_y: where glasses go.
    """

    figure = ""
    eye_x, eye_y = 50.0, 222.0
    mouth_y = 322.0

    def __init__(self, canvas: Canvas, fur: str, mood: str) -> None:
        self.canvas, self.mood, self.draw = canvas, mood, canvas.draw
        self.fur = (_NATURAL[self.figure] if fur == "natural" else _FUR.get(fur)) or COLORS[fur]
        self.shade = mixed(self.fur, "#000000", 0.2)
        self.pale = mixed(self.fur, "#fffaf0", 0.72)

    def behind(self) -> None:
        """Draw what lies behind the body: ears, antenna."""

    def face(self) -> None:
        """Draw the head."""

    def _eyes(self, white: str = "#ffffff", pupil: str = INK) -> None:
        look = -10 if self.mood == "thinking" else 0
        size = 28 if self.mood == "surprised" else 22
        for side in (-1, 1):
            x = 256 + side * self.eye_x
            self.canvas.oval(x, self.eye_y, size + 4, size + 4, white)
            self.canvas.oval(x + look, self.eye_y + look, size * 0.66, size * 0.66, pupil)

    def _brows(self, color: str) -> None:
        lift = {"surprised": -18, "sad": 0, "thinking": -6}.get(self.mood, 0)
        for side in (-1, 1):
            x = 256 + side * self.eye_x
            more = -16 if self.mood == "thinking" and side == 1 else 0
            tilt = 14 * side if self.mood == "sad" else 0
            y = self.eye_y - 42 + lift + more
            self.draw.line((x - 26, y - tilt, x + 26, y + tilt), fill=color, width=12)

    def _nose(self, y: float, width: float) -> None:
        points = [(256 - width, y - 12), (256 + width, y - 12), (256, y + 14)]
        self.draw.polygon(points, fill=INK)
        self.canvas.oval(256, y - 10, width, 9, INK)


class Robot(Head):
    """A box with a screen for a face."""

    figure = "robot"
    mouth_y = 300.0

    def behind(self) -> None:
        self.draw.line((256, 60, 256, 130), fill=self.shade, width=14)
        self.canvas.oval(256, 58, 24, 24, "#f0b429")
        for x in (136, 376):
            self.draw.rounded_rectangle((x - 22, 190, x + 22, 280), 14, fill=self.shade)

    def face(self) -> None:
        self.draw.rounded_rectangle((144, 110, 368, 356), 52, fill=self.fur)
        self.draw.rounded_rectangle((168, 146, 344, 336), 40, fill="#20262f")
        self._eyes("#20262f", "#69e0ea")
        self._brows("#69e0ea")
        self.canvas.mouth(self.mood, self.mouth_y, "#69e0ea")


class _Animal(Head):
    def _head(self) -> None:
        self.draw.rounded_rectangle((146, 122, 366, 368), 104, fill=self.fur)

    def _finish(self) -> None:
        self._eyes()
        self._brows(mixed(self.fur, "#000000", 0.5))
        self.canvas.mouth(self.mood, self.mouth_y, "#8a2630")


class Cat(_Animal):
    """Pointed ears, whiskers."""

    figure = "cat"

    def behind(self) -> None:
        for s in (-1, 1):
            x = 256 + s * 78
            outer = [(x - s * 52, 150), (x + s * 34, 66), (x + s * 40, 200)]
            self.draw.polygon(outer, fill=self.fur)
            inner = [(x - s * 20, 146), (x + s * 24, 98), (x + s * 28, 170)]
            self.draw.polygon(inner, fill="#eab0ac")

    def face(self) -> None:
        self._head()
        self.canvas.oval(256, 312, 72, 50, self.pale)
        for s in (-1, 1):
            for dy in (-14, 8):
                line = (256 + s * 70, 292 + dy * 0.5, 256 + s * 138, 282 + dy)
                self.draw.line(line, fill=mixed(self.fur, "#000000", 0.55), width=6)
        self._nose(274, 17)
        self._finish()


class Fox(_Animal):
    """Large ears, white cheeks, a pointed chin."""

    figure = "fox"

    def behind(self) -> None:
        for s in (-1, 1):
            x = 256 + s * 84
            outer = [(x - s * 62, 160), (x + s * 22, 42), (x + s * 50, 214)]
            self.draw.polygon(outer, fill=self.fur)
            inner = [(x - s * 20, 150), (x + s * 16, 92), (x + s * 30, 180)]
            self.draw.polygon(inner, fill="#3a2a26")

    def face(self) -> None:
        self.draw.chord((132, 106, 380, 340), 170, 370, fill=self.fur)
        self.draw.polygon([(134, 240), (378, 240), (300, 372), (212, 372)], fill=self.fur)
        for s in (-1, 1):
            cheek = [(256, 268), (256 + s * 118, 256), (256 + s * 46, 372), (256, 376)]
            self.draw.polygon(cheek, fill=self.pale)
        self._nose(276, 20)
        self._finish()


class Bear(_Animal):
    """Round ears, a broad muzzle."""

    figure = "bear"

    def behind(self) -> None:
        for x in (166, 346):
            self.canvas.oval(x, 136, 50, 50, self.fur)
            self.canvas.oval(x, 138, 28, 28, self.pale)

    def face(self) -> None:
        self._head()
        self.canvas.oval(256, 306, 86, 62, self.pale)
        self._nose(270, 26)
        self._finish()


HEADS: Final[dict[str, type[Head]]] = {"robot": Robot, "cat": Cat, "fox": Fox, "bear": Bear}
