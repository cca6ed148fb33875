"""What one call paints of a persona: candidates from words, or pictures derived from its face."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_tools.appearance import STARTER, fix_appearance, portrait_prompt
from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.likeness import likeness, verdict
from agent_tools.painting import MAX_SEED, paint, seeds_from
from agent_tools.persona_design import shows_persona
from agent_tools.persona_outline import Source
from agent_tools.persona_pictures import derive
from agent_tools.persona_records import Sitter
from engine.request import ImageRequest

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord, NewImage
    from agent_tools.persona_pictures import Change
    from agent_tools.personas import Persona
    from agent_tools.studio import Studio
    from agent_tools.tools.base import Progress


@dataclass(frozen=True, slots=True)
class Sitting:
    """Pictures of one persona: ready for the gallery, or there already.

    Attributes:
        there: pictures that need no painting, first in order.
        images: new ones.
        seconds: time the engine took.
        warnings: what to know about them.
    """

    there: tuple[str, ...] = ()
    images: tuple[NewImage, ...] = ()
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


async def paint_candidates(
    studio: Studio,
    persona: Persona,
    index: int,
    count: int,
    progress: Progress,
    share: tuple[float, float],
) -> Sitting:
    """Paint neutral pictures from words; they differ in what the description left open."""
    images: list[NewImage] = []
    seconds, warnings = 0.0, list[str]()
    low, high = share
    for number in range(index, index + count):
        look = fix_appearance(persona.description, persona.persona_id, persona.model, number)
        request = ImageRequest(
            prompt=portrait_prompt(look.words, "neutral", studio.engine.model, persona.style),
            seeds=seeds_from((persona.seed + number) % (MAX_SEED + 1), 1),
        )
        part = [low + (high - low) * (number - index + k) / count for k in (0, 1)]
        label = f"Painting {persona.name}" + (f", {number - index + 1} of {count}" * (count > 1))
        result = await paint(studio, request, progress, label=label, share=(part[0], part[1]))
        images += await asyncio.to_thread(
            Sitter(studio, persona).candidate, request, result, look.words, number
        )
        seconds += result.timings_s.get("total", 0.0)
        warnings += result.warnings
    return Sitting((), tuple(images), seconds, tuple(dict.fromkeys(warnings)))


async def paint_derived(
    studio: Studio,
    persona: Persona,
    change: Change,
    *,
    first: NewImage | None,
    from_image_id: str | None,
    index: int,
    count: int,
    progress: Progress,
    share: tuple[float, float],
) -> Sitting:
    """Derive pictures from the canonical one, or from another one of the persona.

    Args:
        first: the canonical picture, if it is to be stored together with these.
        from_image_id: another picture of the persona.
        index, count: number of the first, and how many.
        progress, share: as in `paint`.

    Raises:
        InvalidArguments: if the picture to derive from shows somebody else.
        AgentToolsError: with code "drifted" if the starter model did not keep the face.
    """
    if first is not None:
        source = Source.new(studio.gallery, first)
    else:
        record = _record(studio, persona, from_image_id)
        source = await asyncio.to_thread(Source.stored, studio.gallery, record)
    canonical = source.image_id == persona.canonical_image_id
    there: tuple[str, ...] = ()
    if canonical and change.nothing and index == 0:
        # Nothing differs from the canonical picture: it is its own first one.
        there, index, count = (source.image_id,), 1, count - 1
    if count == 0:
        return Sitting(there)
    made = await derive(
        studio,
        persona,
        source,
        change,
        index=index,
        count=count,
        progress=progress,
        share=share,
    )
    face = source.picture
    if not canonical:
        own = persona.canonical_image_id or ""
        face = await asyncio.to_thread(studio.gallery.open_image, own)
    alike = await asyncio.to_thread(lambda: [likeness(face, image) for image in made.images])
    if studio.engine.model == STARTER and "other" in map(verdict, alike):
        raise AgentToolsError(
            f"The picture did not keep {persona.name}'s face (likeness {min(alike):.2f}).",
            code="drifted",
            hint="Try another index.",
            data={"similarity": alike},
        )
    images = await asyncio.to_thread(
        Sitter(studio, persona).derived, made, source, change, index, alike
    )
    drifted = [value for value in alike if verdict(value) != "same"]
    notes = [
        f"A picture has drifted from {persona.name}'s canonical one (likeness {value:.2f}); look "
        "at it before showing it, or try another index."
        for value in drifted
    ]
    return Sitting(there, tuple(images), made.seconds, (*made.warnings, *notes))


def _record(studio: Studio, persona: Persona, chosen: str | None) -> ImageRecord:
    record = studio.gallery.get(chosen or persona.canonical_image_id or "")
    own = shows_persona(record, persona)
    if not own and record.image_id != persona.canonical_image_id:
        raise InvalidArguments(
            f"{record.image_id} does not show {persona.persona_id}.",
            hint="Derive from a picture of this persona, or leave from_image_id out.",
        )
    return record
