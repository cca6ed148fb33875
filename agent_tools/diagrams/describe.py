"""Exact words for a diagram: alternative text and long description, from its meaning.

Nothing is guessed from pixels: every node, edge, message and value is in the model that the
parser read, so the text says what the picture shows and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent_tools.diagrams.facts import Facts, facts_of
from agent_tools.diagrams.labels import plain

MAX_ALT = 250  # IPTC Photo Metadata Standard, Alt Text (Accessibility)


@dataclass(frozen=True, slots=True)
class Description:
    """What a diagram shows.

    Attributes:
        noun: what kind of diagram, "Flowchart".
        title: as given, or as the source has it, or "".
        alt: at most `MAX_ALT` characters.
        long_description: everything, one fact a line.
        labels: the words in it, for tags and search.
    """

    noun: str
    title: str
    alt: str
    long_description: str
    labels: tuple[str, ...]


def describe(kind: str, model: dict[str, Any], title: str = "") -> Description:
    """Describe a parsed diagram in words."""
    return describe_facts(facts_of(kind, model), title or plain(str(model.get("title") or "")))


def describe_facts(facts: Facts, title: str) -> Description:
    """Put what a diagram says into alternative text and a long description."""
    head = f"{facts.noun} '{title}'" if title else facts.noun
    alt = f"{head} with {facts.counts}"
    separator = ": "
    for index, line in enumerate(facts.lines):
        rest = len(facts.lines) - index
        more = f"; and {rest} more"
        reserve = len(more) + 1 if rest > 1 else 1
        if len(alt) + len(separator) + len(line) + reserve > MAX_ALT:
            alt += more if index else ""
            break
        alt += separator + line
        separator = "; "
    long = "\n".join([f"{head} with {facts.counts}.", *map(_sentence, facts.lines)])
    labels = tuple(dict.fromkeys(label for label in facts.labels if label))
    return Description(facts.noun, title, _sentence(alt[: MAX_ALT - 1]), long, labels)


def _sentence(line: str) -> str:
    return line if line.endswith((".", "!", "?", "…")) else line + "."
