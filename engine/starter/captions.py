"""Captions of the starter model: writing them, reading free wording, filling in defaults.

No torch: the engine completes prompts with it, tools ask it what can be drawn, training writes
its captions with it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from engine.starter import vocabulary as words

Domain = Literal["product", "avatar", "unknown"]

_FILLER = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "with",
        "and",
        "or",
        "for",
        "at",
        "to",
        "is",
        "are",
        "my",
        "our",
        "your",
        "their",
        "its",
        "this",
        "that",
        "it",
        "please",
        "picture",
        "image",
        "photo",
        "photograph",
        "shot",
        "render",
        "rendering",
        "illustration",
        "studio",
        "product",
        "one",
        "single",
        "draw",
        "paint",
        "generate",
        "create",
        "make",
        "show",
        "me",
        "us",
        "against",
        "front",
        "before",
        "nice",
        "simple",
        "beautiful",
        "good",
        "high",
        "quality",
        "detailed",
        "new",
        "small",
        "large",
        "big",
        "same",
        "style",
        "standing",
        "who",
        "has",
        "have",
        "wearing",
        "wears",
        "his",
        "her",
        "he",
        "she",
        "they",
        "skin",
        "hair",
        "expression",
        "looking",
        "very",
        "color",
        "colored",
        "colour",
        "coloured",
        "view",
        "plain",
        "clean",
        "look",
        "head",
        "shoulders",
        "friendly",
        "profile",
        "young",
        "old",
        "smart",
        "cozy",
        "lovely",
        "cute",
        "icon",
        "us",
    ]
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What free wording asks for.

    Attributes:
        domain: "product", "avatar", or "unknown" if the model knows no such thing.
        attributes: only what was said; see vocabulary.PRODUCT_ATTRIBUTES, AVATAR_ATTRIBUTES.
        unknown_words: words that mean nothing to the model, in order.
    """

    domain: Domain
    attributes: dict[str, str]
    unknown_words: tuple[str, ...]


def parse(prompt: str) -> Parsed:
    """Read what a prompt asks for; words may come in any order, terse or chatty."""
    text = _Text(prompt)
    found: dict[str, str] = {}
    background = text.take(
        {
            f"{phrase} {noun}": value
            for value, phrases in words.BACKGROUND_PHRASES.items()
            for phrase in phrases
            for noun in words.BACKGROUND_NOUNS
        }
    )
    if background:
        found["background"] = background
    if text.has(*words.PERSON_WORDS) or (
        text.has("hair", "beard", "bald") and not text.take_would(_inverted("KIND_PHRASES"))
    ):
        return _parse_avatar(text, found)
    kind = text.take(_inverted("KIND_PHRASES"))
    if kind is None:
        return Parsed("unknown", found, text.rest())
    found["kind"] = kind
    default, other = words.SHAPES[kind]
    shape = text.take({default: "default", other: "other", other.replace("-", " "): "other"})
    if shape:
        found["shape"] = shape
    for name in ("color", "finish"):
        value = text.take(_inverted(f"{name.upper()}_PHRASES"))
        if value:
            found[name] = value
    return Parsed("product", found, text.rest())


def _parse_avatar(text: _Text, found: dict[str, str]) -> Parsed:
    for name, phrases in (("skin", "SKIN_PHRASES"), ("expression", "EXPRESSION_PHRASES")):
        value = text.take(_inverted(phrases))
        if value:
            found[name] = value
    beard = text.take({f"{c} beard": v for c, v in _inverted("HAIR_COLOR_PHRASES").items()})
    if beard:
        found["beard"] = "yes"
    hair = text.take(_hair_phrases())
    if hair:
        style, color = hair.split("|")
        found.update({k: v for k, v in (("hair_style", style), ("hair_color", color)) if v})
    if beard and "hair_color" not in found:
        found["hair_color"] = beard
    if not text.take({"no glasses": "x", "without glasses": "x"}) and text.take(
        {"glasses": "x", "spectacles": "x"}
    ):
        found["glasses"] = "yes"
    if not text.take({"no beard": "x", "without a beard": "x", "clean shaven": "x"}) and text.take(
        {"beard": "x", "bearded": "x"}
    ):
        found["beard"] = "yes"
    headwear = text.take(
        {
            "headset": "headset",
            "headphones": "headset",
            "chef hat": "chef hat",
            "chef's hat": "chef hat",
            "chef": "chef hat",
        }
    )
    if headwear:
        found["headwear"] = headwear
    colors = {
        phrase: value
        for phrase, value in _inverted("COLOR_PHRASES").items()
        if value in words.AVATAR_ATTRIBUTES["clothing_color"]
    }
    clothing = _inverted("CLOTHING_PHRASES")
    both = text.take(
        {f"{c} {g}": f"{cv}|{gv}" for c, cv in colors.items() for g, gv in clothing.items()}
    )
    if both:
        found["clothing_color"], found["clothing"] = both.split("|")
    else:
        for name, table in (("clothing", clothing), ("clothing_color", colors)):
            value = text.take(table)
            if value:
                found[name] = value
    text.take(dict.fromkeys(words.PERSON_WORDS, "x"))
    return Parsed("avatar", found, text.rest())


