"""The knowledge base as tools see it: queue pictures, export them, find them again."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent_tools.callers import acting_as, current_caller
from agent_tools.errors import BadSettings, InvalidArguments
from agent_tools.kb_records import Records
from kb_export.encoder import find_encoder, open_encoder
from kb_export.errors import KBError
from kb_export.exporter import Exporter, ExportReport
from kb_export.outbox import Outbox, TargetStatus
from kb_export.review import Review
from kb_export.search import Hit, SearchIndex
from kb_export.targets import KBTarget, open_target, target_name

if TYPE_CHECKING:
    from agent_tools.gallery import Gallery
    from agent_tools.image_record import ImageRecord
    from agent_tools.settings import Settings
    from kb_export.encoder import Encoder
    from kb_export.record import KBRecord
    from kb_export.review import CaptionChecker

# Exporting "everything" leaves these out: they are means, not results.
_NOT_RESULTS = frozenset({"upload", "mask", "sheet"})
# Candidates of a persona whose face another candidate has become.
_REJECTED = (
    "json_extract(metadata, '$.candidate') IS NOT NULL AND EXISTS (SELECT 1 FROM personas WHERE "
    "personas.persona_id = json_extract(images.metadata, '$.persona_id') "
    "AND json_extract(body, '$.locked') "
    "AND json_extract(body, '$.canonical_image_id') <> images.image_id)"
)
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

    Attributes:
        encoder: computes sentence vectors, loaded with the first sentence; None = by words.
    """

    def __init__(
        self, gallery: Gallery, settings: Settings, *, encoder: Encoder | None = None
    ) -> None:
        """Prepare the tables; nothing is sent and no encoder is loaded yet.

        Args:
            encoder: what the settings name if None, else the installed MiniLM.

        Raises:
            BadSettings: if the settings name no usable knowledge base, encoder or web address.
        """
        self._gallery = gallery
        self._settings = settings
        self._outbox = Outbox(gallery)
        try:
            chosen = encoder or (open_encoder(settings.encoder) if settings.encoder else None)
        except KBError as error:
            raise BadSettings(f"Setting 'encoder': {error.args[0]}", hint=error.hint) from error
        self.encoder = chosen or find_encoder()
        self._index = SearchIndex(gallery, self.encoder, settings.search_min_score)
        self._targets: dict[str, KBTarget] = {}
        self._review: Review | None = None
        self._records = Records(gallery, settings)
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
        wanted, _ = self._records.of_each([r for r in stored if r.kind not in _NOT_RESULTS])
        self._enqueue(connection, self.default_target, wanted)

    def export(
        self,
        image_ids: Sequence[str] | None = None,
        target: str | None = None,
        progress: Report | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> ExportReport:
        """Bring pictures into a knowledge base and into the local index; blocks until done.

        Pictures that are there unchanged are not sent again. After a crash, run it again. A
        picture that does not show what its caption says is set aside; one that may not is put
        with a flag.

        Args:
            image_ids: which pictures; None = every result in the gallery and all that waits.
            target: a name such as "folder:PATH"; the default one if None. For people at the
                command line; never taken from an agent.
            progress: called with (done, total, what), done only grows.
            stop: asked between pictures; when true the rest stays queued.

        Raises:
            NotFound: for an unknown image id, before anything is queued.
            InvalidArguments: if a mask is named.
            KBError: for a malformed target.
        """
        name = self.default_target if target is None else target_name(target)
        chosen = self._results() if image_ids is None else self._named(image_ids)
        malformed: list[tuple[str, str]] = []
        for start in range(0, len(chosen), _CHUNK):
            # What may be seen was checked above. As another caller it would come without its
            # recipe, and the record would change with whoever exports it.
            with acting_as(None):
                stored = [self._gallery.get(i) for i in chosen[start : start + _CHUNK]]
            records, refused = self._records.of_each(stored)
            malformed += refused
            with self._gallery.transaction() as connection:
                self._enqueue(connection, name, records)
        everything = image_ids is None and self._gallery.sees_all()
        scope = None if everything else chosen
        outcome = self._deliver(name, scope, progress, stop)
        failed = (*outcome.failed, *malformed)
        asked = set(chosen)
        touched = asked & {*outcome.put, *(image_id for image_id, _ in failed)}
        waiting = self._outbox.pending(name, chosen)
        return replace(
            outcome, failed=failed, unchanged=max(0, len(asked) - len(touched) - waiting)
        )

    def remove(
        self, image_ids: Sequence[str], target: str | None = None, progress: Report | None = None
    ) -> ExportReport:
        """Take pictures out of a knowledge base and the local index; the gallery keeps them."""
        name = self.default_target if target is None else target_name(target)
        elsewhere = [i for i in image_ids if set(self._outbox.holders([i])) - {name}]
        with self._gallery.transaction() as connection:
            self._outbox.withdraw(connection, name, image_ids)
            private = [image_id for image_id in image_ids if image_id not in elsewhere]
            self._gallery.publish(connection, private, published=False)
        return self._deliver(name, image_ids, progress, lambda: False)

    def remove_everywhere(
        self,
        image_ids: Sequence[str],
        progress: Report | None = None,
        in_transaction: Callable[[sqlite3.Connection], None] | None = None,
    ) -> tuple[ExportReport, ...]:
        """Take pictures out of every knowledge base that has them or is owed them.

        All removals are noted before the first is delivered: one that cannot be reached now gets
        its removal with the next export.

        Args:
            image_ids: the pictures.
            progress: as in `export`.
            in_transaction: called with the open transaction that notes the removals, so that what
                else ends with the pictures is committed with them.
        """
        names = self._outbox.holders(image_ids)
        with self._gallery.transaction() as connection:
            for name in names:
                self._outbox.withdraw(connection, name, image_ids)
            self._gallery.publish(connection, image_ids, published=False)
            connection.executemany(
                "DELETE FROM kb_approved WHERE image_id = ?", [(name,) for name in image_ids]
            )
            if in_transaction is not None:
                in_transaction(connection)
        return tuple(self._deliver(name, image_ids, progress, lambda: False) for name in names)

    def approve(self, image_ids: Sequence[str]) -> None:
        """Note that a person has looked: these pictures show what their captions say.

        It holds for the words they have now; the next export puts them without a check.

        Raises:
            NotFound: for an unknown image id; then nothing is noted.
        """
        self._records.approve([self._gallery.get(image_id) for image_id in image_ids])

    def is_approved(self, image_id: str) -> bool:
        """Return whether a person approved the words that a picture has now.

        Raises:
            NotFound: for an unknown image id.
            BadRecord: if no record can be made of it.
        """
        return self._records.is_approved(self._gallery.get(image_id))

    def holders(self, image_id: str) -> tuple[str, ...]:
        """Return the names of knowledge bases that have a picture, or are owed it."""
        return tuple(self._outbox.holders([image_id]))

    @property
    def threshold(self) -> float:
        """The score below which search finds nothing, unless a call says otherwise."""
        return self._index.threshold

    def retry(
        self,
        target: str | None = None,
        image_ids: Sequence[str] | None = None,
        progress: Report | None = None,
    ) -> ExportReport:
        """Give what was set aside another chance, and deliver it."""
        name = self.default_target if target is None else target_name(target)
        self._outbox.retry(name, image_ids)
        return self._deliver(name, image_ids, progress, lambda: False)

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

    def _enqueue(
        self, connection: sqlite3.Connection, target: str, records: Sequence[KBRecord]
    ) -> None:
        self._outbox.enqueue(connection, target, records)
        self._gallery.publish(connection, [record.image_id for record in records])

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
            reviewer = self._reviewer()
            if self._outbox.pending(name, scope):
                reviewer.load()
            exporter = Exporter(
                self._outbox,
                self._targets[name],
                self._gallery.read_bytes,
                review=reviewer,
            )
            with acting_as(None):  # what waits may be of any caller
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

    def _results(self) -> list[str]:
        """Return the ids of the caller's pictures that are results, oldest first.

        Candidates that were not chosen are none.
        """
        with self._gallery.lock:
            rows = self._gallery.connection.execute(
                "SELECT image_id FROM images WHERE kind NOT IN (SELECT value FROM json_each(?)) "
                f"AND (caller IS ? OR ?) AND NOT ({_REJECTED}) ORDER BY rowid",
                (json.dumps(sorted(_NOT_RESULTS)), current_caller(), self._gallery.sees_all()),
            ).fetchall()
        return [row[0] for row in rows]

    def _named(self, image_ids: Sequence[str]) -> list[str]:
        chosen = [self._gallery.get(image_id) for image_id in dict.fromkeys(image_ids)]
        masks = [record.image_id for record in chosen if record.kind == "mask"]
        if masks:
            raise InvalidArguments(
                f"{', '.join(masks)}: a mask is no picture to show.",
                hint="Export the pictures made with it.",
            )
        return [record.image_id for record in chosen]

    def _reviewer(self) -> Review:
        if self._review is None:
            from agent_tools.caption_checks import ColorCheck, DiagramCheck
            from agent_tools.subject_check import SubjectCheck
            from kb_export.vision import open_captioner, open_checker

            checkers: list[CaptionChecker] = [
                ColorCheck(),
                DiagramCheck(self._gallery),
                SubjectCheck(self._gallery),
            ]
            if self._settings.caption_checker:
                checkers.append(open_checker(self._settings.caption_checker))
            captioner = self._settings.captioner
            self._review = Review(checkers, open_captioner(captioner) if captioner else None)
        return self._review
