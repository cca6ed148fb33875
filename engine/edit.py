"""Where an edit happens: the part of the source that is worked on, and the way back.

A model paints sizes of its own grid; callers get the size they sent. Every pixel the mask keeps
comes back byte for byte because it is copied from the source, never decoded from latents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from engine.blur import blurred
from engine.errors import InvalidRequest
from engine.families import MIN_SIDE
from engine.registry import ModelSpec
from engine.request import Margins

# Source around the mask that is shown to the model, as a share of the mask's longer side.
_CONTEXT = 0.5
_MIN_CONTEXT = 32
# Where new pixels meet old ones: pixels over which a shift in color fades out, and the largest
# shift, 8-bit levels; more is no shift but another motif.
_FADE = 10
_MAX_SHIFT = 32.0


def flatten(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the picture as RGB, transparency composited on white, and what to warn about.

    Raises:
        InvalidRequest: for a size that cannot be edited.
    """
    if min(image.size) < 1:
        raise InvalidRequest("The source picture is empty.", hint="Send a picture with pixels.")
    if image.mode == "RGB":
        return image, ()
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        white.alpha_composite(rgba)
        opaque = rgba.getchannel("A").point(lambda alpha: 255 - alpha).getbbox() is None
        warning = "The source's transparent parts were put on white."
        return white.convert("RGB"), () if opaque else (warning,)
    return image.convert("RGB"), ()


def resized(
    source: Image.Image, width: int | None, height: int | None
) -> tuple[Image.Image, tuple[str, ...]]:
    """Scale and center-crop a source to the size asked for; say if its proportions changed.

    Args:
        source: the picture.
        width: pixels; in the source's proportions if None.
        height: likewise.
    """
    if width is None and height is None:
        return source, ()
    if width is None:
        width = max(1, round(source.width * (height or 1) / source.height))
    if height is None:
        height = max(1, round(source.height * width / source.width))
    if (width, height) == source.size:
        return source, ()
    warnings: tuple[str, ...] = ()
    if abs(source.width * height - source.height * width) > max(source.size) + max(width, height):
        warnings = ("The source was cropped to the proportions asked for.",)
    return ImageOps.fit(source, (width, height), Image.Resampling.LANCZOS), warnings


