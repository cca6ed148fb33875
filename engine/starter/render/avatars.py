"""Avatars: flat illustrations of people and mascots, drawn with Pillow, every attribute at will."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PIL import Image

from engine.starter.render.canvas import INK, Canvas, mixed
from engine.starter.render.mascots import HEADS
from engine.starter.vocabulary import AVATAR_DEFAULTS, BACKGROUNDS, COLORS

SKIN: Final = {"light": "#f6d3b8", "tan": "#dca878", "brown": "#a8703f", "dark": "#6b4226"}
HAIR: Final = {
    "brown": "#5a3821",
    "black": "#1d1b1f",
    "blond": "#e8c15a",
    "red": "#b5482a",
    "gray": "#a9abb2",
}


def draw_avatar(attributes: Mapping[str, str], side: int = 256) -> Image.Image:
    """Draw one avatar, RGB, `side` pixels squared; unsaid attributes take their defaults."""
    a = {**AVATAR_DEFAULTS, **attributes}
    canvas = Canvas(BACKGROUNDS[a["background"]])
    if a["figure"] == "person":
        _Person(canvas, a).draw()
    else:
        head = HEADS[a["figure"]](canvas, a["fur"], a["expression"])
        head.behind()
        body(canvas, a, head.shade)
        head.face()
        if a["glasses"] == "yes":
            glasses(canvas, head.eye_y, head.eye_x)
        headwear(canvas, a["headwear"])
    return canvas.image.resize((side, side), Image.Resampling.LANCZOS)


def body(canvas: Canvas, a: Mapping[str, str], neck: str) -> None:
    """Draw neck, shoulders and clothing."""
    cloth = COLORS[a["clothing_color"]]
    dark, draw = mixed(cloth, "#000000", 0.22), canvas.draw
    draw.rounded_rectangle((96, 388, 416, 620), 84, fill=cloth)
    draw.rounded_rectangle((216, 320, 296, 420), 36, fill=neck)
    if a["clothing"] == "suit":
        draw.polygon([(204, 388), (308, 388), (256, 512)], fill="#f7f6f2")
        draw.polygon([(244, 400), (268, 400), (276, 470), (256, 500), (236, 470)], fill="#b3262e")
        draw.polygon([(196, 380), (214, 384), (252, 512), (206, 512), (170, 430)], fill=dark)
        draw.polygon([(316, 380), (298, 384), (260, 512), (306, 512), (342, 430)], fill=dark)
    elif a["clothing"] == "hoodie":
        draw.ellipse((166, 356, 346, 458), fill=dark)
        draw.ellipse((206, 366, 306, 424), fill=neck)
        for x in (222, 290):
            draw.line((x, 440, x, 506), fill="#f4f2ec", width=11)
    else:
        draw.ellipse((204, 372, 308, 432), fill=dark)
        draw.ellipse((212, 366, 300, 420), fill=neck)


def glasses(canvas: Canvas, y: float, x: float) -> None:
    """Draw round frames before eyes that are `x` off the middle at height `y`."""
    for side in (-1, 1):
        center = 256 + side * x
        canvas.draw.ellipse((center - 41, y - 39, center + 41, y + 39), outline=INK, width=11)
    canvas.draw.line((256 - x + 38, y - 4, 256 + x - 38, y - 4), fill=INK, width=11)


def headwear(canvas: Canvas, name: str) -> None:
    """Draw what is worn on the head."""
    if name == "chef hat":
        for x, y, r in ((190, 74, 50), (256, 54, 60), (322, 74, 50)):
            canvas.oval(x, y, r + 4, r * 0.86 + 4, "#c9ccd2")
        for x, y, r in ((190, 74, 50), (256, 54, 60), (322, 74, 50)):
            canvas.oval(x, y, r, r * 0.86, "#fdfdfb")
        canvas.draw.rounded_rectangle((168, 84, 344, 150), 16, fill="#ffffff")
        canvas.draw.line((176, 142, 336, 142), fill="#c9ccd2", width=8)
    elif name == "headset":
        canvas.draw.arc((140, 84, 372, 330), 186, 354, fill="#34363d", width=20)
        for x in (142, 370):
            canvas.draw.rounded_rectangle((x - 22, 204, x + 22, 276), 18, fill="#34363d")
        canvas.draw.arc((142, 200, 320, 350), 90, 175, fill="#34363d", width=10)
        canvas.oval(226, 350, 16, 12, "#34363d")


class _Person:
    """Draws back to front: hair behind, body, face, features, hair before, what is worn."""

    def __init__(self, canvas: Canvas, a: Mapping[str, str]) -> None:
        self.a, self.canvas, self.draw_ = a, canvas, canvas.draw
        self.skin = SKIN[a["skin"]]
        self.shade = mixed(self.skin, "#5a1f10", 0.2)
        self.hair = HAIR[a["hair_color"]]

    def draw(self) -> None:
        self._hair_behind()
        body(self.canvas, self.a, self.shade)
        for x in (158, 354):
            self.canvas.oval(x, 238, 24, 30, self.shade)
        self.draw_.rounded_rectangle((160, 116, 352, 356), 92, fill=self.skin)
        self._features()
        if self.a["beard"] == "yes":
            self._beard()
        self._mouth()
        self._hair_before()
        if self.a["glasses"] == "yes":
            glasses(self.canvas, 230, 47)
        headwear(self.canvas, self.a["headwear"])

    def _hair_behind(self) -> None:
        style = self.a["hair_style"]
        if style == "long":
            self.draw_.rounded_rectangle((138, 140, 374, 420), 90, fill=self.hair)
        elif style == "curly":
            for x, y in ((150, 190), (362, 190), (142, 240), (370, 240), (165, 145), (347, 145)):
                self.canvas.oval(x, y, 46, 46, self.hair)
        elif style == "bun":
            self.canvas.oval(256, 78, 50, 46, self.hair)

    def _features(self) -> None:
        mood = self.a["expression"]
        look = -9 if mood == "thinking" else 0
        size = 24 if mood == "surprised" else 18
        brow = {"surprised": -24, "sad": -2, "thinking": -8}.get(mood, 0)
        for side in (-1, 1):
            x = 256 + side * 47
            self.canvas.oval(x, 230, size + 5, size + 3, "#ffffff")
            self.canvas.oval(x + look, 230 + look, size * 0.62, size * 0.62, INK)
            lift = -16 if mood == "thinking" and side == 1 else 0
            tilt = 15 * side if mood == "sad" else 0
            self.draw_.line(
                (x - 26, 190 + brow + lift - tilt, x + 26, 190 + brow + lift + tilt),
                fill=mixed(self.hair, "#000000", 0.25),
                width=13,
            )
        self.draw_.line(
            [(256, 244), (247, 276), (262, 278)], fill=self.shade, width=8, joint="curve"
        )

    def _beard(self) -> None:
        self.draw_.chord((160, 200, 352, 372), 0, 180, fill=self.hair)
        self.draw_.chord((178, 222, 334, 296), 0, 180, fill=self.skin)
        self.canvas.oval(256, 314, 56, 30, mixed(self.skin, self.hair, 0.15))

    def _mouth(self) -> None:
        self.canvas.mouth(self.a["expression"], 314, mixed(self.skin, "#7a1020", 0.62))

    def _hair_before(self) -> None:
        style = self.a["hair_style"]
        if style == "bald":
            return
        if style == "curly":
            for x, y in ((180, 132), (218, 110), (256, 104), (294, 110), (332, 132)):
                self.canvas.oval(x, y, 42, 40, self.hair)
            return
        self.draw_.chord((152, 86, 360, 290), 180, 360, fill=self.hair)
        self.draw_.rectangle((152, 176, 360, 190), fill=self.hair)
        if style == "short":
            self.draw_.chord((172, 150, 340, 230), 180, 360, fill=self.skin)
            self.draw_.rectangle((176, 186, 336, 200), fill=self.skin)
        elif style == "long":
            self.draw_.pieslice((166, 140, 330, 262), 180, 350, fill=self.skin)
            self.draw_.rectangle((170, 188, 342, 200), fill=self.skin)
            for x in (152, 332):
                self.draw_.rounded_rectangle((x, 170, x + 28, 360), 14, fill=self.hair)
        else:
            self.draw_.chord((166, 138, 346, 250), 180, 360, fill=self.skin)
            self.draw_.rectangle((170, 186, 342, 200), fill=self.skin)
