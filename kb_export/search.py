"""The local index over everything exported: meaning first, words where there is no encoder.

Exact cosine over MiniLM vectors found 19 of 20 paraphrased questions where full-text search found
2, and mixing both equally made it worse; so full text (SQLite FTS5) serves exact tokens such as
SKUs and ids, and stands in when no encoder is installed. The index is derived data: it is brought
up to date with the outbox's list of what was exported, so a crash cannot part the two.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kb_export.captions import clean
from kb_export.errors import BadRecord
from kb_export.outbox import Database
from kb_export.record import KBRecord
from kb_export.search_text import SENTENCES, ids_in, sentences_of, telling_words, words_of

if TYPE_CHECKING:
    from kb_export.encoder import Encoder

Method = Literal["exact", "vectors", "words"]
# Below these a hit is noise. Chosen on tests/kb_export/questions.json and, for MiniLM's vectors,
# tests/data/kb_eval/dev.jsonl; the questions of the evaluation were not looked at.
MIN_SCORE: dict[Method, float] = {"exact": 0.0, "vectors": 0.34, "words": 0.3}
MAX_QUESTION = 500
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: the best picture of its group.

    Attributes:
        score: cosine (vectors), share of the question's weight found (words), or 1 (exact).
        method: how it was found; scores of different methods do not compare.
        variants: the group's other pictures that fit, best first.
    """

    record: KBRecord
    score: float
    method: Method
    variants: tuple[KBRecord, ...] = ()


