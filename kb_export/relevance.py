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
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from kb_export.phrases import PhraseVectors
from kb_export.search_text import telling_words

if TYPE_CHECKING:
    from kb_export.encoder import Encoder, Floats

# Chosen on tests/data/kb_eval/dev.jsonl, on tests/data/kb_eval/second and on
# tests/kb_export/questions.json; the hundred questions of the evaluation had no part in it.
COVERAGE = 0.3
ELSEWHERE = 0.3
# A picture of which more is said is nearer to everything: what that is worth on the same questions.
MORE_SAID = 0.2
# A word without which the question means the same still counts a little.
_LEAST_WEIGHT = 1e-3


@cache
def everyday_things() -> tuple[str, ...]:
    """Return the things that people ask to see anywhere."""
    text = files("kb_export").joinpath("everyday_things.txt").read_text(encoding="utf-8")
    lines = " ".join(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(thing.strip() for thing in lines.split(";") if thing.strip())


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a question may mean.

    Attributes:
        words: what is said of it.
        cosine: of the question to that.
        more_said: whether somebody said more than the picture's own words.
    """

    words: str
    cosine: float
    more_said: bool


class Relevance:
    """Score candidates for a question. The owner holds a lock around every call."""

    def __init__(self, phrases: PhraseVectors, encoder: Encoder) -> None:
        self._phrases = phrases
        self._encoder = encoder

    def prepare(self) -> None:
        """Compute what every question is compared with, so that the first one need not wait."""
        self._phrases.of(everyday_things())

    def fit(self, question: str, candidates: Sequence[Candidate]) -> list[float]:
        """Return for each candidate how well it fits, 0 (noise) to about 0.7 (its own words).

        Args:
            question: in a person's words.
            candidates: what vectors found near.
        """
        own = self._encoder.encode([question])[0]
        elsewhere = float((self._phrases.of(everyday_things()) @ own).max())
        words = sorted(telling_words(question))
        weights = self._weights(question, own, words) if words else None
        asked = self._encoder.encode(words)
        fits = []
        for candidate in candidates:
            covered = (
                candidate.cosine
                if weights is None
                else self._coverage(asked, weights, candidate.words)
            )
            near = (1 - COVERAGE) * candidate.cosine + COVERAGE * covered
            less = ELSEWHERE * elsewhere + (MORE_SAID if candidate.more_said else 0.0)
            fits.append(max(0.0, near - less))
        return fits

    def _weights(self, question: str, own: Floats, words: Sequence[str]) -> Floats:
        """Return how much each word matters: how far the question moves without it; sums to 1."""
        import numpy as np

        without = [
            re.sub(rf"\b{re.escape(word)}\b", " ", question, flags=re.IGNORECASE) for word in words
        ]
        moved = 1 - self._encoder.encode(without) @ own
        weights = np.maximum(moved, _LEAST_WEIGHT)
        normalized: Floats = weights / weights.sum()
        return normalized

    def _coverage(self, asked: Floats, weights: Floats, words: str) -> float:
        """Return how much of the question these words speak of, 0 to 1.

        Each word counts with its likest one (as in ColBERT's late interaction, arXiv:2004.12832,
        here between single words).
        """
        said = sorted(telling_words(words))
        if not said:
            return 0.0
        likeness = asked @ self._phrases.of(said).T  # (asked, said)
        return float(likeness.max(axis=1) @ weights)
