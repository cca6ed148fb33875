"""What knowledge bases get of the gallery's pictures: words, facts and where they came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent_tools.gallery import UNTITLED_UPLOAD
from agent_tools.links import ImageLinks
from agent_tools.provenance import recipe_sha256
from kb_export.errors import BadRecord
from kb_export.record import CaptionSource, KBRecord

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.settings import Settings

# What is known of a picture and is no fact about what it shows; what only its words say.
_NO_FACTS = frozenset(
    {"candidate", "likeness", "derived_by", "edited_from", "enlarged_from", "pack_id"}
)
_IN_THE_CAPTION = frozenset({"background", "outfit", "pose"})
_NOT_MODELS = frozenset({"upload", "exact-recolor", "exact-background"})


class Records:
    """Make records of gallery pictures, and remember which captions a person approved."""

    def __init__(self, gallery: Gallery, settings: Settings) -> None:
        self._gallery = gallery
        self._links = ImageLinks(gallery, settings.public_url, signed=settings.signed_links)
        self._language = settings.language
        with gallery.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS kb_approved (image_id TEXT PRIMARY KEY, record_id TEXT)"
            )

    def of(self, record: ImageRecord) -> KBRecord:
        """Return what knowledge bases get of a picture. Prompts stay at home.

        Raises:
            BadRecord: if its facts are malformed or too many.
        """
        made = self._unapproved(record)
        with self._gallery.lock:
            approved = self._gallery.connection.execute(
                "SELECT 1 FROM kb_approved WHERE image_id = ? AND record_id = ?",
                (made.image_id, made.record_id),
            ).fetchone()
        if approved is None:
            return made
        return made.revised(caption_verified="human", caption_checker="a person")

    def is_approved(self, record: ImageRecord) -> bool:
        """Return whether a person approved the words that the picture has now.

        Raises:
            BadRecord: if its facts are malformed or too many.
        """
        return self.of(record).caption_verified == "human"

    def of_each(
        self, stored: Sequence[ImageRecord]
    ) -> tuple[list[KBRecord], list[tuple[str, str]]]:
        """Return the records, and (image_id, reason) of pictures that no record can be made of."""
        records, refused = [], []
        for record in stored:
            try:
                records.append(self.of(record))
            except BadRecord as error:
                refused.append((record.image_id, str(error)))
        return records, refused

    def approve(self, stored: Sequence[ImageRecord]) -> None:
        """Note that a person found these pictures to show what they say, as they say it now."""
        records = [self._unapproved(record) for record in stored]
        with self._gallery.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO kb_approved VALUES (?, ?)",
                [(record.image_id, record.record_id) for record in records],
            )

    def _unapproved(self, record: ImageRecord) -> KBRecord:
        return KBRecord.make(
            image_id=record.image_id,
            sha256=record.sha256,
            media_type=record.media_type,
            width=record.width,
            height=record.height,
            image_bytes=_file_size(record),
            title=record.title,
            caption=record.caption,
            alt=record.alt,
            long_description=record.long_description,
            use_when=record.use_when,
            language=self._language,
            tags=record.tags,
            group=record.group,
            image_url=self._links.url(record),
            facts=_facts(record),
            provenance=_provenance(record),
            notes=record.notes,
            caption_source=_caption_source(record),
        )


def _facts(record: ImageRecord) -> dict[str, str | int | float | bool]:
    """Return what a bot may filter by; knowledge bases take few."""
    left_out = _NO_FACTS | (_IN_THE_CAPTION if record.kind == "persona" else frozenset())
    return {
        re.sub(r"\W+", "_", key.lower()): value
        for key, value in record.metadata.items()
        if key not in left_out
    }


def _provenance(record: ImageRecord) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {
        "tool": record.tool,
        "model": record.model,
        "kind": record.kind,
        "recipe_sha256": recipe_sha256(record.recipe),
        "ai_generated": record.model not in _NOT_MODELS and record.kind != "diagram",
        "untrusted_caption": True,
        # Uploads are stripped of everything; what a tool made says so inside its file.
        "marking": "none" if record.kind in ("upload", "mask") else "xmp",
    }
    if record.seed is not None:
        found["seed"] = record.seed
    if record.recipe.get("revision"):
        found["revision"] = str(record.recipe["revision"])
    return found


def _caption_source(record: ImageRecord) -> CaptionSource:
    if record.kind not in ("upload", "mask"):
        return "spec"
    return "none" if record.title == UNTITLED_UPLOAD else "human"


def _file_size(record: ImageRecord) -> int:
    """Return the file's bytes; 0 if it is gone, which its delivery will find out and report."""
    try:
        return record.path.stat().st_size
    except FileNotFoundError:
        return 0
