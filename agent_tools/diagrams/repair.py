"""The exact line of a syntax error, and how to write it instead, checked before it is said."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent_tools.diagrams.errors import DiagramSyntaxError
from agent_tools.diagrams.mermaid import MermaidRenderer
from agent_tools.diagrams.source import Source

_SHAPED = re.compile(
    r"(?P<id>[\w.-]+)(?P<open>\[\(|\(\[|\[\[|\(\(|\{\{|\[|\(|\{)(?P<text>.*?)"
    r"(?P<close>\)\]|\]\)|\]\]|\)\)|\}\}|\]|\)|\})(?=\s*(?:$|;|:::|-|=|&|<|o-|x-))"
)
_PARTNERS = {
    "[": "]",
    "(": ")",
    "{": "}",
    "[(": ")]",
    "([": "])",
    "[[": "]]",
    "((": "))",
    "{{": "}}",
}
_QUOTED_OR_NAMED = re.compile(r'"[^"]*"|\|[^|]*\|')
_LABEL = re.compile(r"[\w.-](?P<open>\[\(|\(\[|\[\[|\(\(|\{\{|\[|\(|\{)")
_LINK = re.compile(r"\s*(?:<?-->?|<?==>?|<?-\.+->?|~~~)|\s*;?\s*$")
_RESERVED = re.compile(r"\bend\b(?=\s*(?:$|[-=\[\(\{;]))")


def explain(renderer: MermaidRenderer, source: Source) -> DiagramSyntaxError | None:
    """Return what is wrong with the text and how to mend it, or None if it parses."""
    found = renderer.first_error(source.text)
    if found is None:
        return None
    lines = source.text.split("\n")
    if source.kind == "flowchart" and (problem := _first_unclosed(renderer, lines)):
        return problem
    message, line, column, exact = found
    if not exact:
        line, column = _locate(renderer, lines, message, line, column)
    for number, text in enumerate(lines, start=1):
        statement = text.strip()
        if len(statement) > 3 and message.endswith(f": {statement}"):
            line, column = number, text.index(statement) + 1  # the message quotes it
            break
    line = min(max(line, 1), len(lines))
    while line > 1 and not lines[line - 1].strip():
        line -= 1  # "unexpected end of input" is about the last line that says something
        column = len(lines[line - 1]) + 1
    text = lines[line - 1]
    data: dict[str, object] = {"line": line, "column": column, "text": text, "reason": message}
    hint = _hint(message)
    for candidate in _candidates(source, lines, line - 1, message):
        left = renderer.first_error("\n".join(candidate))
        if left is None:
            changed = next(
                (c for c, old in zip(candidate, lines, strict=False) if c != old), candidate[-1]
            )
            data["suggestion"] = changed.strip()
            data["corrected_source"] = "\n".join(candidate)
            hint = f"Write that line as: {changed.strip()}"
            break
    return DiagramSyntaxError(
        f"Line {line}, column {column}: {message}. The line is: {text.strip()[:200]}",
        hint=hint,
        data=data,
    )


def _locate(
    renderer: MermaidRenderer, lines: list[str], message: str, line: int, column: int
) -> tuple[int, int]:
    """Find the shortest beginning of the text that already has this error."""
    low, high = 1, len(lines)
    while low < high:
        middle = (low + high) // 2
        found = renderer.first_error("\n".join(lines[:middle]) + "\n")
        if found is not None and found[0] == message:
            high = middle
        else:
            low = middle + 1
    found = renderer.first_error("\n".join(lines[:low]) + "\n")
    if found is None or found[0] != message:
        return line, column
    text = lines[low - 1]
    return low, len(text) - len(text.lstrip()) + 1


def _candidates(source: Source, lines: list[str], index: int, message: str) -> Iterator[list[str]]:
    """Yield texts with one likely mistake mended, most likely first."""
    text = lines[index]
    changed: list[str] = []
    if source.kind == "flowchart" and text.count("|") % 2:
        changed.append(re.sub(r"(\|[^|]*?)\s+([\w.-]+(?:[\[({].*)?)$", r"\1| \2", text))
    if source.kind in ("flowchart", "mindmap"):
        changed.append(_quoted(text))
    if source.kind in ("flowchart", "state"):
        changed.append(re.sub(r"(?<![-.=<])(?:->|=>|→)(?!>)", "-->", text))
        changed.append(_RESERVED.sub("End", text))
    if source.kind == "flowchart":
        changed.append(re.sub(r"(?<=\w)\s*--(?![->.ox])\s*(?=\w+\s*$)", " --- ", text))
        changed.append(_quoted(re.sub(r"(?<![-.=<])(?:->|=>|→)(?!>)", "-->", text)))
    if source.kind == "sequence":
        changed.append(re.sub(r"(--?>>?|--?[x)])\s*([\w]+)\s+(?=[^:\s])", r"\1\2: ", text))
        changed.append(re.sub(r"(--?>>?|--?[x)])\s*([\w]+)\s*$", r"\1\2: ok", text))
    if source.kind == "pie":
        changed.append(re.sub(r'^(\s*)"?([^":]+?)"?\s*:\s*([\d.]+)\s*%?\s*$', r'\1"\2" : \3', text))
    if source.kind == "er":
        changed.append(re.sub(r"(--|\.\.)o(?=\s)", r"\1o{", text))
        changed.append(text.rstrip() + " : relates")
    if source.kind == "mindmap" and index > 0:
        changed.append("  " + text)
    for new in dict.fromkeys(changed):
        if new != text:
            yield [*lines[:index], new, *lines[index + 1 :]]
    body = [line for line in lines if line.strip()]
    if re.search(r'expected "?end|EOF|end of input|Unclosed|missing', message, re.IGNORECASE):
        yield [*body, "end"]
        yield [*body, "}"]


def _quoted(text: str) -> str:
    """Put the labels of a line between quotes, with what Mermaid reads as markup escaped."""

    def quote(match: re.Match[str]) -> str:
        # "(new)]" ends with what looks like one bracket: only the opening one's partner closes.
        close = _PARTNERS[match["open"]]
        if not match["close"].endswith(close):
            return match.group()
        inner = (match["text"] + match["close"].removesuffix(close)).strip()
        if inner.startswith('"') and inner.endswith('"') and inner.count('"') == 2:
            return match.group()
        inner = inner.strip('"').replace('"', "#quot;")
        return f'{match["id"]}{match["open"]}"{inner}"{close}'

    return _SHAPED.sub(quote, text)


def _first_unclosed(renderer: MermaidRenderer, lines: list[str]) -> DiagramSyntaxError | None:
    """Return an error about the first bracket whose closing mends the text down to its line."""
    for index, text in enumerate(lines):
        found = _unclosed(text, "".join(lines[index + 1 : index + 2]))
        if found is None:
            continue
        column, bracket, closed = found
        before = renderer.first_error("\n".join(lines[: index + 1]))
        for mended in (closed, _quoted(closed)):
            after = renderer.first_error("\n".join([*lines[:index], mended]))
            if before is None or (after and (after[0] == before[0] or "quote" in after[0])):
                continue
            whole = "\n".join([*lines[:index], mended, *lines[index + 1 :]])
            corrected = renderer.first_error(whole) is None
            return DiagramSyntaxError(
                f"Line {index + 1}, column {column}: the bracket '{bracket}' is not closed. "
                f"The line is: {text.strip()[:200]}",
                hint=f"Write that line as: {mended.strip()}",
                data={
                    "line": index + 1,
                    "column": column,
                    "text": text,
                    "reason": before[0],
                    "suggestion": mended.strip(),
                    **({"corrected_source": whole} if corrected else {}),
                },
            )
    return None


def _unclosed(text: str, below: str) -> tuple[int, str, str] | None:
    """Return the column (from 1) of the first bracket that is still open where the next arrow
    begins, the bracket, and the line with it closed there; None if there is none.
    """
    masked = _QUOTED_OR_NAMED.sub(lambda match: "x" * len(match.group()), text)
    at = 0
    while opened := _LABEL.search(masked, at):
        link = _LINK.search(masked, opened.end())
        end = link.start() if link else len(text)
        following = _LABEL.search(masked, end)
        partner = _PARTNERS[opened["open"]]
        at = masked.find(partner[0], opened.end(), following.start() if following else None)
        if at < 0 and following is None and partner[0] in _LABEL.split(below)[0]:
            return None  # a label of two lines
        if at < 0:
            return opened.start("open") + 1, opened["open"], text[:end] + partner + text[end:]
    return None


def _hint(message: str) -> str:
    if "quote" in message:
        return 'Put the label between double quotes, e.g. A["Price (net)"].'
    if 'expected "end"' in message:
        return "Close every subgraph, loop, alt and opt with a line 'end'."
    if "date" in message.lower():
        return "Write dates as the dateFormat says, e.g. 2026-01-31."
    if "one root" in message:
        return "Indent every other line deeper than the root."
    return "Mend that line and call again."
