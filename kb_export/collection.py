"""A collection of records that a web server shows, and the changes that a receiver is still owed.

One SQLite file and a folder of pictures for each collection. A record and the notice of its
change are written in one transaction, so no crash loses a notice.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kb_export.bundle import image_files, image_prefix
from kb_export.errors import BadRecord, TargetUnavailable
from kb_export.files import write_durably
from kb_export.record import KBRecord

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PICTURE = re.compile(r"[0-9a-f]{24}")
_BUSY_S = 30.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS records (picture TEXT PRIMARY KEY, sha256 TEXT, record_id TEXT, "
    "record TEXT, changed_at REAL)",
    "CREATE INDEX IF NOT EXISTS records_by_age ON records(changed_at, picture)",
    "CREATE TABLE IF NOT EXISTS changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, "
    "picture TEXT, change TEXT, record TEXT, changed_at REAL, message TEXT)",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One record of a collection.

    Attributes:
        changed_at: Unix time of its last change.
    """

    record: KBRecord
    changed_at: float

    @property
    def picture(self) -> str:
        """The picture's name in addresses: 24 hex digits that no rewriting changes."""
        return picture_name(self.record.sha256)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one picture. `record` is the newest one, also of a picture that is gone."""

    change: Literal["changed", "deleted"]
    record: KBRecord
    changed_at: float


@dataclass(frozen=True, slots=True)
class Message:
    """Changes that are told together, under one id however often it takes."""

    message_id: str
    changes: tuple[Change, ...]


class Collection:
    """Keep the records of one collection. Processes and threads may share it.

    Args:
        root: the folder of all collections.
        name: lower-case letters, digits and "-", at most 63.
        clock: gives Unix time.

    Raises:
        ValueError: for a malformed name.
    """

    def __init__(self, root: Path, name: str, *, clock: Callable[[], float] = time.time) -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"not the name of a collection: {name[:80]!r}")
        self.name = name
        self._folder = root / name
        self._database = self._folder / "collection.sqlite"
        self._clock = clock
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close what writing opened; the next write opens it again."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    @property
    def exists(self) -> bool:
        """Whether anything was ever exported to it."""
        return self._database.is_file()

    def put(self, record: KBRecord, image: bytes, *, notice: bool = False) -> None:
        """Make `record` the one record of its picture, and owe a notice of it if wanted.

        Raises:
            TargetUnavailable: if the disk does not take it.
        """
        files = image_files(record, image)
        # Files come and go inside the transaction, so that a deletion elsewhere cannot take those
        # of a record that is being put.
        with self._as_unavailable(), self._transaction() as connection:
            for key, (data, _) in files.items():
                write_durably(self._folder / key, data)
            there = connection.execute(
                "SELECT record_id FROM records WHERE sha256 = ?", (record.sha256,)
            ).fetchone()
            if there is None or there["record_id"] != record.record_id:
                connection.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                    (
                        picture_name(record.sha256),
                        record.sha256,
                        record.record_id,
                        record.to_json(),
                        self._clock(),
                    ),
                )
            if notice:
                self._owe(connection, "changed", record.sha256, record.to_json())

    def delete(self, sha256: str, *, notice: bool = False) -> None:
        """Remove a picture and its record, and owe a notice if it was there and one is wanted.

        Raises:
            TargetUnavailable: if the disk does not take it.
        """
        if not self.exists:
            return
        with self._as_unavailable(), self._transaction() as connection:
            there = connection.execute(
                "DELETE FROM records WHERE sha256 = ? RETURNING record", (sha256,)
            ).fetchone()
            if notice and there is not None:
                self._owe(connection, "deleted", sha256, there["record"])
            for path in self._folder.glob(f"{image_prefix(sha256)}.*"):
                path.unlink(missing_ok=True)

    def record_ids(self) -> frozenset[str]:
        """Return the ids of all records."""
        return frozenset(row["record_id"] for row in self._rows("SELECT record_id FROM records"))

    def count(self) -> int:
        """Return how many records there are."""
        rows = self._rows("SELECT count(*) AS count FROM records")
        return int(rows[0]["count"]) if rows else 0

    def page(self, offset: int, limit: int) -> list[Shown]:
        """Return records, those that changed last first."""
        rows = self._rows(
            "SELECT record, changed_at FROM records ORDER BY changed_at DESC, picture "
            "LIMIT ? OFFSET ?",
            (limit, offset),
        )
        return [shown for row in rows if (shown := _shown(row)) is not None]

    def find(self, picture: str) -> Shown | None:
        """Return the record of a picture named as in addresses; None if there is none."""
        if not _PICTURE.fullmatch(picture):
            return None
        rows = self._rows("SELECT record, changed_at FROM records WHERE picture = ?", (picture,))
        return _shown(rows[0]) if rows else None

    def image_file(self, key: str) -> Path:
        """Return where the file of a bundle's key lies; it need not be there."""
        return self._folder / key

    def next_message(self, limit: int) -> Message | None:
        """Return the changes to tell next, at most `limit`; the same until `delivered` is called.

        Only the newest change of a picture is told, unless an older one is on its way.

        Raises:
            TargetUnavailable: if the disk does not take it.
        """
        if not self.exists:
            return None
        with self._as_unavailable(), self._transaction() as connection:
            row = connection.execute(
                "SELECT message FROM changes WHERE message IS NOT NULL ORDER BY sequence LIMIT 1"
            ).fetchone()
            message = row["message"] if row else f"msg_{uuid.uuid4().hex}"
            if row is None:
                connection.execute(
                    "UPDATE changes SET message = ? WHERE sequence IN "
                    "(SELECT sequence FROM changes ORDER BY sequence LIMIT ?)",
                    (message, limit),
                )
            rows = connection.execute(
                "SELECT * FROM changes WHERE message = ? ORDER BY sequence", (message,)
            ).fetchall()
        changes = [
            Change(row["change"], shown.record, row["changed_at"])
            for row in rows
            if (shown := _shown(row)) is not None
        ]
        return Message(message, tuple(changes)) if rows else None

    def delivered(self, message_id: str) -> None:
        """Forget a message that was taken.

        Raises:
            TargetUnavailable: if the disk does not take it.
        """
        with self._as_unavailable(), self._transaction() as connection:
            connection.execute("DELETE FROM changes WHERE message = ?", (message_id,))

    def owed(self) -> int:
        """Return how many changes wait to be told."""
        rows = self._rows("SELECT count(*) AS count FROM changes")
        return int(rows[0]["count"]) if rows else 0

    def _owe(self, connection: sqlite3.Connection, change: str, sha256: str, record: str) -> None:
        picture = picture_name(sha256)
        connection.execute("DELETE FROM changes WHERE picture = ? AND message IS NULL", (picture,))
        connection.execute(
            "INSERT INTO changes (picture, change, record, changed_at) VALUES (?, ?, ?, ?)",
            (picture, change, record, self._clock()),
        )

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        if not self.exists:
            return []
        with self._as_unavailable(), closing(_connect(self._database)) as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            # Opening one for each write would cost ten times what the write does.
            connection = self._writer = self._writer or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        self._folder.mkdir(parents=True, exist_ok=True)
        connection = _connect(self._database)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            for table in _TABLES:
                connection.execute(table)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise TargetUnavailable(
                f"The collection '{self.name}' cannot be used ({type(error).__name__}).",
                hint="Check the disk and the data directory's permissions, then export again.",
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def picture_name(sha256: str) -> str:
    """Return a picture's name in addresses."""
    return sha256[:24]


def _shown(row: sqlite3.Row) -> Shown | None:
    try:
        return Shown(KBRecord.from_json(row["record"]), row["changed_at"])
    except (BadRecord, json.JSONDecodeError):
        # Written by another version, or by somebody else: words nobody cleaned are not shown.
        return None
