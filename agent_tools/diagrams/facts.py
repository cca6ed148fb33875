"""What a parsed diagram says, kind by kind, read from the parser's model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_tools.diagrams.errors import DiagramRefused
from agent_tools.diagrams.labels import plain, plain_html, plain_markdown


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts, sentences and labels of one diagram."""

    noun: str  # "Flowchart"
    counts: str  # "3 steps, 2 arrows"
    lines: list[str]  # relations and values, one sentence each, without full stop
    labels: list[str]


def facts_of(kind: str, model: dict[str, Any]) -> Facts:
    """Return what a diagram of one of `source.KINDS` says."""
    from agent_tools.diagrams import chart_facts

    return (_READERS.get(kind) or chart_facts.READERS[kind])(model)


def _flowchart(model: dict[str, Any]) -> Facts:
    names = {n["id"]: _node_label(n) for n in model["nodes"]}
    names |= {g["id"]: plain(g.get("title") or g["id"]) for g in model.get("subgraphs", [])}
    groups = [
        (names[g["id"]], [names.get(n, n) for n in g["nodes"]]) for g in model.get("subgraphs", [])
    ]
    nodes = [n for n in model["nodes"] if n["id"] not in {g["id"] for g in model["subgraphs"]}]
    lines = [
        f"{names.get(e['from'], e['from'])} {_arrow(e)} {names.get(e['to'], e['to'])}"
        + in_brackets(e.get("label"), plain_html)
        for e in model["edges"]
    ]
    alone = {n["id"] for n in nodes} - {i for e in model["edges"] for i in (e["from"], e["to"])}
    lines += [f"{names[n['id']]} stands alone" for n in nodes if n["id"] in alone]
    lines += [f"Group {name} holds {listed(inside)}" for name, inside in groups if inside]
    counts = [count(len(nodes), "node"), count(len(model["edges"]), "arrow")]
    if groups:
        counts.append(count(len(groups), "group"))
    labels = [names[n["id"]] for n in nodes] + [name for name, _ in groups]
    return Facts("Flowchart", listed(counts), lines, labels)


def _node_label(node: dict[str, Any]) -> str:
    label = str(node.get("label") or node["id"])
    if node.get("labelType") == "markdown":
        label = re.sub(r"(\*\*|__|\*|_)(\S.*?)\1", r"\2", label)
    return plain_html(label)


def _arrow(edge: dict[str, Any]) -> str:
    if edge.get("type") == "arrow_open":
        return "—"
    return "↔" if str(edge.get("type", "")).startswith("double") else "→"


_CALLS = {0, 3, 5, 24, 33}
_REPLIES = {1, 4, 6, 25, 34}  # dashed
_BLOCKS = {
    10: "Loop", 12: "If", 13: "Else", 15: "Optional", 19: "In parallel", 20: "And",
    27: "Critical", 28: "Option", 30: "Break", 32: "In parallel",
}  # fmt: skip
_BLOCK_ENDS = {11, 14, 16, 21, 29, 31}
_NOTE = 2


def _sequence(model: dict[str, Any]) -> Facts:
    order = model.get("actorOrder") or list(model["actors"])
    names = {k: plain(model["actors"][k].get("description") or k) for k in order}
    lines, sent = [], 0
    for message in model["messages"]:
        kind = message.get("type", 0)
        said = message.get("message")
        text = plain(said) if isinstance(said, str) else ""
        if kind in _BLOCK_ENDS:
            lines.append("End")
        elif kind in _BLOCKS:
            lines.append(f"{_BLOCKS[kind]} {text}".strip() if text else _BLOCKS[kind])
        elif kind == _NOTE:
            at = message.get("from")
            lines.append(f"Note at {names.get(at, at)}: {text}")
        elif kind in _CALLS or kind in _REPLIES:
            sent += 1
            sender, receiver = (names.get(message[k], message[k]) for k in ("from", "to"))
            arrow = "replies to" if kind in _REPLIES else "to"
            lines.append(f"{sent}. {sender} {arrow} {receiver}" + (f": {text}" if text else ""))
    counts = listed([count(len(names), "participant"), count(sent, "message")])
    return Facts("Sequence diagram", counts, lines, list(names.values()))


_RELATIONS = {0: "aggregates", 1: "is the base of", 2: "is composed of", 3: "is used by",
              4: "offers"}  # fmt: skip


def _class(model: dict[str, Any]) -> Facts:
    classes = model["classes"]
    names = {k: plain(v.get("label") or k) for k, v in classes.items()}
    lines = []
    for relation in model["relations"]:
        one, other = (names.get(relation[k], relation[k]) for k in ("id1", "id2"))
        ends = relation["relation"]
        if ends["type1"] == -1 and ends["type2"] != -1:
            one, other, kind = other, one, ends["type2"]
        else:
            kind = ends["type1"]
        lines.append(
            f"{one} {_RELATIONS.get(kind, 'is linked to')} {other}"
            + in_brackets(relation.get("title"))
        )
    for key, value in classes.items():
        members = [plain(m["displayText"]) for m in (*value["members"], *value["methods"])]
        marks = "".join(f" ({plain(mark)})" for mark in value.get("annotations", []))
        if members:
            lines.append(f"{names[key]}{marks} has {listed(members)}")
    counts = [count(len(classes), "class", "classes"), count(len(model["relations"]), "relation")]
    return Facts("Class diagram", listed(counts), lines, list(names.values()))


# drawn as a dot, a bar or a small diamond: where transitions meet, no states of their own
_PSEUDO_STATES = {"stateStart": "start", "stateEnd": "end", "choice": "choice", "fork": "fork",
                  "join": "join", "forkJoin": "fork"}  # fmt: skip


