"""What a persona looks like, in words that are fixed once.

What the description leaves open is chosen from the persona's id, so that it is the same for the
same persona and different between personas.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from agent_tools.wording import (
    ALT_LIMIT,
    CAPTION_LIMIT,
    Wording,
    lower_first,
    sentence,
    shorten,
    tags,
    title,
)
from engine.starter.captions import avatar_caption, parse
from engine.starter.phrases import CLOTHING_PHRASES
from engine.starter.vocabulary import AVATAR_ATTRIBUTES, AVATAR_DEFAULTS, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tools.personas import Persona

Expression = Literal[
    "neutral", "smiling", "thinking", "apologetic", "celebrating", "surprised", "sad"
]
EXPRESSIONS: tuple[Expression, ...] = get_args(Expression)
STARTER = "starter"
# Counts up when prompts are worded differently: a stored persona says what it was made with.
TEMPLATE_VERSION = 2
DEFAULT_STYLE = "clean illustration"

_MOODS: dict[Expression, str] = {
    "neutral": "with a neutral expression",
    "smiling": "smiling",
    "surprised": "looking surprised",
    "sad": "looking sad",
    "thinking": "thinking",
    "apologetic": "looking apologetic",
    "celebrating": "celebrating",
}
# What the starter model was taught comes nearest to these.
_STARTER_FACES: dict[Expression, Expression] = {"apologetic": "sad", "celebrating": "smiling"}
# Glasses, beards and headwear are never invented: not said means not there.
_FREE = ("skin", "hair_style", "hair_color", "clothing", "clothing_color", "background")
# On charcoal the starter paints halos that no cut-out survives.
_NEVER_INVENTED = {"hair_style": ("bald",), "background": ("charcoal",)}
_NO_PERSON = re.compile(
    r"\b(robots?|android|mascot|animal|creature|monster|alien|dragon|ghost|logo|cat|dog|fox|owl|bear|"
    r"bird|panda|penguin|rabbit|lion|tiger|fish|octopus|whale|elephant)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Appearance:
    """A fixed look.

    Attributes:
        words: the whole look without the expression, as it is painted from.
        warnings: what of the description the model cannot show.
        attributes: the look by attribute, as far as it was understood.
    """

    words: str
    warnings: tuple[str, ...]
    attributes: dict[str, str]


def fix_appearance(description: str, persona_id: str, model: str, candidate: int = 0) -> Appearance:
    """Turn a description into a full look; the same for the same arguments.

    Args:
        description: free wording.
        persona_id: decides what the description leaves open.
        model: the name of the model that will paint it.
        candidate: candidates differ in what was left open, save for the background.
    """
    parsed = parse(f"person, {description}")
    said = {k: v for k, v in parsed.attributes.items() if k in AVATAR_ATTRIBUTES}
    said.pop("expression", None)  # every picture has its own
    other = f"{persona_id}#{candidate}"
    chosen = {
        name: _choose(name, persona_id if candidate == 0 or name == "background" else other)
        for name in _FREE
        if name not in said
    }
    if model == STARTER:
        whole = {**AVATAR_DEFAULTS, **chosen, **said}
        unknown = ", ".join(parsed.unknown_words)
        warning = f"The starter model cannot draw this part of the description: {unknown}."
        return Appearance(
            _without_expression(avatar_caption(whole)),
            (warning,) if unknown else (),
            {name: whole[name] for name in shipped().avatar if name != "expression"},
        )
    words = ", ".join([description.strip(" .,"), *_details(chosen, description)])
    return Appearance(words, (), said if _NO_PERSON.search(description) else {**chosen, **said})


def described(attributes: Mapping[str, str]) -> str:
    """Write attributes as a description: {"hair_style": "short", "glasses": "yes"} in words."""
    rest = {name: value.strip() for name, value in attributes.items() if value.strip()}
    parts = [rest.pop("figure")] if rest.get("figure") else []
    if rest.get("skin"):
        parts.append(f"{rest.pop('skin')} skin")
    style, color = rest.pop("hair_style", ""), rest.pop("hair_color", "")
    if style == "bald":
        parts.append("bald")
    elif style or color:
        parts.append(" ".join(f"{style} {color} hair".split()))
    for thing in ("glasses", "beard"):
        value = rest.pop(thing, "no")
        if value.lower() not in ("no", "none", "false", ""):
            known = value.lower() in ("yes", "true")
            parts.append(thing if known else f"{value} {thing}")
    wear = rest.pop("headwear", "none")
    if wear.lower() not in ("no", "none", ""):
        parts.append(wear)
    clothing, clothing_color = rest.pop("clothing", ""), rest.pop("clothing_color", "")
    if clothing or clothing_color:
        parts.append(f"{clothing_color} {clothing or 'clothes'}".strip())
    if rest.get("background"):
        parts.append(f"{rest.pop('background')} background")
    parts += [f"{name.replace('_', ' ')}: {value}" for name, value in rest.items()]
    return ", ".join(parts)


def painted_face(expression: Expression, model: str) -> Expression:
    """Return the expression that a model is asked for: the nearest one it was taught."""
    return _STARTER_FACES.get(expression, expression) if model == STARTER else expression


def portrait_prompt(
    appearance: str, expression: Expression, model: str, style: str = "", pose: str = ""
) -> str:
    """Write the prompt of one picture: the fixed look with one expression."""
    if model == STARTER:
        return f"avatar of a {painted_face(expression, model)} person, {appearance}"
    view = pose or "facing the viewer"
    return (
        f"portrait, {expression} expression, {appearance}, head and shoulders, {view}, "
        f"{style or DEFAULT_STYLE}"
    )


def portrait_wording(
    persona: Persona, expression: Expression, appearance: str | None = None
) -> Wording:
    """Derive the words of one picture from the persona's name and look.

    Args:
        persona: who is shown.
        expression: the mood.
        appearance: the look of this picture, where it is not the persona's own.
    """
    look = _in_a_sentence(persona.appearance if appearance is None else appearance)
    # What no picture shows (a profession) is what people ask for.
    who = shorten(lower_first(persona.description.strip(" .,;")), 160)
    kind = "a fictional persona" if persona.fictional else "a real person, shown with consent"
    text = f"{persona.name} {_MOODS[expression]}: {kind}, {look}"
    return Wording(
        title=title(f"{persona.name}, {expression}"),
        caption=sentence(text, CAPTION_LIMIT),
        alt=sentence(text, ALT_LIMIT),
        use_when=f"Someone asks about {persona.name}, {who}, or {persona.name} speaks and a "
        f"{expression} face fits.",
        tags=tags(look, ("avatar", "persona", persona.name.lower(), expression)),
    )


def _in_a_sentence(appearance: str) -> str:
    """Turn "tan skin, short red hair, blue suit, white background" into words that read well."""
    parts = appearance.split(", ")
    place = ""
    if parts[-1].endswith(" background"):
        place = f" on a {parts.pop()}"
    nouns = [*CLOTHING_PHRASES, *AVATAR_ATTRIBUTES["headwear"], "beard"]
    parts = [
        f"{'an' if part[0] in 'aeiou' else 'a'} {part}"
        if part.split()[-1] in nouns or part in nouns
        else part
        for part in parts
        if part
    ]
    if not parts:
        return place.strip()
    *most, last = parts
    return (f"{', '.join(most)} and {last}" if most else last) + place


def _without_expression(caption: str) -> str:
    """Cut "avatar of a neutral person, " off, the only part that differs between expressions."""
    return caption.partition(" person, ")[2]


def _choose(name: str, persona_id: str) -> str:
    barred = _NEVER_INVENTED.get(name, ())
    values = [value for value in AVATAR_ATTRIBUTES[name] if value not in barred]
    digest = hashlib.sha256(f"{persona_id}\n{name}".encode()).digest()
    return values[int.from_bytes(digest[:8], "big") % len(values)]


def _details(chosen: dict[str, str], description: str) -> list[str]:
    """Say what was chosen in words any model understands; figures get no skin and no hair."""
    details = []
    if not _NO_PERSON.search(description):
        hair = [chosen[name] for name in ("hair_style", "hair_color") if name in chosen]
        if "skin" in chosen:
            details.append(f"{chosen['skin']} skin")
        if hair and not re.search(r"\b(bald|hair)\b", description, re.IGNORECASE):
            details.append(f"{' '.join(hair)} hair")
        if "clothing" in chosen and "clothing_color" in chosen:
            details.append(f"{chosen['clothing_color']} {chosen['clothing']}")
    if "background" in chosen:
        details.append(f"plain {chosen['background']} background")
    return details
