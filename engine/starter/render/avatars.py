"""Avatars: flat illustrations of people, drawn with Pillow, every attribute under control."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageColor, ImageDraw

from engine.starter.vocabulary import AVATAR_DEFAULTS, BACKGROUNDS, COLORS

SKIN = {"light": "#f6d3b8", "tan": "#dca878", "brown": "#a8703f", "dark": "#6b4226"}
HAIR = {
    "brown": "#5a3821",
    "black": "#1d1b1f",
    "blond": "#e8c15a",
    "red": "#b5482a",
    "gray": "#a9abb2",
}
_UNIT = 512  # the drawing's own coordinates
_INK = "#2a2224"


def draw_avatar(attributes: Mapping[str, str], side: int = 256) -> Image.Image:
    """Draw one avatar, RGB, `side` pixels squared; unsaid attributes take their defaults."""
    a = {**AVATAR_DEFAULTS, **attributes}
    return _Painter(a).paint().resize((side, side), Image.Resampling.LANCZOS)


def _mixed(color: str, other: str, share: float) -> str:
    one, two = ImageColor.getrgb(color), ImageColor.getrgb(other)
    mixed = [round(x * (1 - share) + y * share) for x, y in zip(one, two, strict=True)]
    return f"#{mixed[0]:02x}{mixed[1]:02x}{mixed[2]:02x}"


class _Painter:
    """Draws back to front: backdrop, hair behind, body, neck, face, hair before, headwear."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.a = attributes
        self.skin = SKIN[attributes["skin"]]
        self.shade = _mixed(self.skin, "#5a1f10", 0.2)
        self.hair = HAIR[attributes["hair_color"]]
        self.cloth = COLORS[attributes["clothing_color"]]
        self.image = Image.new("RGB", (_UNIT, _UNIT), BACKGROUNDS[attributes["background"]])
        self.draw = ImageDraw.Draw(self.image)

    def paint(self) -> Image.Image:
        self._hair_behind()
        self._body()
        self._face()
        self._features()
        self._beard()
        self._mouth()
        self._hair_before()
        if self.a["glasses"] == "yes":
            self._glasses()
        self._headwear()
        return self.image

    def _oval(self, x: float, y: float, rx: float, ry: float, color: str) -> None:
        self.draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=color)

    def _hair_behind(self) -> None:
        style = self.a["hair_style"]
        if style == "long":
            self.draw.rounded_rectangle((138, 140, 374, 420), 90, fill=self.hair)
        elif style == "curly":
            for x, y in ((150, 190), (362, 190), (142, 240), (370, 240), (165, 145), (347, 145)):
                self._oval(x, y, 46, 46, self.hair)
        elif style == "bun":
            self._oval(256, 78, 50, 46, self.hair)

    def _body(self) -> None:
        dark = _mixed(self.cloth, "#000000", 0.22)
        self.draw.rounded_rectangle((96, 388, 416, 620), 84, fill=self.cloth)
        self.draw.rounded_rectangle((216, 320, 296, 420), 36, fill=self.shade)
        clothing = self.a["clothing"]
        if clothing == "suit":
            self.draw.polygon([(204, 388), (308, 388), (256, 512)], fill="#f7f6f2")
            self.draw.polygon(
                [(244, 400), (268, 400), (276, 470), (256, 500), (236, 470)], fill="#b3262e"
            )
            self.draw.polygon(
                [(196, 380), (214, 384), (252, 512), (206, 512), (170, 430)], fill=dark
            )
            self.draw.polygon(
                [(316, 380), (298, 384), (260, 512), (306, 512), (342, 430)], fill=dark
            )
        elif clothing == "hoodie":
            self.draw.ellipse((176, 362, 336, 452), fill=dark)
            self.draw.ellipse((206, 366, 306, 424), fill=self.shade)
            for x in (226, 286):
                self.draw.line((x, 440, x, 500), fill="#f4f2ec", width=9)
        else:
            self.draw.ellipse((204, 372, 308, 432), fill=dark)
            self.draw.ellipse((212, 366, 300, 420), fill=self.shade)

    def _face(self) -> None:
        for x in (158, 354):
            self._oval(x, 238, 24, 30, self.shade)
        self.draw.rounded_rectangle((160, 116, 352, 356), 92, fill=self.skin)

    def _features(self) -> None:
        mood = self.a["expression"]
        look = -7 if mood == "thinking" else 0
        size = 19 if mood == "surprised" else 15
        brow = {"surprised": -22, "sad": -2, "thinking": -6}.get(mood, 0)
        for side in (-1, 1):
            x = 256 + side * 46
            self._oval(x, 228, size + 5, size + 3, "#ffffff")
            self._oval(x + look, 228 + look, size * 0.66, size * 0.66, _INK)
            lift = -16 if mood == "thinking" and side == 1 else 0
            tilt = 11 * side if mood == "sad" else 0
            self.draw.line(
                (x - 24, 192 + brow + lift - tilt, x + 24, 192 + brow + lift + tilt),
                fill=_mixed(self.hair, "#000000", 0.25),
                width=11,
            )
        self.draw.line(
            [(256, 240), (247, 276), (262, 278)], fill=self.shade, width=8, joint="curve"
        )

    def _beard(self) -> None:
        if self.a["beard"] != "yes":
            return
        self.draw.chord((160, 200, 352, 372), 0, 180, fill=self.hair)
        self.draw.chord((182, 226, 330, 300), 0, 180, fill=self.skin)
        self._oval(256, 312, 44, 24, _mixed(self.skin, self.hair, 0.15))

    def _mouth(self) -> None:
        lips = _mixed(self.skin, "#7a1020", 0.62)
        mood = self.a["expression"]
        if mood == "smiling":
            self.draw.chord((214, 272, 298, 338), 8, 172, fill=lips)
            self.draw.chord((222, 284, 290, 322), 12, 168, fill="#ffffff")
        elif mood == "surprised":
            self._oval(256, 316, 19, 23, lips)
        elif mood == "sad":
            self.draw.arc((222, 306, 290, 348), 200, 340, fill=lips, width=10)
        elif mood == "thinking":
            self.draw.line((246, 318, 290, 308), fill=lips, width=10)
        else:
            self.draw.line((226, 314, 286, 314), fill=lips, width=10)

    def _hair_before(self) -> None:
        style = self.a["hair_style"]
        if style == "bald":
            return
        if style == "curly":
            for x, y in ((180, 132), (218, 110), (256, 104), (294, 110), (332, 132)):
                self._oval(x, y, 42, 40, self.hair)
            return
        self.draw.chord((152, 86, 360, 290), 180, 360, fill=self.hair)
        self.draw.rectangle((152, 176, 360, 190), fill=self.hair)
        if style == "short":
            self.draw.chord((172, 150, 340, 230), 180, 360, fill=self.skin)
            self.draw.rectangle((176, 186, 336, 200), fill=self.skin)
        elif style == "long":
            self.draw.pieslice((166, 140, 330, 262), 180, 350, fill=self.skin)
            self.draw.rectangle((170, 188, 342, 200), fill=self.skin)
            for x in (152, 332):
                self.draw.rounded_rectangle((x, 170, x + 28, 360), 14, fill=self.hair)
        else:
            self.draw.chord((166, 138, 346, 250), 180, 360, fill=self.skin)
            self.draw.rectangle((170, 186, 342, 200), fill=self.skin)

    def _glasses(self) -> None:
        for x in (210, 302):
            self.draw.ellipse((x - 38, 192, x + 38, 266), outline=_INK, width=9)
        self.draw.line((246, 222, 266, 222), fill=_INK, width=9)

    def _headwear(self) -> None:
        if self.a["headwear"] == "chef hat":
            for x, y, r in ((190, 74, 50), (256, 54, 60), (322, 74, 50)):
                self._oval(x, y, r, r * 0.86, "#fdfdfb")
            self.draw.rounded_rectangle((168, 84, 344, 150), 16, fill="#ffffff")
            self.draw.line((176, 142, 336, 142), fill="#c9ccd2", width=8)
        elif self.a["headwear"] == "headset":
            self.draw.arc((140, 84, 372, 330), 186, 354, fill="#34363d", width=20)
            for x in (142, 370):
                self.draw.rounded_rectangle((x - 22, 204, x + 22, 276), 18, fill="#34363d")
            self.draw.arc((142, 200, 320, 350), 90, 175, fill="#34363d", width=10)
            self._oval(226, 348, 14, 10, "#34363d")
