"""A persona as one zip: the record as JSON and its pictures; taken in again elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.image_record import NewImage
from agent_tools.likeness_rules import check_persona
from agent_tools.painting import MAX_SEED
from agent_tools.persona_design import pictures_of
from agent_tools.persona_packs import zipped
from agent_tools.personas import Persona
from agent_tools.pictures import decode_picture
from kb_export.captions import alt_text, clean, clean_lines
from kb_export.record import LONG_LIMIT, USE_WHEN_LIMIT

if TYPE_CHECKING:
    from agent_tools.image_record import ImageRecord, Kind
    from agent_tools.studio import Studio

FORMAT = "agent-tools/persona@1"
MAX_FILES, MAX_FILE_BYTES, MAX_TOTAL_BYTES = 500, 20_000_000, 200_000_000
_RECORD = "persona.json"
_PERSONA_ID = re.compile(r"per_[a-z0-9-]{1,24}_[0-9a-f]{10}")
# What of a picture's entry travels; the file itself says the rest.
_KEPT = (
    "seed", "model", "tool", "title", "caption", "alt", "long_description", "use_when", "tags",
    "parent_id", "recipe", "metadata", "notes",
)  # fmt: skip


def export_persona(studio: Studio, persona_id: str) -> bytes:
    """Return a zip with persona.json and every picture; the same persona, the same bytes.

    Raises:
        NotFound: if there is no such persona.
    """
    persona = studio.personas.get(persona_id)
    records = {record.image_id: record for record in pictures_of(studio.gallery, persona_id)}
    face = persona.canonical_image_id
    if face is not None and face not in records:
        records[face] = studio.gallery.get(face)
    contents = {_file(record): studio.gallery.read_bytes(name) for name, record in records.items()}
    body = {
        "format": FORMAT,
        "persona": persona.model_dump(mode="json"),
        "pictures": [
            {"file": _file(record), "image_id": record.image_id, "kind": record.kind}
            | {name: value for name, value in asdict(record).items() if name in _KEPT}
            for record in records.values()
        ],
    }
    contents[_RECORD] = (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()
    return zipped(contents)


def import_persona(studio: Studio, data: bytes) -> Persona:
    """Take in an exported persona with its pictures; all or nothing.

    Nothing in the file is trusted: pictures are decoded behind limits, ids follow from their
    bytes, the words pass the same gate as new ones, and a persona that is here already is kept.

    Raises:
        InvalidArguments: if it is no export, is damaged or too large, or the persona exists.
        Refused: for words that would not be allowed in a new persona.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = _read(archive)
        body = json.loads(files[_RECORD])
        # Infinity, NaN and lone surrogates are no JSON to anybody else: the database and its
        # readers would break on them.
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        if body["format"] != FORMAT:
            raise InvalidArguments(
                f"The export has the format {str(body['format'])[:60]!r}.",
                hint=f"This version reads {FORMAT}.",
            )
        persona = _cleaned(Persona.model_validate(body["persona"]))
        if not _PERSONA_ID.fullmatch(persona.persona_id):
            raise ValueError("the persona's id is malformed")
        images = [_image(files, entry, persona) for entry in body["pictures"]]
        if not all(isinstance(entry["image_id"], str) for entry in body["pictures"]):
            raise ValueError("an image_id is no text")
        if persona.fictional == bool(persona.consent) or not _is_seed(persona.seed):
            raise ValueError("the persona contradicts itself")
    except AgentToolsError:
        raise
    except (
        zipfile.BadZipFile, KeyError, TypeError, ValueError, ValidationError, NotImplementedError,
        RuntimeError, EOFError, OSError, RecursionError,
    ) as error:  # fmt: skip
        raise InvalidArguments(
            "The file is no export of a persona, or it is damaged.",
            hint="Export it again with `agent-tools persona export`.",
        ) from error
    named = (persona.name, persona.description, persona.style, persona.appearance)
    words = (*named, *persona.attributes.values())
    uploaded = not persona.fictional or any(image.kind == "upload" for image in images)
    check_persona(*words, consent=persona.consent, uploaded=uploaded)
    if studio.personas.find(persona.persona_id) is not None:
        raise InvalidArguments(
            f"Persona {persona.persona_id} is here already.",
            hint="Delete it first: agent-tools persona delete.",
        )
    ids = {
        entry["image_id"]: f"img_{hashlib.sha256(image.data).hexdigest()[:24]}"
        for entry, image in zip(body["pictures"], images, strict=True)
    }
    if persona.canonical_image_id not in ids:
        raise InvalidArguments(
            "The export lacks the canonical picture.",
            hint="Export it again with `agent-tools persona export`.",
        )
    studio.keep([_renamed(image, ids) for image in images])
    persona = persona.model_copy(update={"canonical_image_id": ids[persona.canonical_image_id]})
    studio.personas.save(persona)
    return persona


def _cleaned(persona: Persona) -> Persona:
    """Return a persona from outside with words as clean as those of one that is created here."""
    words = {"name": 60, "description": 1800, "style": 200, "appearance": 1800}
    cleaned = {name: clean(getattr(persona, name), limit) for name, limit in words.items()}
    if not cleaned["name"] or not cleaned["description"]:
        raise ValueError("the persona has no words")
    attributes = {clean(k, 30): clean(v, 60) for k, v in persona.attributes.items()}
    return persona.model_copy(update={**cleaned, "attributes": attributes})


def _is_seed(value: Any) -> bool:
    return value is None or (isinstance(value, int) and 0 <= value <= MAX_SEED)


def _renamed(image: NewImage, ids: dict[str, str]) -> NewImage:
    """Return a picture whose origin is named as it is here: ids elsewhere may be a caller's own."""
    recipe = dict(image.recipe)
    arguments = recipe.get("arguments")
    if isinstance(arguments, dict) and arguments.get("from_image_id") in ids:
        recipe["arguments"] = arguments | {"from_image_id": ids[arguments["from_image_id"]]}
    return replace(image, parent_id=ids.get(image.parent_id or ""), recipe=recipe)


def _file(record: ImageRecord) -> str:
    return f"pictures/{record.image_id}{record.path.suffix}"


def _read(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Read every member into memory, within limits; no path of it ever becomes a file."""
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise InvalidArguments(f"The export has more than {MAX_FILES} files.")
    files, total = {}, 0
    for member in members:
        with archive.open(member) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        total += len(content)
        if len(content) > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
            raise InvalidArguments(
                "The export is too large.",
                hint=f"At most {MAX_TOTAL_BYTES // 10**6} MB in all are read.",
            )
        files[member.filename] = content
    return files


def _image(files: dict[str, bytes], entry: dict[str, Any], persona: Persona) -> NewImage:
    data = files[entry["file"]]
    picture = decode_picture(data)
    kind: Kind = "upload" if entry["kind"] == "upload" else "persona"
    values = {name: entry[name] for name in _KEPT}
    for name in ("model", "tool", "title", "caption", "alt", "long_description", "use_when"):
        if not isinstance(values[name], str) or len(values[name]) > 2000:
            raise ValueError(f"{name} is no short text")
    if not _is_seed(values["seed"]) or not isinstance(values["parent_id"], str | None):
        raise ValueError("seed or parent_id is malformed")
    for used in dict(values["recipe"]).get("inputs", []):
        if not isinstance(used["image_id"], str) or not isinstance(used["role"], str):
            raise ValueError("an input of a recipe is malformed")
    metadata = {
        str(key)[:60]: value
        for key, value in dict(values["metadata"]).items()
        if isinstance(value, str | int | float | bool)
    }
    own = kind == "persona"
    return NewImage(
        data=data,
        media_type={b"\x89PNG": "image/png", b"RIFF": "image/webp"}.get(data[:4], "image/jpeg"),
        width=picture.width,
        height=picture.height,
        kind=kind,
        group=persona.persona_id if own else None,
        **values
        | {
            "title": clean(values["title"], 120),
            "caption": clean(values["caption"]),
            "alt": alt_text(values["alt"]),
            "long_description": clean_lines(values["long_description"], LONG_LIMIT),
            "use_when": clean(values["use_when"], USE_WHEN_LIMIT),
            "tags": tuple(clean(str(tag), 40) for tag in values["tags"]),
            "notes": tuple(clean(str(note), 300) for note in values["notes"]),
            "recipe": dict(values["recipe"]),
            "metadata": metadata | {"persona_id": persona.persona_id} if own else metadata,
        },
    )
