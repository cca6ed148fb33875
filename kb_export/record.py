"""What a knowledge base gets of one picture: its words, its facts, where it came from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from kb_export.captions import ALT_LIMIT, CAPTION_LIMIT, alt_text, clean
from kb_export.errors import BadRecord

Scalar = str | int | float | bool
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
# The smallest limits among common knowledge bases: 16 flat attributes of 512 characters
# (OpenAI vector stores), half of which this package needs itself.
MAX_FACTS = 8
MAX_KEY = 64
MAX_VALUE = 512
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class KBRecord:
    """One picture as knowledge bases see it. Make it with `KBRecord.make`, which cleans the words.

    Attributes:
        record_id: "kb_", 24 hex digits of the picture's hash, "_", 16 hex digits of the hash of
            all other fields: same picture and same words, same id, on every machine.
        image_id: the picture's id in the gallery.
        sha256: of the picture's file.
        use_when: one sentence that says which question this picture answers.
        group: pictures of one group (variants of one product) count once in a search.
        image_url: stable public address, if there is one. Never a presigned URL.
        facts: at most 8 flat values (sku, color).
        provenance: tool, model, seed, recipe hash; `ai_generated`, `untrusted_caption`.
    """

    record_id: str
    image_id: str
    sha256: str
    media_type: str
    width: int
    height: int
    title: str
    caption: str
    alt: str
    long_description: str
    use_when: str
    tags: tuple[str, ...]
    group: str | None
    image_url: str | None
    facts: dict[str, Scalar]
    provenance: dict[str, Scalar]
    notes: tuple[str, ...]

    @classmethod
    def make(
        cls,
        *,
        image_id: str,
        sha256: str,
        media_type: str,
        width: int,
        height: int,
        title: str,
        caption: str,
        alt: str,
        long_description: str = "",
        use_when: str = "",
        tags: Sequence[str] = (),
        group: str | None = None,
        image_url: str | None = None,
        facts: Mapping[str, Scalar] | None = None,
        provenance: Mapping[str, Scalar] | None = None,
        notes: Sequence[str] = (),
    ) -> KBRecord:
        """Clean every word, compute the id and return the record.

        Raises:
            BadRecord: for a malformed hash, media type, size or fact name.
        """
        words = {
            "title": clean(title, 120),
            "caption": clean(caption, CAPTION_LIMIT),
            "alt": alt_text(alt, 2 * ALT_LIMIT),
            "long_description": clean(long_description, 2000),
            "use_when": clean(use_when, 300),
        }
        values: dict[str, Any] = {
            "image_id": image_id,
            "sha256": sha256,
            "media_type": media_type,
            "width": width,
            "height": height,
            **words,
            "tags": tuple(filter(None, (clean(tag, 40) for tag in tags[:16]))),
            "group": clean(group, 120) if group else None,
            "image_url": image_url,
            "facts": _clean_facts(facts or {}),
            "provenance": _clean_facts(provenance or {}, limit=16),
            "notes": tuple(filter(None, (clean(note, 300) for note in notes[:8]))),
        }
        _check(values)
        return cls(record_id=_record_id(values), **values)

    def to_json(self) -> str:
        """Return the record as JSON with sorted keys."""
        return json.dumps(
            {f.name: getattr(self, f.name) for f in fields(self)},
            sort_keys=True,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> KBRecord:
        """Read what `to_json` wrote.

        Raises:
            BadRecord: if it is anything else, or the id does not fit the content.
        """
        try:
            values = json.loads(text)
            record_id = values.pop("record_id")
            for name in ("tags", "notes"):
                values[name] = tuple(values[name])
            _check(values)
            record = cls(record_id=record_id, **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(f"Not a record: {type(error).__name__}.") from error
        if record_id != _record_id(values):
            raise BadRecord(f"The content of record {str(record_id)[:60]} does not fit its id.")
        return record

    @property
    def suffix(self) -> str:
        """The file name's ending, such as ".png"."""
        return SUFFIXES[self.media_type]


def _record_id(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"kb_{values['sha256'][:24]}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _check(values: Mapping[str, Any]) -> None:
    if not _SHA256.fullmatch(values["sha256"]):
        raise BadRecord("sha256 must be 64 hex digits.")
    if not _IMAGE_ID.fullmatch(values["image_id"]):
        raise BadRecord("image_id may hold letters, digits, '.', '_' and '-' only.")
    if values["media_type"] not in SUFFIXES:
        raise BadRecord(
            f"Media type {str(values['media_type'])[:40]!r} is not taken.",
            hint=f"Allowed: {', '.join(SUFFIXES)}.",
        )
    if values["width"] < 1 or values["height"] < 1:
        raise BadRecord("width and height must be at least 1.")
    url = values["image_url"]
    if url is not None and not re.fullmatch(r"https?://[^\s<>\"'`()\[\]?#\\]{1,500}", url):
        raise BadRecord(
            "image_url must be a plain http(s) address.",
            hint="Addresses with a query (such as presigned ones) expire and are never stored.",
        )


def _clean_facts(facts: Mapping[str, Scalar], limit: int = MAX_FACTS) -> dict[str, Scalar]:
    """Return at most `limit` facts in order of their names, words cleaned."""
    cleaned: dict[str, Scalar] = {}
    for key in sorted(facts)[:limit]:
        if not _KEY.fullmatch(key):
            raise BadRecord(
                f"Fact name {clean(key, 40)!r} is not allowed.",
                hint="Use lower-case letters, digits and '_', at most 64.",
            )
        value = facts[key]
        if isinstance(value, float) and not -1e300 < value < 1e300:
            raise BadRecord(f"Fact {key!r} is not a finite number.")
        cleaned[key] = clean(value, MAX_VALUE) if isinstance(value, str) else value
    return cleaned
