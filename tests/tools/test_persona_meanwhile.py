"""What happens to a persona while she is being drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from painting_helpers import upload
from persona_helpers import CONSENT, WORDS, draw

from agent_tools.errors import NotFound, Refused
from agent_tools.persona_design import edited, locked
from agent_tools.removal import remove_persona
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from engine.starter.render.avatars import draw_avatar

pytestmark = pytest.mark.anyio


def meanwhile(work: Callable[[], Any]) -> Any:
    """Return a progress callback that does something once, when painting has begun."""
    left = [work]

    async def report(event: ProgressEvent) -> None:
        if event.step is not None and left:
            left.pop()()

    return report


async def test_who_is_deleted_while_being_drawn_stays_deleted(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id = made.data.persona.persona_id
    asked = {"persona_id": persona_id, "expression": "smiling"}
    progress = meanwhile(lambda: remove_persona(studio, persona_id))
    with pytest.raises(NotFound, match="deleted"):
        await studio.call("create_persona_avatar", asked, progress)
    assert studio.gallery.list() == [] and studio.personas.list() == []


async def test_an_edit_of_a_picture_that_goes_meanwhile_is_not_kept(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id, face = made.data.persona.persona_id, made.data.images[0].image_id
    progress = meanwhile(lambda: remove_persona(studio, persona_id))
    with pytest.raises(NotFound, match="deleted while"):
        await studio.call(
            "edit_image", {"image_id": face, "prompt": "a wall", "steps": 2}, progress
        )
    assert studio.gallery.list() == []


async def test_a_face_locked_while_another_is_derived_stays_locked(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=2)
    persona_id, chosen = made.data.persona.persona_id, made.data.images[1].image_id
    before = len(studio.gallery.list())
    asked = {"persona_id": persona_id, "expression": "smiling"}

    def lock() -> None:
        persona = studio.personas.get(persona_id)
        studio.personas.save(locked(studio, persona, chosen))

    with pytest.raises(Refused) as refusal:
        await studio.call("create_persona_avatar", asked, meanwhile(lock))
    assert refusal.value.code == "locked" and len(studio.gallery.list()) == before
    assert studio.personas.get(persona_id).canonical_image_id == chosen
    again = await draw(studio, **asked)
    assert studio.gallery.get(again.data.images[0].image_id).parent_id == chosen


async def test_a_name_given_while_drawing_is_kept(studio: Studio) -> None:
    persona_id = (await draw(studio, **WORDS)).data.persona.persona_id
    asked = {"persona_id": persona_id, "expression": "smiling"}
    rename = meanwhile(lambda: edited(studio, persona_id, name="Minna", consent=None))
    await studio.call("create_persona_avatar", asked, rename)
    persona = studio.personas.get(persona_id)
    assert persona.name == "Minna" and persona.locked


async def test_no_pack_stays_of_who_is_deleted_while_it_is_made(
    studio: Studio, settings: Settings
) -> None:
    face = upload(studio, draw_avatar({"hair_style": "bun"}))
    made = await draw(studio, **WORDS, from_image_id=face, consent=CONSENT)
    persona_id = made.data.persona.persona_id

    async def remove(event: ProgressEvent) -> None:
        if event.message == "Making every size":
            remove_persona(studio, persona_id)

    with pytest.raises(NotFound):
        await studio.call("create_avatar_pack", {"persona_id": persona_id}, remove)
    assert studio.gallery.list() == [] and not list(settings.data.glob("packs/*/*"))
