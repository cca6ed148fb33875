"""The pictures an edit works with: opened, checked, and measured afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agent_tools.errors import InvalidArguments
from agent_tools.painting import Input, open_input
from agent_tools.recolor_checks import outside_max_change
from engine.edit import flatten
from engine.request import Margins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tools.studio import Studio


@dataclass(frozen=True, slots=True)
class EditPictures:
    """What goes to the engine.

    Attributes:
        source: RGB.
        mask: mode "L", 0 or 255 only, or None.
        margins: how far the picture is extended, or None.
        sketch: a line drawing, or None.
        references: pictures of what must be recognized.
        inputs: all of them, for the recipe.
        warnings: what was changed.
    """

    source: Image.Image
    mask: Image.Image | None
    margins: Margins | None
    sketch: Image.Image | None
    references: tuple[Image.Image, ...]
    inputs: tuple[Input, ...]
    warnings: tuple[str, ...]


def open_edit_pictures(
    studio: Studio,
    image_id: str,
    *,
    mask_id: str | None,
    margins: Margins | None,
    sketch_id: str | None,
    reference_ids: Sequence[str],
) -> EditPictures:
    """Open what an edit names by id.

    Raises:
        NotFound: if there is no such picture.
        InvalidArguments: if the mask does not fit or marks nothing.
    """
    picture, used = open_input(studio, "image", image_id)
    source, warnings = flatten(picture)
    inputs: list[Input] = [used]
    mask = sketch = None
    if mask_id is not None:
        mask, used = open_input(studio, "mask", mask_id)
        mask = _checked_mask(mask, source)
        inputs.append(used)
    if sketch_id is not None:
        sketch, used = open_input(studio, "sketch", sketch_id)
        inputs.append(used)
    references = [open_input(studio, "reference", name) for name in reference_ids]
    inputs += [used for _, used in references]
    shown = tuple(picture for picture, _ in references)
    return EditPictures(source, mask, margins, sketch, shown, tuple(inputs), warnings)


def _checked_mask(picture: Image.Image, source: Image.Image) -> Image.Image:
    mask = _black_and_white(picture)
    if mask.size != source.size:
        raise InvalidArguments(
            f"The mask is {mask.width}x{mask.height}, the picture {source.width}x{source.height}.",
            hint="Give a mask of exactly the picture's size.",
            data={"mask": list(mask.size), "image": list(source.size)},
        )
    if mask.getextrema() == (0, 0):
        raise InvalidArguments(
            "The mask is black everywhere, so nothing would be repainted.",
            hint="Paint the part to change white.",
        )
    return mask


def _black_and_white(mask: Image.Image) -> Image.Image:
    """Return mode "L" with only 0 and 255; transparent parts count as black."""
    if mask.mode == "RGBA":
        mask = Image.alpha_composite(Image.new("RGBA", mask.size, "black"), mask)
    return mask.convert("L").point([0] * 128 + [255] * 128)


def kept_change(pictures: EditPictures, painted: Image.Image) -> int | None:
    """Measure what changed of the source's bytes that had to stay; None if all could change."""
    source, mask, margins = pictures.source, pictures.mask, pictures.margins
    if margins is None:
        if mask is None or (np.asarray(mask) > 0).all():
            return None
        return outside_max_change(source, painted, mask)
    corner = (margins.left, margins.top)
    part = painted.crop((*corner, corner[0] + source.width, corner[1] + source.height))
    return outside_max_change(source, part, mask or Image.new("L", source.size))
