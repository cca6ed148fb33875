"""Deleting personas with everything derived from them: pictures, thumbnails, packs, exports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_tools.errors import NotFound
from agent_tools.persona_design import pictures_of
from agent_tools.persona_packs import Packs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from sqlite3 import Connection

    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio
    from kb_export.exporter import ExportReport


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted.

    Attributes:
        image_ids: pictures.
        packs: how many avatar packs.
        exports: what each knowledge base that had a picture said; what could not be delivered
            waits in the outbox.
    """

    image_ids: tuple[str, ...]
    packs: int
    exports: tuple[ExportReport, ...]


def derived_pictures(studio: Studio, persona_id: str) -> list[ImageRecord]:
    """Return a persona's pictures, an uploaded face, and all that was made from any of them.

    Raises:
        NotFound: if there is no such persona.
    """
    gallery = studio.gallery
    persona = studio.personas.get(persona_id)
    found = {record.image_id: record for record in pictures_of(gallery, persona_id)}
    face = persona.canonical_image_id
    if face is not None and face not in found:
        try:
            record = gallery.get(face)
        except NotFound:
            pass
        else:
            if record.kind == "upload":
                found[face] = record
    new = list(found)
    while new:
        children = [gallery.get(name) for name in _made_from(gallery, new) if name not in found]
        found |= {record.image_id: record for record in children}
        new = [record.image_id for record in children]
    return list(found.values())


def remove_persona(studio: Studio, persona_id: str) -> Removed:
    """Delete a persona and everything derived from it; blocks until knowledge bases answered.

    The rows, and the tombstones for knowledge bases, go in one transaction. Files follow; after a
    crash between the two the next start removes them.

    Raises:
        NotFound: if there is no such persona.
    """
    records = derived_pictures(studio, persona_id)
    image_ids = [record.image_id for record in records]
    packs = Packs(studio.gallery)
    count = packs.remove(persona_id)

    def forget(connection: Connection) -> None:
        _forget(connection, image_ids)
        studio.personas.remove(connection, persona_id)

    reports = studio.knowledge.remove_everywhere(image_ids, in_transaction=forget)
    for record in records:
        if _is_shared(studio.gallery, record.sha256):
            continue  # another caller made or sent the very same picture
        record.path.unlink(missing_ok=True)
        for thumbnail in studio.gallery.thumbnails.glob(f"{record.sha256[:32]}-*.webp"):
            thumbnail.unlink(missing_ok=True)
    return Removed(tuple(image_ids), count, reports)


def _is_shared(gallery: Gallery, sha256: str) -> bool:
    with gallery.lock:
        row = gallery.connection.execute(
            "SELECT 1 FROM images WHERE sha256 = ?", (sha256,)
        ).fetchone()
    return row is not None


def _forget(connection: Connection, image_ids: Sequence[str]) -> None:
    listed = json.dumps(list(image_ids))
    connection.execute(
        "DELETE FROM images WHERE image_id IN (SELECT value FROM json_each(?))", (listed,)
    )
    # Answers of earlier calls hold captions and ids of the pictures.
    connection.execute(
        "DELETE FROM repeats WHERE EXISTS (SELECT 1 FROM json_each(repeats.image_ids) AS kept "
        "WHERE kept.value IN (SELECT value FROM json_each(?)))",
        (listed,),
    )
    for table, kept in (("idempotency", "result"), ("jobs", "outcome")):
        connection.execute(
            f"DELETE FROM {table} WHERE EXISTS (SELECT 1 FROM json_each(?) AS gone "
            f"WHERE instr({table}.{kept}, gone.value) > 0)",
            (listed,),
        )


def _made_from(gallery: Gallery, image_ids: Iterable[str]) -> list[str]:
    """Return the pictures whose recipe names any of these as an input."""
    listed = json.dumps(list(image_ids))
    with gallery.lock:
        rows = gallery.connection.execute(
            "SELECT image_id FROM images WHERE parent_id IN (SELECT value FROM json_each(?)) "
            "OR EXISTS (SELECT 1 FROM json_each(images.recipe, '$.inputs') AS used WHERE "
            "json_extract(used.value, '$.image_id') IN (SELECT value FROM json_each(?)))",
            (listed, listed),
        ).fetchall()
    return [row[0] for row in rows]
