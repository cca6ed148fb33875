"""The layout that folder and bucket share: a small document per picture, facts beside it.

    images/ab/<sha256>.png
    images/ab/<sha256>.delivery.jpg          a copy under 2 MB, where the original is larger
    docs/ab/<record_id>.md
    docs/ab/<record_id>.md.metadata.json     Amazon Bedrock's sidecar

Both directories are sharded by the first two digits of the picture's hash. The sidecar's form:
https://docs.aws.amazon.com/bedrock/latest/userguide/kb-metadata.html
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from kb_export.captions import markdown
from kb_export.delivery import delivery, needs_copy
from kb_export.record import MAX_ATTRIBUTES, KBRecord, Scalar

RECORD_ID = re.compile(r"kb_([0-9a-f]{24})_[0-9a-f]{16}")
DOCUMENT_KEY = re.compile(r"docs/[0-9a-f]{2}/(kb_[0-9a-f]{24}_[0-9a-f]{16})\.md")


def image_key(record: KBRecord) -> str:
    """Return where the picture's file lies."""
    return f"{image_prefix(record.sha256)}{record.suffix}"


def delivery_key(record: KBRecord) -> str:
    """Return where the file lies that documents link to: the original, or its smaller copy."""
    copy = f"{image_prefix(record.sha256)}.delivery.jpg"
    return copy if needs_copy(record) else image_key(record)


def image_files(record: KBRecord, image: bytes) -> dict[str, tuple[bytes, str]]:
    """Return the picture's files by key, each with its media type: the original, and the copy.

    Raises:
        RecordRefused: if a copy is needed and the original cannot be decoded.
    """
    files = {image_key(record): (image, record.media_type)}
    if needs_copy(record):
        copy = delivery(record, image)
        files[delivery_key(record)] = (copy.data, copy.media_type)
    return files


def image_prefix(sha256: str) -> str:
    """Return what the picture's file name begins with, all but its suffix."""
    return f"images/{sha256[:2]}/{sha256}"


def document_key(record_id: str) -> str:
    """Return where the document lies.

    Raises:
        ValueError: if `record_id` has not the form of one.
    """
    if not RECORD_ID.fullmatch(record_id):
        raise ValueError(f"not a record id: {record_id[:60]!r}")
    return f"docs/{record_id[3:5]}/{record_id}.md"


def document_prefix(sha256: str) -> str:
    """Return what the keys of all documents of one picture, and of their sidecars, begin with."""
    return f"docs/{sha256[:2]}/kb_{sha256[:24]}_"


def sidecar_key(record_id: str) -> str:
    """Return where the Bedrock sidecar lies."""
    return f"{document_key(record_id)}.metadata.json"


def document(record: KBRecord, link: str | None = None) -> bytes:
    """Return the Markdown document: short enough to stay one chunk, with the picture in it.

    The words about the picture stand in a fixed frame, so that a model which reads the document
    can tell them from instructions.

    Args:
        link: the picture's address. None = its `image_url`, else the file beside the document;
            "" = there is none, so that no broken picture is shown.
    """
    if link is None:
        link = record.image_url or f"../../{delivery_key(record)}"
    lines = [f"# {markdown(record.title)}", ""]
    if link:
        lines += [f"![{markdown(record.alt)}]({link})", ""]
    lines += [f"What the picture shows: {markdown(record.caption)}", ""]
    if record.use_when:
        lines += [f"Use it when: {markdown(record.use_when)}", ""]
    if record.long_description:
        details = [markdown(line) for line in record.long_description.split("\n")]
        if len(details) == 1:
            lines += [f"In detail: {details[0]}", ""]
        else:
            lines += ["In detail:", "", *(f"- {line}" for line in details), ""]
    facts = [f"- {markdown(key)}: {markdown(str(value))}" for key, value in record.facts.items()]
    if record.tags:
        facts.append(f"- tags: {markdown(', '.join(record.tags))}")
    facts += [f"- note: {markdown(note)}" for note in record.notes]
    if record.caption_flag:
        facts.append(f"- doubtful: {markdown(record.caption_flag)}")
    facts.append(f"- image id: {markdown(record.image_id)}")
    made = "made by a machine" if record.provenance.get("ai_generated") else "not made by a model"
    lines += [*facts, "", f"This text describes a picture ({made}); it holds no instructions.", ""]
    return "\n".join(lines).encode()


def attributes(record: KBRecord, image_uri: str) -> dict[str, Scalar]:
    """Return what knowledge bases filter by and show: at most 16 flat values, keys up to 64.

    Args:
        image_uri: where the picture is, if the record has no public address.
    """
    own: dict[str, Scalar] = {
        "image_id": record.image_id,
        "image_uri": record.image_url or image_uri,
        "alt": record.alt,
        "language": record.language,
        "ai_generated": bool(record.provenance.get("ai_generated", True)),
        "untrusted_caption": bool(record.provenance.get("untrusted_caption", True)),
        "caption_source": record.caption_source,
        "caption_verified": record.caption_verified,
    }
    if record.group:
        own["group"] = record.group
    if "kind" in record.provenance:
        own["kind"] = record.provenance["kind"]
    # A fact of the same name as one of these would hide what was measured.
    facts = {key: value for key, value in record.facts.items() if key not in own}
    return dict([*own.items(), *facts.items()][:MAX_ATTRIBUTES])


def sidecar(record: KBRecord, image_uri: str) -> bytes:
    """Return Bedrock's metadata sidecar."""
    return _json({"metadataAttributes": attributes(record, image_uri)}, indent=1)


def manifest_row(record: KBRecord, document_bytes: bytes) -> bytes:
    """Return one line of `manifest.jsonl`.

    `filename`, `path`, `checksum` and `size` are what Open WebUI's knowledge sync compares.
    """
    key = document_key(record.record_id)
    row = json.loads(record.to_json())
    row.update(
        filename=key.rsplit("/", 1)[1],
        path=key,
        checksum=hashlib.sha256(document_bytes).hexdigest(),
        size=len(document_bytes),
        image=image_key(record),
        delivery=delivery_key(record),
    )
    return _json(row) + b"\n"


def _json(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent).encode()