def _state(model: dict[str, Any]) -> Facts:
    names, groups, states = {}, {}, []
    for node in model["nodes"]:
        shape, key = node.get("shape", ""), node["id"]
        if shape in _PSEUDO_STATES:
            names[key] = _PSEUDO_STATES[shape]
        elif shape not in ("note", "noteGroup"):
            names[key] = plain_markdown(node.get("label") or key)
            if node.get("isGroup"):
                groups[key] = names[key]
            else:
                states.append(key)
    lines = [
        f"{names[e['start']]} → {names[e['end']]}" + in_brackets(e.get("label"), plain_markdown)
        for e in model["edges"]
        if e["start"] in names and e["end"] in names
    ]
    arrows = len(lines)
    for group, name in groups.items():
        inside = [names[n["id"]] for n in model["nodes"]
                  if n.get("parentId") == group and n["id"] in states]  # fmt: skip
        if inside:
            lines.append(f"{name} holds {listed(inside)}")
    for node in model["nodes"]:
        if node.get("shape") == "note":
            lines.append(f"Note: {plain_markdown(node.get('label') or '')}")
    counts = [count(len(states) + len(groups), "state"), count(arrows, "transition")]
    return Facts("State diagram", listed(counts), lines, [names[s] for s in (*states, *groups)])


_CARDINALITIES = {
    "ZERO_OR_ONE": "zero or one",
    "ZERO_OR_MORE": "any number of",
    "ONE_OR_MORE": "one or more",
    "ONLY_ONE": "exactly one",
    "MD_PARENT": "one",
}


def _er(model: dict[str, Any]) -> Facts:
    entities = model["entities"]
    names = {v["id"]: plain(v.get("alias") or v.get("label") or k) for k, v in entities.items()}
    lines = []
    for relation in model["relationships"]:
        # merman keeps Mermaid's order: cardA is written at entity B's end, cardB at A's.
        b, a = (_CARDINALITIES.get(relation["relSpec"][k], "") for k in ("cardA", "cardB"))
        one, other = (names.get(relation[k], relation[k]) for k in ("entityA", "entityB"))
        role = plain(relation.get("roleA") or "relates to")
        lines.append(f"{a} {one} {role} {b} {other}".strip())
    for value in entities.values():
        columns = [
            " ".join([plain(c["name"]), *(f"({key})" for key in c.get("keys") or [])])
            for c in value.get("attributes", [])
        ]
        if columns:
            lines.append(f"{names[value['id']]} has {listed(columns)}")
    counts = [
        count(len(entities), "entity", "entities"),
        count(len(model["relationships"]), "relationship"),
    ]
    lines = [line[:1].upper() + line[1:] for line in lines]
    return Facts("Entity-relationship diagram", listed(counts), lines, list(names.values()))


def _gantt(model: dict[str, Any]) -> Facts:
    lines, labels = [], []
    for task in model["tasks"]:
        name = plain(task["task"])
        start, end = (_day(task[k]) for k in ("startTime", "endTime"))
        states = [s for s in ("done", "active", "crit") if task.get(s)]
        marks = "".join(f", {'critical' if s == 'crit' else s}" for s in states)
        span = f"milestone on {start}" if task.get("milestone") else f"{start} to {end}"
        section = plain(task.get("section") or "")
        lines.append((f"{section}: " if section else "") + f"{name}, {span}{marks}")
        labels.append(name)
    counts = [count(len(lines), "task")]
    if model.get("sections"):
        counts.append(count(len(model["sections"]), "section"))
    return Facts("Gantt chart", listed(counts), lines, labels)


def _pie(model: dict[str, Any]) -> Facts:
    slices = [(plain(s["label"]), float(s["value"])) for s in model["sections"]]
    total = sum(value for _, value in slices)
    if slices and total <= 0:
        raise DiagramRefused(
            "All slices of the pie are zero.", hint="Give at least one slice a value above zero."
        )
    lines = [f"{label} {value:g} ({value / total:.0%})" for label, value in slices]
    return Facts("Pie chart", count(len(slices), "slice"), lines, [label for label, _ in slices])


def _mindmap(model: dict[str, Any]) -> Facts:
    lines: list[str] = []
    labels: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        name = plain_html(node.get("descr") or "")
        labels.append(name)
        children = node.get("children") or []
        if children:
            lines.append(f"{name}: {listed([plain_html(c.get('descr') or '') for c in children])}")
        for child in children:
            walk(child)

    if model.get("rootNode"):
        walk(model["rootNode"])
    return Facts("Mind map", count(len(labels), "idea"), lines, labels)


def _timeline(model: dict[str, Any]) -> Facts:
    lines, labels, events = [], [], 0
    for task in model["tasks"]:
        name = plain(task["task"])
        happened = [plain(event) for event in task.get("events", [])]
        section = plain(task.get("section") or "")
        prefix = f"{section}, " if section else ""
        lines.append(prefix + (f"{name}: {listed(happened)}" if happened else name))
        labels += [name, *happened]
        events += len(happened)
    counts = [count(len(lines), "period"), count(events, "event")]
    return Facts("Timeline", listed(counts), lines, labels)


_READERS: dict[str, Callable[[dict[str, Any]], Facts]] = {
    "flowchart": _flowchart,
    "sequence": _sequence,
    "class": _class,
    "state": _state,
    "er": _er,
    "gantt": _gantt,
    "pie": _pie,
    "mindmap": _mindmap,
    "timeline": _timeline,
}


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(items: Sequence[str]) -> str:
    """Return items as in a sentence."""
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def in_brackets(label: str | None, read: Callable[[str], str] = plain) -> str:
    """Return a label in brackets after a space, or nothing."""
    text = read(label or "")
    return f" ({text})" if text else ""


def _day(milliseconds: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).strftime(
        "%Y-%m-%d"
    )
