"""Where a change happens in a picture: told by a mask, a point, a box or a color, or found.

The ladder: a mask or transparency says it; a point, a box or a color selects it, through the
segmentation model of the settings if there is one; else the plain background must give it away.
What is not certain is refused together with what would have been taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agent_tools.color_selection import Box, Point, Selection, select_color
from agent_tools.errors import InvalidArguments
from agent_tools.segmentation import DoubtfulMask, Segmentation, Source, check_mask, segment

if TYPE_CHECKING:
    from agent_tools.color import NamedColor
    from agent_tools.segmenters import Segmenter

_MIN_BOX_SIDE = 16
_MIN_SCORE = 0.5
_MARGIN = 0.04  # of ground around a box, as a share of its longer side: the flood starts there


@dataclass(frozen=True, slots=True)
class Region:
    """What the caller says about where; all None means "find the product".

    Attributes:
        mask: the picture's size; white = change.
        point: x, y in pixels on the product.
        box: left, top, right, bottom in pixels around it; bounds what `point` and `color` select.
        color: what it looks like now.
    """

    mask: Image.Image | None = None
    point: Point | None = None
    box: Box | None = None
    color: NamedColor | None = None


def find_region(
    image: Image.Image, region: Region, segmenter: Segmenter | None = None
) -> Segmentation:
    """Return the pixels that `region` means.

    Args:
        image: "RGB", "RGBA" or "L".
        region: what is known about where.
        segmenter: a model that turns points and boxes into masks; None selects by color.

    Raises:
        InvalidArguments: a mask that does not fit, a point or box outside the picture.
        DoubtfulMask: it cannot be told with confidence.
    """
    _check_inside(image.size, region)
    if region.mask is not None:
        return segment(image, region.mask)
    if region.point is None and region.box is None and region.color is None:
        return _found(image, segmenter)
    if region.color is None and segmenter is not None and segmenter.takes_prompts:
        return _by_model(image, region, segmenter)
    if region.point is None and region.color is None:
        assert region.box is not None
        return _in_box(image, region.box)
    chosen = select_color(image, point=region.point, color=region.color, box=region.box)
    return _trusted(image, chosen, "point" if region.point is not None else "color")


def _found(image: Image.Image, segmenter: Segmenter | None) -> Segmentation:
    try:
        return segment(image)
    except DoubtfulMask as doubt:
        if segmenter is None or segmenter.takes_prompts:
            raise
        # A model that cuts out the main thing of a picture needs no prompt; it is still judged.
        mask, score = segmenter.mask(image)
        if score < _MIN_SCORE:
            raise
        doubt.candidate = mask
        return _checked(image, mask, "automatic", doubt)


def _by_model(image: Image.Image, region: Region, segmenter: Segmenter) -> Segmentation:
    mask, score = segmenter.mask(image, point=region.point, box=region.box)
    doubt = DoubtfulMask(
        f"the segmentation model is {score:.0%} sure",
        image.size,
        mask,
        {"score": round(score, 2)},
    )
    if score < _MIN_SCORE:
        raise doubt
    return _checked(image, mask, "box" if region.point is None else "point", doubt)


def _in_box(image: Image.Image, box: Box) -> Segmentation:
    """Take the box's border for background; failing that, the surface at its center."""
    margin = max(2, round(_MARGIN * max(box[2] - box[0], box[3] - box[1])))
    left, top = max(0, box[0] - margin), max(0, box[1] - margin)
    right, bottom = min(image.width, box[2] + margin), min(image.height, box[3] + margin)
    try:
        part = segment(image.convert("RGB").crop((left, top, right, bottom)))
    except DoubtfulMask:
        center = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
        return _trusted(image, select_color(image, point=center, box=box), "box")
    mask = Image.new("L", image.size, 0)
    mask.paste(part.mask, (left, top))
    area = float((np.asarray(mask) > 0).mean())
    return Segmentation(mask, "box", area, part.ring_delta_e)


def _trusted(image: Image.Image, chosen: Selection, source: Source) -> Segmentation:
    if chosen.doubt:
        candidate = chosen.mask if chosen.mask.getbbox() else None
        facts = {"area": round(chosen.area, 3), "stability": round(chosen.stability, 2)}
        raise DoubtfulMask(chosen.doubt, image.size, candidate, facts)
    return Segmentation(chosen.mask, source, float((np.asarray(chosen.mask) > 0).mean()))


def _checked(
    image: Image.Image, mask: Image.Image, source: Source, doubt: DoubtfulMask
) -> Segmentation:
    try:
        weights = check_mask(image, mask)
    except InvalidArguments:
        raise doubt from None
    if image.mode == "RGBA":
        weights = np.where(np.asarray(image.getchannel("A")) > 0, weights, 0).astype(np.uint8)
    return Segmentation(Image.fromarray(weights), source, float((weights > 0).mean()))


def _check_inside(size: tuple[int, int], region: Region) -> None:
    width, height = size
    if region.point is not None:
        x, y = region.point
        if not (0 <= x < width and 0 <= y < height):
            raise InvalidArguments(
                f"The point {list(region.point)} is outside the picture of {width}x{height}.",
                hint="x runs from the left, y from the top, both in pixels of the picture.",
                data={"image_size": [width, height]},
            )
    if region.box is not None:
        left, top, right, bottom = region.box
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise InvalidArguments(
                f"The box {list(region.box)} does not lie in the picture of {width}x{height}.",
                hint="Give [left, top, right, bottom] in pixels of the picture.",
                data={"image_size": [width, height]},
            )
        if min(right - left, bottom - top) < _MIN_BOX_SIDE:
            raise InvalidArguments(
                f"The box is {right - left}x{bottom - top} pixels; at least {_MIN_BOX_SIDE} on "
                "each side are needed.",
                hint="Draw it around the whole product.",
            )
