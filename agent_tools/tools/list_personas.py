"""list_personas: who there is, and the pictures of one of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from agent_tools.errors import NotFound
from agent_tools.persona_design import pictures_of
from agent_tools.personas import Persona
from agent_tools.results import ImageInfo, ToolResult
from agent_tools.tools.base import Arguments, Progress, Tool

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio

_SHOWN = 8


class ListPersonasArguments(Arguments):
    """Everybody, or one."""

    persona_id: str | None = Field(
        default=None, description="Show this persona's pictures; everybody's faces if left out."
    )


class ListPersonasOutput(BaseModel):
    """The personas and their pictures."""

    personas: list[Persona]
    images: list[ImageInfo] = Field(
        description="Of one persona its pictures, of several the canonical ones, newest first."
    )


class ListPersonas(Tool):
    """Stored personas."""

    name = "list_personas"
    title = "List personas"
    description = (
        "List the stored personas with their looks and canonical pictures, or the pictures of one "
        "of them. Use a persona_id from here with create_persona_avatar and create_avatar_pack. "
        'Examples: {}; {"persona_id": "per_mina_0123456789"}.'
    )
    Arguments = ListPersonasArguments
    Output = ListPersonasOutput
    read_only = True

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        """Look up and report."""
        asked: ListPersonasArguments = arguments
        if asked.persona_id is not None:
            persona = studio.personas.get(asked.persona_id)
            personas = [persona]
            records = pictures_of(studio.gallery, persona.persona_id)[::-1]
        else:
            personas = sorted(studio.personas.list(), key=lambda one: one.created_at, reverse=True)
            faces = [one.canonical_image_id for one in personas[:_SHOWN]]
            records = []
            for face in faces:
                with suppress(NotFound):  # it was deleted or withdrawn since
                    records.append(studio.gallery.get(face or ""))
        shown = await asyncio.to_thread(
            lambda: tuple(studio.show(record) for record in records[:_SHOWN])
        )
        output = ListPersonasOutput(personas=personas, images=[item.info for item in shown])
        return ToolResult(text=_text(output, records), data=output, images=shown)


def _text(output: ListPersonasOutput, records: list[ImageRecord]) -> str:
    if not output.personas:
        return "There are no personas yet. Create one with create_persona_avatar."
    lines = [
        f"{one.persona_id}: {one.name}, {one.appearance}; canonical picture "
        f"{one.canonical_image_id}{' (locked)' if one.locked else ''}"
        f"{'' if one.fictional else '; a real person, with consent'}."
        for one in output.personas
    ]
    if len(output.personas) == 1:
        lines += [
            f"- {record.image_id}: {record.metadata.get('expression', record.title)}"
            + "".join(
                f", {record.metadata[k]}"
                for k in ("outfit", "background", "pose")
                if k in record.metadata
            )
            for record in records
        ]
    return "\n".join(lines)
