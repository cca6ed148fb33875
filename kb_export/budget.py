"""How long a record's text may be: short enough that no chunker parts it from its picture.

Common knowledge bases cut documents at 800 tokens. Whose tokens is not known beforehand, so they
are counted from above: `token_bound` is at least what byte-pair and word-piece vocabularies make
of ordinary text (a test compares it with one). Letters without any meaning in a row may
take more, at most one token each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kb_export.captions import markdown, shorten
from kb_export.errors import BadRecord

MAX_TOKENS = 800
# The document's fixed words, its link by content hash, its ids and its line ends.
FRAME_TOKENS = 230
_PIECES = re.compile(r"[A-Za-z]+|[\u3040-\u30ff\u4e00-\u9fff]|[^\x00-\x7f]|[0-9]|[^\sA-Za-z0-9]|\n")
# How far each text may shrink, in this order, until the whole fits. What says most goes last.
_SHRINKING: tuple[tuple[str, int], ...] = (
    ("long_description", 0),
    ("notes", 0),
    ("tags", 4),
    ("use_when", 120),
    ("alt", 125),
    ("caption", 200),
    ("tags", 0),
    ("use_when", 60),
    ("alt", 60),
    ("title", 40),
    ("caption", 80),
    ("use_when", 0),
    ("alt", 10),
    ("title", 10),
    ("caption", 20),
)
# What the words need at least, in any script; facts and addresses may take the rest.
LEAST_TOKENS = 200


def token_bound(text: str) -> int:
    """Return at least as many tokens as common tokenizers make of `text`.

    One for two letters of a word, for a digit, a sign or a line end; two for a Chinese or
    Japanese character; for any other character as many as it has UTF-8 bytes, which no
    byte-level vocabulary exceeds.
    """
    total = 0
    for piece in _PIECES.findall(text):
        if piece.isascii():
            total += (len(piece) + 1) // 2
        elif "\u3040" <= piece <= "\u9fff":
            total += 2
        else:
            total += len(piece.encode("utf-8", "surrogatepass"))
    return total


def fitted(words: Mapping[str, Any], fixed: str) -> dict[str, Any]:
    """Return `words` shortened until a document of them stays below `MAX_TOKENS` tokens.

    Args:
        words: title, caption, alt, long_description, use_when (texts), tags, notes (tuples).
        fixed: facts and addresses, which are never shortened.

    Raises:
        BadRecord: if they leave no room for words.
    """
    allowed = MAX_TOKENS - 1 - FRAME_TOKENS - token_bound(markdown(fixed))
    if allowed < LEAST_TOKENS:
        raise BadRecord(
            "The facts and the address leave no room for words.", hint="Shorten the facts."
        )
    kept = dict(words)
    tokens = {name: _tokens(value) for name, value in kept.items()}
    for name, least in _SHRINKING:
        while (over := sum(tokens.values()) - allowed) > 0:
            shorter = _shorter(kept[name], least, over)
            if shorter == kept[name]:
                break
            kept[name] = shorter
            tokens[name] = _tokens(shorter)
    return kept


def _shorter(value: Any, least: int, over: int) -> Any:
    if isinstance(value, tuple):
        return value[:-1] if len(value) > least else value
    if len(value) <= least:
        return value
    target = max(least, len(value) - max(8, over // 4))
    if "\n" in value:
        return _fewer_lines(value, target)
    return shorten(value, target) if target else ""


def _fewer_lines(text: str, limit: int) -> str:
    """Return the first lines that fit, and how many more there are."""
    lines = text.split("\n")
    found = re.fullmatch(r"and (\d+) more\.", lines[-1])
    dropped = int(found[1]) if found else 0
    lines = lines[:-1] if found else lines
    while lines and len("\n".join(lines)) + 20 > limit:
        lines.pop()
        dropped += 1
    return "\n".join([*lines, f"and {dropped} more."]) if lines else ""


def _tokens(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(token_bound(markdown(item)) + 4 for item in value)
    text = str(value)
    # A list's mark before each line, and escapes, are part of the document.
    return token_bound(markdown(text)) + 2 * text.count("\n")
