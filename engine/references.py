"""Reference pictures: brought into a form that a family's pipelines take."""

from __future__ import annotations

import math

from PIL import Image

from engine.edit import flatten
from engine.errors import InvalidRequest, UnsupportedMode
from engine.registry import ModelSpec, models_serving


def fit_references(pictures: tuple[Image.Image, ...], spec: ModelSpec) -> list[Image.Image]:
    """Return reference pictures as RGB, none too small or too long for the model.

    Args:
        pictures: in the order in which the prompt speaks of them.
        spec: the model.

    Raises:
        UnsupportedMode: if the model takes no references.
        InvalidRequest: if there are more than it takes.
    """
    family = spec.family
    if family.reference_argument is None:
        raise UnsupportedMode(
            f"Model '{spec.name}' takes no reference pictures.",
            hint=f"Models that do: {', '.join(models_serving('edit'))}.",
        )
    if len(pictures) > family.max_references:
        raise InvalidRequest(
            f"{len(pictures)} pictures are too many for model '{spec.name}'.",
            hint=f"It takes {family.max_references}, the picture to edit included.",
        )
    return [_fit(flatten(picture)[0], spec) for picture in pictures]


def _fit(picture: Image.Image, spec: ModelSpec) -> Image.Image:
    width, height = picture.size
    ratio = spec.family.max_reference_ratio
    if ratio is not None and max(width, height) > ratio * min(width, height):
        shortest = math.ceil(max(width, height) / ratio)
        padded = Image.new("RGB", (max(width, shortest), max(height, shortest)), "white")
        padded.paste(picture, ((padded.width - width) // 2, (padded.height - height) // 2))
        picture = padded
    lowest = spec.family.min_reference_side
    if min(picture.size) < lowest:
        scale = lowest / min(picture.size)
        size = (math.ceil(picture.width * scale), math.ceil(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture
