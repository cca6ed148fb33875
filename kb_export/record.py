"""What a knowledge base gets of one picture: its words, its facts, where it came from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from kb_export.budget import fitted
from kb_export.captions import CAPTION_LIMIT, alt_text, clean, clean_lines
from kb_export.errors import BadRecord

Scalar = str | int | float | bool
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
CaptionSource = Literal["none", "spec", "vlm", "human"]
Verified = Literal["none", "clip", "vqa", "ocr", "color", "graph", "human"]
# Knowledge bases take at most 16 flat attributes (OpenAI vector stores); `attributes` needs the
# others itself.
MAX_ATTRIBUTES = 16
MAX_FACTS = 6
MAX_PROVENANCE = 16
MAX_VALUE = 120
LONG_LIMIT = 2000
USE_WHEN_LIMIT = 800  # its own sentence and six uses
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
# https://www.rfc-editor.org/rfc/rfc5646: the common part of language tags.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")


@dataclass(frozen=True, slots=True)
class KBRecord:
    """One picture as knowledge bases see it. Make it with `KBRecord.make`, which cleans the words.

    Attributes:
        record_id: "kb_", 24 hex digits of the picture's hash, "_", 16 hex digits of the hash of
            all other fields: same picture and same words, same id, on every machine.
        image_id: the picture's id in the gallery.
        sha256: of the picture's file.
        image_bytes: size of that file; 0 if nobody said.
        caption: what the picture shows, at most 512 characters.
        alt: alternative text, about 125 characters, at most 250.
        long_description: for diagrams, one fact a line.
        use_when: which questions this picture answers; its own sentence comes first.
        language: of all the words, an IETF language tag.
        group: pictures of one group (variants of one product) count once in a search.
        image_url: stable public address, if there is one. Never a presigned URL.
        facts: at most 6 flat values (sku, color).
        provenance: tool, model and revision, seed, recipe hash, marking; `ai_generated`,
            `untrusted_caption`.
        caption_source: who wrote the caption: the picture's specification, a vision-language
            model, a person, or nobody ("none": there was nothing to write it from).
        caption_verified: what compared the caption with the picture and found it right.
        caption_score: of that check, 0 to 1; None if it has none.
        caption_checker: name of that check.
        caption_flag: why a check has doubts; empty if none has.

    All its text together stays below 800 tokens (see `kb_export.budget`), so that no knowledge
    base parts it from its picture.
    """

    record_id: str
    image_id: str
    sha256: str
    media_type: str
    width: int
    height: int
    image_bytes: int
    title: str
    caption: str
    alt: str
    long_description: str
    use_when: str
    language: str
    tags: tuple[str, ...]
    group: str | None
    image_url: str | None
    facts: dict[str, Scalar]
    provenance: dict[str, Scalar]
    notes: tuple[str, ...]
    caption_source: CaptionSource
    caption_verified: Verified
    caption_score: float | None
    caption_checker: str
    caption_flag: str

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
        image_bytes: int = 0,
        long_description: str = "",
        use_when: str = "",
        language: str = "en",
        tags: Sequence[str] = (),
        group: str | None = None,
        image_url: str | None = None,
        facts: Mapping[str, Scalar] | None = None,
        provenance: Mapping[str, Scalar] | None = None,
        notes: Sequence[str] = (),
        caption_source: CaptionSource = "spec",
        caption_verified: Verified = "none",
        caption_score: float | None = None,
        caption_checker: str = "",
        caption_flag: str = "",
    ) -> KBRecord:
        """Clean every word, shorten what is too long, compute the id and return the record.

        Raises:
            BadRecord: for a malformed hash, media type, size, address, language or fact name, or
                too many facts.
        """
        cleaned_facts = _clean_facts(facts or {}, MAX_FACTS)
        words: dict[str, Any] = {
            "title": clean(title, 120),
            "caption": clean(caption, CAPTION_LIMIT),
            "alt": alt_text(alt),
            "long_description": clean_lines(long_description, LONG_LIMIT),
            "use_when": clean(use_when, USE_WHEN_LIMIT),
            "tags": tuple(filter(None, (clean(tag, 40) for tag in tags[:16]))),
            "notes": tuple(filter(None, (clean(note, 300) for note in notes[:8]))),
        }
        flag = clean(caption_flag, 300)
        fixed = "\n".join(
            [image_url or "", flag, *(f"- {key}: {value}" for key, value in cleaned_facts.items())]
        )
        values: dict[str, Any] = {
            "image_id": image_id,
            "sha256": sha256,
            "media_type": media_type,
            "width": width,
            "height": height,
            "image_bytes": image_bytes,
            **fitted(words, fixed),
            "language": language,
            "group": clean(group, 120) if group else None,
            "image_url": image_url,
            "facts": cleaned_facts,
            "provenance": _clean_facts(provenance or {}, MAX_PROVENANCE),
            "caption_source": caption_source,
            "caption_verified": caption_verified,
            "caption_score": None if caption_score is None else round(float(caption_score), 3),
            "caption_checker": clean(caption_checker, 120),
            "caption_flag": flag,
        }
        _check(values)
        return cls(record_id=_record_id(values), **values)

    def revised(self, **changes: Any) -> KBRecord:
        """Return the record with other words or another verdict, under the id of its new content.

        Raises:
            BadRecord: as `make` does.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "record_id"}
        return KBRecord.make(**(values | changes))

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
    if values["width"] < 1 or values["height"] < 1 or values["image_bytes"] < 0:
        raise BadRecord("width and height must be at least 1, image_bytes at least 0.")
    if not _LANGUAGE.fullmatch(values["language"]):
        raise BadRecord(
            f"{clean(values['language'], 40)!r} is no language tag.",
            hint="Write an IETF tag such as en or de-AT.",
        )
    for name, allowed in (("caption_source", CaptionSource), ("caption_verified", Verified)):
        if values[name] not in get_args(allowed):
            raise BadRecord(f"{name} must be one of {', '.join(get_args(allowed))}.")
    score = values["caption_score"]
    if score is not None and not 0 <= score <= 1:
        raise BadRecord("caption_score must lie between 0 and 1.")
    url = values["image_url"]
    if url is not None and not re.fullmatch(r"https?://[^\s<>\"'`()\[\]?#\\]{1,290}", url):
        raise BadRecord(
            "image_url must be a plain http(s) address.",
            hint="Addresses with a query (such as presigned ones) expire and are never stored.",
        )


def _clean_facts(facts: Mapping[str, Scalar], limit: int) -> dict[str, Scalar]:
    """Return the facts in order of their names, words cleaned."""
    if len(facts) > limit:
        raise BadRecord(
            f"{len(facts)} facts are too many: {clean(', '.join(sorted(facts)), 200)}.",
            hint=f"Knowledge bases take at most {limit} beside the record's own.",
        )
    cleaned: dict[str, Scalar] = {}
    for key in sorted(facts):
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
