"""The gallery's tables."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from agent_tools.errors import AgentToolsError

SCHEMA_VERSION = 2
_TABLES = (
    "CREATE TABLE IF NOT EXISTS images (image_id TEXT PRIMARY KEY, sha256 TEXT, file TEXT, "
    "media_type TEXT, width INTEGER, height INTEGER, seed INTEGER, model TEXT, tool TEXT, "
    "kind TEXT, title TEXT, caption TEXT, alt TEXT, long_description TEXT, use_when TEXT, "
    "tags TEXT, group_id TEXT, parent_id TEXT, recipe TEXT, metadata TEXT, notes TEXT, "
    "created_at REAL, caller TEXT, published INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX IF NOT EXISTS images_by_time ON images(created_at)",
    "CREATE INDEX IF NOT EXISTS images_by_parent ON images(parent_id)",
    "CREATE INDEX IF NOT EXISTS images_by_hash ON images(sha256)",
    "CREATE TABLE IF NOT EXISTS personas (persona_id TEXT PRIMARY KEY, body TEXT, caller TEXT)",
    "CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT)",
)


def create_schema(connection: sqlite3.Connection, data_dir: Path) -> None:
    """Create what is missing; call it inside a transaction.

    Raises:
        AgentToolsError: if another version wrote the folder.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        which = "a newer" if version > SCHEMA_VERSION else "an older"
        raise AgentToolsError(
            f"The data directory {data_dir} was written by {which} agent-tools (schema {version}, "
            f"this one knows {SCHEMA_VERSION}).",
            code="data_directory",
            hint="Update agent-tools or use another directory.",
        )
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT OR IGNORE INTO secrets VALUES ('ids', ?)", (secrets.token_hex(32),))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
