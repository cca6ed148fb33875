"""Changes to a drawn diagram: exact replacements in its Mermaid text, or edits of its graph."""

from __future__ import annotations

import difflib
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent_tools.diagrams.errors import DiagramRefused
from agent_tools.diagrams.graph import Edge, Graph, Group, Node


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Replacement(_Model):
    """One exact change of the Mermaid text."""

    find: str = Field(min_length=1, max_length=2000, description="Text that is there, exactly.")
    put: str = Field(default="", max_length=2000, description="What to write; empty removes it.")
    everywhere: bool = Field(default=False, description="Change every place, not the only one.")


class EdgeEnds(_Model):
    """Which edges: all from `source` to `target`."""

    source: str
    target: str


class Patch(_Model):
    """What to change. `replace` and `append` are for diagrams drawn from Mermaid text, the rest
    for those drawn from a graph; all of it, or nothing, is applied."""

    replace: tuple[Replacement, ...] = Field(
        default=(), max_length=40, description="Mermaid text: exact replacements, in order."
    )
    append: str = Field(default="", max_length=5000, description="Mermaid text: lines to add.")
    set_nodes: tuple[Node, ...] = Field(
        default=(), max_length=150, description="Graph: nodes to add, or to replace by id."
    )
    remove_nodes: tuple[str, ...] = Field(
        default=(), max_length=150, description="Graph: ids of nodes to remove with their edges."
    )
    add_edges: tuple[Edge, ...] = Field(default=(), max_length=300, description="Graph.")
    remove_edges: tuple[EdgeEnds, ...] = Field(default=(), max_length=300, description="Graph.")
    set_groups: tuple[Group, ...] = Field(
        default=(), max_length=30, description="Graph: groups to add, or to replace by id."
    )
    remove_groups: tuple[str, ...] = Field(
        default=(), max_length=30, description="Graph: groups to remove; their nodes stay."
    )

    @property
    def of_text(self) -> bool:
        """Whether it changes Mermaid text."""
        return bool(self.replace or self.append)

    @property
    def of_graph(self) -> bool:
        """Whether it changes a graph."""
        return any(getattr(self, name) for name in _GRAPH_FIELDS)


_PIECE_WORDS = 12  # of longer texts only whole lines are compared
_GRAPH_FIELDS = (
    "set_nodes", "remove_nodes", "add_edges", "remove_edges", "set_groups", "remove_groups",
)  # fmt: skip


def patched_text(text: str, patch: Patch) -> str:
    """Return Mermaid text with the replacements made and the lines added.

    Raises:
        DiagramRefused: a text to find that is not there, or is there more than once.
    """
    for number, change in enumerate(patch.replace):
        count = text.count(change.find)
        if count == 0:
            raise DiagramRefused(
                f"replace[{number}]: the text {change.find[:80]!r} is not in the source.",
                hint=_nearest(change.find, text),
                data={"change": number, "source": text},
            )
        if count > 1 and not change.everywhere:
            raise DiagramRefused(
                f"replace[{number}]: the text {change.find[:80]!r} is in the source {count} times.",
                hint="Give more of the line, or set everywhere.",
                data={"change": number, "source": text},
            )
        text = text.replace(change.find, change.put)
    return f"{text.rstrip()}\n{patch.append}" if patch.append.strip() else text


def patched_graph(graph: Graph, patch: Patch) -> Graph:
    """Return a graph with the changes made; order of what stays is kept.

    Raises:
        DiagramRefused: something to remove that is not there.
    """
    nodes = {node.id: node for node in graph.nodes}
    groups = {group.id: group for group in graph.groups}
    for kind, names, known in (
        ("node", patch.remove_nodes, nodes), ("group", patch.remove_groups, groups),
    ):  # fmt: skip
        for name in names:
            if name not in known:
                raise DiagramRefused(
                    f"There is no {kind} '{name[:64]}' to remove.",
                    hint=f"There are: {', '.join(list(known)[:40]) or 'none'}.",
                    data={f"{kind}s": list(known)},
                )
    gone, loose = set(patch.remove_nodes), set(patch.remove_groups)
    nodes |= {node.id: node for node in patch.set_nodes}
    groups |= {group.id: group for group in patch.set_groups}
    ends = {(edge.source, edge.target) for edge in patch.remove_edges}
    missing = ends - {(edge.source, edge.target) for edge in graph.edges}
    if missing:
        source, target = sorted(missing)[0]
        raise DiagramRefused(
            f"There is no edge from '{source[:64]}' to '{target[:64]}' to remove.",
            hint="Name an edge by its two node ids.",
            data={"edges": [[edge.source, edge.target] for edge in graph.edges]},
        )
    kept = [
        edge
        for edge in graph.edges
        if (edge.source, edge.target) not in ends and not {edge.source, edge.target} & gone
    ]
    changed: dict[str, Any] = {
        "kind": graph.kind,
        "nodes": [
            node.model_copy(update={"group": None}) if node.group in loose else node
            for name, node in nodes.items()
            if name not in gone
        ],
        "edges": [*kept, *patch.add_edges],
        "groups": [group for name, group in groups.items() if name not in loose],
    }
    if not changed["nodes"]:
        raise DiagramRefused("No node would be left.", hint="Draw another diagram instead.")
    try:
        return Graph.model_validate(changed)
    except ValidationError as error:
        raise DiagramRefused(
            f"The changed graph is too large: {error.errors()[0]['msg']}.",
            hint="Split it into an overview and detail diagrams.",
        ) from None


def _nearest(wanted: str, text: str) -> str:
    """Say which line or piece of one comes closest to what was wanted."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    pieces = [*lines, *(part.strip() for line in lines for part in line.split(";"))]
    count = len(wanted.split())
    if count <= _PIECE_WORDS:
        for line in lines:
            words = list(re.finditer(r"[^\s;]+", line))
            pieces += [
                line[first.start() : last.end()]
                for more in (0, 1)  # a space may have been left out
                for first, last in zip(words, words[max(count - 1 + more, 0) :], strict=False)
            ]
    close = difflib.get_close_matches(wanted.strip(), dict.fromkeys(pieces), n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}? Copy it from the source."
    line = difflib.get_close_matches(wanted.strip(), lines, n=1, cutoff=0)[0]
    return f"The nearest line is {line[:200]!r}. Copy the text from the source."
