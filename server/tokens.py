"""Bearer tokens: made once, shown once, kept as hashes, with scopes and an end."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent_tools.callers import SCOPES, Scope
from agent_tools.errors import InvalidArguments, NotFound

PREFIX = "agt_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS tokens (name TEXT PRIMARY KEY, digest BLOB UNIQUE NOT NULL, "
    "scopes TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, revoked_at REAL)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of one token; never the token.

    Attributes:
        name: names the caller.
        scopes: what it allows.
        created_at: Unix time.
        expires_at: Unix time after which it is refused; None = never.
        revoked_at: Unix time since when it is refused; None = it is not revoked.
    """

    name: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    def valid(self, now: float) -> bool:
        """Return whether it opens anything at this Unix time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore:
    """Keep tokens in `data_dir`. Safe to call from any thread and from several processes.

    A token is 256 random bits, so its sha256 needs no salt and no slow hash, and finding a row by
    it tells nobody anything about another token.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / "tokens.sqlite3"
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def create(self, name: str, scopes: Iterable[Scope], expires_in_s: float | None = None) -> str:
        """Make a token and return it; it cannot be shown again.

        Raises:
            InvalidArguments: for a malformed or used name, an unknown scope, or none.
        """
        wanted = sorted(set(scopes))
        unknown = [scope for scope in wanted if scope not in SCOPES]
        if not wanted or unknown:
            raise InvalidArguments(
                f"'{unknown[0]}' is no scope." if unknown else "A token needs a scope.",
                hint=f"Scopes: {', '.join(SCOPES)}.",
            )
        if not _NAME.fullmatch(name):
            raise InvalidArguments(
                f"'{name[:80]}' cannot name a token.",
                hint="Use letters, digits, '.', '_' and '-', 64 at most.",
            )
        if expires_in_s is not None and not 0 < expires_in_s < 1e10:
            raise InvalidArguments("A token must expire later than now.", hint="Such as 90d.")
        token = PREFIX + secrets.token_urlsafe(32)
        now = time.time()
        expires_at = None if expires_in_s is None else now + expires_in_s
        try:
            self._execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, NULL)",
                (name, _digest(token), " ".join(wanted), now, expires_at),
                create=True,
            )
        except sqlite3.IntegrityError:
            # A revoked name stays taken: what it owns must not fall to somebody else.
            raise InvalidArguments(
                f"There is or was a token '{name}'.", hint="Choose another name."
            ) from None
        return token

    def find(self, token: str) -> Token | None:
        """Return the valid token of this text, or None."""
        if not token.startswith(PREFIX):
            return None
        rows = self._execute("SELECT * FROM tokens WHERE digest = ?", (_digest(token),))
        found = _token(rows[0]) if rows else None
        return found if found is not None and found.valid(time.time()) else None

    def revoke(self, name: str) -> None:
        """Refuse a token from now on, also in running servers.

        Raises:
            NotFound: if there is none of this name.
        """
        if not any(token.name == name for token in self.all()):
            raise NotFound(f"There is no token '{name[:80]}'.", hint="See agent-tools token list.")
        self._execute(
            "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
            (time.time(), name),
        )

    def all(self) -> list[Token]:
        """Return every token, also expired and revoked ones, by name."""
        return [_token(row) for row in self._execute("SELECT * FROM tokens ORDER BY name", ())]

    def any_made(self) -> bool:
        """Return whether a token was ever made here: then nobody comes in without one."""
        return bool(self._execute("SELECT 1 FROM tokens LIMIT 1", ()))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _execute(
        self, query: str, values: tuple[object, ...], *, create: bool = False
    ) -> list[tuple[object, ...]]:
        with self._lock:
            if self._connection is None:
                if not create and not self._file.exists():
                    return []
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(
                    self._file, timeout=10, isolation_level=None, check_same_thread=False
                )
                self._file.chmod(0o600)
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.execute(_SCHEMA)
            return self._connection.execute(query, values).fetchall()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _token(row: tuple[object, ...]) -> Token:
    name, _, scopes, created_at, expires_at, revoked_at = row
    known = {scope for scope in SCOPES if scope in str(scopes).split()}

    def moment(value: object) -> float | None:
        return None if value is None else float(str(value))

    return Token(
        str(name),
        frozenset(known),
        moment(created_at) or 0.0,
        moment(expires_at),
        moment(revoked_at),
    )
