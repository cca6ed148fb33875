"""The local index over everything exported: meaning first, words where there is no encoder.

Exact cosine over MiniLM vectors found 19 of 20 paraphrased questions where full-text search found
2, and mixing both equally made it worse; so full text (SQLite FTS5) serves exact tokens such as
SKUs and ids, and stands in when no encoder is installed. The index follows the outbox's list of
what was exported, so a crash cannot part the two.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from kb_export.captions import clean
from kb_export.errors import BadRecord
from kb_export.outbox import Database
from kb_export.phrases import PhraseVectors
from kb_export.record import KBRecord
from kb_export.relevance import Candidate, Relevance
from kb_export.search_text import SENTENCES, sentences_of, uses_of, words_of
from kb_export.text_index import Document, Ranked, Report, TextIndex

if TYPE_CHECKING:
    from kb_export.encoder import Encoder

Method = Literal["exact", "vectors", "words"]
# Below these a hit is noise. Chosen on tests/kb_export/questions.json and, for MiniLM's vectors,
# tests/data/kb_eval/dev.jsonl and second; the questions of the evaluation had no part in it.
MIN_SCORE: dict[Method, float] = {"exact": 0.0, "vectors": 0.2, "words": 0.3}
MAX_QUESTION = 500
_LOOKED_AT_TWICE = 50  # by cosine; what is further down does not come up


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: the best picture of its group.

    Attributes:
        score: how well it fits (vectors, see kb_export.relevance), share of the question's weight
            found (words), or 1 (exact).
        method: how it was found; scores of different methods do not compare.
        variants: the group's other pictures that fit, best first.
    """

    record: KBRecord
    score: float
    method: Method
    variants: tuple[KBRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A record, how well it fits, and how well its own words do."""

    record: KBRecord
    score: float
    own: float


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
        self._index = TextIndex(database, encoder, "kb", SENTENCES)
        self._relevance = (
            None if encoder is None else Relevance(PhraseVectors(database, encoder), encoder)
        )

    @property
    def method(self) -> Method:
        """How questions without an exact token are answered."""
        return "words" if self._encoder is None else "vectors"

    @property
    def threshold(self) -> float:
        """The score below which `search` leaves hits out, unless it is told another."""
        return MIN_SCORE[self.method] if self._min_score is None else self._min_score

    def refresh(self, report: Report | None = None) -> None:
        """Bring the index up to date with what was exported.

        Args:
            report: called with (done, total, what) while vectors are computed.
        """
        with self._lock:
            self._refresh(report)
            if self._relevance is not None and self._records:
                self._relevance.prepare()

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
            exact = self._index.by_id(question)
            method = self.method
            if self._relevance is None:
                found = [_Found(records[i], score, score) for i, score in self._by_words(question)]
            else:
                found = self._by_meaning(question, self._relevance)
        least = self.threshold if min_score is None else min_score
        named = [_Found(records[i], 1.0, 1.0) for i in exact if i in records]
        known = {one.record.record_id for one in named}
        others = [one for one in found if one.record.record_id not in known]
        hits = [*_groups(named, "exact", 0.0), *_groups(others, method, least)]
        return tuple(_once(hits)[:limit])

    def _by_words(self, question: str) -> Ranked:
        return [(i, s) for i, s in self._index.by_words(question) if i in self._records]

    def _by_meaning(self, question: str, relevance: Relevance) -> list[_Found]:
        near = [one for one in self._index.near(question) if one.document_id in self._records]
        near = near[:_LOOKED_AT_TWICE]
        records = [self._records[one.document_id] for one in near]
        own, all_said = [], []
        for record, one in zip(records, near, strict=True):
            uses = uses_of(record.use_when)
            shows = f"{record.title} {record.caption}"
            own.append(Candidate(f"{shows} {' '.join(uses[:1])}", one.own, more_said=False))
            all_said.append(Candidate(f"{shows} {record.use_when}", one.cosine, len(uses) > 1))
        fits = relevance.fit(question, [*all_said, *own])
        found = zip(records, fits[: len(near)], fits[len(near) :], strict=True)
        return [_Found(record, score, apart) for record, score, apart in found]

    def _refresh(self, report: Report | None = None) -> None:
        self._refresh_records()
        self._index.refresh(self._records.keys(), self._document, report)

    def _document(self, record_id: str) -> Document:
        record = self._records[record_id]
        return Document(words_of(record), sentences_of(record))

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


def _groups(found: Sequence[_Found], method: Method, least: float) -> list[Hit]:
    """Return one hit for each group of which something fits, best first.

    What is said of one variant is mostly true of all, so any of them may bring the group; which
    one is shown is decided by its own words, such as its color.
    """
    groups: dict[str, list[_Found]] = {}
    for one in found:
        groups.setdefault(one.record.group or one.record.image_id, []).append(one)
    hits = []
    for members in groups.values():
        score = max(one.score for one in members)
        if score < least:
            continue
        members.sort(key=lambda one: -one.own)
        fitting = [one.record for one in members[1:] if one.score >= least]
        hits.append(Hit(members[0].record, score, method, tuple(fitting)))
    return sorted(hits, key=lambda hit: -hit.score)


def _once(hits: Sequence[Hit]) -> list[Hit]:
    """Join the hits of one group: what was named by its id comes first."""
    groups: dict[str, Hit] = {}
    for hit in hits:
        key = hit.record.group or hit.record.image_id
        first = groups.get(key)
        if first is None:
            groups[key] = hit
        else:
            groups[key] = replace(first, variants=(*first.variants, hit.record, *hit.variants))
    return list(groups.values())