def product_caption(attributes: Mapping[str, str]) -> str:
    """Write the full caption of a product; unsaid attributes take their defaults."""
    kind = attributes["kind"]
    color = attributes.get("color", "white")
    finish = attributes.get("finish", "matte")
    shape = words.SHAPES[kind][1 if attributes.get("shape") == "other" else 0]
    background = attributes.get("background", "white")
    return f"a {color} {finish} {shape} {kind} on a {background} background"


def avatar_caption(attributes: Mapping[str, str]) -> str:
    """Write the full caption of an avatar; unsaid attributes take their defaults."""
    a = {**words.AVATAR_DEFAULTS, **attributes}
    hair = "bald" if a["hair_style"] == "bald" else f"{a['hair_style']} {a['hair_color']} hair"
    extras = [
        text
        for text, there in (
            ("glasses", a["glasses"] == "yes"),
            (f"{a['hair_color']} beard", a["beard"] == "yes"),
            (a["headwear"], a["headwear"] != "none"),
        )
        if there
    ]
    return (
        f"avatar of a {a['expression']} person, {a['skin']} skin, {hair}, "
        + "".join(f"{extra}, " for extra in extras)
        + f"{a['clothing_color']} {a['clothing']}, {a['background']} background"
    )


def complete(prompt: str) -> tuple[str, tuple[str, ...]]:
    """Turn free wording into a full caption, with defaults for what was not said.

    Returns:
        The caption and warnings: words the model cannot draw, or that it knows no such thing.
    """
    parsed = parse(prompt)
    if (
        parsed.domain == "unknown"
        and "background" in parsed.attributes
        and not parsed.unknown_words
    ):
        return f"a {parsed.attributes['background']} background", ()
    if parsed.domain == "unknown":
        return prompt, (
            f"The starter model draws {', '.join(words.KINDS)} and avatars of people; it knows "
            "nothing else, so this picture will not show what was asked. Set another model for "
            "other subjects.",
        )
    write = product_caption if parsed.domain == "product" else avatar_caption
    warnings: tuple[str, ...] = ()
    if parsed.unknown_words:
        warnings = (
            f"The starter model does not know: {', '.join(parsed.unknown_words)}. It knows "
            f"{len(words.COLORS)} colors, {len(words.FINISHES)} finishes and "
            f"{len(words.BACKGROUNDS)} plain backgrounds.",
        )
    return write(parsed.attributes), warnings


def varied_caption(domain: Domain, attributes: Mapping[str, str], random: Random) -> str:
    """Write one of many phrasings of a training picture's attributes.

    An attribute is left out only where the picture shows its default.
    """
    said = dict(attributes)
    if domain == "product":
        return _varied_product(said, random)
    return _varied_avatar(said, random)


