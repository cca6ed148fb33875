"""Everything a starter model can be asked for, by name. No torch.

`FULL` is what this repository renders and trains; `shipped()` is what the weights in the
repository were trained on, which travels with them as `vocabulary.json`. The first value of each
attribute is the default that unsaid attributes take. How people say the values: phrases.py.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.starter import WEIGHTS

FILE_NAME: Final = "vocabulary.json"

# Reflectance of each named color, as sRGB.
COLORS: Final[dict[str, str]] = {
    "red": "#c8202b",
    "orange": "#f07a1c",
    "yellow": "#f7cf1f",
    "green": "#2f9e44",
    "sage": "#9caf88",
    "teal": "#12908e",
    "sky blue": "#82c8f0",
    "blue": "#2b63d9",
    "navy": "#1d2a57",
    "purple": "#7b34b3",
    "pink": "#f195b8",
    "brown": "#7b4a2b",
    "beige": "#dcc7a1",
    "gray": "#8d9096",
    "black": "#1f1f22",
    "white": "#f4f3ef",
    "burgundy": "#741b33",
    "coral": "#f0705f",
    "lavender": "#b7a3e3",
    "mint": "#a3dfc3",
}
# What stripes, dots and second parts can be painted in; the first that is not the product's own
# color is the default.
SECOND_COLORS: Final = ("white", "black", "red", "yellow", "green", "blue", "pink", "beige")

BACKGROUNDS: Final[dict[str, str]] = {
    "white": "#ffffff",
    "light gray": "#d9dade",
    "beige": "#f1e3cd",
    "light blue": "#cfe6f7",
    "pink": "#fbd9e3",
    "mint": "#cdeedd",
    "charcoal": "#45474f",
}
VIEWS: Final = ("front", "side")
PATTERNS: Final = ("plain", "striped", "dotted", "two-tone")
FINISHES: Final = ("matte", "glossy", "metallic", "wooden", "leather", "fabric", "glass")
DEFAULT_COLOR: Final = "white"


@dataclass(frozen=True, slots=True)
class Kind:
    """What one product comes in; the first of each is its default.

    Attributes:
        shapes: two named shapes.
        finishes: materials and surfaces that suit it.
        patterns: ways of coloring that suit it.
    """

    shapes: tuple[str, str]
    finishes: tuple[str, ...] = ("matte", "glossy", "metallic")
    patterns: tuple[str, ...] = PATTERNS


KINDS: Final[dict[str, Kind]] = {
    "mug": Kind(("straight", "round"), ("matte", "glossy", "metallic", "wooden", "glass")),
    "bottle": Kind(("slim", "wide"), ("matte", "glossy", "metallic", "glass")),
    "vase": Kind(("curved", "flared"), ("matte", "glossy", "metallic", "wooden", "glass")),
    "lamp": Kind(("cone", "drum"), ("fabric", "matte", "metallic", "glass")),
    "armchair": Kind(("boxy", "rounded"), ("fabric", "leather", "matte")),
    "sofa": Kind(("boxy", "rounded"), ("fabric", "leather", "matte")),
    "chair": Kind(
        ("high-back", "low-back"),
        ("matte", "glossy", "metallic", "wooden", "leather"),
        ("plain", "two-tone"),
    ),
    "table": Kind(
        ("round", "square"),
        ("matte", "glossy", "metallic", "wooden", "glass"),
        ("plain", "two-tone"),
    ),
    "stool": Kind(
        ("round", "square"),
        ("matte", "glossy", "metallic", "wooden", "leather"),
        ("plain", "two-tone"),
    ),
    "backpack": Kind(("tall", "compact"), ("fabric", "leather", "matte")),
    "gift box": Kind(("tall", "flat")),
    "teapot": Kind(("round", "tall"), ("matte", "glossy", "metallic", "glass")),
    "watch": Kind(("round", "square"), ("leather", "metallic", "matte"), ("plain", "two-tone")),
    "headphones": Kind(("round", "square"), patterns=("plain", "two-tone")),
    "cap": Kind(("short-brim", "long-brim"), ("fabric", "leather")),
    "sneaker": Kind(("low-top", "high-top"), ("leather", "fabric"), ("plain", "two-tone")),
    "t-shirt": Kind(("crew-neck", "v-neck"), ("fabric",)),
    "plant pot": Kind(("tapered", "round"), ("matte", "glossy", "metallic", "wooden")),
    "handbag": Kind(("structured", "slouchy"), ("leather", "fabric", "glossy")),
    "sunglasses": Kind(
        ("square", "round"), ("glossy", "matte", "metallic", "wooden"), ("plain", "two-tone")
    ),
    "boots": Kind(("ankle", "tall"), ("leather", "glossy", "matte"), ("plain", "two-tone")),
    "dress": Kind(("short", "long"), ("fabric", "glossy")),
    "hoodie": Kind(("pullover", "zip-up"), ("fabric",)),
    "candle": Kind(("jar", "pillar"), ("matte", "glossy", "glass")),
    "cushion": Kind(("square", "round"), ("fabric", "leather")),
    "wall clock": Kind(
        ("round", "square"), ("matte", "glossy", "metallic", "wooden"), ("plain", "two-tone")
    ),
    "phone case": Kind(("slim", "rugged"), ("matte", "glossy", "metallic", "wooden", "leather")),
    "perfume bottle": Kind(
        ("square", "round"), ("glass", "glossy", "matte", "metallic"), ("plain", "two-tone")
    ),
    "bicycle helmet": Kind(("vented", "smooth"), ("matte", "glossy")),
    "ring": Kind(("gemstone", "band"), ("metallic", "glossy", "matte"), ("plain", "two-tone")),
}

MASCOTS: Final = ("robot", "cat", "fox", "bear")
AVATAR_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "figure": ("person", *MASCOTS),
    "fur": ("natural", "white", "gray", "brown", "orange", "blue", "pink"),
    "skin": ("light", "tan", "brown", "dark"),
    "hair_style": ("short", "long", "curly", "bun", "bald"),
    "hair_color": ("brown", "black", "blond", "red", "gray"),
    "glasses": ("no", "yes"),
    "beard": ("no", "yes"),
    "headwear": ("none", "headset", "chef hat"),
    "clothing": ("sweater", "hoodie", "suit"),
    "clothing_color": ("blue", "red", "orange", "yellow", "green", "teal", "purple", "black"),
    "expression": ("neutral", "smiling", "surprised", "sad", "thinking"),
    "background": tuple(BACKGROUNDS),
}
AVATAR_DEFAULTS: Final[dict[str, str]] = {k: v[0] for k, v in AVATAR_ATTRIBUTES.items()}
ONLY_PERSONS: Final = frozenset({"skin", "hair_style", "hair_color", "beard"})
ONLY_MASCOTS: Final = frozenset({"fur"})

# Color-kind pairs that training never shows: 5 % of all, no color or kind hit too hard.
HELD_OUT_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        ("purple", "teapot"),
        ("green", "sneaker"),
        ("orange", "lamp"),
        ("yellow", "armchair"),
        ("teal", "mug"),
        ("red", "vase"),
        ("pink", "chair"),
        ("navy", "sofa"),
        ("sage", "bottle"),
        ("sky blue", "t-shirt"),
        ("brown", "headphones"),
        ("beige", "backpack"),
        ("blue", "plant pot"),
        ("black", "gift box"),
        ("gray", "cap"),
        ("red", "handbag"),
        ("teal", "sunglasses"),
        ("navy", "boots"),
        ("coral", "dress"),
        ("orange", "hoodie"),
        ("lavender", "candle"),
        ("green", "cushion"),
        ("yellow", "wall clock"),
        ("mint", "phone case"),
        ("blue", "perfume bottle"),
        ("purple", "bicycle helmet"),
        ("burgundy", "ring"),
        ("white", "stool"),
        ("pink", "watch"),
        ("sage", "table"),
    }
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What one set of weights can draw.

    Attributes:
        kinds: the products and what each comes in.
        colors, second_colors, views, backgrounds: values that suit every product.
        avatar: values by avatar attribute; empty if it draws no avatars.
    """

    kinds: Mapping[str, Kind]
    colors: tuple[str, ...]
    second_colors: tuple[str, ...]
    views: tuple[str, ...]
    backgrounds: tuple[str, ...]
    avatar: Mapping[str, tuple[str, ...]]

    @property
    def product(self) -> dict[str, tuple[str, ...]]:
        """Return all values by product attribute, in a fixed order."""
        table = {
            "kind": tuple(self.kinds),
            "color": self.colors,
            "finish": _known(FINISHES, (f for kind in self.kinds.values() for f in kind.finishes)),
            "shape": ("default", "other"),
            "view": self.views,
            "pattern": _known(PATTERNS, (p for kind in self.kinds.values() for p in kind.patterns)),
            "second_color": self.second_colors,
            "background": self.backgrounds,
        }
        return {name: values for name, values in table.items() if len(values) > 1}

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """Return what a classifier of its pictures or captions tells, by "domain_attribute"."""
        return {
            **{f"product_{k}": v for k, v in self.product.items()},
            **{f"avatar_{k}": v for k, v in self.avatar.items()},
            "domain": ("product", "avatar"),
        }

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json` into a folder of weights."""
        (folder / FILE_NAME).write_text(json.dumps(asdict(self), indent=1) + "\n")


def _known(order: tuple[str, ...], used: object) -> tuple[str, ...]:
    there = set(used)  # type: ignore[call-overload]
    return tuple(value for value in order if value in there)


def load_vocabulary(folder: Path) -> Vocabulary:
    """Read the vocabulary that weights were trained on.

    Raises:
        FileNotFoundError: if the folder has none.
    """
    data = json.loads((folder / FILE_NAME).read_text())
    kinds = {
        name: Kind(**{key: tuple(values) for key, values in kind.items()})
        for name, kind in data.pop("kinds").items()
    }
    avatar = {name: tuple(values) for name, values in data.pop("avatar").items()}
    return Vocabulary(kinds=kinds, avatar=avatar, **{k: tuple(v) for k, v in data.items()})


FULL: Final = Vocabulary(
    KINDS, tuple(COLORS), SECOND_COLORS, VIEWS, tuple(BACKGROUNDS), AVATAR_ATTRIBUTES
)


@functools.cache
def shipped() -> Vocabulary:
    """Return what the weights in this repository can draw."""
    return load_vocabulary(WEIGHTS)
