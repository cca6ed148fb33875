"""The outbox and the exporter: leases, retries, rows set aside, newer intents."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kb_pictures import add_pictures, rewrite

from agent_tools.gallery import Gallery
from agent_tools.image_record import ImageRecord
from agent_tools.knowledge import Knowledge
from agent_tools.settings import Settings
from kb_export.errors import KBError, NotIndexed, TargetUnavailable
from kb_export.exporter import Exporter
from kb_export.leases import BACKOFF_CAP_S, full_jitter, new_owner
from kb_export.outbox import MAX_ATTEMPTS, Outbox
from kb_export.record import KBRecord
from kb_export.targets import Capabilities
from kb_export.targets.folder import FolderTarget


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Troubled:
    """A real folder target that fails as told before it does its work."""

    inner: FolderTarget
    trouble: list[Exception | None] = field(default_factory=list)
    puts: int = 0
    during: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def label(self) -> str:
        return self.inner.label

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def put(self, record: KBRecord, image: bytes) -> None:
        self.puts += 1
        error = self.trouble.pop(0) if self.trouble else None
        if error is not None:
            raise error
        self.during()
        self.inner.put(record, image)

    def delete(self, sha256: str) -> None:
        self.inner.delete(sha256)

    def list_ids(self) -> frozenset[str]:
        return self.inner.list_ids()

    def flush(self) -> None:
        self.inner.flush()

    def wait(self, timeout_s: float) -> None:
        self.inner.wait(timeout_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(gallery: Gallery, clock: Clock) -> Outbox:
    return Outbox(gallery, clock=clock, backoff=lambda attempts: float(attempts))


@pytest.fixture
def target(tmp_path: Path) -> Troubled:
    return Troubled(FolderTarget(tmp_path / "kb"))


def kb_record(record: ImageRecord) -> KBRecord:
    return KBRecord.make(
        image_id=record.image_id,
        sha256=record.sha256,
        media_type=record.media_type,
        width=record.width,
        height=record.height,
        title=record.title,
        caption=record.caption,
        alt=record.alt,
    )


def owe(gallery: Gallery, outbox: Outbox, target: Troubled, *names: str) -> list[KBRecord]:
    records = [kb_record(record) for record in add_pictures(gallery, *names)]
    with gallery.transaction() as connection:
        outbox.enqueue(connection, target.name, records)
    return records


def exporter(gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock) -> Exporter:
    return Exporter(
        outbox,
        target,
        gallery.read_bytes,
        sleep=clock.sleep,
        backoff=lambda outages: float(outages),
    )


def test_a_leased_row_is_nobody_elses_until_the_lease_ends(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    owe(gallery, outbox, target, "red teapot", "blue teapot")
    first, second = new_owner(), new_owner()
    (mine,) = outbox.lease(target.name, first, 1)
    (yours,) = outbox.lease(target.name, second, 5)
    assert mine.image_id != yours.image_id
    assert outbox.lease(target.name, second, 5) == []
    assert outbox.next_due(target.name) is None
    clock.sleep(500)
    assert {e.image_id for e in outbox.lease(target.name, second, 5)} == {
        mine.image_id,
        yours.image_id,
    }
    assert not outbox.renew(mine)
    assert not outbox.acknowledge(mine)
    assert outbox.pending(target.name) == 2


def test_a_renewed_lease_lasts_longer(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    owe(gallery, outbox, target, "red teapot")
    (entry,) = outbox.lease(target.name, new_owner(), 1)
    clock.sleep(100)
    assert outbox.renew(entry)
    clock.sleep(100)
    assert outbox.lease(target.name, new_owner(), 1) == []
    assert outbox.acknowledge(entry)


def test_the_rows_of_a_dead_process_are_free_at_once(
    gallery: Gallery, outbox: Outbox, target: Troubled
) -> None:
    owe(gallery, outbox, target, "red teapot")
    dead = subprocess.run(
        [sys.executable, "-c", "from kb_export.leases import new_owner; print(new_owner())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert len(outbox.lease(target.name, dead, 1)) == 1
    assert len(outbox.lease(target.name, new_owner(), 1)) == 1


def test_the_rows_of_another_machine_are_not_free(
    gallery: Gallery, outbox: Outbox, target: Troubled
) -> None:
    owe(gallery, outbox, target, "red teapot")
    assert len(outbox.lease(target.name, "elsewhere|999999|x", 1)) == 1
    assert outbox.lease(target.name, new_owner(), 1) == []


def test_an_outage_costs_no_attempt_and_ends_by_itself(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    records = owe(gallery, outbox, target, "red teapot", "blue teapot")
    target.trouble = [TargetUnavailable("down")] * 3
    report = exporter(gallery, outbox, target, clock).run()
    assert len(report.put) == 2
    assert report.problem is None
    assert clock.slept == [1.0, 2.0, 3.0]
    assert target.list_ids() == {record.record_id for record in records}


def test_a_long_outage_ends_the_run_and_loses_nothing(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    owe(gallery, outbox, target, "red teapot", "blue teapot")
    target.trouble = [TargetUnavailable("down")] * 50
    report = exporter(gallery, outbox, target, clock).run()
    assert report.problem is not None
    assert (report.put, report.failed, report.pending) == ((), (), 2)
    assert sum(clock.slept) <= 20
    target.trouble = []
    assert len(exporter(gallery, outbox, target, clock).run().put) == 2


def test_wrong_credentials_end_the_run_at_once(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    owe(gallery, outbox, target, "red teapot", "blue teapot")
    target.trouble = [TargetUnavailable("denied", retryable=False)]
    report = exporter(gallery, outbox, target, clock).run()
    assert report.problem is not None and not report.problem.retryable
    assert (target.puts, clock.slept, report.pending) == (1, [], 2)


def test_a_poison_row_is_set_aside_after_its_attempts_and_the_others_go_on(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    poison, other = owe(gallery, outbox, target, "red teapot", "blue teapot")

    class Picky(Troubled):
        def put(self, record: KBRecord, image: bytes) -> None:
            self.puts += 1
            if record.image_id == poison.image_id:
                raise ValueError("secret detail")
            self.inner.put(record, image)

    picky = Picky(target.inner)
    report = exporter(gallery, outbox, picky, clock).run()
    assert report.put == (other.image_id,)
    while report.pending:
        clock.sleep(60)
        report = exporter(gallery, outbox, picky, clock).run()
    assert report.failed == ((poison.image_id, "ValueError"),)
    assert picky.puts == MAX_ATTEMPTS + 1
    (status,) = outbox.status()
    assert (status.pending, status.done) == (0, 1)
    assert status.failed == ((poison.image_id, "ValueError"),)


def test_a_row_set_aside_gets_another_chance_when_it_is_queued_again(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    (record,) = owe(gallery, outbox, target, "red teapot")
    refusal = KBError("no")
    target.trouble = [refusal]
    assert exporter(gallery, outbox, target, clock).run().failed == ((record.image_id, "no"),)
    with gallery.transaction() as connection:
        assert outbox.enqueue(connection, target.name, [record]) == 1
        assert outbox.enqueue(connection, target.name, [record]) == 0
    assert exporter(gallery, outbox, target, clock).run().put == (record.image_id,)


def test_a_change_during_delivery_is_delivered_next_and_only_the_last_words_stay(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    (record,) = owe(gallery, outbox, target, "red teapot")
    changed: list[KBRecord] = []

    def change() -> None:
        if not changed:
            rewrite(gallery, record.image_id, caption="Newer words.")
            changed.append(kb_record(gallery.get(record.image_id)))
            with gallery.transaction() as connection:
                outbox.enqueue(connection, target.name, changed)

    target.during = change
    report = exporter(gallery, outbox, target, clock).run()
    assert report.put == (record.image_id, record.image_id)
    assert target.list_ids() == {changed[0].record_id}
    assert outbox.exported(target.name) == {record.image_id: changed[0].record_id}


def test_a_version_put_but_never_acknowledged_does_not_survive_the_next(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    (record,) = owe(gallery, outbox, target, "red teapot")
    target.inner.put(record, gallery.read_bytes(record.image_id))  # then the process died
    rewrite(gallery, record.image_id, caption="Newer words.")
    newer = kb_record(gallery.get(record.image_id))
    with gallery.transaction() as connection:
        outbox.enqueue(connection, target.name, [newer])
    exporter(gallery, outbox, target, clock).run()
    assert target.list_ids() == {newer.record_id}


def test_stopping_leaves_the_rest_queued_and_free(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    owe(gallery, outbox, target, *(f"teapot {n}" for n in range(6)))
    report = exporter(gallery, outbox, target, clock).run(stop=lambda: target.puts >= 2)
    assert (len(report.put), report.pending) == (2, 4)
    assert len(outbox.lease(target.name, new_owner(), 10)) == 4


def test_progress_grows_to_the_total(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    owe(gallery, outbox, target, *(f"teapot {n}" for n in range(10)))
    seen: list[tuple[int, int]] = []
    exporter(gallery, outbox, target, clock).run(
        report=lambda done, total, what: seen.append((done, total))
    )
    assert seen == [(n, 10) for n in range(11)]


def test_a_row_another_version_wrote_is_set_aside_and_blocks_nobody(
    gallery: Gallery, outbox: Outbox, target: Troubled, clock: Clock
) -> None:
    strange, other = owe(gallery, outbox, target, "red teapot", "blue teapot")
    with gallery.transaction() as connection:
        connection.execute(
            "UPDATE kb_outbox SET record = ? WHERE image_id = ?",
            (json.dumps({"record_id": "x", "future": 1}), strange.image_id),
        )
    report = exporter(gallery, outbox, target, clock).run()
    assert report.put == (other.image_id,)
    assert [image_id for image_id, _ in outbox.status()[0].failed] == [strange.image_id]


def test_targets_do_not_mix(gallery: Gallery, tmp_path: Path) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    knowledge = Knowledge(gallery, Settings(data=gallery.data_dir))
    knowledge.export([record.image_id])
    elsewhere = f"folder:{tmp_path / 'elsewhere'}"
    assert knowledge.export([record.image_id], elsewhere).put == (record.image_id,)
    knowledge.remove([record.image_id], elsewhere)
    done = {status.target: status.done for status in knowledge.status().targets}
    assert done == {knowledge.default_target: 1}
    assert knowledge.status().indexed == 1


def test_backoff_grows_has_jitter_and_a_bound() -> None:
    assert all(0 <= full_jitter(1) <= 1.0 for _ in range(50))
    assert all(0 <= full_jitter(40) <= BACKOFF_CAP_S for _ in range(50))
    assert len({full_jitter(5) for _ in range(20)}) > 10


def test_the_same_picture_and_words_have_the_same_id_and_other_words_another(
    gallery: Gallery,
) -> None:
    record = add_pictures(gallery, "red teapot")[0]
    first = kb_record(record)
    assert kb_record(gallery.get(record.image_id)) == first
    assert KBRecord.from_json(first.to_json()) == first
    rewrite(gallery, record.image_id, alt="Another alt.")
    second = kb_record(gallery.get(record.image_id))
    assert second.record_id != first.record_id
    assert second.record_id[:27] == first.record_id[:27]


@pytest.mark.parametrize(
    "change",
    [
        {"caption": "x"},
        {"extra": 1},
        {"sha256": "../../etc"},
        {"media_type": "text/html"},
        {"image_url": "https://b.example/x?X-Amz-Signature=1"},
        {"width": 0},
        {"image_id": "../x"},
    ],
)
def test_a_record_that_was_tampered_with_is_refused(
    gallery: Gallery, change: dict[str, object]
) -> None:
    values = json.loads(kb_record(add_pictures(gallery, "red teapot")[0]).to_json())
    with pytest.raises(KBError):
        KBRecord.from_json(json.dumps({**values, **change}))


@dataclass
class Indexing(Troubled):
    """A real folder target that indexes later, as platforms do, and says how that went."""

    fate: Exception | None = None
    waited: list[float] = field(default_factory=list)

    def wait(self, timeout_s: float) -> None:
        self.waited.append(timeout_s)
        if self.fate is not None:
            raise self.fate


def test_an_export_waits_until_what_it_put_can_be_found(
    gallery: Gallery, outbox: Outbox, tmp_path: Path, clock: Clock
) -> None:
    target = Indexing(FolderTarget(tmp_path / "later"))
    owe(gallery, outbox, target, "red teapot")
    export = Exporter(outbox, target, gallery.read_bytes, sleep=clock.sleep, indexing_s=42)
    assert len(export.run().put) == 1
    assert target.waited == [42]
    export.run()
    assert target.waited == [42]  # nothing was put: nothing to wait for


def test_a_record_that_a_platform_could_not_index_is_set_aside_with_its_reason(
    gallery: Gallery, outbox: Outbox, tmp_path: Path, clock: Clock
) -> None:
    target = Indexing(FolderTarget(tmp_path / "later"))
    bad, good = owe(gallery, outbox, target, "red teapot", "blue lamp")
    target.fate = NotIndexed(((bad.record_id, "no chunks"), ("kb_of_somebody_else", "x")))
    outcome = Exporter(outbox, target, gallery.read_bytes, sleep=clock.sleep).run()
    assert outcome.put == (good.image_id,)
    assert outcome.failed == ((bad.image_id, "no chunks"),)
    assert outbox.exported(target.name) == {good.image_id: good.record_id}
    (status,) = outbox.status()
    assert (status.pending, status.done, status.failed) == (0, 1, outcome.failed)
    target.fate = None
    assert outbox.retry(target.name) == 1
    again = Exporter(outbox, target, gallery.read_bytes, sleep=clock.sleep).run()
    assert again.put == (bad.image_id,)


def test_a_platform_that_does_not_finish_indexing_is_a_problem_and_no_records_fault(
    gallery: Gallery, outbox: Outbox, tmp_path: Path, clock: Clock
) -> None:
    target = Indexing(FolderTarget(tmp_path / "later"))
    (record,) = owe(gallery, outbox, target, "red teapot")
    target.fate = TargetUnavailable("Still indexing.")
    outcome = Exporter(outbox, target, gallery.read_bytes, sleep=clock.sleep).run()
    assert outcome.problem is target.fate
    assert outbox.exported(target.name) == {record.image_id: record.record_id}


def test_words_changed_while_a_platform_fails_to_index_go_out_next(
    gallery: Gallery, outbox: Outbox, tmp_path: Path, clock: Clock
) -> None:
    target = Indexing(FolderTarget(tmp_path / "later"))
    (record,) = owe(gallery, outbox, target, "red teapot")
    Exporter(outbox, target, gallery.read_bytes, sleep=clock.sleep).run()
    newer = record.revised(caption="Newer words.")
    with gallery.transaction() as connection:
        outbox.enqueue(connection, target.name, [newer])
    assert outbox.set_aside(target.name, record.record_id, "no chunks") is None
    assert outbox.pending(target.name) == 1


def test_a_data_directory_of_an_earlier_version_still_works(
    gallery: Gallery, clock: Clock, target: Troubled
) -> None:
    gallery.connection.executescript(
        "DROP TABLE IF EXISTS kb_exported; CREATE TABLE kb_exported (target TEXT, image_id TEXT, "
        "record_id TEXT, record TEXT, exported_at REAL, PRIMARY KEY (target, image_id));"
    )
    outbox = Outbox(gallery, clock=clock)
    (record,) = owe(gallery, outbox, target, "red teapot")
    exporter = Exporter(outbox, target, gallery.read_bytes, sleep=clock.sleep)
    assert exporter.run().put == (record.image_id,)
