"""The outbox's rows: what one says, how far a knowledge base is, and the tables they lie in."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from kb_export.record import KBRecord


class Database(Protocol):
    """One SQLite connection that threads share; the gallery is one."""

    connection: sqlite3.Connection
    lock: threading.RLock

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Hold the lock, begin, and commit at the end or roll back on any error."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One leased row: put `record`, or delete its picture.

    Attributes:
        version: grows whenever the intent changes; an acknowledgment counts for one version only.
        attempts: failures so far.
        leased_until: when the lease ends, by the outbox's clock, unless it is renewed.
    """

    target: str
    image_id: str
    operation: Literal["put", "delete"]
    record: KBRecord
    version: int
    attempts: int
    owner: str
    leased_until: float


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """How far one knowledge base is.

    Attributes:
        pending: rows still to deliver.
        done: pictures that are there.
        failed: rows set aside, as (image_id, reason).
    """

    target: str
    pending: int
    done: int
    failed: tuple[tuple[str, str], ...]


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables that are missing, and bring those of an earlier version up to date."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS kb_outbox (target TEXT, image_id TEXT, operation TEXT, "
        "record TEXT, record_id TEXT, version INTEGER, state TEXT, attempts INTEGER, "
        "due_at REAL, owner TEXT, leased_until REAL, reason TEXT, "
        "PRIMARY KEY (target, image_id))"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS kb_exported (target TEXT, image_id TEXT, "
        "record_id TEXT, record TEXT, exported_at REAL, source_id TEXT, "
        "PRIMARY KEY (target, image_id))"
    )
    columns = {row[1] for row in connection.execute("PRAGMA table_info(kb_exported)")}
    if "source_id" not in columns:  # a data directory of an earlier version
        connection.execute("ALTER TABLE kb_exported ADD COLUMN source_id TEXT")
    connection.execute("CREATE INDEX IF NOT EXISTS kb_exported_by_record ON kb_exported(record_id)")
    # Leases ask for the rows that are due, and for those that somebody holds.
    connection.execute(
        "CREATE INDEX IF NOT EXISTS kb_outbox_by_due ON kb_outbox(target, state, due_at)"
    )
    connection.execute(
        "CREATE INDEX IF NOT EXISTS kb_outbox_by_owner ON kb_outbox(target, owner) "
        "WHERE owner IS NOT NULL"
    )
