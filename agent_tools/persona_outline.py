"""Portraits to derive from, and their outlines; the starter model may paint a silhouette for it."""

from __future__ import annotations

import asyncio
import hashlib
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from agent_tools.appearance import STARTER
from agent_tools.errors import Refused
from agent_tools.painting import paint
from agent_tools.portrait import Outline, outline
from agent_tools.starter_portrait import Look, read_look
from agent_tools.tools.base import no_progress
from engine.request import ImageRequest

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord, NewImage
    from agent_tools.studio import Studio

# In this order the starter paints a silhouette when figure and background run into each other.
_CONTRASTING = ("light blue", "mint", "white", "light gray", "pink")


@dataclass(frozen=True, slots=True)
class Source:
    """A portrait that others are made from; it may be about to enter the gallery.

    Attributes:
        picture: the decoded picture.
        image_id, sha256: of its file.
        prompt: what it was painted from; empty if unknown.
        model: what made it.
        seed: what it was painted from, or None.
    """

    picture: Image.Image
    image_id: str
    sha256: str
    prompt: str
    model: str
    seed: int | None

    @classmethod
    def stored(cls, gallery: Gallery, record: ImageRecord) -> Source:
        """Return a picture of the gallery as a source."""
        picture = gallery.open_image(record.image_id)
        prompt = str(record.recipe.get("prompt", ""))
        return cls(picture, record.image_id, record.sha256, prompt, record.model, record.seed)

    @classmethod
    def new(cls, gallery: Gallery, image: NewImage) -> Source:
        """Return a picture that will be stored together with what is derived from it."""
        with Image.open(io.BytesIO(image.data), formats=("PNG",)) as picture:
            picture.load()
        digest = hashlib.sha256(image.data).hexdigest()
        prompt = str(image.recipe.get("prompt", ""))
        return cls(picture, gallery.id_of(image.data), digest, prompt, image.model, image.seed)


async def outlined(studio: Studio, source: Source) -> Outline:
    """Outline the figure of a portrait; the starter model may paint a silhouette for it.

    Raises:
        Refused: if figure and background cannot be told apart.
    """
    try:
        return await asyncio.to_thread(outline, source.picture)
    except Refused as refusal:
        look = read_look(source.prompt)
        if look is None or studio.engine.model != STARTER or source.seed is None:
            raise
        return await _silhouette(studio, look, source.seed, refusal)


async def _silhouette(studio: Studio, look: Look, seed: int, refusal: Refused) -> Outline:
    """Outline the same figure, painted from the same seed before a background that contrasts."""
    for background in _CONTRASTING:
        if background == look.attributes["background"]:
            continue
        request = ImageRequest(
            prompt=replace(look, attributes={**look.attributes, "background": background}).caption,
            seeds=(seed,),
        )
        result = await paint(studio, request, no_progress, label="Outlining", share=(0, 0))
        try:
            found = await asyncio.to_thread(outline, result.images[0])
        except Refused:
            continue
        return Outline(found.mask, "silhouette")
    raise refusal
