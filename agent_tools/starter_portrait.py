"""The starter model's portraits: where their parts are, and their look as words and attributes.

It was taught one layout (engine/starter/render/avatars.py), so face and chest are always at the
same place, as shares of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter

from agent_tools.errors import InvalidArguments
from engine.starter.captions import avatar_caption, parse
from engine.starter.vocabulary import AVATAR_DEFAULTS, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a portrait that can be repainted alone: left, top, right, bottom as shares."""

    left: float
    top: float
    right: float
    bottom: float

    def mask(self, size: tuple[int, int]) -> Image.Image:
        """Return mode "L", 255 inside the part; its corners are round."""
        width, height = size
        box = (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).rounded_rectangle(box, radius=round(width / 16), fill=255)
        return mask


# Eyes with their brows, nose and mouth: what makes an expression, inside of hair and ears.
FACE = Part(0.31, 0.3, 0.69, 0.69)
# Collar, shoulders and chest; it reaches beyond the picture so that only the top is rounded.
BODY = Part(-0.1, 0.665, 1.1, 1.1)


@dataclass(frozen=True, slots=True)
class Look:
    """What one portrait shows, by attribute; all attributes are there."""

    attributes: Mapping[str, str]

    @property
    def caption(self) -> str:
        """The caption that the model was taught for it."""
        return avatar_caption(self.attributes)

    @property
    def words(self) -> str:
        """The look without the expression, as `Persona.appearance` has it."""
        return self.caption.partition(" person, ")[2]

    @property
    def expression(self) -> str:
        """The mood of the face."""
        return self.attributes["expression"]

    def with_expression(self, expression: str) -> Look:
        """Return the same look in another mood."""
        return replace(self, attributes={**self.attributes, "expression": expression})

    def dressed(self, outfit: str) -> tuple[Look, list[str]]:
        """Return the look in other clothes, and what of the words means nothing here.

        Raises:
            InvalidArguments: if it knows none of it.
        """
        return self._changed(outfit, outfit, "outfit", ("clothing", "clothing_color"))

    def before(self, background: str) -> tuple[Look, list[str]]:
        """Return the look before another background, and what of the words means nothing here.

        Raises:
            InvalidArguments: if it knows none of it.
        """
        place = background.removesuffix("background").strip()
        # "mint with palm trees": the model is told the color, the caller what was left out.
        named = next((n for n in shipped().backgrounds if place.startswith(f"{n} ")), None)
        if named is not None and named != place:
            rest = place.removeprefix(named).strip()
            note = f"Of the background '{background[:60]}' this was left out: {rest[:60]}."
            changed = replace(self, attributes={**self.attributes, "background": named})
            return changed, [note]
        return self._changed(f"{place} background", background, "background", ("background",))

    def _changed(
        self, words: str, said: str, argument: str, names: tuple[str, ...]
    ) -> tuple[Look, list[str]]:
        read = parse(f"person, {words}")
        found = {name: read.attributes[name] for name in names if name in read.attributes}
        known = "; ".join(f"{n.replace('_', ' ')}: {', '.join(shipped().avatar[n])}" for n in names)
        if not found:
            raise InvalidArguments(
                f"The starter model knows no {argument} '{said[:60]}'.",
                hint=f"It knows {known}. Other models take any words.",
                data={"known": {name: list(shipped().avatar[name]) for name in names}},
            )
        others = [n for n in read.attributes if n not in names]
        unknown = [*read.unknown_words, *(n.replace("_", " ") for n in others)]
        note = f"Of the {argument} '{said[:60]}' this was left out: {', '.join(unknown)}."
        changed = replace(self, attributes={**self.attributes, **found})
        return changed, [note] if unknown else []


def read_look(prompt: str) -> Look | None:
    """Read the look from the prompt a portrait was painted from; None if it is of no person."""
    read = parse(prompt)
    if read.domain != "avatar":
        return None
    return Look({**AVATAR_DEFAULTS, **read.attributes})


def behind(outline: Image.Image) -> Image.Image:
    """Return the mask of what is behind a figure, with the pixels mixed at its edge; 0 or 255."""
    mask = outline.point([255] * 128 + [0] * 128)
    return mask.filter(ImageFilter.MaxFilter(3))
