"""The many ways training captions say the same thing; captions.py reads them all back."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from engine.starter import phrases
from engine.starter.captions import (
    Domain,
    avatar_caption,
    default_second_color,
    product_caption,
)
from engine.starter.vocabulary import AVATAR_DEFAULTS, FULL

CANONICAL_SHARE = 0.5


def varied_caption(domain: Domain, attributes: Mapping[str, str], random: Random) -> str:
    """Write one of many phrasings of a training picture's attributes.

    Half of them are the full captions that prompts are completed to. In the others an attribute
    is left out only where the picture shows its default.
    """
    if domain == "product":
        if random.random() < CANONICAL_SHARE:
            return product_caption(attributes, FULL)
        return _varied_product(attributes, random)
    if random.random() < CANONICAL_SHARE:
        return avatar_caption(attributes)
    return _varied_avatar({**AVATAR_DEFAULTS, **attributes}, random)


def _varied_product(said: Mapping[str, str], random: Random) -> str:
    kind = said["kind"]
    comes_in = FULL.kinds[kind]
    color = random.choice(phrases.COLOR_PHRASES[said["color"]])
    parts = []
    if said["finish"] != comes_in.finishes[0] or random.random() < 0.5:
        parts.append(random.choice(phrases.FINISH_PHRASES[said["finish"]]))
    if said["shape"] == "other" or random.random() < 0.5:
        parts.append(comes_in.shapes[1 if said["shape"] == "other" else 0])
    before, after = _pattern(said, color, random)
    parts.append(before)
    random.shuffle(parts)
    thing = f"{' '.join(parts)} {random.choice(phrases.KIND_PHRASES[kind])} {after}"
    if said["view"] != "front" or random.random() < 0.2:
        view = random.choice(phrases.VIEW_PHRASES[said["view"]])
        thing = f"{thing}, {view}," if random.random() < 0.7 else f"{view} of a {thing}"
    background = ""
    if said["background"] != FULL.backgrounds[0] or random.random() < 0.5:
        surface = random.choice(phrases.BACKGROUND_PHRASES[said["background"]])
        background = (
            f"{random.choice(('on a', 'against a', 'with a', ''))} {surface} "
            f"{random.choice(phrases.BACKGROUND_NOUNS[:2])}"
        )
    start = random.choice(("", "a ", "the ", "one ", "a photo of a ", "product shot of a "))
    if background and random.random() < 0.2:
        return _tidy(f"{background.strip()}, {start}{thing}")
    return _tidy(f"{start}{thing} {background}")


def _pattern(said: Mapping[str, str], color: str, random: Random) -> tuple[str, str]:
    """Return what stands before the thing (color included) and what stands behind it."""
    pattern = said["pattern"]
    if pattern == "plain":
        return (f"plain {color}" if random.random() < 0.1 else color), ""
    second = said["second_color"]
    spoken = random.choice(phrases.COLOR_PHRASES[second])
    adjective = random.choice(phrases.PATTERN_PHRASES[pattern][:1])
    if second == default_second_color(said["color"], FULL) and random.random() < 0.3:
        return f"{adjective} {color}", ""
    if random.random() < 0.35:
        return f"{color} and {spoken} {adjective}", ""
    return color, f"with {spoken} {random.choice(phrases.PATTERN_NOUNS[pattern])}"


def _varied_avatar(said: Mapping[str, str], random: Random) -> str:
    clothing = random.choice(phrases.CLOTHING_PHRASES[said["clothing"]])
    parts = [f"{random.choice(phrases.COLOR_PHRASES[said['clothing_color']])} {clothing}"]
    who = random.choice(("person", "avatar", "portrait", "face"))
    if said["figure"] == "person":
        parts += _looks(said, random)
    else:
        who = random.choice(phrases.MASCOT_PHRASES[said["figure"]])
        if said["fur"] != "natural":
            who = f"{random.choice(phrases.COLOR_PHRASES[said['fur']])} {who}"
    if said["glasses"] == "yes":
        parts.append("glasses")
    if said["headwear"] != "none":
        parts.append(said["headwear"])
    if said["background"] != FULL.backgrounds[0] or random.random() < 0.5:
        surface = random.choice(phrases.BACKGROUND_PHRASES[said["background"]])
        parts.append(f"{surface} background")
    random.shuffle(parts)
    mood = random.choice(phrases.EXPRESSION_PHRASES[said["expression"]])
    return f"{mood} {who}, {', '.join(parts)}"


def _looks(said: Mapping[str, str], random: Random) -> list[str]:
    parts = [random.choice(phrases.SKIN_PHRASES[said["skin"]])]
    style = random.choice(phrases.HAIR_STYLE_PHRASES[said["hair_style"]])
    hue = random.choice(phrases.HAIR_COLOR_PHRASES[said["hair_color"]])
    if said["hair_style"] == "bald":
        parts.append(style)
    else:
        parts.append(f"{hue} {style}" if said["hair_style"] == "bun" else f"{style} {hue} hair")
    if said["beard"] == "yes":
        parts.append(f"{said['hair_color']} beard")
    return parts


def _tidy(caption: str) -> str:
    return " ".join(caption.replace(" ,", ",").split()).rstrip(",")