class SearchIndex:
    """Search what was exported, in the database the outbox lives in."""

    def __init__(
        self, database: Database, encoder: Encoder | None, min_score: float | None = None
    ) -> None:
        """Prepare the tables; nothing is computed yet.

        Args:
            encoder: None = search by words.
            min_score: threshold of `search`; each method's own, made for MiniLM, if None.
        """
        self._database = database
        self._encoder = encoder
        self._min_score = min_score
        self._lock = threading.Lock()
        self._records: dict[str, KBRecord] = {}  # what was exported; ids name contents
        self._ids: list[str] = []  # of self._vectors, row by row
        self._vectors: Any = None
        with database.transaction() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS kb_vectors (record_id TEXT, encoder TEXT, "
                "vectors BLOB, PRIMARY KEY (record_id, encoder))"
            )
            connection.execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS kb_words USING fts5 "
                "(record_id UNINDEXED, words, tokenize = 'porter unicode61')"
            )

    @property
    def method(self) -> Method:
        """How questions without an exact token are answered."""
        return "words" if self._encoder is None else "vectors"

    @property
    def threshold(self) -> float:
        """The score below which `search` leaves hits out, unless it is told another."""
        return MIN_SCORE[self.method] if self._min_score is None else self._min_score

    def refresh(self, report: Callable[[int, int, str], None] | None = None) -> None:
        """Bring the index up to date with what was exported.

        Args:
            report: called with (done, total, what) while vectors are computed.
        """
        with self._lock:
            self._refresh(report)

    def count(self) -> int:
        """Return how many records can be found."""
        with self._lock:
            self._refresh_records()
            return len(self._records)

    def search(
        self, question: str, limit: int = 5, min_score: float | None = None
    ) -> tuple[Hit, ...]:
        """Return the best pictures for a question, best first; none if nothing fits.

        A word of the question that looks like an id or a SKU finds its pictures by that alone.

        Args:
            question: in a person's words; at most 500 characters count.
            limit: at most this many groups, 1 to 50.
            min_score: hits below are left out; the index's own threshold if None.
        """
        question = clean(question, MAX_QUESTION)
        if not question:
            return ()
        with self._lock:
            self._refresh()
            records = self._records
            exact = self._exact(question)
            method = self.method
            if self._encoder is None:
                ranked = self._by_words(question)
            else:
                ranked = self._by_meaning(question, self._encoder)
        least = self.threshold if min_score is None else min_score
        hits = [Hit(records[i], 1.0, "exact") for i in exact if i in records]
        found = {hit.record.record_id for hit in hits}
        hits += [
            Hit(records[i], score, method)
            for i, score in ranked
            if score >= least and i not in found and i in records
        ]
        return tuple(_best_of_groups(hits)[:limit])

    def _refresh(self, report: Callable[[int, int, str], None] | None = None) -> None:
        self._refresh_records()
        self._refresh_words()
        if self._encoder is not None:
            self._refresh_vectors(self._encoder, report)

    def _refresh_records(self) -> None:
        with self._database.lock:
            connection = self._database.connection
            ids = {row[0] for row in connection.execute("SELECT record_id FROM kb_exported")}
            for gone in self._records.keys() - ids:
                del self._records[gone]
            for record_id in ids - self._records.keys():
                row = connection.execute(
                    "SELECT record FROM kb_exported WHERE record_id = ?", (record_id,)
                ).fetchone()
                # Unreadable: written by another version. A new export brings it back.
                with suppress(BadRecord):
                    self._records[record_id] = KBRecord.from_json(row[0])

    def _refresh_words(self) -> None:
        wanted = self._records
        with self._database.lock:
            there = {
                row[0]
                for row in self._database.connection.execute("SELECT record_id FROM kb_words")
            }
        if there == wanted.keys():
            return
        with self._database.transaction() as connection:
            # Read again inside the transaction: another process may have been faster.
            there = {row[0] for row in connection.execute("SELECT record_id FROM kb_words")}
            connection.executemany(
                "DELETE FROM kb_words WHERE record_id = ?", [(i,) for i in there - wanted.keys()]
            )
            connection.executemany(
                "INSERT INTO kb_words (record_id, words) VALUES (?, ?)",
                [(i, words_of(wanted[i])) for i in wanted.keys() - there],
            )

    def _refresh_vectors(
        self, encoder: Encoder, report: Callable[[int, int, str], None] | None
    ) -> None:
        wanted = self._records
        if set(self._ids) == wanted.keys() and self._vectors is not None:
            return
        with self._database.lock:
            rows = self._database.connection.execute(
                "SELECT record_id FROM kb_vectors WHERE encoder = ?", (_space(encoder),)
            ).fetchall()
        there = {row[0] for row in rows}
        missing = sorted(wanted.keys() - there)
        for start in range(0, len(missing), _BATCH):
            chosen = missing[start : start + _BATCH]
            sentences = [sentences_of(wanted[i]) for i in chosen]
            vectors = encoder.encode([s for pair in sentences for s in pair])
            vectors = vectors.reshape(len(chosen), -1)
            with self._database.transaction() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO kb_vectors VALUES (?, ?, ?)",
                    [
                        (i, _space(encoder), row.astype("<f4").tobytes())
                        for i, row in zip(chosen, vectors, strict=True)
                    ],
                )
            if report is not None:
                report(min(start + _BATCH, len(missing)), len(missing), "indexing")
        gone = there - wanted.keys()
        if gone:
            with self._database.transaction() as connection:
                connection.executemany(
                    "DELETE FROM kb_vectors WHERE record_id = ?", [(i,) for i in gone]
                )
        self._load_vectors(encoder)

    def _load_vectors(self, encoder: Encoder) -> None:
        import numpy as np

        with self._database.lock:
            rows = self._database.connection.execute(
                "SELECT record_id, vectors FROM kb_vectors WHERE encoder = ?", (_space(encoder),)
            ).fetchall()
        rows = [row for row in rows if row[0] in self._records]
        self._ids = [row[0] for row in rows]
        flat = np.frombuffer(b"".join(row[1] for row in rows), "<f4")
        # (records, 2 sentences, dimension)
        self._vectors = flat.reshape(len(rows), 2, -1) if rows else None

    def _by_meaning(self, question: str, encoder: Encoder) -> list[tuple[str, float]]:
        if self._vectors is None:
            return []
        likeness = (self._vectors @ encoder.encode([question])[0]).max(axis=1)
        order = likeness.argsort(kind="stable")[::-1]
        return [(self._ids[i], float(likeness[i])) for i in order]

    def _exact(self, question: str) -> list[str]:
        """Return the records that hold a token of the question that looks like an id."""
        found: dict[str, None] = {}
        for token in ids_in(question):
            found.update(dict.fromkeys(self._match(token)))
        return list(found)

    def _by_words(self, question: str) -> list[tuple[str, float]]:
        """Rank by the share of the question's words found, rare words counting more."""
        words = telling_words(question)
        with self._database.lock:
            total = int(
                self._database.connection.execute("SELECT count(*) FROM kb_words").fetchone()[0]
            )
        scores: dict[str, float] = {}
        weight = 0.0
        for word in sorted(words):
            ids = self._match(word)
            # Inverse document frequency, as in BM25 (Robertson and Zaragoza 2009, eq. 3.1).
            rarity = math.log(1 + (total - len(ids) + 0.5) / (len(ids) + 0.5))
            weight += rarity
            for record_id in ids:
                scores[record_id] = scores.get(record_id, 0.0) + rarity
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        return [(record_id, score / weight) for record_id, score in ranked]

    def _match(self, words: str) -> list[str]:
        """Return the records that hold the words as one phrase, best first."""
        phrase = words.replace('"', '""')
        with self._database.lock:
            rows = self._database.connection.execute(
                "SELECT record_id FROM kb_words WHERE kb_words MATCH ? ORDER BY rank, record_id",
                (f'"{phrase}"',),
            ).fetchall()
        return [row[0] for row in rows]


def _space(encoder: Encoder) -> str:
    """Name what vectors mean: who computed them, and of which sentences."""
    return f"{encoder.name} {SENTENCES}"


def _best_of_groups(hits: Sequence[Hit]) -> list[Hit]:
    """Keep the first hit of each group and name the others in it."""
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.record.group or hit.record.image_id, []).append(hit)
    return [
        Hit(
            members[0].record,
            members[0].score,
            members[0].method,
            tuple(hit.record for hit in members[1:]),
        )
        for members in groups.values()
    ]
