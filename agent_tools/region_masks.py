"""The regions that a call names, as masks: opened, found, kept apart, and kept in the gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agent_tools.color import parse_color
from agent_tools.errors import InvalidArguments
from agent_tools.painting import Input, open_input
from agent_tools.pictures import encode_png
from agent_tools.region_arguments import RegionArguments
from agent_tools.regions import Region, find_region
from agent_tools.segmentation import DoubtfulMask
from agent_tools.variant_batch import FoundMask
from agent_tools.wording import lower_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_tools.image_record import ImageRecord
    from agent_tools.segmentation import Segmentation
    from agent_tools.studio import Studio

# Of a region's pixels: less than this left by the regions before it means they are the same.
_LEAST_LEFT = 0.2


def masks_of(
    studio: Studio,
    source: ImageRecord,
    image: Image.Image,
    regions: Sequence[RegionArguments],
) -> tuple[list[Image.Image], tuple[FoundMask, ...]]:
    """Return one mask (mode "L") for each region; no pixel belongs to two of them.

    Found masks enter the gallery, so that they can be looked at and used again.

    Raises:
        NotFound: if a mask is not in the gallery.
        InvalidArguments: if something does not fit the picture.
        DoubtfulMask: naming the candidate by its id in the gallery.
    """
    masks: list[Image.Image] = []
    found: list[FoundMask] = []
    taken = np.zeros((image.height, image.width), bool)
    for number, region in enumerate(regions or (RegionArguments(),), start=1):
        segmentation, used = _find(studio, source, image, region)
        weights = np.asarray(segmentation.mask)
        left = np.where(taken, 0, weights).astype(np.uint8)
        if (left > 127).sum() < _LEAST_LEFT * (weights > 127).sum():
            raise InvalidArguments(
                f"Region {number} lies in the regions before it.",
                hint="Regions must not cover the same pixels: make the first one smaller.",
            )
        taken |= weights > 127
        masks.append(Image.fromarray(left))
        found.append(
            FoundMask(
                None if used is None else used.image_id,
                segmentation.source,
                round(segmentation.area, 4),
                used,
            )
        )
    return masks, tuple(found)


def _find(
    studio: Studio, source: ImageRecord, image: Image.Image, region: RegionArguments
) -> tuple[Segmentation, Input | None]:
    given, used = None, None
    if region.mask_id is not None:
        given, used = open_input(studio, "mask", region.mask_id)
    point = None if region.point is None else (region.point[0], region.point[1])
    box = None
    if region.box is not None:
        left, top, right, bottom = region.box
        box = (left, top, right, bottom)
    color = None if region.from_color is None else parse_color(region.from_color)
    try:
        found = find_region(image, Region(given, point, box, color), studio.segmenter)
    except DoubtfulMask as doubt:
        if doubt.candidate is not None:
            kept = _keep(studio, source, doubt.candidate, "A guess at")
            doubt.data["candidate_mask_id"] = kept.image_id
            doubt.hint += (
                f" What would have been taken is kept as {kept.image_id}: look at it with "
                "get_image, and send it as mask_id if its white part is right."
            )
        raise
    if used is None and found.source != "alpha":
        kept = _keep(studio, source, found.mask, "The mask of")
        used = Input("mask", kept.image_id, kept.sha256)
    return found, used


def _keep(studio: Studio, source: ImageRecord, mask: Image.Image, title: str) -> ImageRecord:
    return studio.gallery.add_upload(
        encode_png(mask), kind="mask", title=f"{title} {lower_first(source.title)}"[:120]
    )
