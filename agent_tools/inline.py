"""The pictures inside a result: small copies while they are few, one contact sheet of many."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_tools.results import within_inline_limit

if TYPE_CHECKING:
    from agent_tools.results import ToolImage

# Each small copy costs a model about 200 tokens; from here on one sheet says as much for less.
MOST_SINGLE = 4
SHEET_SIDE = 1024


@dataclass(frozen=True, slots=True)
class InlinePicture:
    """One WebP file.

    Attributes:
        image_id: whose copy it is; None for a sheet drawn only for this result.
    """

    data: bytes
    image_id: str | None


@dataclass(frozen=True, slots=True)
class Inline:
    """What is sent inside a result.

    Attributes:
        pictures: most important first.
        note: a line for the text, saying what is not shown or how to read the sheet; may be empty.
    """

    pictures: tuple[InlinePicture, ...]
    note: str = ""


def inline_pictures(images: tuple[ToolImage, ...]) -> Inline:
    """Choose and draw what is sent inside a result; takes a while for more than four pictures.

    A contact sheet among the pictures stands for all of them; otherwise one is drawn, numbered in
    the order of `images`.
    """
    if len(images) > MOST_SINGLE:
        own = next((image for image in images if image.kind == "sheet"), None)
        if own is None:
            sheet = InlinePicture(_numbered_sheet(images), None)
            how = "numbered in this order"
        else:
            sheet = InlinePicture(own.thumbnail, own.info.image_id)
            how = "labeled"
        return Inline((sheet,), f"\nThe picture inside is a contact sheet of all, {how}.")
    shown, left_out = within_inline_limit(images)
    pictures = tuple(InlinePicture(image.thumbnail, image.info.image_id) for image in shown)
    if not left_out:
        return Inline(pictures)
    ids = ", ".join(image.info.image_id for image in left_out)
    return Inline(
        pictures,
        f"\nNot shown here, to keep the result small: {ids}. Call get_image to see one.",
    )


def _numbered_sheet(images: tuple[ToolImage, ...]) -> bytes:
    from PIL import Image

    from agent_tools.contact_sheet import SheetCell, contact_sheet
    from agent_tools.pictures import thumbnail_webp

    cells = []
    for number, image in enumerate(images, start=1):
        with Image.open(io.BytesIO(image.thumbnail), formats=("WEBP",)) as small:
            small.load()
            title = f"{number}. {image.info.caption}"
            cells.append(SheetCell(small.copy(), (), title, image.info.image_id))
    return thumbnail_webp(contact_sheet(cells), SHEET_SIDE)
