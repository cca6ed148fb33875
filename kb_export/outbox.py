"""The outbox: what each knowledge base is still owed, in the gallery's own database.

A row per target and picture holds the newest intent (put this record, or delete). Exporters lease
rows for a while, deliver, and acknowledge; a crash anywhere means that the same row is leased
again. What was delivered is kept beside it, so that nothing is sent twice.
Pattern: https://microservices.io/patterns/data/transactional-outbox.html
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Literal

from kb_export.errors import BadRecord
from kb_export.leases import full_jitter, is_gone
from kb_export.outbox_rows import Database, Entry, TargetStatus, create_tables
from kb_export.record import KBRecord

__all__ = ["LEASE_S", "MAX_ATTEMPTS", "Database", "Entry", "Outbox", "TargetStatus"]

MAX_ATTEMPTS = 6
LEASE_S = 120.0
REASON_LIMIT = 500


class Outbox:
    """Keep what is owed to targets. Several processes may share the database."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        lease_s: float = LEASE_S,
        backoff: Callable[[int], float] = full_jitter,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease_s = lease_s
        self._backoff = backoff
        with database.transaction() as connection:
            create_tables(connection)

    def enqueue(
        self, connection: sqlite3.Connection, target: str, records: Sequence[KBRecord]
    ) -> int:
        """Owe `records` to `target`, inside the caller's transaction; return how many are new.

        What is already there, or already waiting, changes nothing. A row that was set aside gets
        another chance.
        """
        changed = 0
        for record in records:
            waiting = self._waiting(connection, target, record.image_id)
            if waiting is None:
                there = self._exported(connection, target, record.image_id)
                if there is not None and there["source_id"] == record.record_id:
                    continue
            elif (waiting["operation"], waiting["record_id"], waiting["state"]) == (
                "put",
                record.record_id,
                "pending",
            ):
                continue
            self._owe(connection, target, "put", record)
            changed += 1
        return changed

    def withdraw(
        self, connection: sqlite3.Connection, target: str, image_ids: Sequence[str]
    ) -> int:
        """Owe `target` the removal of pictures; return how many it concerns.

        The removal is a row of its own (a tombstone): it survives a crash like any other.
        """
        changed = 0
        for image_id in image_ids:
            known = self._waiting(connection, target, image_id) or self._exported(
                connection, target, image_id
            )
            if known is not None:
                self._owe(connection, target, "delete", KBRecord.from_json(known["record"]))
                changed += 1
        return changed

    def lease(
        self, target: str, owner: str, limit: int, image_ids: Sequence[str] | None = None
    ) -> list[Entry]:
        """Take up to `limit` due rows for `owner`; nobody else gets them until the lease ends.

        Leases of processes on this machine that no longer live count as ended.
        """
        now = self._clock()
        with self._database.transaction() as connection:
            self._free_orphans(connection, target)
            rows = connection.execute(
                "SELECT * FROM kb_outbox WHERE target = ? AND state = 'pending' AND due_at <= ? "
                "AND (owner IS NULL OR leased_until <= ?) "
                "AND (? IS NULL OR image_id IN (SELECT value FROM json_each(?))) "
                "ORDER BY due_at, rowid LIMIT ?",
                (target, now, now, *_scope(image_ids), limit),
            ).fetchall()
            entries = []
            for row in rows:
                try:
                    record = KBRecord.from_json(row["record"])
                except BadRecord as error:
                    # Written by another version; a new export writes it again.
                    connection.execute(
                        "UPDATE kb_outbox SET state = 'failed', reason = ? "
                        "WHERE target = ? AND image_id = ?",
                        (str(error), target, row["image_id"]),
                    )
                    continue
                connection.execute(
                    "UPDATE kb_outbox SET owner = ?, leased_until = ? "
                    "WHERE target = ? AND image_id = ?",
                    (owner, now + self._lease_s, target, row["image_id"]),
                )
                entries.append(
                    Entry(
                        target=target,
                        image_id=row["image_id"],
                        operation=row["operation"],
                        record=record,
                        version=row["version"],
                        attempts=row["attempts"],
                        owner=owner,
                        leased_until=now + self._lease_s,
                    )
                )
        return entries

    def exported(self, target: str) -> dict[str, str]:
        """Return what was acknowledged: record ids by image id."""
        with self._database.lock:
            rows = self._database.connection.execute(
                "SELECT image_id, record_id FROM kb_exported WHERE target = ?", (target,)
            ).fetchall()
        return {row["image_id"]: row["record_id"] for row in rows}

    def renew(self, entry: Entry) -> bool:
        """Lengthen a lease; False if the row has gone to another owner meanwhile.

        A lease with more than half of its time left is left alone: each write costs a sync.
        """
        if entry.leased_until - self._clock() > self._lease_s / 2:
            return True
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "UPDATE kb_outbox SET leased_until = ? "
                "WHERE target = ? AND image_id = ? AND owner = ?",
                (self._clock() + self._lease_s, entry.target, entry.image_id, entry.owner),
            )
        return cursor.rowcount == 1

    def acknowledge(self, entry: Entry, delivered: KBRecord | None = None) -> bool:
        """Note that the target has what the entry says; False if the lease was lost.

        If the intent changed while it was being delivered, the row stays for the newer one.

        Args:
            delivered: the record as it was put, if a review changed the entry's.
        """
        delivered = delivered or entry.record
        with self._database.transaction() as connection:
            if not self._release(connection, entry):
                return False
            connection.execute(
                "DELETE FROM kb_outbox WHERE target = ? AND image_id = ? AND version = ?",
                (entry.target, entry.image_id, entry.version),
            )
            if entry.operation == "delete":
                connection.execute(
                    "DELETE FROM kb_exported WHERE target = ? AND image_id = ?",
                    (entry.target, entry.image_id),
                )
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO kb_exported VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        entry.target,
                        entry.image_id,
                        delivered.record_id,
                        delivered.to_json(),
                        self._clock(),
                        entry.record.record_id,
                    ),
                )
        return True

    def release(self, entry: Entry) -> None:
        """Give a row back as it was."""
        with self._database.transaction() as connection:
            self._release(connection, entry)

    def fail(self, entry: Entry, reason: str, *, retryable: bool) -> bool:
        """Note a failure: wait and try again, or set the row aside; True if set aside."""
        attempts = entry.attempts + 1
        set_aside = not retryable or attempts >= MAX_ATTEMPTS
        with self._database.transaction() as connection:
            if self._release(connection, entry):
                connection.execute(
                    "UPDATE kb_outbox SET state = ?, attempts = ?, due_at = ?, reason = ? "
                    "WHERE target = ? AND image_id = ? AND version = ?",
                    (
                        "failed" if set_aside else "pending",
                        attempts,
                        self._clock() + self._backoff(attempts),
                        reason[:REASON_LIMIT],
                        entry.target,
                        entry.image_id,
                        entry.version,
                    ),
                )
        return set_aside

    def pending(self, target: str, image_ids: Sequence[str] | None = None) -> int:
        """Return how many rows are still to deliver."""
        with self._database.lock:
            row = self._database.connection.execute(
                "SELECT count(*) FROM kb_outbox WHERE target = ? AND state = 'pending' "
                "AND (? IS NULL OR image_id IN (SELECT value FROM json_each(?)))",
                (target, *_scope(image_ids)),
            ).fetchone()
        return int(row[0])

    def next_due(self, target: str, image_ids: Sequence[str] | None = None) -> float | None:
        """Return seconds until a row may be leased (0 = now), None if none waits for us."""
        now = self._clock()
        with self._database.lock:
            row = self._database.connection.execute(
                "SELECT min(due_at) FROM kb_outbox WHERE target = ? AND state = 'pending' "
                "AND (owner IS NULL OR leased_until <= ?) "
                "AND (? IS NULL OR image_id IN (SELECT value FROM json_each(?)))",
                (target, now, *_scope(image_ids)),
            ).fetchone()
        return None if row[0] is None else max(0.0, float(row[0]) - now)

    def set_aside(self, target: str, record_id: str, reason: str) -> str | None:
        """Take back an acknowledgment: the target could not index the record after all.

        Returns:
            The picture's id, or None if no such record was acknowledged, or newer words wait.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT image_id, record FROM kb_exported WHERE target = ? AND record_id = ?",
                (target, record_id),
            ).fetchone()
            if row is None or self._waiting(connection, target, row["image_id"]) is not None:
                return None
            self._owe(connection, target, "put", KBRecord.from_json(row["record"]))
            connection.execute(
                "UPDATE kb_outbox SET state = 'failed', attempts = 1, reason = ? "
                "WHERE target = ? AND image_id = ?",
                (reason[:REASON_LIMIT], target, row["image_id"]),
            )
            connection.execute(
                "DELETE FROM kb_exported WHERE target = ? AND record_id = ?", (target, record_id)
            )
        return str(row["image_id"])

    def holders(self, image_ids: Sequence[str]) -> list[str]:
        """Return the targets that have any of these pictures, or are owed one."""
        listed = json.dumps(list(image_ids))
        with self._database.lock:
            rows = self._database.connection.execute(
                "SELECT target FROM kb_exported WHERE image_id IN (SELECT value FROM json_each(?)) "
                "UNION SELECT target FROM kb_outbox "
                "WHERE image_id IN (SELECT value FROM json_each(?)) ORDER BY target",
                (listed, listed),
            ).fetchall()
        return [row[0] for row in rows]

    def retry(self, target: str, image_ids: Sequence[str] | None = None) -> int:
        """Give rows that were set aside another chance; return how many."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "UPDATE kb_outbox SET state = 'pending', attempts = 0, due_at = ?, reason = NULL "
                "WHERE target = ? AND state = 'failed' "
                "AND (? IS NULL OR image_id IN (SELECT value FROM json_each(?)))",
                (self._clock(), target, *_scope(image_ids)),
            )
        return cursor.rowcount

    def status(self) -> list[TargetStatus]:
        """Return how far every target is, in order of their names."""
        with self._database.lock:
            connection = self._database.connection
            done = dict(
                connection.execute("SELECT target, count(*) FROM kb_exported GROUP BY target")
            )
            pending = dict(
                connection.execute(
                    "SELECT target, count(*) FROM kb_outbox WHERE state = 'pending' GROUP BY target"
                )
            )
            failed = connection.execute(
                "SELECT target, image_id, reason FROM kb_outbox WHERE state = 'failed' "
                "ORDER BY rowid"
            ).fetchall()
        return [
            TargetStatus(
                target=target,
                pending=pending.get(target, 0),
                done=done.get(target, 0),
                failed=tuple((r["image_id"], r["reason"]) for r in failed if r["target"] == target),
            )
            for target in sorted({*done, *pending, *(r["target"] for r in failed)})
        ]

    def _owe(
        self,
        connection: sqlite3.Connection,
        target: str,
        operation: Literal["put", "delete"],
        record: KBRecord,
    ) -> None:
        # A lease in force stays: its owner's acknowledgment frees the row for the new version.
        connection.execute(
            "INSERT INTO kb_outbox VALUES (?, ?, ?, ?, ?, 1, 'pending', 0, ?, NULL, NULL, NULL) "
            "ON CONFLICT (target, image_id) DO UPDATE SET operation = excluded.operation, "
            "record = excluded.record, record_id = excluded.record_id, version = version + 1, "
            "state = 'pending', attempts = 0, due_at = excluded.due_at, reason = NULL",
            (
                target,
                record.image_id,
                operation,
                record.to_json(),
                record.record_id,
                self._clock(),
            ),
        )

    def _waiting(
        self, connection: sqlite3.Connection, target: str, image_id: str
    ) -> sqlite3.Row | None:
        return _one(
            connection,
            "SELECT * FROM kb_outbox WHERE target = ? AND image_id = ?",
            (target, image_id),
        )

    def _exported(
        self, connection: sqlite3.Connection, target: str, image_id: str
    ) -> sqlite3.Row | None:
        return _one(
            connection,
            "SELECT * FROM kb_exported WHERE target = ? AND image_id = ?",
            (target, image_id),
        )

    def _release(self, connection: sqlite3.Connection, entry: Entry) -> bool:
        cursor = connection.execute(
            "UPDATE kb_outbox SET owner = NULL, leased_until = NULL "
            "WHERE target = ? AND image_id = ? AND owner = ?",
            (entry.target, entry.image_id, entry.owner),
        )
        return cursor.rowcount == 1

    def _free_orphans(self, connection: sqlite3.Connection, target: str) -> None:
        owners = connection.execute(
            "SELECT DISTINCT owner FROM kb_outbox WHERE target = ? AND owner IS NOT NULL", (target,)
        ).fetchall()
        for (owner,) in owners:
            if is_gone(owner):
                connection.execute(
                    "UPDATE kb_outbox SET owner = NULL, leased_until = NULL WHERE owner = ?",
                    (owner,),
                )


def _scope(image_ids: Sequence[str] | None) -> tuple[str | None, str | None]:
    listed = None if image_ids is None else json.dumps(list(image_ids))
    return listed, listed


def _one(connection: sqlite3.Connection, query: str, values: tuple[str, str]) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(query, values).fetchone()
    return row
