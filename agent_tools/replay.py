"""Make a gallery picture again from its recipe, and say exactly how the two compare."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from agent_tools.callers import current_caller
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.provenance import MEASURED
from agent_tools.remix import recipe_call
from agent_tools.tools.base import Progress, no_progress

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio


@dataclass(frozen=True, slots=True)
class Replay:
    """The outcome of making a picture again.

    Attributes:
        original: the picture that was asked for.
        made: the picture that its recipe gives now; the same record if the bytes are equal.
        same_bytes: whether the two files are equal.
        same_pixels: whether the decoded pictures are equal.
        max_change: largest difference of any 8-bit value; None if the sizes differ.
        reasons: what differs between the two recipes, one line each; empty if the bytes are equal.
    """

    original: ImageRecord
    made: ImageRecord
    same_bytes: bool
    same_pixels: bool
    max_change: int | None
    reasons: tuple[str, ...]


async def replay(studio: Studio, image_id: str, progress: Progress = no_progress) -> Replay:
    """Run the recipe of a picture again.

    Raises:
        NotFound: if there is no such picture, or a picture that the recipe needs is gone.
        InvalidArguments: if the picture came from outside and so has no recipe to run.
    """
    original = studio.gallery.get(image_id)
    if original.caller != current_caller() and not studio.gallery.sees_all():
        raise InvalidArguments(
            f"The picture {image_id} is somebody else's; its recipe is theirs.",
            hint="Replay works for your own pictures.",
        )
    tool, arguments = recipe_call(original)
    maker = studio.tools.get(tool)
    # A recipe may have come with an import: it repeats a painting and does nothing else.
    if maker is None or maker.scope != "generate" or maker.about_jobs:
        raise NotFound(
            f"This server has no tool '{tool}' that makes pictures, as {image_id} needs it.",
            hint=f"Tools: {', '.join(sorted(studio.tools))}.",
        )
    if "fresh" in maker.Arguments.model_fields:
        arguments = {**arguments, "fresh": True}
    result = await studio.call(tool, arguments, progress)
    made = _counterpart(studio.gallery, original, [image.info.image_id for image in result.images])
    return compare(studio.gallery, original, made)


def compare(gallery: Gallery, original: ImageRecord, made: ImageRecord) -> Replay:
    """Compare two gallery pictures byte by byte, then pixel by pixel, then recipe by recipe."""
    same_bytes = original.sha256 == made.sha256
    if same_bytes:
        return Replay(original, made, True, True, 0, ())
    max_change = _max_change(
        gallery.read_bytes(original.image_id), gallery.read_bytes(made.image_id)
    )
    reasons = [
        f"{name}: {_short(before)} then, {_short(after)} now"
        for name, before, after in _differences(original.recipe, made.recipe)
    ]
    if max_change is None:
        reasons.insert(
            0, f"size: {original.width}x{original.height} then, {made.width}x{made.height} now"
        )
    elif max_change == 0:
        reasons.insert(0, "the pixels are equal; only the caption or mark inside the file differs")
    elif original.recipe.get("shared_forwards") or made.recipe.get("shared_forwards"):
        reasons.insert(
            0,
            "it shared forwards with other requests, which may change values by 1 of 255; with "
            "exact_replay on it would not",
        )
    elif not reasons:
        reasons.append("the recipes are equal, so the hardware or thread count rounds differently")
    return Replay(original, made, False, max_change == 0, max_change, tuple(reasons))


def _counterpart(gallery: Gallery, original: ImageRecord, made_ids: list[str]) -> ImageRecord:
    """Return the made picture that answers to `original` among those of one call."""
    if original.image_id in made_ids:
        return original
    made = [gallery.get(image_id) for image_id in made_ids]
    for record in made:
        alike = (record.seed, record.caption, record.kind)
        if alike == (original.seed, original.caption, original.kind):
            return record
    for record in made:
        if record.kind == original.kind:
            return record
    raise NotFound(
        f"The recipe of {original.image_id} no longer makes a picture of that kind.",
        hint="See the recipe with: agent-tools gallery show IMAGE_ID --json.",
    )


def _max_change(before: bytes, after: bytes) -> int | None:
    first, second = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), dtype=np.int16)
        for data in (before, after)
    )
    return int(np.abs(first - second).max()) if first.shape == second.shape else None


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if name in MEASURED or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found.extend(_differences(old, new, f"{prefix}{name}."))
        else:
            found.append((f"{prefix}{name}", old, new))
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
