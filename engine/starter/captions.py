"""Captions of the starter model: reading free wording, filling in defaults, writing them whole.

No torch: the engine completes prompts with it and tools ask it what can be drawn. Every function
speaks of what the shipped weights can draw unless it is given another vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from engine.starter import phrases, vocabulary
from engine.starter.spoken_text import Mention, SpokenText
from engine.starter.vocabulary import AVATAR_DEFAULTS, DEFAULT_COLOR, Vocabulary

Domain = Literal["product", "avatar", "unknown"]

_PATTERN_NOUN: Final = {"striped": "stripes", "dotted": "dots", "two-tone": "accents"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What free wording asks for.

    Attributes:
        domain: "product", "avatar", or "unknown" if the model knows no such thing.
        attributes: only what was said; see Vocabulary.product and Vocabulary.avatar.
        unknown_words: words that mean nothing to the model, in order.
    """

    domain: Domain
    attributes: dict[str, str]
    unknown_words: tuple[str, ...]


def parse(prompt: str, known: Vocabulary | None = None) -> Parsed:
    """Read what a prompt asks for; words may come in any order, terse or chatty."""
    known = known or vocabulary.shipped()
    text, found = SpokenText(prompt), dict[str, str]()
    background = text.take(
        {
            f"{phrase} {noun}": value
            for phrase, value in _spoken(phrases.BACKGROUND_PHRASES, known.backgrounds).items()
            for noun in phrases.BACKGROUND_NOUNS
        }
    )
    if background:
        found["background"] = background
    kinds = _spoken(phrases.KIND_PHRASES, known.kinds)
    figure = _figure(text, known, kinds)
    if figure:
        return _parse_avatar(text, found, figure, known)
    kind = text.take(kinds)
    if kind is None:
        return Parsed("unknown", found, text.rest())
    return _parse_product(text, found, kind, known)


def _figure(text: SpokenText, known: Vocabulary, kinds: Mapping[str, str]) -> str | None:
    """Return which avatar is meant, if any."""
    if not known.avatar:
        return None
    mascots = _spoken(phrases.MASCOT_PHRASES, known.avatar.get("figure", ()))
    said = text.mentions(mascots)
    things = text.mentions(kinds)
    if said and (not things or (said[0].at < things[0].at and _all_worn(things))):
        return said[0].value
    hair = text.has("hair", "beard", "bald") and not things
    return "person" if hair or text.has(*phrases.PERSON_WORDS) else None


def _all_worn(things: Iterable[Mention]) -> bool:
    return all(thing.value in phrases.WORN for thing in things)


def _parse_product(text: SpokenText, found: dict[str, str], kind: str, known: Vocabulary) -> Parsed:
    found["kind"] = kind
    comes_in = known.kinds[kind]
    default, other = comes_in.shapes
    names = {default: "default", other: "other"}
    shape = text.take(names | {k.replace("-", " "): v for k, v in names.items()})
    view = text.take(_spoken(phrases.VIEW_PHRASES, known.views))
    alloy = text.take({k: k for k in phrases.ALLOYS})
    if alloy:
        color, finish = phrases.ALLOYS[alloy]
        found |= {"color": color} | ({"finish": finish} if finish in comes_in.finishes else {})
    finish_said = text.take(_spoken(phrases.FINISH_PHRASES, comes_in.finishes))
    said = {"shape": shape, "view": view, "finish": finish_said}
    found |= {name: value for name, value in said.items() if value}
    found |= _colors(text, comes_in.patterns, known, first=found.get("color"))
    told = {name: value for name, value in found.items() if name in known.product}
    return Parsed("product", told, text.rest())


def _colors(
    text: SpokenText, patterns: tuple[str, ...], known: Vocabulary, first: str | None
) -> dict[str, str]:
    """Read the color, the pattern and the second color: "red with white dots", "red and white"."""
    found = {}
    beside = {
        f"{color} {noun}": f"{pattern}|{value}"
        for color, value in _spoken(phrases.COLOR_PHRASES, known.second_colors).items()
        for pattern in patterns
        for noun in phrases.PATTERN_NOUNS.get(pattern, ())
    }
    both = text.take(beside)
    pattern = text.take(_spoken(phrases.PATTERN_PHRASES, patterns))
    second = None
    if both:
        pattern, second = both.split("|")
    joined = text.has("and")
    for mention in text.mentions(_spoken(phrases.COLOR_PHRASES, known.colors)):
        if first is None or mention.value == first:
            first = mention.value
            found["color"] = first
        elif second is None and mention.value in known.second_colors:
            if pattern is None and joined and "two-tone" in patterns:
                pattern = "two-tone"
            if pattern in (None, "plain"):
                continue
            second = mention.value
        else:
            continue
        text.remove(mention.phrase)
    if pattern:
        found["pattern"] = pattern
    if second and second != (first or DEFAULT_COLOR):
        found["second_color"] = second
    return found


def _parse_avatar(
    text: SpokenText, found: dict[str, str], figure: str, known: Vocabulary
) -> Parsed:
    if figure == "person":
        _read_person(text, found)
    else:
        found["figure"] = figure
        nouns = (*phrases.MASCOT_PHRASES[figure], "fur")
        colors = _spoken(phrases.COLOR_PHRASES, known.avatar["fur"])
        fur = text.take({f"{color} {noun}": v for color, v in colors.items() for noun in nouns})
        text.take(dict.fromkeys(nouns, figure))
        if fur:
            found["fur"] = fur
    _read_expression_and_clothes(text, found, known)
    text.take(dict.fromkeys(phrases.PERSON_WORDS, "x"))
    told = {name: value for name, value in found.items() if name in known.avatar}
    return Parsed("avatar", told, text.rest())


