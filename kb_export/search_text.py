"""What is read of records and questions when pictures are searched."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kb_export.captions import clean
from kb_export.record import KBRecord

MAX_USES = 6  # that an agent may add
MAX_USE = 90  # characters of each
# Names what `sentences` returns; vectors of other sentences are computed anew.
SENTENCES = "use, both, uses"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]|[A-Za-z0-9]")
_WORD = re.compile(r"\w+")
_END = re.compile(r"(?<=[.?!])\s+(?=[^\W\d_])")
_STOP_WORDS = frozenset(
    """a about after all also am an and any are as asks at be been but by can could did do does find
    for from get give got had has have how i if in into is it its let like look looking me my need
    of off on one or our out over picture pictures image images photo photos please see show so some
    someone something such take tell than that the their them then there these they thing this to
    under up us use used using want was we were what when where which who why will with would you
    your""".split()  # noqa: SIM905
)


def sentences_of(record: KBRecord) -> tuple[str, ...]:
    """Return what is embedded of a record."""
    return sentences(record.title, record.caption, record.use_when)


def sentences(title: str, caption: str, use_when: str) -> tuple[str, ...]:
    """Return what is embedded: first a picture's own words, then what else it is good for.

    Its own words are two sentences where it has a use: that use, and the same after what it shows.
    Of nine ways to put them together this one found most on the questions that thresholds are
    chosen on. The others are what whoever exported the picture said about it.
    """
    shows = caption
    if title.lower() not in shows.lower():
        shows = f"{title}. {shows}"
    uses = uses_of(use_when)
    if not uses:
        return (shows,)
    return (uses[0], f"{shows} {uses[0]}", *uses[1:])


def uses_of(use_when: str) -> tuple[str, ...]:
    """Return the sentences of a "use when", the picture's own first."""
    return tuple(use for use in _END.split(use_when) if use)


def with_uses(use_when: str, more: Sequence[str]) -> str:
    """Return a "use when" that keeps its own first sentence and says these things besides."""
    said = [text[0].upper() + text[1:] for text in (clean(one, MAX_USE) for one in more) if text]
    ended = [text if text[-1] in ".?!" else f"{text}." for text in said]
    return " ".join((*uses_of(use_when)[:1], *ended))


def words_of(record: KBRecord) -> str:
    """Return every word that full-text search may find a record by."""
    parts = [
        record.title,
        record.caption,
        record.alt,
        record.use_when,
        record.long_description,
        *record.tags,
        *(str(value) for value in record.facts.values()),
        record.image_id,
        record.record_id,
        record.group or "",
    ]
    return "\n".join(parts)


def telling_words(question: str) -> frozenset[str]:
    """Return the question's words without those that any question may hold."""
    words = (word for word in _WORD.findall(question.lower()) if len(word) > 1 or word.isdigit())
    return frozenset(words) - _STOP_WORDS


def ids_in(question: str) -> list[str]:
    """Return the question's tokens that look like an id: SKU-1234, img_3fa, 20417."""
    return [token for token in _TOKEN.findall(question) if _looks_like_an_id(token)]


def _looks_like_an_id(token: str) -> bool:
    """Tell ids from words and small numbers."""
    digits = sum(c.isdigit() for c in token)
    if digits == len(token):
        return digits >= 4
    return len(token) >= 3 and digits > 0 and any(c.isalpha() for c in token)
