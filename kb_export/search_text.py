"""What is read of records and questions when pictures are searched."""

from __future__ import annotations

import re

from kb_export.record import KBRecord

# Names what `sentences_of` returns; vectors of other sentences are computed anew.
SENTENCES = "uses, both"
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
    """Return what is embedded: each use of the picture, and the first of them after what it shows.

    A question is as near to a record as to the nearest of them. Of nine ways to put the words
    together this one found most on the two sets of questions that thresholds are chosen on.
    """
    shows = record.caption
    if record.title.lower() not in shows.lower():
        shows = f"{record.title}. {shows}"
    uses = [use for use in _END.split(record.use_when) if use]
    if not uses:
        return (shows,)
    return (*uses, f"{shows} {uses[0]}")


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
