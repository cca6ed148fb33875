"""The outline of a stored portrait; the starter model may paint a silhouette for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from agent_tools.appearance import STARTER
from agent_tools.errors import Refused
from agent_tools.painting import paint
from agent_tools.portrait import Outline, outline
from agent_tools.starter_portrait import Look, read_look
from engine.request import ImageRequest

if TYPE_CHECKING:
    from agent_tools.gallery import ImageRecord
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress

# In this order the starter paints a silhouette when figure and background run into each other.
_CONTRASTING = ("light blue", "mint", "white", "light gray", "pink")


async def outlined(studio: Studio, source: ImageRecord, progress: Progress) -> Outline:
    """Outline the figure of a stored portrait; the starter model may paint a silhouette for it.

    Raises:
        Refused: if figure and background cannot be told apart.
    """
    picture = await asyncio.to_thread(studio.gallery.open_image, source.image_id)
    try:
        return await asyncio.to_thread(outline, picture)
    except Refused as refusal:
        look = read_look(str(source.recipe.get("prompt", "")))
        if look is None or studio.engine.model != STARTER or source.seed is None:
            raise
        return await _silhouette(studio, look, source.seed, progress, refusal)


async def _silhouette(
    studio: Studio, look: Look, seed: int, progress: Progress, refusal: Refused
) -> Outline:
    """Outline the same figure, painted from the same seed before a background that contrasts."""
    for background in _CONTRASTING:
        if background == look.attributes["background"]:
            continue
        request = ImageRequest(
            prompt=replace(look, attributes={**look.attributes, "background": background}).caption,
            seeds=(seed,),
        )
        result = await paint(studio, request, progress, label="Outlining", share=(0, 0))
        try:
            found = await asyncio.to_thread(outline, result.images[0])
        except Refused:
            continue
        return Outline(found.mask, "silhouette")
    raise refusal
