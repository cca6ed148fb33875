"""The words that go with a picture: title, caption, alternative text, when to show it, tags.

They repeat what was asked for and invent nothing: nobody has looked at the picture yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kb_export.captions import clean

CAPTION_LIMIT = 400
ALT_LIMIT = 250
TITLE_LIMIT = 80
_MAX_TAGS = 10
_REQUEST = re.compile(
    r"^(?:please\s+)?(?:can you\s+|could you\s+)?"
    r"(?:(?:paint|draw|create|generate|make|render|show|give)\s+(?:me\s+|us\s+)?)?"
    r"(?:(?:an?|the)\s+)?(?:image|picture)\s+of\s+"
    r"|^(?:please\s+)?(?:paint|draw|create|generate|render)\s+(?:me\s+|us\s+)?(?=(?:an?|the)\s)",
    re.IGNORECASE,
)
_STOP_WORDS = frozenset(
    """a an and are as at background be behind below beside by for from front has have her his in
    into is it its my near of off on one or our out over some that the their them this to under up
    very was were with without image picture photo please""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Wording:
    """What is written about one picture; plain text without markup.

    Attributes:
        title: at most 80 characters, no full stop.
        caption: one sentence, at most 400 characters.
        alt: alternative text, at most 250 characters.
        use_when: when a chatbot should show the picture.
        tags: lower-case words, at most 10.
    """

    title: str
    caption: str
    alt: str
    use_when: str
    tags: tuple[str, ...]


def wording(prompt: str, *, extra_tags: tuple[str, ...] = ()) -> Wording:
    """Derive a picture's words from the prompt that asked for it.

    "paint me a picture of a red mug" becomes "A red mug."
    """
    plain = clean(prompt, CAPTION_LIMIT)
    subject = _REQUEST.sub("", plain, count=1).strip(" .,;:!") or plain.strip(" .,;:!") or "picture"
    return Wording(
        title=title(subject),
        caption=sentence(subject, CAPTION_LIMIT),
        alt=sentence(subject, ALT_LIMIT),
        use_when=f"Someone asks to see {shorten(lower_first(subject), 160)}.",
        tags=tags(subject, extra_tags),
    )


def sentence(text: str, limit: int) -> str:
    """Return `text` as one sentence of at most `limit` characters, cut at a word."""
    text = clean(text, limit * 2).strip()
    short = shorten(text, limit - 1)
    ending = "" if short[-1:] in ".!?…" else "."
    return upper_first(short) + ending


def title(text: str) -> str:
    """Return `text` as a heading of at most 80 characters."""
    return upper_first(shorten(clean(text, TITLE_LIMIT * 2).strip(" ."), TITLE_LIMIT))


def shorten(text: str, limit: int) -> str:
    """Cut at a word boundary, with an ellipsis, so that at most `limit` characters remain."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > limit // 2 else cut).rstrip(" ,;:-") + "…"


def tags(text: str, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the telling words of `text`, after `extra`, in order and without repetition."""
    words = re.findall(r"[^\W_][\w-]*[^\W_]", text.lower())
    found = dict.fromkeys((*extra, *(w for w in words if w not in _STOP_WORDS and len(w) < 40)))
    return tuple(found)[:_MAX_TAGS]


def upper_first(text: str) -> str:
    """Return `text` with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Return `text` with a small first letter unless its first word is written in capitals."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
