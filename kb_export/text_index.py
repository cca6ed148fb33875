"""Words and sentence vectors of documents in SQLite: what every search here is made of.

The index is derived data. Whoever owns the documents says which ones there are; ids name contents,
so a document that changed has another id, and nothing is ever updated in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kb_export.outbox_rows import Database
from kb_export.search_text import ids_in, telling_words

if TYPE_CHECKING:
    from kb_export.encoder import Encoder

_BATCH = 64

Ranked = list[tuple[str, float]]
Report = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Document:
    """What one picture can be found by.

    Attributes:
        words: all that full-text search may find it by.
        sentences: what is embedded, at least one; a question is as near to it as to the nearest.
            The first two are the document's own words, the others what it is good for.
    """

    words: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """A document and its cosines to a question.

    Attributes:
        cosine: of the sentence that is nearest.
        own: of the nearest of its own words.
    """

    document_id: str
    cosine: float
    own: float


class TextIndex:
    """Rank documents for a question. The owner holds a lock around every call."""

    def __init__(
        self, database: Database, encoder: Encoder | None, prefix: str, space: str
    ) -> None:
        """Prepare the tables `<prefix>_words` and `<prefix>_sentences`; nothing is computed yet.

        Args:
            encoder: None = words only.
            prefix: a plain word from our own code.
            space: names which sentences documents have; vectors of others are computed anew.
        """
        self._database = database
        self._encoder = encoder
        self._words = f"{prefix}_words"
        self._table = f"{prefix}_sentences"
        self._space = "" if encoder is None else f"{encoder.name} {space}"
        self._ids: list[str] = []
        self._vectors: Any = None  # (all sentences, dimension), document after document
        self._starts: Any = None  # each document's first row
        with database.transaction() as connection:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (record_id TEXT, encoder TEXT, "
                "sentences INTEGER, vectors BLOB, PRIMARY KEY (record_id, encoder))"
            )
            connection.execute(
                f"CREATE VIRTUAL TABLE IF NOT EXISTS {self._words} USING fts5 "
                "(record_id UNINDEXED, words, tokenize = 'porter unicode61')"
            )

    def refresh(
        self,
        wanted: AbstractSet[str],
        document: Callable[[str], Document],
        report: Report | None = None,
    ) -> None:
        """Bring the index up to date.

        Args:
            wanted: the ids of all documents there are.
            document: returns one of them.
            report: called with (done, total, what) while vectors are computed.
        """
        self._refresh_words(wanted, document)
        if self._encoder is not None:
            self._refresh_vectors(wanted, document, self._encoder, report)

    def by_meaning(self, question: str) -> Ranked:
        """Return every document with its cosine to the question, best first."""
        return [(near.document_id, near.cosine) for near in self.near(question)]

    def near(self, question: str) -> list[Near]:
        """Return every document with both its cosines to the question, best first."""
        import numpy as np

        if self._vectors is None or self._encoder is None:
            return []
        cosines = self._vectors @ self._encoder.encode([question])[0]
        ends = np.append(self._starts[1:], len(cosines))
        own = np.maximum(cosines[self._starts], cosines[np.minimum(self._starts + 1, ends - 1)])
        of_id = dict(zip(self._ids, own.tolist(), strict=True))
        return [Near(i, cosine, of_id[i]) for i, cosine in self._ranked(cosines)]

    def like(self, record_id: str) -> Ranked:
        """Return every document with its cosine to another one, best first."""
        if self._vectors is None or record_id not in self._ids:
            return []
        place = self._ids.index(record_id)
        start, end = self._starts[place], (*self._starts, len(self._vectors))[place + 1]
        return self._ranked((self._vectors @ self._vectors[start:end].T).max(axis=1))

    def by_id(self, question: str) -> list[str]:
        """Return the documents that hold a token of the question that looks like an id."""
        found: dict[str, None] = {}
        for token in ids_in(question):
            found.update(dict.fromkeys(self._match(token)))
        return list(found)

    def by_words(self, question: str) -> Ranked:
        """Rank by the share of the question's words found, rare words counting more."""
        words = telling_words(question)
        with self._database.lock:
            total = int(
                self._database.connection.execute(f"SELECT count(*) FROM {self._words}").fetchone()[
                    0
                ]
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

    def _ranked(self, of_sentences: Any) -> Ranked:
        import numpy as np

        likeness = np.maximum.reduceat(of_sentences, self._starts)
        order = likeness.argsort(kind="stable")[::-1]
        return [(self._ids[i], float(likeness[i])) for i in order]

    def _refresh_words(self, wanted: AbstractSet[str], document: Callable[[str], Document]) -> None:
        with self._database.lock:
            rows = self._database.connection.execute(f"SELECT record_id FROM {self._words}")
            there = {row[0] for row in rows}
        if there == wanted:
            return
        with self._database.transaction() as connection:
            # Read again inside the transaction: another process may have been faster.
            rows = connection.execute(f"SELECT record_id FROM {self._words}")
            there = {row[0] for row in rows}
            connection.executemany(
                f"DELETE FROM {self._words} WHERE record_id = ?", [(i,) for i in there - wanted]
            )
            connection.executemany(
                f"INSERT INTO {self._words} (record_id, words) VALUES (?, ?)",
                [(i, document(i).words) for i in wanted - there],
            )

    def _refresh_vectors(
        self,
        wanted: AbstractSet[str],
        document: Callable[[str], Document],
        encoder: Encoder,
        report: Report | None,
    ) -> None:
        if set(self._ids) == wanted and self._vectors is not None:
            return
        with self._database.lock:
            rows = self._database.connection.execute(
                f"SELECT record_id FROM {self._table} WHERE encoder = ?", (self._space,)
            ).fetchall()
        there = {row[0] for row in rows}
        missing = sorted(wanted - there)
        for start in range(0, len(missing), _BATCH):
            chosen = missing[start : start + _BATCH]
            sentences = [document(i).sentences for i in chosen]
            vectors = iter(encoder.encode([one for several in sentences for one in several]))
            with self._database.transaction() as connection:
                connection.executemany(
                    f"INSERT OR REPLACE INTO {self._table} VALUES (?, ?, ?, ?)",
                    [
                        (
                            i,
                            self._space,
                            len(several),
                            b"".join(next(vectors).astype("<f4") for _ in several),
                        )
                        for i, several in zip(chosen, sentences, strict=True)
                    ],
                )
            if report is not None:
                report(min(start + _BATCH, len(missing)), len(missing), "indexing")
        gone = there - wanted
        if gone:
            with self._database.transaction() as connection:
                connection.executemany(
                    f"DELETE FROM {self._table} WHERE record_id = ?", [(i,) for i in gone]
                )
        self._load_vectors(wanted)

    def _load_vectors(self, wanted: AbstractSet[str]) -> None:
        import numpy as np

        with self._database.lock:
            rows = self._database.connection.execute(
                f"SELECT record_id, sentences, vectors FROM {self._table} WHERE encoder = ?",
                (self._space,),
            ).fetchall()
        rows = [row for row in rows if row[0] in wanted]
        self._ids = [row[0] for row in rows]
        self._vectors = self._starts = None
        if not rows:
            return
        flat = np.frombuffer(b"".join(row[2] for row in rows), "<f4")
        counts = np.array([row[1] for row in rows])
        self._vectors = flat.reshape(int(counts.sum()), -1)
        self._starts = counts.cumsum() - counts

    def _match(self, words: str) -> list[str]:
        """Return the documents that hold the words as one phrase, best first."""
        phrase = words.replace('"', '""')
        with self._database.lock:
            rows = self._database.connection.execute(
                f"SELECT record_id FROM {self._words} WHERE {self._words} MATCH ? "
                "ORDER BY rank, record_id",
                (f'"{phrase}"',),
            ).fetchall()
        return [row[0] for row in rows]
