"""Mermaid text from outside: its kind, its direction, and what is taken out before drawing.

Line numbers never change here, so that an error points at the line that the caller wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agent_tools.diagrams.errors import DiagramRefused, DiagramSyntaxError, DiagramTooLarge
from agent_tools.diagrams.fonts import missing_characters

MAX_CHARACTERS = 20_000
MAX_LINES = 300
MAX_LINE = 1_000

# First word of the text -> kind. These are tested; others are refused by name.
HEADERS = {
    "flowchart": "flowchart",
    "graph": "flowchart",
    "sequenceDiagram": "sequence",
    "classDiagram": "class",
    "classDiagram-v2": "class",
    "stateDiagram": "state",
    "stateDiagram-v2": "state",
    "erDiagram": "er",
    "gantt": "gantt",
    "pie": "pie",
    "mindmap": "mindmap",
    "timeline": "timeline",
    "quadrantChart": "quadrant",
    "journey": "journey",
    "gitGraph": "git",
    "requirementDiagram": "requirement",
    "sankey-beta": "sankey",
    "sankey": "sankey",
    "xychart-beta": "xychart",
    "xychart": "xychart",
    "kanban": "kanban",
    "radar-beta": "radar",
    "treemap-beta": "treemap",
    "treemap": "treemap",
    "block-beta": "block",
    "block": "block",
    "packet-beta": "packet",
    "packet": "packet",
}
KINDS = tuple(dict.fromkeys(HEADERS.values()))
_TITLED = ("gantt", "pie", "timeline", "quadrant", "journey", "xychart", "radar", "packet")
_TURNABLE = ("flowchart", "class", "state", "er", "timeline")

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FENCE = re.compile(r"\A\s*(```|~~~)[^\n]*\n(?P<body>.*?)\n?\s*(\1\s*)?\Z", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(?P<body>.*?)\n[ \t]*---[ \t]*(?=\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:\s*(.+?)\s*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"%%\{.*?\}%%", re.DOTALL)
_COMMENT = re.compile(r"^[ \t]*%%.*$", re.MULTILINE)
_FLOW_HEADER = re.compile(r"^(\s*)(flowchart|graph)\b([ \t]+(?P<to>TB|TD|BT|RL|LR))?", re.MULTILINE)
_TIMELINE_HEADER = re.compile(r"^(\s*timeline)\b([ \t]+(?P<to>TB|TD|LR))?", re.MULTILINE)
_PIE_TITLE = re.compile(r"^([ \t]*pie(?:[ \t]+showData)?)[ \t]+title\b.*$", re.MULTILINE)
_TITLE_LINE = re.compile(r"^[ \t]*title\b.*$", re.MULTILINE)
_MARKS = re.compile("([\u0300-\u036f]{3})[\u0300-\u036f]+")
_STYLING = re.compile(r"^[ \t]*(?:style|classDef|linkStyle)[ \t]+[^\s:]+[ \t]+(?=\S)")
_TEXT_STYLE = re.compile(
    r"(?<![\w-])(?:font|text|letter|word|line|white)(?:-[a-z-]+)?[ \t]*:[^,;]*(?:,|(?=;)|$)",
    re.IGNORECASE,
)
_DIRECTION_LINE = re.compile(r"^[ \t]*direction[ \t]+(?P<to>TB|TD|BT|RL|LR)[ \t]*;?[ \t]*$")


@dataclass(frozen=True, slots=True)
class Source:
    """Mermaid text that is ready to be parsed.

    Attributes:
        text: with configuration and comments blanked out, line for line.
        kind: one of `KINDS`.
        title: from the front matter, if there was one.
        notes: what was ignored, for the caller.
    """

    text: str
    kind: str
    title: str
    notes: tuple[str, ...]


def prepare(text: str) -> Source:
    """Take in Mermaid text: strip fences, configuration and comments; find its kind.

    Configuration (`%%{init}%%`, front matter) could loosen the renderer's security settings,
    inject CSS or change the font that widths are measured with, so none of it is kept.

    Raises:
        DiagramTooLarge, DiagramRefused, DiagramSyntaxError: with what to do instead.
    """
    if len(text) > MAX_CHARACTERS or text.count("\n") >= MAX_LINES:
        raise DiagramTooLarge(
            f"The diagram has {len(text)} characters in {text.count(chr(10)) + 1} lines; at most "
            f"{MAX_CHARACTERS} characters and {MAX_LINES} lines are drawn.",
            hint="Split it into an overview and detail diagrams.",
        )
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            raise DiagramTooLarge(
                f"Line {number} has {len(line)} characters; at most {MAX_LINE} are drawn.",
                hint="Shorten its label: a diagram shows a few words, prose belongs beside it.",
                data={"line": number},
            )
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "  ")
    text = _MARKS.sub(r"\1", _CONTROL.sub("", text))
    notes: list[str] = []
    if fence := _FENCE.match(text):
        text = _blank(text[: fence.start("body")]) + fence.group("body")
    title = ""
    if front := _FRONT_MATTER.match(text):
        found = _FRONT_TITLE.search(front.group("body"))
        title = found.group(1).strip("\"'") if found else ""
        if "config" in front.group("body"):
            notes.append(_IGNORED)
        text = _blank(front.group()) + text[front.end() :]
    while _DIRECTIVE.search(text):  # again, because removal can join a new one together
        text = _DIRECTIVE.sub(lambda match: _blank(match.group()), text)
        notes.append(_IGNORED)
    text = _COMMENT.sub("", text)
    if "%%{" in text:
        number = text[: text.index("%%{")].count("\n") + 1
        raise DiagramRefused(
            f"Line {number} holds an unfinished configuration directive '%%{{'.",
            hint="Remove it; colors and shape are chosen with the theme and aspect arguments.",
            data={"line": number},
        )
    if "$$" in text:
        raise DiagramRefused(
            "Math between $$ signs is not drawn.", hint="Write the formula as plain text."
        )
    if re.search(r"^[ \t]*click\b", text, re.MULTILINE):
        notes.append("Links and click actions were left out: a picture cannot be clicked.")
    if re.search(r"@\{[^}]*\b(img|icon)\b\s*:", text):
        raise DiagramRefused(
            "Pictures and icons inside nodes are not drawn: nothing is fetched from outside.",
            hint="Remove the img: and icon: settings and use plain labels.",
        )
    text, restyled = _without_text_styles(text)
    if restyled:
        notes.append("Font and text styles were left out; colors of boxes and lines are kept.")
    _check_characters(text)
    return Source(text, _kind(text), title, tuple(dict.fromkeys(notes)))


def without_title(source: Source) -> Source:
    """Return the source with its own title line blanked: every kind gets the same heading."""
    if source.kind not in _TITLED:
        return source
    text = _PIE_TITLE.sub(r"\1", source.text, count=1)
    return replace(source, text=_TITLE_LINE.sub("", text, count=1))


def direction(source: Source) -> str | None:
    """Return "LR" or "TB" as the text sets it, or None if it does not (or cannot)."""
    if source.kind == "flowchart":
        match = _FLOW_HEADER.search(source.text)
        found = match.group("to") if match else None
    elif source.kind == "timeline":
        match = _TIMELINE_HEADER.search(source.text)
        found = match.group("to") if match else None
    elif source.kind in _TURNABLE:
        place = _direction_line(source.text)
        found = place[1] if place else None
    else:
        return None
    if found is None:
        return None
    return "LR" if found in ("LR", "RL") else "TB"


def can_turn(source: Source) -> bool:
    """Return whether this kind of diagram can run from left to right and from top to bottom."""
    return source.kind in _TURNABLE


def turned(source: Source, to: str) -> str:
    """Return the text running in direction `to` ("LR" or "TB")."""
    if source.kind == "flowchart":
        return _FLOW_HEADER.sub(lambda match: f"{match[1]}{match[2]} {to}", source.text, count=1)
    if source.kind == "timeline":
        to = "TD" if to == "TB" else to
        return _TIMELINE_HEADER.sub(lambda match: f"{match[1]} {to}", source.text, count=1)
    lines = source.text.split("\n")
    place = _direction_line(source.text)
    if place:
        lines[place[0]] = f"  direction {to}"
    else:
        header = next(index for index, line in enumerate(lines) if line.strip())
        lines.insert(header + 1, f"  direction {to}")
    return "\n".join(lines)


_IGNORED = "Configuration inside the diagram text was ignored; use the theme and aspect arguments."


def _blank(text: str) -> str:
    return "\n" * text.count("\n")


def _without_text_styles(text: str) -> tuple[str, bool]:
    """Drop fonts and sizes from style lines: the boxes are measured for the bundled font."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        head = _STYLING.match(line)
        if head is None:
            continue
        kept = _TEXT_STYLE.sub("", line[head.end() :]).strip(" ,;")
        if kept != line[head.end() :].strip(" ,;"):
            lines[index] = head.group() + kept if kept else ""
    changed = "\n".join(lines)
    return changed, changed != text


