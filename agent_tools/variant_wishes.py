"""What one variant of a product shall look like, and what is known about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_tools.color import NamedColor, parse_color
from agent_tools.errors import InvalidArguments
from agent_tools.image_record import OF_THE_MAKING, Fact, told_facts
from agent_tools.wording import upper_first
from kb_export.captions import clean
from kb_export.record import MAX_FACTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VARIANTS_TOOL = "create_product_variants"

_MAX_FACT = 200
# Ours: what a variant is, whom it shows and what it came from cannot be overruled from outside.
_OWN_FACTS = (
    "color", "color_hex", "product", "persona_id", "fictional", "consented", *OF_THE_MAKING
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """One variant.

    Attributes:
        colors: (what was written, the color), one for each region.
        material: what the product is made of; may be empty.
        scene: where it stands; may be empty.
        style: how it is pictured; may be empty.
        sku: the shop's number of this variant; may be empty.
        facts: further flat facts, such as its price.
    """

    colors: tuple[tuple[str, NamedColor], ...] = ()
    material: str = ""
    scene: str = ""
    style: str = ""
    sku: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def color(self) -> NamedColor | None:
        """The color of the first region."""
        return self.colors[0][1] if self.colors else None

    @property
    def color_names(self) -> str:
        """All colors in words: "sage and navy"; empty if none is asked for."""
        return " and ".join(color.name for _, color in self.colors)

    @property
    def name(self) -> str:
        """The variant in a few words: "Sage and navy, brushed steel"."""
        parts = (self.color_names, self.material, self.scene, self.style)
        return upper_first(", ".join(part for part in parts if part))

    @property
    def paints(self) -> bool:
        """Whether a model must paint something of it."""
        return bool(self.material or self.scene or self.style)

    @property
    def said(self) -> dict[str, Any]:
        """The arguments of a call that asks for this variant alone."""
        texts = [text for text, _ in self.colors]
        more = {
            "material": self.material,
            "scene": self.scene,
            "style": self.style,
            "sku": self.sku,
            "facts": dict(self.facts),
        }
        given = {name: value for name, value in more.items() if value}
        if not given and len(texts) == 1:
            return {"colors": texts}
        if len(texts) == 1:
            given["color"] = texts[0]
        elif texts:
            given["colors"] = texts
        return {"variants": [given]}

    @property
    def metadata(self) -> dict[str, Fact]:
        """What travels to knowledge bases."""
        found: dict[str, Fact] = dict(self.facts)
        if self.sku:
            found["sku"] = self.sku
        if self.colors:
            found["color"] = self.color_names
            found["color_hex"] = self.colors[0][1].hex
        return found


def made_of(material: str, product: str) -> str:
    """Return the product with its material before it, once: "ceramic mug"."""
    said = material and re.search(rf"\b{re.escape(material)}\b", product, re.IGNORECASE)
    return " ".join((product if said else f"{material} {product}").split())


def cleaned_facts(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return a price list's facts as plain text and numbers.

    Raises:
        InvalidArguments: for a name that is not plain or that belongs to us.
    """
    found: dict[str, Fact] = {}
    for name, value in facts.items():
        key = clean(name, 40).strip().lower().replace(" ", "_")
        if not key.replace("_", "").isalnum() or key in _OWN_FACTS:
            raise InvalidArguments(
                f"'{name[:40]}' cannot be the name of a fact.",
                hint="Use letters, digits and _, such as price or currency; "
                f"{', '.join(_OWN_FACTS)} are set by the tool.",
            )
        found[key] = clean(value, _MAX_FACT) if isinstance(value, str) else value
    return found


def check_fact_count(wishes: Sequence[Wish], inherited: Mapping[str, Fact]) -> None:
    """Refuse, before anything is made, what knowledge bases would not take.

    Raises:
        InvalidArguments: naming the facts.
    """
    for wish in wishes:
        names = sorted(told_facts({**inherited, **wish.metadata}, MAX_FACTS))
        if len(names) > MAX_FACTS:
            raise InvalidArguments(
                f"A picture can carry {MAX_FACTS} facts; these are {len(names)}: "
                f"{', '.join(names)}.",
                hint="Leave some out, or join them (price: '12.90 EUR').",
            )


def color_wishes(texts: Sequence[str]) -> tuple[list[Wish], list[str]]:
    """Return one variant for each color, each color once, and warnings.

    Raises:
        InvalidArguments: if a color is unknown.
    """
    found: dict[str, Wish] = {}
    warnings = []
    for text in texts:
        color = parse_color(text)
        if color.hex in found:
            first = found[color.hex].colors[0][0]
            warnings.append(f"'{text}' and '{first}' are the same color.")
        else:
            found[color.hex] = Wish(((text, color),))
    return list(found.values()), warnings
