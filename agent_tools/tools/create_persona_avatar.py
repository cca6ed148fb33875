"""create_persona_avatar: a fictional person, kept, who looks the same in every picture."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from agent_tools.appearance import Expression, fix_appearance, portrait_prompt, portrait_wording
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.gallery import NewImage
from agent_tools.painting import (
    MAX_SEED,
    keep_and_show,
    new_image,
    paint,
    picture_lines,
    seeds_from,
    warning_lines,
)
from agent_tools.personas import Persona, persona_id_for
from agent_tools.policy import check_prompt
from agent_tools.provenance import recipe_sha256
from agent_tools.results import ImageInfo, ToolImage, ToolResult
from agent_tools.similarity import similarity
from agent_tools.tools.base import Arguments, Progress, Tool
from engine.request import ImageRequest
from kb_export.captions import clean

if TYPE_CHECKING:
    from agent_tools.gallery import ImageRecord
    from agent_tools.studio import Studio


class CreatePersonaAvatarArguments(Arguments):
    """A new persona by name and description, or a known one by id."""

    persona_id: str | None = Field(
        default=None,
        description="Draw this persona again. Leave it out to create one from name and "
        "description.",
    )
    name: str | None = Field(
        default=None, min_length=1, max_length=60, description="A new persona's name."
    )
    description: str | None = Field(
        default=None,
        min_length=1,
        max_length=600,
        description="A new persona's look: skin, hair, glasses, beard, headset, clothing, "
        "background. What is left open is chosen once and then stays. Only fictional people.",
    )
    expression: Expression = Field(default="neutral", description="The mood of the face.")
    count: int = Field(default=1, ge=1, le=4, description="How many pictures of this expression.")
    index: int = Field(
        default=0,
        ge=0,
        le=9999,
        description="Number of the first picture; the same number is the same picture, a higher "
        "one another try.",
    )


class CreatePersonaAvatarOutput(BaseModel):
    """The persona and the pictures that were asked for."""

    persona: Persona
    created: bool = Field(description="False if the persona was there already.")
    expression: str
    images: list[ImageInfo]
    similarity: list[float] = Field(
        description="For each picture, how alike it is to the persona's first, neutral picture in "
        "colors and layout, 0 to 1. A measure of the picture, not of identity."
    )
    seconds: float = Field(description="Time the engine took; 0 if nothing had to be painted.")
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Sitting:
    """Pictures of one persona with one expression, ready for the gallery."""

    images: list[NewImage]
    seconds: float
    warnings: tuple[str, ...]


class CreatePersonaAvatar(Tool):
    """Portraits of stored personas."""

    name = "create_persona_avatar"
    title = "Create persona avatar"
    description = (
        "Create a fictional person once, and draw the same person again with another expression. "
        "First call: name and description; the full look is fixed, a neutral picture painted, and "
        "a persona_id returned. Later calls: persona_id and expression. The same persona, "
        "expression and index always give the same picture. Not for real people. Examples: "
        '{"name": "Mina", "description": "support agent, short black hair, glasses, teal hoodie", '
        '"expression": "smiling"}; {"persona_id": "per_mina_0123456789", "expression": "thinking"}.'
    )
    Arguments = CreatePersonaAvatarArguments
    Output = CreatePersonaAvatarOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Find or create the persona, paint what is asked, and report."""
        asked: CreatePersonaAvatarArguments = arguments
        persona, created, warnings = _find_or_design(studio, asked)
        images: list[NewImage] = []
        seconds, start = 0.0, 0.0
        if created and (asked.expression, asked.index) != ("neutral", 0):
            # The neutral picture that all others are measured against comes first.
            start = 1 / (1 + asked.count)
            first = await _sit(studio, persona, "neutral", 0, 1, progress, (0.0, start))
            images, seconds = first.images, first.seconds
        sitting = await _sit(
            studio, persona, asked.expression, asked.index, asked.count, progress, (start, 1.0)
        )
        extra = len(images)
        records, shown = await keep_and_show(studio, [*images, *sitting.images])
        if created:
            persona = persona.model_copy(update={"canonical_image_id": records[0].image_id})
            studio.personas.save(persona)
        records, shown = records[extra:], shown[extra:]
        likeness = await asyncio.to_thread(_likeness, studio, persona, records)
        output = CreatePersonaAvatarOutput(
            persona=persona,
            created=created,
            expression=asked.expression,
            images=[item.info for item in shown],
            similarity=likeness,
            seconds=round(seconds + sitting.seconds, 2),
            warnings=[*warnings, *sitting.warnings],
        )
        return ToolResult(text=_text(output, shown), data=output, images=shown)


