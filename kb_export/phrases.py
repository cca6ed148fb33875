"""Vectors of words and short phrases that are asked for again and again, kept in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kb_export.outbox_rows import Database

if TYPE_CHECKING:
    from kb_export.encoder import Encoder, Floats


class PhraseVectors:
    """Encode each phrase once. The owner holds a lock around every call."""

    def __init__(self, database: Database, encoder: Encoder) -> None:
        """Prepare the table; nothing is computed yet."""
        self._database = database
        self._encoder = encoder
        self._known: dict[str, Floats] = {}
        with database.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS kb_phrases (phrase TEXT, encoder TEXT, "
                "vector BLOB, PRIMARY KEY (phrase, encoder))"
            )

    def of(self, phrases: Sequence[str]) -> Floats:
        """Return one unit vector for each phrase, shape (len(phrases), dimension), float32."""
        import numpy as np

        missing = list(dict.fromkeys(p for p in phrases if p not in self._known))
        if missing:
            self._read(missing)
            self._compute([p for p in missing if p not in self._known])
        return np.stack([self._known[phrase] for phrase in phrases])

    def _read(self, phrases: Sequence[str]) -> None:
        import numpy as np

        with self._database.lock:
            for phrase in phrases:
                row = self._database.connection.execute(
                    "SELECT vector FROM kb_phrases WHERE phrase = ? AND encoder = ?",
                    (phrase, self._encoder.name),
                ).fetchone()
                if row is not None:
                    self._known[phrase] = np.frombuffer(row[0], "<f4")

    def _compute(self, phrases: Sequence[str]) -> None:
        if not phrases:
            return
        vectors = self._encoder.encode(phrases)
        self._known.update(zip(phrases, vectors, strict=True))
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO kb_phrases VALUES (?, ?, ?)",
                [
                    (phrase, self._encoder.name, vector.astype("<f4").tobytes())
                    for phrase, vector in zip(phrases, vectors, strict=True)
                ],
            )