def _read_person(text: SpokenText, found: dict[str, str]) -> None:
    skin = text.take(_spoken(phrases.SKIN_PHRASES))
    if skin:
        found["skin"] = skin
    hair_colors = _spoken(phrases.HAIR_COLOR_PHRASES)
    beard = text.take({f"{color} beard": value for color, value in hair_colors.items()})
    if beard:
        found["beard"] = "yes"
    hair = text.take(_hair_phrases())
    if hair:
        style, color = hair.split("|")
        found.update({k: v for k, v in (("hair_style", style), ("hair_color", color)) if v})
    if beard and "hair_color" not in found:
        found["hair_color"] = beard
    if not text.take({"no beard": "x", "without a beard": "x", "clean shaven": "x"}) and text.take(
        {"beard": "x", "bearded": "x"}
    ):
        found["beard"] = "yes"


def _read_expression_and_clothes(
    text: SpokenText, found: dict[str, str], known: Vocabulary
) -> None:
    expression = text.take(_spoken(phrases.EXPRESSION_PHRASES, known.avatar["expression"]))
    if expression:
        found["expression"] = expression
    if not text.take({"no glasses": "x", "without glasses": "x"}) and text.take(
        {"glasses": "x", "spectacles": "x"}
    ):
        found["glasses"] = "yes"
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
    colors = _spoken(phrases.COLOR_PHRASES, known.avatar["clothing_color"])
    clothing = _spoken(phrases.CLOTHING_PHRASES, known.avatar["clothing"])
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


def default_second_color(color: str, known: Vocabulary) -> str:
    """Return what stripes and dots are painted in where nothing is said."""
    return next(value for value in known.second_colors if value != color)


def product_caption(attributes: Mapping[str, str], known: Vocabulary | None = None) -> str:
    """Write the full caption of a product; unsaid attributes take their defaults."""
    known = known or vocabulary.shipped()
    kind = attributes["kind"]
    comes_in = known.kinds[kind]
    color = attributes.get("color", DEFAULT_COLOR)
    finish = attributes.get("finish", comes_in.finishes[0])
    shape = comes_in.shapes[1 if attributes.get("shape") == "other" else 0]
    noun = _PATTERN_NOUN.get(attributes.get("pattern", "plain"))
    pattern = ""
    if noun:
        second = attributes.get("second_color") or default_second_color(color, known)
        pattern = f" with {second} {noun}"
    view = ", side view," if attributes.get("view") == "side" else ""
    background = attributes.get("background", known.backgrounds[0])
    return f"a {color} {finish} {shape} {kind}{pattern}{view} on a {background} background"


def avatar_caption(attributes: Mapping[str, str]) -> str:
    """Write the full caption of an avatar; unsaid attributes take their defaults."""
    a = {**AVATAR_DEFAULTS, **attributes}
    extras = ["glasses"] if a["glasses"] == "yes" else []
    if a["figure"] == "person":
        hair = "bald" if a["hair_style"] == "bald" else f"{a['hair_style']} {a['hair_color']} hair"
        who = f"person, {a['skin']} skin, {hair}"
        extras += [f"{a['hair_color']} beard"] if a["beard"] == "yes" else []
    else:
        who = a["figure"] if a["fur"] == "natural" else f"{a['fur']} {a['figure']}"
    extras += [a["headwear"]] if a["headwear"] != "none" else []
    clothing = f"{a['clothing_color']} {a['clothing']}"
    parts = [who, *extras, clothing, f"{a['background']} background"]
    return f"avatar of a {a['expression']} {', '.join(parts)}"


def complete(prompt: str, known: Vocabulary | None = None) -> tuple[str, tuple[str, ...]]:
    """Turn free wording into a full caption, with defaults for what was not said.

    Returns:
        The caption and warnings: words the model cannot draw, or that it knows no such thing.
    """
    known = known or vocabulary.shipped()
    parsed = parse(prompt, known)
    if parsed.domain == "unknown":
        if "background" in parsed.attributes and not parsed.unknown_words:
            return f"a {parsed.attributes['background']} background", ()
        figures = [f"{figure}s" for figure in known.avatar.get("figure", ())[1:]]
        return prompt, (
            f"The starter model draws {', '.join(known.kinds)} and avatars of "
            f"{', '.join(['people', *figures])}; it knows nothing else, so this picture will not "
            "show what was asked. Set another model for other subjects.",
        )
    unknown = ", ".join(parsed.unknown_words)
    if parsed.domain == "avatar":
        warning = (
            f"The starter model does not know: {unknown}. Of avatars it knows "
            f"{', '.join(name.replace('_', ' ') for name in known.avatar)}."
        )
        return avatar_caption(parsed.attributes), (warning,) if unknown else ()
    kind = parsed.attributes["kind"]
    comes_in = known.kinds[kind]
    warning = (
        f"The starter model does not know: {unknown}. It draws this {kind} in {len(known.colors)} "
        f"colors; {', '.join(comes_in.finishes)}; {' or '.join(comes_in.shapes)}; "
        f"{', '.join(comes_in.patterns)}; on {len(known.backgrounds)} plain backgrounds."
    )
    return product_caption(parsed.attributes, known), (warning,) if unknown else ()


def _hair_phrases() -> dict[str, str]:
    """Return every way of saying hair: "long red hair", "blond bun", "bald" -> "style|color"."""
    styles = _spoken(phrases.HAIR_STYLE_PHRASES)
    colors = _spoken(phrases.HAIR_COLOR_PHRASES)
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


def _spoken(
    table: Mapping[str, tuple[str, ...]], values: Iterable[str] | None = None
) -> dict[str, str]:
    """Return value by phrase, of the values that are known."""
    wanted = table if values is None else [value for value in values if value in table]
    return {phrase: value for value in wanted for phrase in table[value]}
