"""Words about pictures, made safe to show and to feed to a model.

Captions travel prompt -> picture -> knowledge base -> another agent's context, so they are
untrusted: nothing invisible, no link, no tag and no Markdown may survive. What they SAY cannot be
cleaned; records are therefore marked `untrusted_caption` and framed by fixed text.
"""

from __future__ import annotations

import html
import re
import unicodedata

CAPTION_LIMIT = 512
ALT_TARGET = 125  # readable by a screen reader in one breath
ALT_LIMIT = 250  # IPTC Photo Metadata Standard, Alt Text (Accessibility)
_PASSES = 20

# Characters that show nothing but are not in the categories removed below: Hangul fillers,
# combining grapheme joiner, Khmer inherent vowels, Braille blank.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Brackets carry Markdown links and images, angle brackets carry tags: no caption needs them.
_HARMLESS = str.maketrans(
    {
        "<": "\u2039",
        ">": "\u203a",
        "\uff1c": "\u2039",
        "\uff1e": "\u203a",
        "\ufe64": "\u2039",
        "\ufe65": "\u203a",
        "[": "(",
        "]": ")",
        "\uff3b": "(",
        "\uff3d": ")",
        "`": "'",
        "\\": "/",
    }
)
_CODE_ELEMENT = re.compile(r"<(script|style)\b[^<>]*>[^<]*</\1\s*>", re.IGNORECASE)
_TAG = re.compile(r"<[/!?|a-zA-Z][^<>]*>")
_MARKDOWN_LINK = re.compile(r"!?\[([^\[\]]*)\]\s?\([^()]*\)")
_MARKDOWN_REFERENCE = re.compile(r"\[([^\[\]]*)\]:\s*\S+")
_SCHEME = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,30}:\s?[/\\]{2}\S*"
    r"|(?<!\w)[/\\]{2}\S+"
    r"|\b(?:javascript|vbscript):\s?\S*"
    r"|\b(?:data|mailto|file|blob|tel|sms|view-source):\S+",
    re.IGNORECASE,
)
_DOT = "[.\u3002\uff0e\uff61]"  # browsers read the ideographic full stops as dots, too
_EMAIL = re.compile(rf"[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{1,4}}")
# Endings that chat renderers turn into links by themselves; two-letter ones that are also words
# ("mug.It is red") count only when a path follows.
_TOP_LEVEL = (
    "com|net|org|info|biz|io|ai|app|dev|co|xyz|top|site|online|shop|store|cloud|link|click|live|"
    "test|example|invalid|local|internal|onion|gov|edu|mil|eu|uk|de|fr|nl|es|ru|cn|jp|br|"
    "ca|au|ch|pl|se|tv|cc|gg|ly|sh|page|web|pro|zip|mov"
)
_DOMAIN = re.compile(
    rf"(?:[/\\]{{2}})?\b(?:www{_DOT}\S+"
    rf"|(?:[\w-]{{1,63}}{_DOT}){{1,5}}(?:(?:{_TOP_LEVEL})\b(?:[:/?#]\S*)?|[a-z]{{2,24}}[:/?#]\S+)"
    r"|\d{1,3}(?:\.\d{1,3}){3}(?:[:/?#]\S*)?)",
    re.IGNORECASE,
)
_ALT_OPENING = re.compile(
    r"^(?:an?|the)?\s*(?:image|picture|photo|photograph|graphic)\s+(?:of|showing)\s+", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?](?=\s)")


def clean(text: str, limit: int = CAPTION_LIMIT) -> str:
    """Return `text` as one plain line of at most `limit` characters.

    Removed: control, bidirectional, zero-width and other invisible characters, HTML tags (also
    written as entities), Markdown links and images (their words stay), addresses of any scheme,
    bare domains and e-mail addresses. Cut at a word, ending in "…", if it is too long.
    Cleaning twice changes nothing.
    """
    # Hostile input can be long; what no caption can hold is not worth cleaning.
    text = _visible(text[: 8 * limit + 1000])
    for _ in range(_PASSES):
        before = text
        text = _visible(html.unescape(text))
        text = _CODE_ELEMENT.sub(" ", text)
        text = _TAG.sub("", text)
        text = _MARKDOWN_LINK.sub(r"\1", text)
        text = _MARKDOWN_REFERENCE.sub(r"\1", text)
        text = _without_addresses(text)
        if text == before:
            break
    if html.unescape(text) != text:  # nested deeper than any honest text
        text = text.replace("&", "& ")
    text = _without_addresses(text.translate(_HARMLESS)).replace("://", " ")
    text = shorten(" ".join(text.split()), limit)
    return " ".join(_without_addresses(text).split())  # a cut can lay an address bare


def clean_lines(text: str, limit: int) -> str:
    """Return `text` cleaned line by line: a list stays a list, empty lines go.

    Whole lines are kept as far as `limit` characters reach; the last then says how many are
    missing.
    """
    lines = [line for part in re.split(r"[\r\n]+", text) if (line := clean(part))]
    kept: list[str] = []
    length = 0
    for index, line in enumerate(lines):
        ending = len(f"and {len(lines)} more.") + 1
        if length + len(line) + (ending if index < len(lines) - 1 else 0) > limit:
            rest = len(lines) - index
            return "\n".join([*kept, f"and {rest} more."]) if kept else shorten(line, limit)
        kept.append(line)
        length += len(line) + 1
    return "\n".join(kept)


def alt_text(text: str, limit: int = ALT_LIMIT, target: int = ALT_TARGET) -> str:
    """Return alternative text: cleaned, short, without "image of" at its start.

    Whole sentences up to `target` characters where there are any; else up to `limit`, cut at a
    word.
    """
    words = _ALT_OPENING.sub("", clean(text, 4 * limit))
    words = words[:1].upper() + words[1:]
    if len(words) > target:
        ends = [end.end() for end in _SENTENCE_END.finditer(words) if end.end() <= target]
        if ends and ends[-1] >= target // 3:
            return words[: ends[-1]]
    return shorten(words, limit)


def markdown(text: str) -> str:
    """Escape cleaned text for a Markdown document."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>-])", r"\\\1", text)


def _visible(text: str) -> str:
    """Drop what cannot be seen; line ends and tabs become spaces."""
    kept = []
    for character in unicodedata.normalize("NFC", text):
        if character in "\t\n\r\v\f\x85\u2028\u2029":
            kept.append(" ")
        elif (
            unicodedata.category(character) in _HIDDEN_CATEGORIES
            or character in _INVISIBLE
            or "\ufe00" <= character <= "\ufe0f"
            or "\u180b" <= character <= "\u180f"
            or "\U000e0100" <= character <= "\U000e01ef"
        ):
            continue
        else:
            kept.append(character)
    return "".join(kept)


def _without_addresses(text: str) -> str:
    for pattern in (_SCHEME, _EMAIL, _DOMAIN):
        text = pattern.sub(" ", text)
    return text


def shorten(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, cut at a word, ending in "…" if cut."""
    if len(text) <= limit:
        return text
    shortened = text[: limit - 1]
    at_word = shortened.rfind(" ")
    if at_word > limit // 2:
        shortened = shortened[:at_word]
    return shortened.rstrip(" ,;:-") + "…"