def check_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the mask in mode "L".

    Raises:
        InvalidRequest: if its mode or size is wrong or it marks nothing.
    """
    if mask.mode not in ("L", "1"):
        raise InvalidRequest(
            f"The mask has mode '{mask.mode}'.",
            hint="Send one gray channel (mode 'L'): 255 = repaint, 0 = keep.",
        )
    if mask.size != size:
        raise InvalidRequest(
            f"The mask is {mask.width}x{mask.height}, the picture {size[0]}x{size[1]}.",
            hint="Make the mask exactly as large as the picture.",
        )
    gray = mask.convert("L")
    if gray.point(lambda value: 255 if value >= 128 else 0).getbbox() is None:
        raise InvalidRequest(
            "The mask marks nothing to repaint.", hint="Set the pixels to repaint to 255."
        )
    return gray


@dataclass(frozen=True, slots=True)
class EditArea:
    """The part of a source that goes through the model, and how it is fitted in.

    Attributes:
        box: left, top, right, bottom in source pixels.
        scaled: the box's size when shown to the model, pixels.
        work: size handed to the model: `scaled` plus padding to the right and below.
    """

    box: tuple[int, int, int, int]
    scaled: tuple[int, int]
    work: tuple[int, int]

    def enter(self, image: Image.Image) -> Image.Image:
        """Cut the area out, scale it, and repeat the edge pixels to fill the work size."""
        part = image.crop(self.box)
        if part.size != self.scaled:
            part = part.resize(self.scaled, Image.Resampling.LANCZOS)
        if self.scaled == self.work:
            return part
        pixels = np.asarray(part)
        pad = (
            (0, self.work[1] - self.scaled[1]),
            (0, self.work[0] - self.scaled[0]),
            *(((0, 0),) if pixels.ndim == 3 else ()),
        )
        return Image.fromarray(np.pad(pixels, pad, mode="edge"))

    def enter_mask(self, mask: Image.Image) -> Image.Image:
        """Fit a mask in like `enter`; any pixel touched by the mask is repainted by the model."""
        part = mask.crop(self.box)
        if part.size != self.scaled:
            part = part.resize(self.scaled, Image.Resampling.BOX)
        fitted = Image.new("L", self.work, 0)
        fitted.paste(part.point(lambda value: 255 if value >= 64 else 0), (0, 0))
        return fitted

    def leave(
        self,
        painted: Image.Image,
        source: Image.Image,
        mask: Image.Image | None,
        *,
        match_border: bool = False,
    ) -> Image.Image:
        """Put what the model painted back into the source; where `mask` is 0 nothing changes.

        Args:
            painted: of the work size.
            source: what `enter` was given.
            mask: 255 = take the painted pixel.
            match_border: whether painted colors bend towards the source's where the two meet.
        """
        part = painted.crop((0, 0, *self.scaled))
        size = (self.box[2] - self.box[0], self.box[3] - self.box[1])
        if part.size != size:
            part = part.resize(size, Image.Resampling.LANCZOS)
        if match_border and mask is not None:
            part = _border_matched(part, source.crop(self.box), mask.crop(self.box))
        result = source.copy()
        result.paste(part, self.box[:2], mask.crop(self.box) if mask is not None else None)
        return result


def edit_area(size: tuple[int, int], mask: Image.Image | None, spec: ModelSpec) -> EditArea:
    """Choose what the model sees of a source of `size`.

    The whole picture if the model can take it. Otherwise, with a mask, the mask's surroundings,
    so that a small repair in a large photograph keeps its sharpness; without one, all of it,
    scaled down.
    """
    width, height = size
    box = (0, 0, width, height)
    if not _fits(size, spec) and mask is not None:
        box = _around(mask.point(lambda value: 255 if value else 0).getbbox() or box, size)
    return _fitted(box, spec)


def extended(
    source: Image.Image, margins: Margins, mask: Image.Image | None = None
) -> tuple[Image.Image, Image.Image]:
    """Return the canvas for outpainting and its mask: 255 = new, 0 = the source, byte for byte.

    With a mask for the source, that part is repainted too. New parts continue the edge colors
    outward, blurred: a start that a model keeps where it knows nothing better.
    """
    pixels = np.pad(
        np.asarray(source),
        ((margins.top, margins.bottom), (margins.left, margins.right), (0, 0)),
        mode="edge",
    )
    canvas = Image.fromarray(pixels)
    corner = (margins.left, margins.top)
    new = Image.new("L", canvas.size, 255)
    new.paste(mask or Image.new("L", source.size), corner)
    canvas.paste(canvas.filter(ImageFilter.GaussianBlur(max(1, max(margins) // 8))))
    canvas.paste(source, corner)
    return canvas, new


def extension_area(source_size: tuple[int, int], margins: Margins, spec: ModelSpec) -> EditArea:
    """Choose what the model sees of an extended canvas.

    All of it if the model can take it, or if it grows on opposite or neighboring sides. A strip
    on one side of a larger source is worked on together with as much of the source beside it as
    fits unscaled, so that it comes out as sharp as the source.
    """
    size = margins.around(source_size)
    box = [0, 0, *size]
    grown = [side for side, pixels in enumerate(margins) if pixels]
    if len(grown) == 1 and not _fits(size, spec):
        side = grown[0]
        depth = list(margins)[side]
        across = size[1] if side % 2 == 0 else size[0]
        room = across
        if not spec.fixed_size:
            multiple = spec.family.multiple
            room = spec.family.max_pixels // _round_up(across, multiple) // multiple * multiple
        depth = min(max(3 * depth, depth + _MIN_CONTEXT, room), size[side % 2])
        if side < 2:
            box[side + 2] = depth
        else:
            box[side - 2] = size[side % 2] - depth
    return _fitted((box[0], box[1], box[2], box[3]), spec)


def _border_matched(painted: Image.Image, source: Image.Image, mask: Image.Image) -> Image.Image:
    """Take out the shift in color that an autoencoder leaves along the border of the mask.

    How far the model's rendition of the kept side is off is known there; that error, smoothed, is
    subtracted on the painted side and fades out within a few pixels.
    """
    kept = (np.asarray(mask, dtype=np.float32) == 0)[..., None].astype(np.float32)
    new = np.asarray(painted, dtype=np.float32)
    error = (np.asarray(source, dtype=np.float32) - new) * kept
    weight = _blurred(kept)
    shift = _blurred(error) / np.maximum(weight, 1e-3)
    # Half of the window lies on the kept side at the border, nothing of it far away.
    fade = np.clip(2 * weight, 0, 1)
    shift = np.clip(shift, -_MAX_SHIFT, _MAX_SHIFT) * fade
    return Image.fromarray((new + shift).round().clip(0, 255).astype(np.uint8))


def _blurred(pixels: np.ndarray) -> np.ndarray:
    """Blur (height, width, channels) with a box, twice along each axis."""
    for axis in (0, 0, 1, 1):
        pixels = blurred(pixels, min(_FADE, pixels.shape[axis] - 1), axis)
    return pixels


def _fitted(box: tuple[int, int, int, int], spec: ModelSpec) -> EditArea:
    """Scale a box to a size that the model can work on."""
    box_size = (box[2] - box[0], box[3] - box[1])
    family = spec.family
    if spec.fixed_size:
        scale = spec.size / max(box_size)
        scaled = (_scaled(box_size[0], scale), _scaled(box_size[1], scale))
        return EditArea(box, scaled, (spec.size, spec.size))
    scale = min(1.0, math.sqrt(family.max_pixels / (box_size[0] * box_size[1])))
    shortest = math.ceil(MIN_SIDE / family.multiple) * family.multiple
    while True:
        scaled = (_scaled(box_size[0], scale), _scaled(box_size[1], scale))
        work = (
            max(_round_up(scaled[0], family.multiple), shortest),
            max(_round_up(scaled[1], family.multiple), shortest),
        )
        if work[0] * work[1] <= family.max_pixels or max(scaled) <= shortest:
            return EditArea(box, scaled, work)
        scale *= 0.98


def _fits(size: tuple[int, int], spec: ModelSpec) -> bool:
    if spec.fixed_size:
        return max(size) <= spec.size
    return size[0] * size[1] <= spec.family.max_pixels


def _around(marked: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Grow a box by the context the model needs, towards a square, inside the picture."""
    left, top, right, bottom = marked
    longer = max(right - left, bottom - top)
    side = longer + 2 * max(_MIN_CONTEXT, round(longer * _CONTEXT))
    left, right = _span((left + right) // 2, side, size[0])
    top, bottom = _span((top + bottom) // 2, side, size[1])
    return (left, top, right, bottom)


def _span(center: int, length: int, limit: int) -> tuple[int, int]:
    length = min(length, limit)
    start = min(max(center - length // 2, 0), limit - length)
    return start, start + length


def _scaled(length: int, scale: float) -> int:
    return max(1, round(length * scale))


def _round_up(value: int, multiple: int) -> int:
    return math.ceil(value / multiple) * multiple
