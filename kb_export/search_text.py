"""What is read of records and questions when pictures are searched."""

from __future__ import annotations

import re

from kb_export.record import KBRecord

# Names what `sentences` returns; vectors of other sentences are computed anew.
SENTENCES = "use, both"
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]|[A-Za-z0-9]")
_WORD = re.compile(r"\w+")
_STOP_WORDS = frozenset(
    """a about all also am an and any are as at be been but by can could did do does find for from
    get give had has have how i if in is it its like look looking me my need of on one or our
    picture pictures image images photo photos please show so some something such tell than that
    the their them then there these they thing this to us want was we were what when where which
    who why will with would you your""".split()  # noqa: SIM905
)


def sentences_of(record: KBRecord) -> tuple[str, str]:
    """Return what is embedded of a record."""
    return sentences(record.title, record.caption, record.use_when)


def sentences(title: str, caption: str, use_when: str) -> tuple[str, str]:
    """Return what is embedded: what a picture is good for, and that after what it shows.

    A question is as near to a picture as to the nearer of the two. Of nine ways to put the words
    together this one found most on the two sets of questions that thresholds are chosen on.
    """
    shows = caption
    if title.lower() not in shows.lower():
        shows = f"{title}. {shows}"
    return use_when or shows, f"{shows} {use_when}".rstrip()


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
    return frozenset(_WORD.findall(question.lower())) - _STOP_WORDS


def ids_in(question: str) -> list[str]:
    """Return the question's tokens that look like an id: SKU-1234, img_3fa, 20417."""
    return [token for token in _TOKEN.findall(question) if _looks_like_an_id(token)]


def _looks_like_an_id(token: str) -> bool:
    """Tell ids from words and small numbers."""
    digits = sum(c.isdigit() for c in token)
    if digits == len(token):
        return digits >= 4
    return len(token) >= 3 and digits > 0 and any(c.isalpha() for c in token)
