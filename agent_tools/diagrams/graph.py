"""A small graph as JSON, compiled to Mermaid text: for callers that would rather fill in fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_tools.diagrams.errors import DiagramRefused

GraphKind = Literal["flowchart", "state", "sequence", "mindmap"]
Shape = Literal["box", "rounded", "pill", "circle", "diamond", "hexagon", "cylinder"]
LineStyle = Literal["solid", "dashed", "thick"]

_SHAPES: dict[Shape, tuple[str, str]] = {
    "box": ("[", "]"),
    "rounded": ("(", ")"),
    "pill": ("([", "])"),
    "circle": ("((", "))"),
    "diamond": ("{", "}"),
    "hexagon": ("{{", "}}"),
    "cylinder": ("[(", ")]"),
}
_ARROWS: dict[LineStyle, str] = {"solid": "-->", "dashed": "-.->", "thick": "==>"}
_JOINER = "\u2060"  # invisible; behind a code it keeps "#" and "35;" from making another code
_UNSAFE = frozenset('"#`<>&;:{}[]()|\\*_~$%')


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Node(_Model):
    """One box."""

    id: str = Field(min_length=1, max_length=64, description="Short name that edges refer to.")
    label: str = Field(default="", max_length=200, description="Text in the box; the id if empty.")
    shape: Shape = Field(
        default="box",
        description="diamond for a decision, cylinder for storage, pill for start and end "
        "(flowchart and mindmap only).",
    )
    group: str | None = Field(
        default=None, description="Id of the group it belongs to (flowchart and state only)."
    )


class Edge(_Model):
    """One arrow; in a sequence diagram one message, in order."""

    source: str = Field(description="Id of the node it starts from.")
    target: str = Field(description="Id of the node it points to.")
    label: str = Field(default="", max_length=200, description="Text on the arrow.")
    style: LineStyle = Field(default="solid", description="dashed also means a reply.")


class Group(_Model):
    """A frame around nodes."""

    id: str = Field(min_length=1, max_length=64, description="Short name that nodes refer to.")
    label: str = Field(default="", max_length=200, description="Title; the id if empty.")


class Graph(_Model):
    """A diagram as nodes and edges."""

    kind: GraphKind = Field(default="flowchart", description="What to draw the graph as.")
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=150)
    edges: tuple[Edge, ...] = Field(default=(), max_length=300)
    groups: tuple[Group, ...] = Field(default=(), max_length=30)


def to_mermaid(graph: Graph) -> str:
    """Return Mermaid text for a graph. Labels mean themselves: nothing in them is markup.

    Raises:
        DiagramRefused: an edge or group that names nothing, an id used twice, a mind map that
            is no tree, groups where the kind has none.
    """
    _check(graph)
    numbers = mermaid_ids(graph)
    if graph.kind == "sequence":
        lines = ["sequenceDiagram"]
        lines += [f"  participant {numbers[n.id]} as {_label(n, graph.kind)}" for n in graph.nodes]
        for e in graph.edges:
            arrow = "-->>" if e.style == "dashed" else "->>"
            text = escaped(e.label, graph.kind) or "#160;"
            lines.append(f"  {numbers[e.source]}{arrow}{numbers[e.target]}: {text}")
        return "\n".join(lines)
    if graph.kind == "mindmap":
        return _mindmap(graph, numbers)
    if graph.kind == "state":
        return _state(graph, numbers)
    lines = ["flowchart LR"]
    for group, members in _grouped(graph):
        indent = "  "
        if group is not None:
            lines.append(f'  subgraph {group[0]}["{escaped(group[1], graph.kind)}"]')
            indent = "    "
        for node in members:
            left, right = _SHAPES[node.shape]
            lines.append(f'{indent}{numbers[node.id]}{left}"{_label(node, graph.kind)}"{right}')
        if group is not None:
            lines.append("  end")
    for e in graph.edges:
        text = f'|"{escaped(e.label, graph.kind)}"|' if e.label.strip() else ""
        lines.append(f"  {numbers[e.source]} {_ARROWS[e.style]}{text} {numbers[e.target]}")
    return "\n".join(lines)


def mermaid_ids(graph: Graph) -> dict[str, str]:
    """Return the name in `to_mermaid`'s text of every node."""
    return {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}


