"""The exporter: lease -> put or delete at the target -> acknowledge, until nothing is owed."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb_export.errors import KBError, NotIndexed, RecordRefused, TargetUnavailable
from kb_export.leases import full_jitter, new_owner
from kb_export.outbox import Entry, Outbox
from kb_export.record import KBRecord
from kb_export.targets.base import KBTarget

logger = logging.getLogger(__name__)
BATCH = 8  # rows at risk of a second, harmless put when a process is killed

INDEXING_S = 300.0

Report = Callable[[int, int, str], None]
ReviewRecord = Callable[[KBRecord, bytes], KBRecord]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What one run did.

    Attributes:
        target: the target's label.
        put: image ids whose record was put.
        deleted: image ids whose picture was removed.
        failed: (image_id, reason) of rows that were set aside.
        pending: rows that are still owed.
        problem: why the run ended early, if it did.
        flagged: (image_id, doubt) of pictures that were put although a check has doubts.
        unchanged: pictures asked for that were there already; counted by the caller.
    """

    target: str
    put: tuple[str, ...]
    deleted: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    pending: int
    problem: TargetUnavailable | None
    flagged: tuple[tuple[str, str], ...] = ()
    unchanged: int = 0


class Exporter:
    """Deliver what the outbox owes to one target.

    Args:
        outbox: what is owed.
        target: who gets it.
        read_image: returns a picture's file by its id in the gallery.
        review: returns the record with what was found out about its caption; raises
            RecordRefused to set it aside.
        patience_s: how long one run waits, in all, for retries.
        sleep: how it waits.
        backoff: seconds to wait after so many outages in a row; full jitter if None.
        indexing_s: how long to wait for a platform that indexes after taking a record.
    """

    def __init__(
        self,
        outbox: Outbox,
        target: KBTarget,
        read_image: Callable[[str], bytes],
        *,
        review: ReviewRecord | None = None,
        patience_s: float = 20.0,
        sleep: Callable[[float], None] = time.sleep,
        backoff: Callable[[int], float] | None = None,
        indexing_s: float = INDEXING_S,
    ) -> None:
        self._outbox = outbox
        self._target = target
        self._read_image = read_image
        self._review = review
        self._patience_s = patience_s
        self._sleep = sleep
        self._backoff = backoff or full_jitter
        self._indexing_s = indexing_s
        self._owner = new_owner()

    def run(
        self,
        image_ids: Sequence[str] | None = None,
        *,
        report: Report | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> ExportReport:
        """Deliver everything owed, or only what concerns `image_ids`.

        Args:
            report: called with (done, total, what), before the first row and after each.
            stop: asked between rows; when true the rest stays owed.

        Returns:
            What was done. A target that cannot be reached is no exception here: it is
            `ExportReport.problem`, and everything stays owed.
        """
        name = self._target.name
        total = self._outbox.pending(name, image_ids)
        run = _Run()
        patience = self._patience_s
        if report is not None:
            report(0, total, f"{total} to export")
        while not stop():
            entries = self._outbox.lease(name, self._owner, BATCH, image_ids)
            if not entries:
                wait = self._outbox.next_due(name, image_ids)
                if wait is None or wait > patience:
                    break
                patience -= max(wait, 0.01)
                self._sleep(max(wait, 0.01))
                continue
            self._deliver_all(entries, run, total, report, stop)
            if run.problem is not None:
                wait = self._backoff(run.outages)
                if not run.problem.retryable or wait > patience:
                    break
                patience -= max(wait, 0.01)
                self._sleep(max(wait, 0.01))
        if run.problem is None:
            self._finish(run)
        return ExportReport(
            target=self._target.label,
            put=tuple(run.put),
            deleted=tuple(run.deleted),
            failed=tuple(run.failed),
            pending=self._outbox.pending(name, image_ids),
            problem=run.problem,
            flagged=tuple(run.flagged),
        )

    def _finish(self, run: _Run) -> None:
        """Bring derived pages up to date and wait until what was put can be found."""
        try:
            self._target.flush()
            if run.put:
                self._target.wait(self._indexing_s)
        except NotIndexed as error:
            for record_id, reason in error.failed:
                image_id = self._outbox.set_aside(self._target.name, record_id, reason)
                if image_id is not None:
                    run.failed.append((image_id, reason))
                    run.put = [put for put in run.put if put != image_id]
        except TargetUnavailable as error:
            run.problem = error

    def _deliver_all(
        self,
        entries: list[Entry],
        run: _Run,
        total: int,
        report: Report | None,
        stop: Callable[[], bool],
    ) -> None:
        """Deliver leased rows one by one; give back what is left when the target goes away."""
        run.problem = None
        for position, entry in enumerate(entries):
            if stop() or run.problem is not None:
                for left in entries[position:]:
                    self._outbox.release(left)
                return
            self._deliver(entry, run)
            if report is not None and run.problem is None:
                report(min(run.done, total), total, f"{entry.operation} {entry.image_id}")

    def _deliver(self, entry: Entry, run: _Run) -> None:
        if not self._outbox.renew(entry):
            return  # another exporter took it after a pause of ours
        delivered = entry.record
        try:
            if entry.operation == "delete":
                self._target.delete(entry.record.sha256)
            else:
                image = self._image(entry)
                if self._review is not None:
                    delivered = self._review(entry.record, image)
                self._target.put(delivered, image)
        except TargetUnavailable as error:
            # The target's trouble is no row's fault: it costs no attempt.
            self._outbox.release(entry)
            run.problem = error
            run.outages += 1
        except Exception as error:
            reason = str(error) if isinstance(error, KBError) else type(error).__name__
            retryable = error.retryable if isinstance(error, KBError) else True
            logger.warning("export of %s failed: %s", entry.image_id, reason)
            if self._outbox.fail(entry, reason, retryable=retryable):
                run.failed.append((entry.image_id, reason))
        else:
            run.outages = 0
            if not self._outbox.acknowledge(entry, delivered):
                return
            if entry.operation == "delete":
                run.deleted.append(entry.image_id)
                return
            run.put.append(entry.image_id)
            if delivered.caption_flag:
                run.flagged.append((entry.image_id, delivered.caption_flag))

    def _image(self, entry: Entry) -> bytes:
        try:
            data = self._read_image(entry.image_id)
        except Exception as error:
            raise RecordRefused(
                f"The file of {entry.image_id} cannot be read ({type(error).__name__}).",
                hint="Make the picture again from its recipe.",
            ) from error
        if hashlib.sha256(data).hexdigest() != entry.record.sha256:
            raise RecordRefused(
                f"The file of {entry.image_id} is damaged: its hash is not the recorded one.",
                hint="Make the picture again from its recipe.",
            )
        return data


class _Run:
    """Counts of one run."""

    def __init__(self) -> None:
        self.put: list[str] = []
        self.deleted: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.flagged: list[tuple[str, str]] = []
        self.outages = 0
        self.problem: TargetUnavailable | None = None

    @property
    def done(self) -> int:
        return len(self.put) + len(self.deleted) + len(self.failed)
