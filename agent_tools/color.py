"""Color words: names and hex values to sRGB, and back to the words that people know.

The numbers behind them are in color_space.py, which is imported when the first color is compared:
tools are listed without numpy.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_tools.color_names import CSS_COLORS, PLAIN_COLORS, PLAIN_SYNONYMS, TRADE_COLORS
from agent_tools.errors import InvalidArguments

if TYPE_CHECKING:
    from agent_tools.color_space import Bytes

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})")
_RGB = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
# Shift of Oklab lightness that a word in front of a color name asks for.
_LIGHTNESS_WORDS = {"pale": 0.14, "light": 0.09, "dark": -0.12, "deep": -0.08}


@dataclass(frozen=True, slots=True)
class NamedColor:
    """A color as it was asked for.

    Attributes:
        hex: "#RRGGBB", upper case.
        rgb: sRGB bytes.
        name: the words for people: the caller's own, or the nearest name of a hex value.
        exact_name: whether `name` means this very color, not only one close to it.
    """

    hex: str
    rgb: tuple[int, int, int]
    name: str
    exact_name: bool = True

    @property
    def bytes(self) -> Bytes:
        """The color as an array of sRGB bytes, shape (3,)."""
        import numpy as np

        return np.array(self.rgb, np.uint8)

    @property
    def label(self) -> str:
        """The color in words with its hex value: "sage green (#9CAF88)"."""
        return f"{self.name} ({self.hex})" if self.exact_name else f"{self.hex}, near {self.name}"


def parse_color(text: str) -> NamedColor:
    """Read "#9CAF88", "rgb(156, 175, 136)", a CSS name, a trade name, or "dark sage".

    Plain words ("red", "navy") mean what a shop means by them, not the screen's primaries.

    Raises:
        InvalidArguments: if it is none of them; `data["near_matches"]` holds the closest names.
    """
    words = re.sub(r"[\s_-]+", " ", text.strip().lower()).replace("grey", "gray")
    if (found := _HEX.fullmatch(words)) is not None:
        digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
        return _from_rgb(tuple(bytes.fromhex(digits)))
    if (found := _RGB.fullmatch(words)) is not None and max(map(int, found.groups())) <= 255:
        return _from_rgb(tuple(int(channel) for channel in found.groups()))
    name = _known_name(words)
    if name is not None:
        return NamedColor(_hex(_ALL_NAMES[name]), _ALL_NAMES[name], name)
    modifier, _, rest = words.partition(" ")
    base = _known_name(rest) if modifier in _LIGHTNESS_WORDS else None
    if base is None:
        raise _unknown_color(text)
    from agent_tools.color_space import lightened

    rgb = lightened(_ALL_NAMES[base], _LIGHTNESS_WORDS[modifier])
    return NamedColor(_hex(rgb), rgb, f"{modifier} {base}")


def nearest_name(rgb: tuple[int, int, int]) -> tuple[str, float]:
    """Return the known color name closest to `rgb` and its CIEDE2000 distance."""
    from agent_tools.color_space import nearest

    index, distance = nearest(rgb, tuple(_ALL_NAMES.values()))
    return tuple(_ALL_NAMES)[index], distance


def plain_word(color: NamedColor) -> str:
    """Return the plain color word nearest to a color: one that every model and shopper knows."""
    from agent_tools.color_space import nearest

    index, _ = nearest(color.rgb, tuple(_rgb(value) for value in PLAIN_COLORS.values()))
    return tuple(PLAIN_COLORS)[index]


def asked_words(color: NamedColor) -> tuple[str, ...]:
    """Return the words that people ask for a color with, its own name first."""
    plain = plain_word(color)
    words = (color.name, plain, PLAIN_SYNONYMS.get(plain, plain))
    return tuple(dict.fromkeys(words))


def _known_name(words: str) -> str | None:
    return _BY_COMPACT_NAME.get(words.replace(" ", ""))


def _from_rgb(rgb: tuple[int, ...]) -> NamedColor:
    red, green, blue = rgb
    name, distance = nearest_name((red, green, blue))
    return NamedColor(_hex(rgb), (red, green, blue), name, exact_name=distance < 1)


def _hex(rgb: tuple[int, ...]) -> str:
    return "#" + "".join(f"{channel:02X}" for channel in rgb)


def _rgb(value: int) -> tuple[int, int, int]:
    return value >> 16, value >> 8 & 255, value & 255


def _unknown_color(text: str) -> InvalidArguments:
    asked = text.strip()[:60]
    matches = difflib.get_close_matches(asked.lower(), _ALL_NAMES, n=4, cutoff=0.45)
    matches += [word for word in asked.split() if word in _ALL_NAMES]
    near = list(dict.fromkeys(matches)) or ["red", "navy", "sage green", "dusty rose"]
    described = ", ".join(f"{name} ({_hex(_ALL_NAMES[name])})" for name in near)
    return InvalidArguments(
        f"The color '{asked}' is not known.",
        hint=f"Close names: {described}. Or give a hex value such as #9CAF88.",
        data={"color": asked, "near_matches": near},
    )


_ALL_NAMES = {
    name: _rgb(value) for name, value in (CSS_COLORS | TRADE_COLORS | PLAIN_COLORS).items()
}
_BY_COMPACT_NAME = {name.replace(" ", ""): name for name in _ALL_NAMES}
