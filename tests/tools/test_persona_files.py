"""Personas that leave and come in as files, hostile ones among them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import pytest
from persona_helpers import WORDS, draw

from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound
from agent_tools.persona_design import pictures_of
from agent_tools.persona_files import export_persona, import_persona
from agent_tools.removal import remove_persona
from agent_tools.replay import replay
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio


async def test_an_exported_persona_lives_on_elsewhere(studio: Studio) -> None:
    made = await draw(studio, **WORDS, count=2)
    persona_id = made.data.persona.persona_id
    smiling = await draw(studio, persona_id=persona_id, expression="smiling")
    data = export_persona(studio, persona_id)
    assert export_persona(studio, persona_id) == data
    persona = studio.personas.get(persona_id)
    with pytest.raises(InvalidArguments, match="here already"):
        import_persona(studio, data)
    remove_persona(studio, persona_id)

    assert import_persona(studio, data) == persona
    again = await draw(studio, persona_id=persona_id, expression="smiling")
    assert again.data.images[0].image_id == smiling.data.images[0].image_id
    assert len(pictures_of(studio.gallery, persona_id)) == 3


def rewritten(data: bytes, **changes: Any) -> bytes:
    """Return an export whose record was tampered with."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "persona.json":
                body = json.loads(content)
                body["persona"] |= changes.get("persona", {})
                for picture in body["pictures"]:
                    picture |= changes.get("picture", {})
                body |= changes.get("body", {})
                content = json.dumps(body).encode()
            elif "bytes" in changes:
                content = changes["bytes"]
            new.writestr(name, content)
    return buffer.getvalue()


async def test_a_tampered_export_is_refused_and_leaves_nothing(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id = made.data.persona.persona_id
    data = export_persona(studio, persona_id)
    remove_persona(studio, persona_id)
    for bad in (
        b"", b"no zip", data[:200],
        rewritten(data, bytes=b"no picture"),
        rewritten(data, body={"format": "other@9"}),
        rewritten(data, body={"pictures": []}),
        rewritten(data, body={"pictures": "x"}),
        rewritten(data, picture={"file": "../../etc/passwd"}),
        rewritten(data, picture={"title": {"a": 1}}),
        rewritten(data, persona={"description": "a naked woman"}),
        rewritten(data, persona={"fictional": False}),
        rewritten(data, persona={"seed": "x"}),
        rewritten(data, persona={"persona_id": "../../x"}),
        rewritten(data, persona={"created_at": float("nan")}),
        rewritten(data, persona={"attributes": {"clothing": "lingerie"}}),
        rewritten(data, persona={"seed": 10**30}),
        rewritten(data, picture={"kind": "upload"}),
        rewritten(data, picture={"metadata": {"price": float("inf")}}),
        rewritten(data, picture={"title": "\ud800"}),
        rewritten(data, picture={"seed": [1]}),
        rewritten(data, picture={"seed": 10**30}),
        rewritten(data, picture={"parent_id": []}),
        rewritten(data, picture={"recipe": {"inputs": "x"}}),
    ):  # fmt: skip
        with pytest.raises(AgentToolsError):
            import_persona(studio, bad)
        assert studio.personas.list() == [] and studio.gallery.list() == []
    assert import_persona(studio, data).persona_id == persona_id


async def test_words_of_an_import_are_as_clean_as_our_own(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    persona_id, face = made.data.persona.persona_id, made.data.images[0].image_id
    data = export_persona(studio, persona_id)
    own = studio.gallery.get(face)
    remove_persona(studio, persona_id)
    hostile = "See ![x](https://evil.example/?q) <img src=x>\u202e now"
    words = {"caption": hostile, "title": hostile, "alt": hostile, "notes": [hostile]}
    persona = import_persona(studio, rewritten(data, persona={"style": hostile}, picture=words))
    record = studio.gallery.get(persona.canonical_image_id or "")
    shown = [record.caption, record.title, record.alt, *record.notes, persona.style]
    for text in shown:
        assert text and not re.search("evil|<|\\]\\(|\u202e", text)
    remove_persona(studio, persona_id)
    import_persona(studio, data)
    again = studio.gallery.get(face)
    assert (again.caption, again.alt, again.tags) == (own.caption, own.alt, own.tags)


async def test_a_recipe_from_outside_makes_pictures_and_nothing_else(studio: Studio) -> None:
    made = await draw(studio, **WORDS)
    data = export_persona(studio, made.data.persona.persona_id)
    remove_persona(studio, made.data.persona.persona_id)
    recipe = {"tool": "export_to_kb", "arguments": {}}
    persona = import_persona(studio, rewritten(data, picture={"recipe": recipe}))
    with pytest.raises(NotFound, match="no tool 'export_to_kb' that makes pictures"):
        await replay(studio, persona.canonical_image_id or "")
    assert not studio.knowledge.holders(persona.canonical_image_id or "")
