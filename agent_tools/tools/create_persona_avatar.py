"""create_persona_avatar: somebody kept, who has the same face in every picture."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from agent_tools.appearance import Expression
from agent_tools.errors import InvalidArguments
from agent_tools.likeness_rules import check_persona
from agent_tools.painting import (
    keep_and_show,
    picture_lines,
    warning_lines,
)
from agent_tools.persona_design import (
    Designed,
    check_unchanged,
    design,
    joined,
    locked,
    other_model,
)
from agent_tools.personas import Persona
from agent_tools.policy import note_consent
from agent_tools.results import ImageInfo, ToolImage, ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool
from kb_export.captions import clean

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord, NewImage
    from agent_tools.persona_pictures import Change
    from agent_tools.studio import Studio

ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class CreatePersonaAvatarArguments(Arguments):
    """A new persona by name and look, or a known one by id."""

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
        "background. What is left open is chosen once and then stays. Adults, mascots; no real "
        "people without consent.",
    )
    attributes: dict[str, str] | None = Field(
        default=None,
        description="The look by attribute, instead of or beside the description: skin, "
        "hair_style, hair_color, glasses, beard, headwear, clothing, clothing_color, background.",
    )
    style: ShortText | None = Field(
        default=None, description="How a new persona is drawn, e.g. 'watercolor'."
    )
    expression: Expression = Field(default="neutral", description="The mood of the face.")
    background: ShortText | None = Field(
        default=None, description="Another background, e.g. 'mint'; the persona stays."
    )
    outfit: ShortText | None = Field(
        default=None, description="Other clothes, e.g. 'blue suit'; the face stays."
    )
    pose: ShortText | None = Field(
        default=None, description="Another pose; not with the starter model."
    )
    count: int = Field(
        default=1,
        ge=1,
        le=4,
        description="How many pictures. With name and description: candidates to choose from, "
        "which differ in what was left open.",
    )
    index: int = Field(
        default=0,
        ge=0,
        le=9999,
        description="Number of the first picture; the same number is the same picture, a higher "
        "one another try.",
    )
    lock_image_id: str | None = Field(
        default=None,
        description="Make this candidate the persona's canonical picture for good. The first "
        "derived picture locks the first candidate.",
    )
    from_image_id: str | None = Field(
        default=None,
        description="For a new persona: a picture of the gallery that shall be its face (an "
        "upload needs consent). Later: the picture of the persona to derive from, e.g. one with "
        "another outfit; the canonical one if left out.",
    )
    consent: str | None = Field(
        default=None,
        max_length=500,
        description="For a real person: who consented to what and when. It is stored.",
    )


class CreatePersonaAvatarOutput(BaseModel):
    """The persona and the pictures that were asked for."""

    persona: Persona
    created: bool = Field(description="False if the persona was there already.")
    expression: str
    images: list[ImageInfo]
    similarity: list[float] = Field(
        description="For each picture, how alike its head is to the canonical picture's, 0 to 1: "
        "colors and their places, no face recognition."
    )
    verdicts: list[Literal["same", "drifted", "other", "candidate"]] = Field(
        description="What that means: 'drifted' and 'other' pictures may show someone else."
    )
    seconds: float = Field(description="Time the engine took; 0 if nothing had to be painted.")
    warnings: list[str]


class CreatePersonaAvatar(Tool):
    """Portraits of stored personas."""

    name = "create_persona_avatar"
    title = "Create persona avatar"
    description = (
        "Create a persona once, and draw the same one again with another expression, background, "
        "outfit or pose. First call: name and description (count=4 for candidates); a persona_id "
        "is returned. Then lock the best with persona_id and lock_image_id. Later calls: "
        "persona_id and what shall differ; pictures are derived from the canonical one, their "
        "likeness to it is measured, and drift is flagged. The same call always gives the same "
        "picture. Not for real people without their consent. Examples: "
        '{"name": "Mina", "description": "support agent, short black hair, glasses, teal hoodie", '
        '"count": 4}; {"persona_id": "per_mina_0123456789", "expression": "thinking", '
        '"background": "mint"}.'
    )
    Arguments = CreatePersonaAvatarArguments
    Output = CreatePersonaAvatarOutput

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Find or create the persona, paint what is asked, and report."""
        # What works on pixels is imported when it is needed: tools are listed without it.
        from agent_tools.likeness import verdict
        from agent_tools.persona_sitting import paint_candidates, paint_derived

        asked: CreatePersonaAvatarArguments = arguments
        designed = _find_or_design(studio, asked)
        persona, created = designed.persona, designed.created
        if persona.consent:
            note_consent()
        change = _change(asked)
        seconds, start = 0.0, 0.0
        first: NewImage | None = None
        candidates = asked.name is not None and designed.source is None and change.nothing
        if created and designed.source is not None:
            persona = persona.model_copy(
                update={"canonical_image_id": designed.source.image_id, "locked": True}
            )
        elif created and not (candidates and asked.index == 0):
            # The first candidate, that all others are measured against, comes first.
            start = 1 / (1 + asked.count)
            sat = await paint_candidates(studio, persona, 0, 1, progress, (0.0, start))
            (first,), seconds = sat.images, sat.seconds
            own = studio.gallery.id_of(first.data)
            persona = persona.model_copy(update={"canonical_image_id": own})
        if asked.lock_image_id is not None:
            persona = locked(studio, persona, asked.lock_image_id)
        if candidates:
            sitting = await paint_candidates(
                studio, persona, asked.index, asked.count, progress, (start, 1.0)
            )
        else:
            sitting = await paint_derived(
                studio,
                persona,
                change,
                first=first,
                from_image_id=asked.from_image_id if asked.persona_id else None,
                index=asked.index,
                count=asked.count,
                progress=progress,
                share=(start, 1.0),
            )
            if sitting.images and not persona.locked:
                persona = persona.model_copy(update={"locked": True})
        before = [first] if first is not None else []
        # Together: a call that is cancelled halfway keeps nothing.
        _, new = await keep_and_show(
            studio,
            [*before, *sitting.images],
            lambda: check_unchanged(studio, persona, designed, derived=not candidates),
        )
        new = new[len(before) :]
        there = [studio.show(studio.gallery.get(image_id)) for image_id in sitting.there]
        shown = (*there, *new)
        if persona.canonical_image_id is None:
            persona = persona.model_copy(update={"canonical_image_id": shown[0].info.image_id})
        persona = await asyncio.to_thread(_stored, studio, persona, designed)
        records = [studio.gallery.get(item.info.image_id) for item in shown]
        alike = await asyncio.to_thread(_likeness, studio, persona, records)
        output = CreatePersonaAvatarOutput(
            persona=persona,
            created=created,
            expression=asked.expression,
            images=[item.info for item in shown],
            similarity=alike,
            verdicts=[
                "candidate" if candidates and value < 1 else verdict(value) for value in alike
            ],
            seconds=round(seconds + sitting.seconds, 2),
            warnings=[*designed.warnings, *sitting.warnings],
        )
        return ToolResult(text=_text(output, shown), data=output, images=shown)


