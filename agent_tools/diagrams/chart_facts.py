"""What a parsed chart says: quadrants, journeys, flows, boards, histories and their like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent_tools.diagrams.errors import DiagramRefused
from agent_tools.diagrams.facts import Facts, count, in_brackets, listed
from agent_tools.diagrams.labels import plain, plain_html


def _quadrant(model: dict[str, Any]) -> Facts:
    names = [plain(model["quadrants"].get(f"quadrant{n}Text") or "") for n in (1, 2, 3, 4)]
    axes = model["axes"]
    lines = [
        f"{axis} axis: {plain(axes[low] or '')} to {plain(axes[high] or '')}".removesuffix(" to ")
        for axis, low, high in (
            ("Horizontal", "xAxisLeftText", "xAxisRightText"),
            ("Vertical", "yAxisBottomText", "yAxisTopText"),
        )
        if axes.get(low)
    ]
    points = []
    for point in reversed(model["points"]):  # merman lists them last first
        x, y = float(point["x"]), float(point["y"])
        index = (0 if x >= 0.5 else 1) if y >= 0.5 else (3 if x >= 0.5 else 2)
        text = plain(point["text"])
        points.append(text)
        lines.append(f"{text} at {x:g}, {y:g}{in_brackets(names[index])}")
    counts = count(len(points), "point")
    return Facts("Quadrant chart", counts, lines, [*points, *filter(None, names)])


def _journey(model: dict[str, Any]) -> Facts:
    lines = []
    for task in model["tasks"]:
        people = [plain(person) for person in task["people"]]
        section = plain(task.get("section") or "")
        who = f" ({listed(people)})" if people else ""
        lines.append(
            (f"{section}: " if section else "")
            + f"{plain(task['task'])}, {task['score']:g} of 5{who}"
        )
    labels = [plain(task["task"]) for task in model["tasks"]]
    counts = [count(len(lines), "step"), count(len(model["actors"]), "person", "people")]
    return Facts("User journey", listed(counts), lines, labels)


def _git(model: dict[str, Any]) -> Facts:
    lines, labels = [], [plain(branch["name"]) for branch in model["branches"]]
    for commit in model["commits"]:
        named = commit.get("customId") is not False
        name = plain(commit["id"]) if named else ""
        tags = "".join(f", tag {plain(tag)}" for tag in commit["tags"])
        parents = [plain(parent) for parent in commit["parents"]]
        what = f"merge of {listed(parents)}" if len(parents) > 1 else f"commit {name}".strip()
        lines.append(f"{plain(commit['branch'])}: {what}{tags}")
        labels += [name, *(plain(tag) for tag in commit["tags"])]
    counts = [count(len(model["commits"]), "commit"), count(len(model["branches"]), "branch",
              "branches")]  # fmt: skip
    return Facts("Git history", listed(counts), lines, labels if model["commits"] else [])


def _requirement(model: dict[str, Any]) -> Facts:
    lines, labels = [], []
    for item in model["requirements"]:
        labels.append(plain(item["name"]))
        facts = [
            f"{word} {plain(str(item[key]))}"
            for key, word in (("requirementId", "id"), ("risk", "risk"), ("verifyMethod", "by"))
            if item.get(key)
        ]
        text = plain(item.get("text") or "")
        lines.append(f"{labels[-1]}: {text}{in_brackets(', '.join(facts))}")
    for item in model["elements"]:
        labels.append(plain(item["name"]))
        lines.append(f"{labels[-1]} is a {plain(item.get('type') or 'thing')}")
    lines += [
        f"{plain(r['src'])} {plain(r['type'])} {plain(r['dst'])}" for r in model["relationships"]
    ]
    counts = [
        count(len(model["requirements"]), "requirement"),
        count(len(model["elements"]), "element"),
        count(len(model["relationships"]), "relation"),
    ]
    return Facts("Requirement diagram", listed(counts), lines, labels)


def _sankey(model: dict[str, Any]) -> Facts:
    nodes = [plain(node["id"]) for node in model["graph"]["nodes"]]
    lines = [
        f"{plain(link['source'])} to {plain(link['target'])}: {float(link['value']):g}"
        for link in model["graph"]["links"]
    ]
    counts = listed([count(len(nodes), "node"), count(len(lines), "flow")])
    return Facts("Sankey diagram", counts, lines, nodes)


def _xychart(model: dict[str, Any]) -> Facts:
    lines, labels = [], []
    axis = plain(model["xAxis"].get("title") or "")
    for plot in model["plots"]:
        values = [f"{plain(str(name))} {float(value):g}" for name, value in plot["data"]]
        labels += [plain(str(name)) for name, _ in plot["data"]]
        name = plain(plot.get("title") or "") or ("Bars" if plot["type"] == "bar" else "Line")
        lines.append(f"{name}: {', '.join(values)}")
    unit = plain(model["yAxis"].get("title") or "")
    lines = [f"{axis or 'Values'} against {unit}", *lines] if unit else lines
    counts = count(len(model["plots"]), "series", "series")
    return Facts("Chart", counts, lines, labels)


def _kanban(model: dict[str, Any]) -> Facts:
    columns = [node for node in model["nodes"] if node.get("isGroup")]
    lines, labels, cards = [], [], 0
    for column in columns:
        inside = [
            plain_html(str(node["label"]))
            for node in model["nodes"]
            if node.get("parentId") == column["id"]
        ]
        name = plain_html(str(column["label"]))
        lines.append(f"{name}: {listed(inside)}" if inside else f"{name} is empty")
        labels += [name, *inside]
        cards += len(inside)
    counts = listed([count(len(columns), "column"), count(cards, "card")])
    return Facts("Board", counts, lines, labels)


def _radar(model: dict[str, Any]) -> Facts:
    axes = [plain(axis["label"] or axis["name"]) for axis in model["axes"]]
    lines, curves = [], []
    for curve in model["curves"]:
        curves.append(plain(curve["label"] or curve["name"]))
        values = [f"{a} {float(v):g}" for a, v in zip(axes, curve["entries"], strict=False)]
        lines.append(f"{curves[-1]}: {', '.join(values)}")
    if axes and not curves:
        raise DiagramRefused(
            "The radar chart has no curve.", hint='Add one: curve a["Name"]{1, 2, 3}.'
        )
    counts = listed([count(len(axes), "axis", "axes"), count(len(curves), "curve")])
    return Facts("Radar chart", counts, lines, [*axes, *curves])


def _treemap(model: dict[str, Any]) -> Facts:
    lines, labels = [], []

    def walk(node: dict[str, Any], path: str) -> float:
        name = plain(str(node.get("name") or ""))
        where = f"{path} / {name}" if path and name else name
        labels.append(name)
        inside = sum(walk(child, where) for child in node.get("children") or ())
        if node.get("value") is not None:
            inside = float(node["value"])
            lines.append(f"{where}: {inside:g}")
        return inside

    total = walk(model["root"], "")
    if lines and total <= 0:
        raise DiagramRefused("All parts are zero.", hint="Give at least one a value above zero.")
    counts = listed([count(len(lines), "part"), f"{total:g} in all"])
    return Facts("Treemap", counts, lines, labels)


def _block(model: dict[str, Any]) -> Facts:
    blocks = [
        block
        for block in model["blocksFlat"]
        if block["id"] != "root" and block["type"] not in ("edge", "space") and block["label"]
    ]
    names = {block["id"]: plain_html(block["label"]) for block in blocks}
    lines = [
        f"{names.get(e['start'], e['start'])} → {names.get(e['end'], e['end'])}"
        + in_brackets(e.get("label"))
        for e in model["edges"]
    ]
    for block in blocks:
        inside = [names[c["id"]] for c in block.get("children") or () if c["id"] in names]
        if inside:
            lines.append(f"{names[block['id']]} holds {listed(inside)}")
    counts = listed([count(len(blocks), "block"), count(len(model["edges"]), "arrow")])
    return Facts("Block diagram", counts, lines or list(names.values()), list(names.values()))


def _packet(model: dict[str, Any]) -> Facts:
    fields: dict[str, tuple[int, int]] = {}
    for word in model["packet"]:
        for part in word:  # a field that goes on in the next row is two parts
            name = plain(part["label"])
            first = fields.get(name, (part["start"], 0))[0]
            fields[name] = (first, part["end"])
    lines = [f"{name}: bits {start} to {end}" for name, (start, end) in fields.items()]
    return Facts("Packet layout", count(len(fields), "field"), lines, list(fields))


READERS: dict[str, Callable[[dict[str, Any]], Facts]] = {
    "quadrant": _quadrant,
    "journey": _journey,
    "git": _git,
    "requirement": _requirement,
    "sankey": _sankey,
    "xychart": _xychart,
    "kanban": _kanban,
    "radar": _radar,
    "treemap": _treemap,
    "block": _block,
    "packet": _packet,
}
