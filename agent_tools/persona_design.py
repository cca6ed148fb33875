"""Designing a persona: its words checked, its look fixed, its first picture chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_tools.appearance import TEMPLATE_VERSION, described, fix_appearance
from agent_tools.callers import current_caller
from agent_tools.errors import InvalidArguments, NotFound, Refused
from agent_tools.likeness_rules import check_consent, check_persona
from agent_tools.painting import MAX_SEED
from agent_tools.personas import Persona, persona_id_for
from agent_tools.provenance import recipe_sha256
from kb_export.captions import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.studio import Studio

MAX_ATTRIBUTES = 16
_ATTRIBUTE = re.compile(r"[a-z][a-z_]{0,29}")


@dataclass(frozen=True, slots=True)
class Designed:
    """A persona and whether it is new, that is, not stored yet.

    Attributes:
        persona: the persona.
        created: whether it is new.
        warnings: what of the words the model cannot show.
        source: the gallery picture that shall be its face, if one was named.
    """

    persona: Persona
    created: bool
    warnings: tuple[str, ...]
    source: ImageRecord | None = None


def design(
    studio: Studio,
    *,
    name: str,
    description: str | None,
    attributes: Mapping[str, str] | None,
    style: str,
    consent: str | None,
    face_image_id: str | None,
) -> Designed:
    """Return the persona of these words: the stored one, or a new one with its look fixed.

    Raises:
        InvalidArguments: if there is no look in the words.
        Refused: for minors, sexual content, and real people without a consent note.
        NotFound: if the picture of the face is not there.
    """
    looks = [clean(description or "", 600), described(_checked(attributes or {}))]
    name, style = clean(name, 60), clean(style, 200)
    description = ", ".join(part.strip(" .,") for part in looks if part.strip(" .,"))
    if not name or not description:
        raise InvalidArguments(
            "Name and description must have words in them.",
            hint="Say how the persona looks, in 'description' or in 'attributes'.",
        )
    source = None if face_image_id is None else studio.gallery.get(face_image_id)
    real = source is not None and shows_real_person(studio.gallery, source)
    check_persona(name, description, style, consent=consent, uploaded=real)
    persona_id = persona_id_for(
        name, description, style if face_image_id is None else f"{style}\n{face_image_id}"
    )
    known = studio.personas.find(persona_id)
    model = studio.engine.model
    if known is not None and consent is not None and known.consent is None:
        # Its pictures say that nobody real is shown, and the note would be lost.
        raise InvalidArguments(
            f"{known.name} ({persona_id}) is here already, without a consent note.",
            hint=f"A person stores it with: agent-tools persona edit {persona_id} --consent NOTE.",
        )
    if known is not None:
        return Designed(known, False, other_model(known, model), source)
    look = fix_appearance(description, persona_id, model)
    note = check_consent(consent)
    persona = Persona(
        persona_id=persona_id,
        name=name,
        description=description,
        style=style,
        attributes=look.attributes,
        appearance=look.words,
        seed=int(recipe_sha256({"persona": persona_id})[:8], 16) % (MAX_SEED + 1),
        model=model,
        revision=studio.engine.revision,
        template_version=TEMPLATE_VERSION,
        fictional=note is None,
        consent=note,
    )
    warnings = list(look.warnings)
    if style and model == "starter":
        warnings.append("The starter model has one style; 'style' changes nothing.")
    return Designed(persona, True, tuple(warnings), source)


def locked(studio: Studio, persona: Persona, image_id: str) -> Persona:
    """Return the persona with one of its candidates as the final canonical picture.

    Raises:
        InvalidArguments: if the picture is none of its candidates.
        Refused: if another one is locked already.
    """
    if persona.locked:
        if persona.canonical_image_id == image_id:
            return persona
        raise Refused(
            f"{persona.name} is locked to {persona.canonical_image_id}; pictures derived from "
            "another one would show somebody else.",
            hint="Create a new persona for another face.",
            code="locked",
        )
    try:
        record = studio.gallery.get(image_id)
    except NotFound:
        record = None
    number = None if record is None else record.metadata.get("candidate")
    if record is None or not shows_persona(record, persona) or number is None:
        own = pictures_of(studio.gallery, persona.persona_id)
        candidates = [one.image_id for one in own if "candidate" in one.metadata]
        raise InvalidArguments(
            f"{image_id[:80]} is no candidate of {persona.persona_id}.",
            hint=f"Candidates: {', '.join(candidates)}. More come from the same name and "
            "description with count=4.",
            data={"candidates": candidates},
        )
    look = fix_appearance(persona.description, persona.persona_id, persona.model, int(number))
    return persona.model_copy(
        update={
            "canonical_image_id": image_id,
            "locked": True,
            "appearance": look.words,
            "attributes": look.attributes,
        }
    )


def check_unchanged(studio: Studio, persona: Persona, designed: Designed, *, derived: bool) -> None:
    """Refuse to keep what was painted if the persona is not what it was when painting began.

    Raises:
        NotFound: if it was deleted.
        Refused: with code "locked" if another face was locked, and these pictures show this one.
    """
    now = studio.personas.find(persona.persona_id)
    if now is None:
        if designed.created:
            return
        raise NotFound(
            f"Persona {persona.persona_id} was deleted while it was drawn.",
            hint="Nothing was kept. Create it again with name and description.",
        )
    other = now.canonical_image_id != persona.canonical_image_id
    if now.locked and other and (derived or persona.locked):
        raise Refused(
            f"{now.name} was locked to {now.canonical_image_id} while another face was drawn.",
            hint="Nothing was kept. Call again to derive from that picture.",
            code="locked",
        )


def joined(now: Persona | None, persona: Persona, before: Persona) -> Persona:
    """Return a persona as it is stored now, with what a call has changed since `before`."""
    if now is None or (now.locked and now.canonical_image_id != persona.canonical_image_id):
        return now or persona
    names = ("canonical_image_id", "locked", "appearance", "attributes", "palette")
    changed = {n: getattr(persona, n) for n in names if getattr(persona, n) != getattr(before, n)}
    return now.model_copy(update=changed)


def edited(studio: Studio, persona_id: str, *, name: str | None, consent: str | None) -> Persona:
    """Store another name or a consent note of a persona and return it.

    Raises:
        InvalidArguments: if nothing is to change, or the name or note says nothing.
        Refused: for a name that needs a consent note.
    """
    persona = studio.personas.get(persona_id)
    if name is None and consent is None:
        raise InvalidArguments("Nothing is to be changed.", hint="Give a name or a consent note.")
    new_name = persona.name if name is None else clean(name, 60)
    if not new_name:
        raise InvalidArguments("The name must have words in it.")
    note = persona.consent if consent is None else check_consent(consent)
    check_persona(new_name, persona.description, consent=note)
    persona = persona.model_copy(
        update={"name": new_name, "consent": note, "fictional": note is None}
    )
    studio.personas.save(persona)
    return persona


def other_model(persona: Persona, model: str) -> tuple[str, ...]:
    """Warn if a persona was made with another model."""
    if persona.model == model:
        return ()
    return (
        f"{persona.name} was created with model {persona.model}; {model} may paint another face.",
    )


def shows_real_person(gallery: Gallery, record: ImageRecord) -> bool:
    """Return whether a picture is an upload, made from one, or of somebody who is not fictional.

    A face comes along as a reference or a sketch as well as by an edit; a mask only says where.
    """
    with gallery.lock:
        # Read below the gallery: it hides what another caller's published picture was made from.
        found = gallery.connection.execute(
            "WITH RECURSIVE line(image_id) AS (SELECT ? UNION SELECT images.parent_id FROM images "
            "JOIN line USING (image_id) WHERE images.parent_id IS NOT NULL "
            "UNION SELECT json_extract(used.value, '$.image_id') FROM images "
            "JOIN line USING (image_id), json_each(images.recipe, '$.inputs') AS used "
            "WHERE json_extract(used.value, '$.role') != 'mask') "
            "SELECT 1 FROM images JOIN line USING (image_id) WHERE kind = 'upload' "
            "OR json_extract(metadata, '$.fictional') = 0",
            (record.image_id,),
        ).fetchone()
    return found is not None


def shows_persona(record: ImageRecord, persona: Persona) -> bool:
    """Return whether a picture was painted as this persona: facts alone are inherited."""
    own = record.metadata.get("persona_id") == persona.persona_id
    return own and record.kind == "persona"


def pictures_of(gallery: Gallery, persona_id: str) -> list[ImageRecord]:
    """Return every picture that shows a persona, oldest first."""
    with gallery.lock:
        rows = gallery.connection.execute(
            "SELECT image_id FROM images WHERE (group_id = ? "
            "OR json_extract(metadata, '$.persona_id') = ?) AND (caller IS ? OR ?) ORDER BY rowid",
            (persona_id, persona_id, current_caller(), gallery.sees_all()),
        ).fetchall()
    return [gallery.get(row[0]) for row in rows]


def _checked(attributes: Mapping[str, str]) -> dict[str, str]:
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidArguments(f"At most {MAX_ATTRIBUTES} attributes are taken.")
    for name in attributes:
        if not _ATTRIBUTE.fullmatch(name):
            raise InvalidArguments(
                f"'{name[:40]}' is no name of an attribute.",
                hint="Names are like hair_color: small letters and underscores.",
            )
    return {name: clean(str(value), 60) for name, value in attributes.items()}
