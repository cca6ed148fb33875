"""How two pictures of the gallery differ: in numbers, as a heat map, and inside the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from agent_tools.color import parse_color
from agent_tools.color_space import delta_e_2000, lab_from_linear, linear_from_srgb
from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound
from agent_tools.pictures import thumbnail_webp

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord

# Longest side that CIEDE2000 is computed on: half a second a megapixel is too long for a page.
_WORK_SIDE = 512
_FULL_HEAT = 20.0  # CIEDE2000 that is shown brightest
# Black, through violet and orange, to pale yellow: brighter means a larger difference.
_HEAT = np.array(
    [(0, 0, 0), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)],
    np.float64,
)
_OUTSIDE = 0.25  # brightness of what lies outside the mask in its picture


@dataclass(frozen=True, slots=True)
class Difference:
    """How a picture differs from another one of the same size.

    Attributes:
        mean_delta_e: CIEDE2000, mean of all pixels, on copies of at most 512 pixels a side.
        changed_share: share of pixels with any changed byte, 0 to 1, in full size.
        outside_max_change: largest change of a byte outside the mask, 0 to 255; None if the
            picture has no mask. 0 proves that nothing else was touched.
        mask_area: share of the picture inside the mask.
        target: the color that was asked for as #RRGGBB; None if the picture is no recolor.
    """

    mean_delta_e: float
    changed_share: float
    outside_max_change: int | None
    mask_area: float | None
    target: str | None


def difference(gallery: Gallery, first: ImageRecord, second: ImageRecord) -> Difference | None:
    """Compare two pictures; None if their sizes differ."""
    if (first.width, first.height) != (second.width, second.height):
        return None
    before, after = _pixels(gallery, first), _pixels(gallery, second)
    change = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    mask = mask_of(gallery, second) or mask_of(gallery, first)
    outside = area = None
    if mask is not None:
        inside = np.asarray(mask) > 0
        area = float(inside.mean())
        outside = int(change[~inside].max()) if not inside.all() else 0
    return Difference(
        mean_delta_e=float(_delta_e(before, after).mean()),
        changed_share=float((change > 0).mean()),
        outside_max_change=outside,
        mask_area=area,
        target=_target(second),
    )


def heat_map(gallery: Gallery, first: ImageRecord, second: ImageRecord) -> bytes:
    """Return a WebP picture of the CIEDE2000 difference: black = equal, pale = 20 or more.

    Raises:
        InvalidArguments: if the sizes differ.
    """
    if (first.width, first.height) != (second.width, second.height):
        raise InvalidArguments(
            "Pictures of different sizes have no difference pixel by pixel.",
            hint="Compare pictures of one size.",
        )
    found = _delta_e(_pixels(gallery, first), _pixels(gallery, second))
    place = np.clip(found / _FULL_HEAT, 0, 1) * (len(_HEAT) - 1)
    low = np.minimum(place.astype(int), len(_HEAT) - 2)
    share = (place - low)[..., None]
    colors = _HEAT[low] * (1 - share) + _HEAT[low + 1] * share
    return thumbnail_webp(Image.fromarray(colors.round().astype(np.uint8)), _WORK_SIDE)


def mask_picture(gallery: Gallery, record: ImageRecord) -> bytes:
    """Return the picture as WebP, darkened wherever its recoloring was not allowed to change it.

    Raises:
        NotFound: if it was made without a mask, or the mask is gone.
    """
    mask = mask_of(gallery, record)
    if mask is None:
        raise NotFound(
            f"The picture {record.image_id} has no mask.", hint="Recolored and edited ones have."
        )
    picture = gallery.open_image(record.image_id).convert("RGB")
    picture.thumbnail((_WORK_SIDE, _WORK_SIDE))
    weight = np.asarray(mask.resize(picture.size), np.float32)[..., None] / 255
    shown = np.asarray(picture, np.float32) * (_OUTSIDE + (1 - _OUTSIDE) * weight)
    return thumbnail_webp(Image.fromarray(shown.round().astype(np.uint8)), _WORK_SIDE)


def has_mask(record: ImageRecord) -> bool:
    """Return whether a picture was made inside a mask."""
    return "mask" in _inputs(record) or record.model == "exact-recolor"


def mask_of(gallery: Gallery, record: ImageRecord) -> Image.Image | None:
    """Return the mask a picture was made with, mode "L" in its size, or None.

    Without a mask among its inputs, a recolored picture's is found again in its source.
    """
    if not has_mask(record):
        return None
    from agent_tools.segmentation import segment

    inputs = _inputs(record)
    try:
        source = gallery.open_image(inputs["image"])
        given = gallery.open_image(inputs["mask"]) if "mask" in inputs else None
        found = segment(source, given).mask
    except (AgentToolsError, KeyError, OSError):
        return None  # a picture it was made from is gone
    return found if found.size == (record.width, record.height) else None


def _inputs(record: ImageRecord) -> dict[str, str]:
    inputs = record.recipe.get("inputs", [])
    return {item["role"]: item["image_id"] for item in inputs}


def _target(record: ImageRecord) -> str | None:
    target = record.recipe.get("target") or record.metadata.get("color_hex")
    try:
        return parse_color(target).hex if isinstance(target, str) else None
    except InvalidArguments:
        return None


def _pixels(gallery: Gallery, record: ImageRecord) -> npt.NDArray[np.uint8]:
    return np.asarray(gallery.open_image(record.image_id).convert("RGB"))


def _delta_e(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    step = max(1, -(-max(before.shape[:2]) // _WORK_SIDE))
    one, other = (
        lab_from_linear(linear_from_srgb(pixels[::step, ::step])) for pixels in (before, after)
    )
    return delta_e_2000(one, other)
