"""A small reader of Mermaid flowcharts, for machines where the full parser cannot be installed.

It reads what flowcharts are made of (nodes, arrows, chains, labels, subgraphs) and refuses the
rest by line; its answer has the shape of the full parser's.
"""

from __future__ import annotations

import re
from typing import Any

from agent_tools.diagrams.errors import DiagramRefused, DiagramSyntaxError

_SHAPES = (
    ("([", "])", "stadium"), ("[[", "]]", "subroutine"), ("[(", ")]", "cylinder"),
    ("((", "))", "circle"), ("{{", "}}", "hexagon"), ("[", "]", "square"), ("(", ")", "round"),
    ("{", "}", "diamond"), (">", "]", "odd"),
)  # fmt: skip
_ID = re.compile(r"[A-Za-z0-9_](?:[\w]|-(?![-.>]))*")
_LINK = re.compile(
    r"(?P<back><)?(?:(?P<line>--+|==+|-\.+-?)(?P<head>[>ox]|(?=\s|\|))"
    r"(?:\s*\|(?P<label>[^|]*)\|)?"
    r"|(?P<open>--|==|-\.)\s+(?P<text>[^->|]+?)\s+(?:-->|---|==>|===|\.->|\.-))"
)
_IGNORED = re.compile(r"(style|classDef|class|linkStyle|click|direction)\b")
_SUBGRAPH = re.compile(
    r"subgraph\s+(?P<id>[\w-]+)\s*(?:\[(?P<title>.*)\])?\s*$|subgraph\s+(?P<only>.+)$"
)


def read_flowchart(text: str) -> dict[str, Any]:
    """Return nodes, edges and subgraphs of a Mermaid flowchart.

    Args:
        text: prepared by `source.prepare`.

    Raises:
        DiagramSyntaxError: with line and column of what is not understood.
        DiagramRefused: an `end` without a subgraph, or a subgraph without `end`.
    """
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self.open: list[dict[str, Any]] = []

    def read(self, text: str) -> dict[str, Any]:
        lines = text.split("\n")
        header = next(i for i, line in enumerate(lines) if line.strip())
        rest = re.sub(r"^\s*(flowchart|graph)\b[ \t]*(TB|TD|BT|RL|LR)?", "", lines[header])
        for number, line in enumerate([rest, *lines[header + 1 :]], start=header + 1):
            for part in re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', line):
                if part.strip():
                    self._statement(part.strip(), number, line)
        if self.open:
            raise DiagramRefused(
                f"The subgraph '{self.open[-1]['title']}' has no end.", hint="Add a line 'end'."
            )
        return {
            "nodes": list(self.nodes.values()),
            "edges": self.edges,
            "subgraphs": [group for group in self.groups if group["nodes"]],
        }

    def _statement(self, text: str, number: int, line: str) -> None:
        if _IGNORED.match(text):
            return
        if found := _SUBGRAPH.match(text):
            title = _unquoted(found["title"] or found["only"] or found["id"])
            group: dict[str, Any] = {
                "id": found["id"] or f"group{len(self.groups)}",
                "title": title,
                "nodes": [],
            }
            self.groups.append(group)
            if self.open:
                self.open[-1]["nodes"].append(group["id"])
            self.open.append(group)
            return
        if text == "end":
            if not self.open:
                raise DiagramRefused(f"Line {number}: 'end' closes nothing.", hint="Remove it.")
            self.open.pop()
            return
        left, at = self._nodes(text, 0, number, line)
        while at < len(text):
            link = _LINK.match(text, at)
            if link is None:
                self._fail(text[at:], number, line)
                return
            right, at = self._nodes(text, _past_spaces(text, link.end()), number, line)
            strokes = link["line"] or link["open"]
            headless = link["line"] is not None and not link["head"]
            for start in left:
                for end in right:
                    self.edges.append(
                        {
                            "from": start,
                            "to": end,
                            "label": _unquoted(link["label"] or link["text"] or ""),
                            "type": "arrow_open" if headless else
                            "double_arrow_point" if link["back"] else "arrow_point",
                            "stroke": {"=": "thick", ".": "dotted"}.get(strokes[1], "normal"),
                        }
                    )  # fmt: skip
            left = right

    def _nodes(self, text: str, at: int, number: int, line: str) -> tuple[list[str], int]:
        names = []
        while True:
            found = _ID.match(text, at)
            if found is None:
                self._fail(text[at:], number, line)
                raise AssertionError
            at = found.end()
            label, shape = None, "square"
            for left, right, name in _SHAPES:
                if text.startswith(left, at):
                    start = at + len(left)
                    quoted = re.compile(r'\s*"([^"]*)"\s*').match(text, start)
                    end = text.find(right, quoted.end() if quoted else start)
                    if end < 0:
                        self._fail(text[at:], number, line)
                    label, shape = _unquoted(text[start:end]), name
                    at = end + len(right)
                    break
            at = re.compile(r"(?::::\w+)?\s*").match(text, at).end()  # type: ignore[union-attr]
            self._add(found.group(), label, shape)
            names.append(found.group())
            if not text.startswith("&", at):
                return names, at
            at = _past_spaces(text, at + 1)

    def _add(self, name: str, label: str | None, shape: str) -> None:
        if any(group["id"] == name for group in self.groups):
            return  # an arrow from or to a whole group
        node = self.nodes.setdefault(name, {"id": name, "label": name, "shape": "square"})
        if label is not None:
            node |= {"label": label, "shape": shape}
        if self.open and not any(name in group["nodes"] for group in self.groups):
            self.open[-1]["nodes"].append(name)

    def _fail(self, rest: str, number: int, line: str) -> None:
        column = line.find(rest) + 1 if rest and rest in line else len(line) + 1
        raise DiagramSyntaxError(
            f"Line {number}, column {column}: {rest[:40]!r} is not understood.",
            hint='Write nodes as id["Label"] and arrows as a -->|label| b, one a line.',
            data={"line": number, "column": column, "text": line},
        )


def _past_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _unquoted(text: str) -> str:
    return text.strip().removeprefix('"').removesuffix('"')