def _varied_product(said: dict[str, str], random: Random) -> str:
    if random.random() < 0.5:
        return product_caption(said)
    kind = said["kind"]
    color = random.choice(words.COLOR_PHRASES[said["color"]])
    parts = [color]
    if said["finish"] != "matte" or random.random() < 0.5:
        parts.append(random.choice(words.FINISH_PHRASES[said["finish"]]))
    if said["shape"] == "other" or random.random() < 0.5:
        parts.append(words.SHAPES[kind][1 if said["shape"] == "other" else 0])
    random.shuffle(parts)
    thing = f"{' '.join(parts)} {random.choice(words.KIND_PHRASES[kind])}"
    background = ""
    if said["background"] != "white" or random.random() < 0.5:
        surface = random.choice(words.BACKGROUND_PHRASES[said["background"]])
        background = (
            f"{random.choice(('on a', 'against a', 'with a', ''))} {surface} "
            f"{random.choice(words.BACKGROUND_NOUNS[:2])}"
        )
    start = random.choice(("", "a ", "the ", "one ", "a photo of a ", "product shot of a "))
    if background and random.random() < 0.2:
        return " ".join(f"{background.strip()}, {start}{thing}".split())
    return " ".join(f"{start}{thing} {background}".split())


def _varied_avatar(said: dict[str, str], random: Random) -> str:
    if random.random() < 0.5:
        return avatar_caption(said)
    parts = [f"{random.choice(words.CLOTHING_PHRASES[said['clothing']])}"]
    parts[0] = f"{random.choice(words.COLOR_PHRASES[said['clothing_color']])} {parts[0]}"
    parts.append(random.choice(words.SKIN_PHRASES[said["skin"]]))
    style = random.choice(words.HAIR_STYLE_PHRASES[said["hair_style"]])
    hue = random.choice(words.HAIR_COLOR_PHRASES[said["hair_color"]])
    if said["hair_style"] == "bald":
        parts.append(style)
    else:
        parts.append(f"{hue} {style}" if said["hair_style"] == "bun" else f"{style} {hue} hair")
    if said["glasses"] == "yes":
        parts.append("glasses")
    if said["beard"] == "yes":
        parts.append(f"{said['hair_color']} beard")
    if said["headwear"] != "none":
        parts.append(said["headwear"])
    if said["background"] != "white" or random.random() < 0.5:
        parts.append(f"{random.choice(words.BACKGROUND_PHRASES[said['background']])} background")
    random.shuffle(parts)
    mood = random.choice(words.EXPRESSION_PHRASES[said["expression"]])
    who = random.choice(("person", "avatar", "portrait", "face"))
    return f"{mood} {who}, {', '.join(parts)}"


@functools.cache
def _hair_phrases() -> dict[str, str]:
    """Return every way of saying hair: "long red hair", "blond bun", "bald" -> "style|color"."""
    styles, colors = _inverted("HAIR_STYLE_PHRASES"), _inverted("HAIR_COLOR_PHRASES")
    table = {f"{c} hair": f"|{color}" for c, color in colors.items()}
    for spoken, style in styles.items():
        if style in ("bald", "bun"):
            table[spoken] = f"{style}|"
        table[f"{spoken} hair"] = f"{style}|"
        for c, color in colors.items():
            table[f"{spoken} {c} hair"] = table[f"{c} {spoken} hair"] = f"{style}|{color}"
            if style == "bun":
                table[f"{c} {spoken}"] = f"{style}|{color}"
    return table


@functools.cache
def _inverted(table: str) -> dict[str, str]:
    return {p: value for value, phrases in getattr(words, table).items() for p in phrases}


class _Text:
    """A prompt whose recognized phrases are taken out one after another."""

    def __init__(self, prompt: str) -> None:
        self._text = " " + " ".join(re.findall(r"[\w'-]+", prompt.lower())) + " "

    def has(self, *phrases: str) -> bool:
        return any(f" {phrase} " in self._text for phrase in phrases)

    def take_would(self, table: Mapping[str, str]) -> bool:
        return self.has(*table)

    def take(self, table: Mapping[str, str]) -> str | None:
        """Remove every phrase of the table's longest match; return its value.

        All phrases with that value go, so that "a gift, a present" leaves nothing unknown.
        """
        for phrase in sorted(table, key=len, reverse=True):
            if self.has(phrase):
                value = table[phrase]
                self._text = self._text.replace(f" {phrase} ", "  ")
                for other in sorted(table, key=len, reverse=True):
                    if table[other] == value:
                        self._text = self._text.replace(f" {other} ", "  ")
                return value
        return None

    def rest(self) -> tuple[str, ...]:
        return tuple(word for word in self._text.split() if word not in _FILLER)
