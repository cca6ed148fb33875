"""Personas: who an avatar shows, kept so that the same face comes back every time."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from agent_tools.callers import current_caller
from agent_tools.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from sqlite3 import Connection

    from agent_tools.gallery import Gallery


class Persona(BaseModel):
    """Someone who is drawn again and again: what every picture of them shares.

    The full appearance is fixed when the persona is created, also what its description left open,
    so later pictures differ only in what is asked for.
    """

    persona_id: str = Field(description="Use this id to draw the same person again.")
    name: str
    description: str = Field(description="The words the persona was created from.")
    style: str = Field(default="", description="How it is drawn; empty for the model's own style.")
    attributes: dict[str, str] = Field(
        default_factory=dict, description="The look by attribute, as far as it was understood."
    )
    appearance: str = Field(description="The full, fixed look that every picture is painted from.")
    palette: list[str] = Field(
        default_factory=list,
        description="Colors of the canonical picture as #rrggbb, most frequent first.",
    )
    seed: int = Field(description="Base seed of every picture.")
    model: str = Field(description="The model that the look was fixed for.")
    revision: str = Field(default="", description="The revision of that model's weights.")
    template_version: int = Field(
        default=1, description="Version of the wording that prompts are made with."
    )
    canonical_image_id: str | None = Field(
        default=None, description="The picture that all others are derived from."
    )
    locked: bool = Field(
        default=False,
        description="Whether the canonical picture is final. Until then another candidate can be "
        "locked.",
    )
    fictional: bool = Field(default=True, description="No real person is shown.")
    consent: str | None = Field(
        default=None, description="For a real person: who consented to what, and when."
    )
    created_at: float = Field(default_factory=time.time, description="Unix time.")


def persona_id_for(name: str, description: str, style: str = "") -> str:
    """Return the id of a caller's persona: readable, and the same for the same words."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24] or "persona"
    words = "\n".join(part for part in (name, description, style) if part)
    caller = current_caller()
    if caller is not None:  # two callers may have the same idea
        words += f"\n{caller}"
    digest = hashlib.sha256(words.encode()).hexdigest()[:10]
    return f"per_{slug}_{digest}"


class PersonaStore:
    """Keep personas in the gallery's database."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def save(self, persona: Persona) -> None:
        """Store or replace one persona."""
        with self._gallery.transaction() as connection:
            self._write(connection, persona)

    def update(self, persona_id: str, change: Callable[[Persona | None], Persona]) -> Persona:
        """Store what `change` makes of a persona as it is now, or of None, and return it.

        Nobody else writes in between.
        """
        with self._gallery.transaction() as connection:
            persona = change(self.find(persona_id))
            self._write(connection, persona)
        return persona

    def _write(self, connection: Connection, persona: Persona) -> None:
        done = connection.execute(
            "INSERT INTO personas VALUES (?, ?, ?) "
            "ON CONFLICT (persona_id) DO UPDATE SET body = excluded.body "
            "WHERE personas.caller IS excluded.caller OR ?",
            (
                persona.persona_id,
                persona.model_dump_json(),
                self._gallery.owner(),
                self._gallery.sees_all(),
            ),
        )
        if done.rowcount == 0:
            raise NotFound("This persona is somebody else's.", hint="Change the description.")

    def get(self, persona_id: str) -> Persona:
        """Return one persona.

        Raises:
            NotFound: naming the caller's personas.
        """
        persona = self.find(persona_id)
        if persona is None:
            known = ", ".join(p.persona_id for p in self.list()[:10]) or "none yet"
            raise NotFound(
                f"There is no persona '{persona_id[:80]}'.",
                hint=f"Known personas: {known}. Create one with a name and description.",
            )
        return persona

    def find(self, persona_id: str) -> Persona | None:
        """Return one of the caller's personas, or None if there is none of this id."""
        with self._gallery.lock:
            row = self._gallery.connection.execute(
                "SELECT body FROM personas WHERE persona_id = ? AND (caller IS ? OR ?)",
                (persona_id, current_caller(), self._gallery.sees_all()),
            ).fetchone()
        return None if row is None else Persona.model_validate(json.loads(row[0]))

    def list(self) -> list[Persona]:
        """Return all of the caller's personas in order of their ids."""
        with self._gallery.lock:
            rows = self._gallery.connection.execute(
                "SELECT body FROM personas WHERE caller IS ? OR ? ORDER BY persona_id",
                (current_caller(), self._gallery.sees_all()),
            ).fetchall()
        return [Persona.model_validate(json.loads(row[0])) for row in rows]

    def remove(self, connection: Connection, persona_id: str) -> None:
        """Forget a persona, inside the caller's transaction."""
        connection.execute("DELETE FROM personas WHERE persona_id = ?", (persona_id,))
