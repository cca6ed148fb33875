"""The same product in another color, painted from words: its prompt, its mask, its exact color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agent_tools.appearance import STARTER
from agent_tools.color import plain_word
from agent_tools.errors import Refused
from agent_tools.recolor import color_difference, recolor
from agent_tools.recolor_checks import GOOD_DELTA_E
from agent_tools.results import Measurements
from agent_tools.segmentation import segment
from agent_tools.variant_wishes import made_of
from engine.starter.captions import complete, parse, product_caption

if TYPE_CHECKING:
    from PIL import Image

    from agent_tools.color import NamedColor
    from agent_tools.variant_wishes import Wish

SHARP_RING_DELTA_E = 25.0
CORRECT_ABOVE = GOOD_DELTA_E
# A painted product further off than this is more likely another part of the picture, such as the
# plant in a pot: recoloring that would make it worse.
CORRECT_BELOW = 30.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One finished variant.

    Attributes:
        image: the picture.
        measurements: None if its product could not be told from the background.
        notes: what to know about it.
    """

    image: Image.Image
    measurements: Measurements | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """What a model is asked to paint, and what of it the model cannot show."""

    prompt: str
    warnings: tuple[str, ...] = ()


def words_for(product: str, wish: Wish, model: str) -> Words:
    """Write the prompt of one variant.

    The starter model gets its own full caption with the nearest color it was taught; the exact
    color is made afterwards.
    """
    thing = made_of(wish.material, product)
    asked = ", ".join(part for part in (thing, wish.scene, wish.style) if part)
    colored = f"{wish.color_names} {asked}".strip()
    if model != STARTER:
        return Words(colored)
    _, warnings = complete(asked)
    parsed = parse(asked)
    if parsed.domain != "product":
        return Words(colored, warnings)
    color = {} if wish.color is None else {"color": plain_word(wish.color)}
    return Words(product_caption({**parsed.attributes, **color}), warnings)


def silhouette_words(product: str, scene: str, material: str) -> str | None:
    """Return the starter model's caption of the same product in the color easiest to outline."""
    parsed = parse(" ".join(f"{made_of(material, product)}, {scene}".split()))
    if parsed.domain != "product":
        return None
    color = "white" if parsed.attributes.get("background") == "charcoal" else "black"
    return product_caption({**parsed.attributes, "color": color})


def sharp_mask(image: Image.Image) -> Image.Image | None:
    """Return an automatic mask, only where the product stands out clearly."""
    try:
        found = segment(image)
    except Refused:
        return None
    clear = found.ring_delta_e is None or found.ring_delta_e >= SHARP_RING_DELTA_E
    return found.mask if clear else None


def from_painting(
    image: Image.Image, mask: Image.Image | None, color: NamedColor, *, sure: bool = False
) -> Variant:
    """Measure a painted product's color and, where it is off, make it exact under `mask`.

    Args:
        image: as painted.
        mask: where the product is; None if it could not be told.
        color: the color wanted.
        sure: whether the mask was given, not guessed, so that any miss is worth correcting.
    """
    if mask is None:
        note = "The color was not measured: the product does not stand out from its background."
        return Variant(image, None, (note,))
    painted = color_difference(image, mask, color)
    if painted > CORRECT_ABOVE and (sure or painted < CORRECT_BELOW):
        corrected = recolor(image, mask, color)
        measured = corrected.measurements
        return Variant(
            corrected.image,
            measured.model_copy(
                update={
                    "painted_delta_e": round(painted, 2),
                    "method": f"painted, then {measured.method}",
                }
            ),
        )
    warnings = []
    if painted >= CORRECT_BELOW:
        warnings.append(
            f"The painted product seems to be CIEDE2000 {painted:.0f} from {color.hex}; that far, "
            "the color was left as painted."
        )
    return Variant(
        image,
        Measurements(
            target=color.hex,
            target_name=color.name,
            achieved_delta_e=round(painted, 2),
            painted_delta_e=round(painted, 2),
            mask_area=round(float((np.asarray(mask) > 0).mean()), 4),
            method="painted",
            warnings=warnings,
        ),
    )
