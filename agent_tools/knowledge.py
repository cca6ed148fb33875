"""The knowledge base as tools see it: queue pictures, export them, find them again."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent_tools.errors import BadSettings, InvalidArguments
from agent_tools.provenance import recipe_sha256
from kb_export.encoder import find_encoder
from kb_export.errors import KBError
from kb_export.exporter import Exporter, ExportReport
from kb_export.outbox import Outbox, TargetStatus
from kb_export.record import KBRecord
from kb_export.search import Hit, SearchIndex
from kb_export.targets import KBTarget, open_target, target_name

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery, ImageRecord
    from agent_tools.settings import Settings
    from kb_export.encoder import Encoder

# Exporting "everything" leaves these out: they are means, not results.
_NOT_RESULTS = frozenset({"upload", "mask", "sheet"})
_NOT_MODELS = frozenset({"upload", "exact-recolor"})
_CHUNK = 200

Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class KnowledgeStatus:
    """How far every knowledge base is.

    Attributes:
        targets: one entry each; the default one is always among them.
        indexed: records that local search knows.
        method: "vectors" (by meaning) or "words" (no encoder installed).
    """

    targets: tuple[TargetStatus, ...]
    indexed: int
    method: str


class Knowledge:
    """Export pictures to knowledge bases and search what was exported.

    Every method may be called from any thread; `export` runs one at a time in a process, and
    several processes may share the data directory.
    """

    def __init__(
        self, gallery: Gallery, settings: Settings, *, encoder: Encoder | None = None
    ) -> None:
        """Prepare the tables; nothing is sent and no encoder is loaded yet.

        Args:
            encoder: the installed MiniLM if None.

        Raises:
            BadSettings: if the settings name no usable knowledge base or web address.
        """
        self._gallery = gallery
        self._settings = settings
        self._outbox = Outbox(gallery)
        self._index = SearchIndex(gallery, encoder or find_encoder())
        self._targets: dict[str, KBTarget] = {}
        self._exporting = threading.Lock()
        self._closing = threading.Event()
        try:
            self.default_target = target_name(settings.kb_target)
        except KBError as error:
            raise BadSettings(f"Setting 'kb': {error.args[0]}", hint=error.hint) from error
        if settings.public_url and not re.fullmatch(r"https?://[^\s?#<>()]+", settings.public_url):
            raise BadSettings(
                "Setting 'public_url' must be a plain http(s) address.",
                hint="Leave out queries and fragments.",
            )

    def enqueue(self, connection: sqlite3.Connection, records: Sequence[ImageRecord]) -> None:
        """Owe pictures to the default target inside the gallery's transaction."""
        # Read back: a picture painted again keeps the words it had first.
        stored = [self._gallery.get(record.image_id) for record in records]
        self._outbox.enqueue(
            connection,
            self.default_target,
            [self._kb_record(record) for record in stored if record.kind not in _NOT_RESULTS],
        )

    def export(
        self,
        image_ids: Sequence[str] | None = None,
        target: str | None = None,
        progress: Report | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> ExportReport:
        """Bring pictures into a knowledge base and into the local index; blocks until done.

        Pictures that are there unchanged are not sent again. After a crash, run it again.

        Args:
            image_ids: which pictures; None = every result in the gallery and all that waits.
            target: "folder:PATH" or "s3://bucket/prefix"; the default one if None. For people at
                the command line; never taken from an agent.
            progress: called with (done, total, what), done only grows.
            stop: asked between pictures; when true the rest stays queued.

        Raises:
            NotFound: for an unknown image id, before anything is queued.
            InvalidArguments: if a mask is named.
            KBError: for a malformed target.
        """
        name = self.default_target if target is None else target_name(target)
        if image_ids is None:
            chosen = [r for r in self._gallery.list(limit=-1) if r.kind not in _NOT_RESULTS]
        else:
            chosen = [self._gallery.get(image_id) for image_id in dict.fromkeys(image_ids)]
            masks = [record.image_id for record in chosen if record.kind == "mask"]
            if masks:
                raise InvalidArguments(
                    f"{', '.join(masks)}: a mask is no picture to show.",
                    hint="Export the pictures made with it.",
                )
        for start in range(0, len(chosen), _CHUNK):
            records = [self._kb_record(record) for record in chosen[start : start + _CHUNK]]
            with self._gallery.transaction() as connection:
                self._outbox.enqueue(connection, name, records)
        scope = None if image_ids is None else [record.image_id for record in chosen]
        outcome = self._deliver(name, scope, progress, stop)
        asked = {record.image_id for record in chosen}
        touched = asked & {*outcome.put, *(image_id for image_id, _ in outcome.failed)}
        waiting = self._outbox.pending(name, list(asked))
        return replace(outcome, unchanged=len(asked) - len(touched) - waiting)

    def remove(self, image_ids: Sequence[str], target: str | None = None) -> ExportReport:
        """Take pictures out of a knowledge base and the local index; the gallery keeps them."""
        name = self.default_target if target is None else target_name(target)
        with self._gallery.transaction() as connection:
            self._outbox.withdraw(connection, name, image_ids)
        return self._deliver(name, image_ids, None, lambda: False)

    def status(self) -> KnowledgeStatus:
        """Return pending, done and failed counts for each target."""
        known = {status.target: status for status in self._outbox.status()}
        known.setdefault(self.default_target, TargetStatus(self.default_target, 0, 0, ()))
        return KnowledgeStatus(
            targets=tuple(known[name] for name in sorted(known)),
            indexed=self._index.count(),
            method=self._index.method,
        )

    def search(
        self, question: str, limit: int = 5, min_score: float | None = None
    ) -> tuple[Hit, ...]:
        """Return the pictures that answer a question, best first; none if nothing fits.

        See `SearchIndex.search`.
        """
        return self._index.search(question, limit, min_score)

    def close(self) -> None:
        """Stop a running export after its current picture; what is left stays queued."""
        self._closing.set()
        with self._exporting:
            self._targets.clear()

    def _deliver(
        self,
        name: str,
        scope: Sequence[str] | None,
        progress: Report | None,
        stop: Callable[[], bool],
    ) -> ExportReport:
        def report(done: int, total: int, what: str) -> None:
            if progress is not None:
                progress(done, total + 1, what)  # one step more: the index

        with self._exporting:
            if name not in self._targets:
                self._targets[name] = open_target(name, self._own_settings(name))
            exporter = Exporter(self._outbox, self._targets[name], self._gallery.read_bytes)
            outcome = exporter.run(
                scope, report=report, stop=lambda: stop() or self._closing.is_set()
            )
            if not self._closing.is_set():
                self._index.refresh()
        if progress is not None:
            total = len(outcome.put) + len(outcome.deleted) + len(outcome.failed) + outcome.pending
            progress(total + 1, total + 1, "done")
        return outcome

    def _own_settings(self, name: str) -> dict[str, str]:
        """Return what this server's own settings say about a kind of knowledge base."""
        settings = self._settings
        by_scheme: dict[str, dict[str, str | None]] = {
            "s3": {"endpoint": settings.s3_endpoint},
            "pages": {"root": str(settings.kb_pages_root)},
            "webhook": {"root": str(settings.kb_pages_root), "public_url": settings.public_url},
        }
        own = by_scheme.get(name.partition(":")[0], {})
        return {key: value for key, value in own.items() if value}

    def _kb_record(self, record: ImageRecord) -> KBRecord:
        """Return what knowledge bases get of a picture. Prompts stay at home."""
        base = (self._settings.public_url or "").rstrip("/")
        facts = {re.sub(r"\W+", "_", k.lower()): v for k, v in record.metadata.items()}
        provenance: dict[str, str | int | float | bool] = {
            "tool": record.tool,
            "model": record.model,
            "kind": record.kind,
            "recipe_sha256": recipe_sha256(record.recipe),
            "ai_generated": record.model not in _NOT_MODELS and record.kind != "diagram",
            "untrusted_caption": True,
        }
        if record.seed is not None:
            provenance["seed"] = record.seed
        return KBRecord.make(
            image_id=record.image_id,
            sha256=record.sha256,
            media_type=record.media_type,
            width=record.width,
            height=record.height,
            title=record.title,
            caption=record.caption,
            alt=record.alt,
            long_description=record.long_description,
            use_when=record.use_when,
            tags=record.tags,
            group=record.group,
            image_url=f"{base}/images/{record.image_id}" if base else None,
            facts=facts,
            provenance=provenance,
            notes=record.notes,
        )