def _find_or_design(
    studio: Studio, asked: CreatePersonaAvatarArguments
) -> tuple[Persona, bool, tuple[str, ...]]:
    """Return the persona, whether it is new (and not yet stored), and warnings."""
    if asked.persona_id is not None:
        if asked.name is not None or asked.description is not None:
            raise InvalidArguments(
                "A known persona keeps its name and look.",
                hint="Give persona_id alone, or name and description for a new persona.",
            )
        persona = studio.personas.get(asked.persona_id)
        return persona, False, _other_model(persona, studio.engine.model)
    if asked.name is None or asked.description is None:
        missing = "name" if asked.name is None else "description"
        raise InvalidArguments(
            f"A new persona needs '{missing}'.",
            hint="Give name and description, or the persona_id of a known persona.",
        )
    name, description = clean(asked.name, 60), clean(asked.description, 600)
    if not name or not description:
        raise InvalidArguments("Name and description must have words in them.")
    check_prompt(name, description)
    persona_id = persona_id_for(name, description)
    with suppress(NotFound):
        known = studio.personas.get(persona_id)
        return known, False, _other_model(known, studio.engine.model)
    look = fix_appearance(description, persona_id, studio.engine.model)
    persona = Persona(
        persona_id=persona_id,
        name=name,
        description=description,
        appearance=look.words,
        seed=int(recipe_sha256({"persona": persona_id})[:8], 16) % (MAX_SEED + 1),
        model=studio.engine.model,
    )
    return persona, True, look.warnings


def _other_model(persona: Persona, model: str) -> tuple[str, ...]:
    if persona.model == model:
        return ()
    return (
        f"{persona.name} was created with model {persona.model}; {model} may paint another face.",
    )


async def _sit(
    studio: Studio,
    persona: Persona,
    expression: Expression,
    index: int,
    count: int,
    progress: Progress,
    share: tuple[float, float],
) -> _Sitting:
    """Paint one expression. Every expression starts from the same seeds, so only it differs."""
    request = ImageRequest(
        prompt=portrait_prompt(persona.appearance, expression, studio.engine.model),
        seeds=seeds_from((persona.seed + index) % (MAX_SEED + 1), count),
    )
    label = f"Painting {persona.name}, {expression}"
    result = await paint(studio, request, progress, label=label, share=share)
    words = portrait_wording(persona, expression)
    images = await asyncio.to_thread(
        lambda: [
            new_image(
                image,
                seed=seed,
                request=request,
                result=result,
                words=words,
                tool=CreatePersonaAvatar.name,
                arguments={
                    "persona_id": persona.persona_id,
                    "expression": expression,
                    "index": index + offset,
                    "count": 1,
                },
                kind="persona",
                group=persona.persona_id,
                metadata={
                    "persona_id": persona.persona_id,
                    "persona": persona.name,
                    "expression": expression,
                    "fictional": True,
                },
                notes=result.warnings,
            )
            for offset, (image, seed) in enumerate(zip(result.images, result.seeds, strict=True))
        ]
    )
    return _Sitting(images, result.timings_s.get("total", 0.0), result.warnings)


def _likeness(studio: Studio, persona: Persona, records: list[ImageRecord]) -> list[float]:
    canonical = studio.gallery.open_image(persona.canonical_image_id or "")
    return [similarity(canonical, studio.gallery.open_image(record.image_id)) for record in records]


def _text(output: CreatePersonaAvatarOutput, shown: tuple[ToolImage, ...]) -> str:
    persona = output.persona
    done = "Created" if output.created else "Drew"
    likeness = ", ".join(f"{value:.2f}" for value in output.similarity)
    return (
        f"{done} persona {persona.persona_id} ({persona.name}, fictional), {output.expression}. "
        f"Look: {persona.appearance}.\n{picture_lines(shown)}\n"
        f"Similarity to the first, neutral picture ({persona.canonical_image_id}): {likeness}. "
        f"Call again with persona_id and another expression for the same person."
        f"{warning_lines(output.warnings)}"
    )