def _find_or_design(studio: Studio, asked: CreatePersonaAvatarArguments) -> Designed:
    changes = [asked.background or "", asked.outfit or "", asked.pose or ""]
    if asked.persona_id is not None:
        fixed = ("name", "description", "attributes", "style", "consent")
        if any(getattr(asked, name) is not None for name in fixed):
            raise InvalidArguments(
                "A known persona keeps its name and look.",
                hint="Give persona_id and what shall differ (expression, background, outfit, "
                "pose), or name and description for a new persona.",
            )
        persona = studio.personas.get(asked.persona_id)
        check_persona(*changes, consent=persona.consent)
        return Designed(persona, False, other_model(persona, studio.engine.model))
    if asked.name is None or (asked.description is None and not asked.attributes):
        missing = "name" if asked.name is None else "description"
        raise InvalidArguments(
            f"A new persona needs '{missing}'.",
            hint="Give name and description, or the persona_id of a known persona.",
        )
    check_persona(*changes, consent=asked.consent)
    return design(
        studio,
        name=asked.name,
        description=asked.description,
        attributes=asked.attributes,
        style=asked.style or "",
        consent=asked.consent,
        face_image_id=asked.from_image_id,
    )


def _change(asked: CreatePersonaAvatarArguments) -> Change:
    from agent_tools.persona_pictures import Change

    words = (clean(text or "", 200) for text in (asked.background, asked.outfit, asked.pose))
    return Change(asked.expression, *words)


def _stored(studio: Studio, persona: Persona, designed: Designed) -> Persona:
    """Store the persona if it changed; its palette is that of its canonical picture."""
    from agent_tools.portrait import palette

    if not designed.created and persona == designed.persona:
        return persona
    if not persona.palette or persona.canonical_image_id != designed.persona.canonical_image_id:
        picture = studio.gallery.open_image(persona.canonical_image_id or "")
        persona = persona.model_copy(update={"palette": list(palette(picture))})

    def change(now: Persona | None) -> Persona:
        stored = joined(now, persona, designed.persona)
        chosen = stored.locked and not (now is not None and now.locked)
        if studio.settings.auto_export and chosen:
            face = studio.gallery.get(stored.canonical_image_id or "")
            studio.knowledge.enqueue(studio.gallery.connection, [face])
        return stored

    return studio.personas.update(persona.persona_id, change)


def _likeness(studio: Studio, persona: Persona, records: list[ImageRecord]) -> list[float]:
    from agent_tools.likeness import likeness

    canonical = studio.gallery.open_image(persona.canonical_image_id or "")
    return [likeness(canonical, studio.gallery.open_image(record.image_id)) for record in records]


def _text(output: CreatePersonaAvatarOutput, shown: tuple[ToolImage, ...]) -> str:
    persona = output.persona
    done = "Created" if output.created else "Drew"
    kind = "fictional" if persona.fictional else "real, with consent"
    alike = ", ".join(
        f"{value:.2f} {word}"
        for value, word in zip(output.similarity, output.verdicts, strict=True)
    )
    state = "locked" if persona.locked else "not locked yet; lock one with lock_image_id"
    return (
        f"{done} persona {persona.persona_id} ({persona.name}, {kind}), {output.expression}. "
        f"Look: {persona.appearance}.\n{picture_lines(shown)}\n"
        f"Likeness to the canonical picture ({persona.canonical_image_id}, {state}): {alike}. "
        f"Call again with persona_id and another expression, background or outfit for the same "
        f"person.{warning_lines(output.warnings)}"
    )
