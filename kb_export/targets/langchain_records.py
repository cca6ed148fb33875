"""What LangChain's indexing knows about a vector store, kept in SQLite.

`langchain_core.indexing.index` decides by a record manager which documents are new and which are
outdated; the library itself brings one in memory only. Two of its demands shape this one (see
`langchain_core/indexing/base.py`): times must never go back, or clean-up deletes what was just
written; and the store and the manager are two systems, so a crash between them must be mended. For
that, documents are announced here before the store is touched.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from langchain_core.indexing import RecordManager

_SCHEMA = """
CREATE TABLE IF NOT EXISTS langchain_documents (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    group_id TEXT,
    record_id TEXT,
    updated_at REAL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS langchain_documents_by_group
    ON langchain_documents (namespace, group_id);
CREATE TABLE IF NOT EXISTS langchain_clock (only_row INTEGER PRIMARY KEY, tick REAL NOT NULL);
INSERT OR IGNORE INTO langchain_clock VALUES (1, 0);
"""
_TICK_S = 1e-6  # a float of today's seconds still tells microseconds apart
_VARIABLES = 500  # SQLite takes at least 999 in one statement


class SQLiteRecordManager(RecordManager):
    """Keep which documents are in a vector store, durably. Threads and processes may share it.

    A document is *announced* before it is written and *confirmed* by `update` afterwards; only
    confirmed ones exist for the indexing. Announced ones that were never confirmed are what a
    crash left in doubt.

    Args:
        namespace: separates stores that share the file.
        path: the database file; made if it is missing, in a folder that exists.
        clock: seconds; it may jump back, the times kept here never do.

    Raises:
        sqlite3.Error: from every method, if the file cannot be used.
    """

    def __init__(
        self, namespace: str, path: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(namespace)
        self._clock = clock
        self._latest = 0.0
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self.create_schema()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def create_schema(self) -> None:
        """Make the tables that are missing."""
        with self._lock:
            self._connection.executescript(_SCHEMA)

    def get_time(self) -> float:
        """Return a time later than every update, by any process, and than every time before."""
        with self._lock:
            return self._tick()

    def announce(self, keys: Sequence[str], group_id: str, record_id: str) -> None:
        """Say that documents are about to be written. Confirmed ones stay confirmed."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO langchain_documents VALUES (?, ?, ?, ?, NULL) "
                "ON CONFLICT DO UPDATE SET group_id = excluded.group_id, "
                "record_id = excluded.record_id",
                [(self.namespace, key, group_id, record_id) for key in keys],
            )

    def update(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Confirm documents, as of now.

        A missing group leaves the one it had: `index` first refreshes without groups.

        Raises:
            ValueError: if there are not as many groups as keys, or `time_at_least` is yet to come.
        """
        if group_ids is not None and len(keys) != len(group_ids):
            raise ValueError(f"{len(keys)} keys, but {len(group_ids)} group ids.")
        groups = group_ids or [None] * len(keys)
        with self._transaction() as connection:
            now = self._tick()
            connection.execute("UPDATE langchain_clock SET tick = ?", (now,))
            if time_at_least is not None and time_at_least > now:
                raise ValueError("time_at_least lies in the future.")
            connection.executemany(
                "INSERT INTO langchain_documents VALUES (?, ?, ?, NULL, ?) "
                "ON CONFLICT DO UPDATE SET group_id = coalesce(excluded.group_id, group_id), "
                "updated_at = excluded.updated_at",
                [
                    (self.namespace, key, group, now)
                    for key, group in zip(keys, groups, strict=True)
                ],
            )

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Tell of each document whether it is confirmed."""
        known: set[str] = set()
        with self._lock:
            for chunk in _chunks(keys):
                rows = self._connection.execute(
                    "SELECT key FROM langchain_documents WHERE namespace = ? AND "
                    f"updated_at IS NOT NULL AND key IN ({_marks(chunk)})",
                    (self.namespace, *chunk),
                )
                known.update(key for (key,) in rows)
        return [key in known for key in keys]

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the keys of confirmed documents, oldest first; both bounds are excluded."""
        conditions = ["namespace = ?", "updated_at IS NOT NULL"]
        values: list[str | float] = [self.namespace]
        for condition, bound in (("updated_at < ?", before), ("updated_at > ?", after)):
            if bound is not None:
                conditions.append(condition)
                values.append(bound)
        query = "SELECT key, updated_at FROM langchain_documents WHERE " + " AND ".join(conditions)
        found: list[tuple[str, float]] = []
        with self._lock:
            if group_ids is None:
                found += self._connection.execute(query, values)
            for chunk in _chunks(list(dict.fromkeys(group_ids or ()))):
                found += self._connection.execute(
                    f"{query} AND group_id IN ({_marks(chunk)})", (*values, *chunk)
                )
        keys = [key for key, updated_at in sorted(found, key=lambda row: (row[1], row[0]))]
        return keys if limit is None else keys[:limit]

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Forget documents, announced or confirmed."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM langchain_documents WHERE namespace = ? AND key = ?",
                [(self.namespace, key) for key in keys],
            )

    def documents_of(self, group_id: str, *, in_doubt_only: bool = False) -> list[str]:
        """Return the keys of one group, announced ones too, or only those never confirmed."""
        doubt = " AND updated_at IS NULL" if in_doubt_only else ""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT key FROM langchain_documents WHERE namespace = ? AND group_id = ?{doubt}",
                (self.namespace, group_id),
            )
            return [key for (key,) in rows]

    def records(self) -> dict[str, list[str]]:
        """Return the record ids of all confirmed documents, each with its documents' keys."""
        records: dict[str, list[str]] = {}
        with self._lock:
            for record_id, key in self._connection.execute(
                "SELECT record_id, key FROM langchain_documents "
                "WHERE namespace = ? AND updated_at IS NOT NULL AND record_id IS NOT NULL",
                (self.namespace,),
            ):
                records.setdefault(record_id, []).append(key)
        return records

    async def acreate_schema(self) -> None:
        """Make the tables that are missing, in a worker thread."""
        await asyncio.to_thread(self.create_schema)

    async def aget_time(self) -> float:
        """Return `get_time()`, from a worker thread."""
        return await asyncio.to_thread(self.get_time)

    async def aupdate(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Do `update` in a worker thread."""
        await asyncio.to_thread(self.update, keys, group_ids=group_ids, time_at_least=time_at_least)

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        """Return `exists(keys)`, from a worker thread."""
        return await asyncio.to_thread(self.exists, keys)

    async def alist_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return what `list_keys` returns, from a worker thread."""
        return await asyncio.to_thread(
            self.list_keys, before=before, after=after, group_ids=group_ids, limit=limit
        )

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        """Do `delete_keys` in a worker thread."""
        await asyncio.to_thread(self.delete_keys, keys)

    def _tick(self) -> float:
        (last,) = self._connection.execute("SELECT tick FROM langchain_clock").fetchone()
        self._latest = max(self._clock(), max(float(last), self._latest) + _TICK_S)
        return self._latest

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _VARIABLES):
        yield values[start : start + _VARIABLES]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