def _kind(text: str) -> str:
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.replace(";", " ").split()
        if not words:
            continue
        word = words[0].rstrip(":")
        if word in HEADERS:
            return HEADERS[word]
        by_lower = {header.lower(): header for header in HEADERS}
        near = by_lower.get(word.lower()) or by_lower.get(word.lower() + "diagram")
        suggestion = near or next(
            (h for h in HEADERS if word.lower().startswith(h[:5].lower())), ""
        )
        raise DiagramSyntaxError(
            f"Line {number}, column 1: '{word[:40]}' does not begin a diagram that can be drawn.",
            hint=(f"Did you mean '{suggestion}'? " if suggestion else "")
            + f"Begin with one of: {', '.join(HEADERS)}.",
            data={"line": number, "column": 1, "kinds": list(KINDS)},
        )
    raise DiagramSyntaxError(
        "The diagram text is empty.",
        hint=f"Begin with one of: {', '.join(HEADERS)}.",
        data={"line": 1, "column": 1, "kinds": list(KINDS)},
    )


def _check_characters(text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        missing = missing_characters(line)
        if missing:
            column = min(line.index(character) for character in missing) + 1
            raise DiagramRefused(
                f"Line {number}, column {column}: the diagram font has no glyph for "
                f"{' '.join(missing[:12])}.",
                hint="Labels can use Latin, Greek, Cyrillic, Hebrew, Arabic, arrows and common "
                "symbols; write emoji as words and other scripts in transliteration.",
                data={"line": number, "column": column, "characters": missing[:40]},
            )


def _direction_line(text: str) -> tuple[int, str] | None:
    depth = 0
    for index, line in enumerate(text.split("\n")):
        match = _DIRECTION_LINE.match(line)
        if match and depth == 0:
            return index, match.group("to")
        depth += line.count("{") - line.count("}")
    return None