def _state(graph: Graph, numbers: dict[str, str]) -> str:
    lines = ["stateDiagram-v2"]
    for group, members in _grouped(graph):
        if group is not None:
            lines.append(f'  state "{escaped(group[1], graph.kind)}" as {group[0]} {{')
        lines += [f'    state "{_label(n, graph.kind)}" as {numbers[n.id]}' for n in members]
        if group is not None:
            lines.append("  }")
    for e in graph.edges:
        text = f" : {escaped(e.label, graph.kind)}" if e.label.strip() else ""
        lines.append(f"  {numbers[e.source]} --> {numbers[e.target]}{text}")
    return "\n".join(lines)


def _mindmap(graph: Graph, numbers: dict[str, str]) -> str:
    children: dict[str, list[Node]] = {node.id: [] for node in graph.nodes}
    by_id = {node.id: node for node in graph.nodes}
    parents = [e.target for e in graph.edges]
    roots = [node for node in graph.nodes if node.id not in parents]
    for e in graph.edges:
        children[e.source].append(by_id[e.target])
    not_a_tree = DiagramRefused(
        "A mind map is a tree: one root, and each other node the target of exactly one edge.",
        hint="Mend the edges, or use kind 'flowchart'.",
    )
    if len(roots) != 1 or len(set(parents)) != len(parents):
        raise not_a_tree
    lines = ["mindmap"]

    def walk(node: Node, depth: int) -> None:
        left, right = ("((", "))") if depth == 0 else ("[", "]")
        lines.append(
            f'{"  " * (depth + 1)}{numbers[node.id]}{left}"{_label(node, graph.kind)}"{right}'
        )
        for child in children[node.id]:
            walk(child, depth + 1)

    walk(roots[0], 0)
    if len(lines) != len(graph.nodes) + 1:  # the rest runs in a circle apart from the root
        raise not_a_tree
    return "\n".join(lines)


def _grouped(graph: Graph) -> Iterable[tuple[tuple[str, str] | None, list[Node]]]:
    yield None, [node for node in graph.nodes if node.group is None]
    for index, group in enumerate(graph.groups):
        members = [node for node in graph.nodes if node.group == group.id]
        if members:
            yield (f"g{index}", group.label.strip() or group.id), members


def _check(graph: Graph) -> None:
    ids = [node.id for node in graph.nodes]
    groups = [group.id for group in graph.groups]
    for kind, names in (("node", ids), ("group", groups)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DiagramRefused(f"The {kind} id '{twice}' is used twice.", hint="Rename one.")
    known = set(ids)
    for number, edge in enumerate(graph.edges):
        for end in (edge.source, edge.target):
            if end not in known:
                raise DiagramRefused(
                    f"edges[{number}] names the node '{end}', which does not exist.",
                    hint=f"Nodes: {', '.join(ids[:40])}.",
                    data={"edge": number, "nodes": ids},
                )
    for node in graph.nodes:
        if node.group is not None and node.group not in groups:
            raise DiagramRefused(
                f"Node '{node.id}' names the group '{node.group}', which does not exist.",
                hint=f"Groups: {', '.join(groups) or 'none'}.",
                data={"node": node.id, "groups": groups},
            )
    if groups and graph.kind not in ("flowchart", "state"):
        raise DiagramRefused(
            f"A {graph.kind} has no groups.", hint="Leave groups out, or use kind 'flowchart'."
        )


def _label(node: Node, kind: GraphKind) -> str:
    return escaped(node.label, kind) or escaped(node.id, kind)


def escaped(text: str, kind: GraphKind) -> str:
    """Return a label escaped so that Mermaid, HTML and Markdown see no markup in it.

    Mermaid turns its codes (#38;) into characters first; a sequence diagram draws those, the
    other kinds read them as HTML, and a state diagram reads Markdown in them too.
    """

    def code(character: str) -> str:
        if kind != "sequence" and character == "<":
            return "#38;lt#59;"
        if kind == "state" and character in "*_":
            return f"#92;#{ord(character)};"
        return f"#{ord(character)};{_JOINER}" if character in _UNSAFE else character

    parts = []
    for line in text.strip().splitlines():
        codes = "".join(code(character) for character in " ".join(line.split()))
        parts.append(_JOINER + codes if codes.startswith("#") else codes)
    return "<br/>".join(parts)
