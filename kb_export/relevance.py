"""How well a picture fits a question: the second look at what vectors found near.

A cosine alone cannot part "what can I put my tulips in", whose vase scores 0.2, from "show me the
bathroom cabinet", whose shop front scores 0.4. Two more measurements do better:

- coverage: how much of the question, word by word, the record speaks of;
- elsewhere: how near the question is to the nearest of 550 everyday things. What is asked for by
  its name is near its own thing; only a picture that is as near may answer. This is the background
  model of speaker verification (Reynolds, Quatieri and Dunn, 2000, doi:10.1006/dspr.1999.0361):
  accept by the ratio to what anybody might have said, not by the likeness alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from kb_export.phrases import PhraseVectors
from kb_export.record import KBRecord
from kb_export.search_text import telling_words

if TYPE_CHECKING:
    from kb_export.encoder import Encoder, Floats

# Chosen on tests/data/kb_eval/dev.jsonl, second.json beside it and tests/kb_export/questions.json.
COVERAGE = 0.3
ELSEWHERE = 0.3
# A word without which the question means the same still counts a little.
_LEAST_WEIGHT = 1e-3


@cache
def everyday_things() -> tuple[str, ...]:
    """Return the things that people ask to see anywhere."""
    text = files("kb_export").joinpath("everyday_things.txt").read_text(encoding="utf-8")
    lines = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(thing.strip() for thing in lines.split(";") if thing.strip())


class Relevance:
    """Score candidates for a question. The owner holds a lock around every call."""

    def __init__(self, phrases: PhraseVectors, encoder: Encoder) -> None:
        self._phrases = phrases
        self._encoder = encoder

    def prepare(self) -> None:
        """Compute what every question is compared with, so that the first one need not wait."""
        self._phrases.of(everyday_things())

    def fit(self, question: str, candidates: Sequence[tuple[KBRecord, float]]) -> list[float]:
        """Return for each candidate how well it fits, 0 (noise) to about 0.7 (its own words).

        Args:
            question: in a person's words.
            candidates: records with their cosine to the question.
        """
        own = self._encoder.encode([question])[0]
        elsewhere = float((self._phrases.of(everyday_things()) @ own).max())
        words = sorted(telling_words(question))
        if not words:
            return [max(0.0, cosine - ELSEWHERE * elsewhere) for _, cosine in candidates]
        weights = self._weights(question, own, words)
        asked = self._encoder.encode(words)
        fits = (
            (1 - COVERAGE) * cosine
            + COVERAGE * self._coverage(asked, weights, record)
            - ELSEWHERE * elsewhere
            for record, cosine in candidates
        )
        return [max(0.0, fit) for fit in fits]

    def _weights(self, question: str, own: Floats, words: Sequence[str]) -> Floats:
        """Return how much each word matters: how far the question moves without it; sums to 1."""
        without = [
            re.sub(rf"\b{re.escape(word)}\b", " ", question, flags=re.IGNORECASE) for word in words
        ]
        moved = 1 - self._encoder.encode(without) @ own
        weights = np.maximum(moved, _LEAST_WEIGHT)
        normalized: Floats = weights / weights.sum()
        return normalized

    def _coverage(self, asked: Floats, weights: Floats, record: KBRecord) -> float:
        """Return how much of the question the record's words speak of, 0 to 1.

        Each word counts with its likest word of the record (as in ColBERT's late interaction,
        arXiv:2004.12832, here between single words).
        """
        said = sorted(telling_words(f"{record.title} {record.caption} {record.use_when}"))
        if not said:
            return 0.0
        likeness = asked @ self._phrases.of(said).T  # (asked, said)
        return float(likeness.max(axis=1) @ weights)
