"""The persona that most tests are about, and how she is drawn."""

from __future__ import annotations

from typing import Any

from agent_tools.studio import Studio

CONSENT = "Anna Weber agreed in writing on 2026-11-03 to an avatar in our help chat"
WORDS = {"name": "Mina", "description": "red hair, glasses"}


async def draw(studio: Studio, **arguments: Any) -> Any:
    return await studio.call("create_persona_avatar", arguments)
