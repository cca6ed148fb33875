"""Finishing touches on a laid-out diagram: what the layout engine draws less well than we can."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from agent_tools.diagrams import bends, fonts, svg
from agent_tools.diagrams.theme import GANTT_LEFT, Theme

_BRANCH = re.compile(r"\bsection-edge-(\d+)\b")
_CURVE = re.compile(r"\bradar(?:Curve|LegendBox)-(\d+)\b")
_PLACE = re.compile(r"translate\(\s*(-?[\d.]+)")
_DATE_GAP = 10.0  # user units between two dates of a gantt chart's axis
_COLUMN_HEAD = 10.0  # user units above what the layout leaves for the name of a column
_OWN_MESSAGE_RISE = 6.0
_DEPTH = re.compile(r"\bedge-depth-(\d+)\b")


def finish(root: Element, theme: Theme) -> None:
    """Do everything that the kind of diagram calls for; each part finds its own elements."""
    _ground_columns(root, theme)
    title_chips(root, theme)
    _color_branches(root, theme)
    _align_sections(root)
    _thin_dates(root)
    _fill_composites(root)
    _raise_frame_names(root)
    _raise_own_messages(root)
    _color_charts(root, theme)
    bends.clear_of_markers(root)


def title_chips(root: Element, theme: Theme) -> None:
    """Put cluster titles top left on a filled chip, drawn after the edges that cross them."""
    parents = {child: parent for parent in root.iter() for child in parent}
    for label in [e for e in root.iter(svg.tag("g")) if svg.has_class(e, "cluster-label")]:
        cluster = parents.get(label)
        if cluster is None or svg.has_class(cluster, "statediagram-cluster"):
            continue  # a composite state has a title bar of its own
        frame = cluster.find(svg.tag("rect"))
        size = next((e for e in label.iter(svg.tag("rect"))), None)
        if frame is None or size is None or not svg.text_of(label):
            continue
        x, y = (float(frame.get(name, "0")) for name in ("x", "y"))
        width, height = (float(size.get(name, "0")) for name in ("width", "height"))
        cluster.remove(label)
        label.set("transform", f"translate({x + 14:.2f},{y + 5:.2f})")
        chip = Element(svg.tag("rect"))
        for name, value in (("x", -6.0), ("y", 0.0), ("width", width + 12), ("height", height)):
            chip.set(name, f"{value:.2f}")
        chip.set("rx", "5")
        chip.set("style", f"fill:{theme.group} !important;stroke:none !important")
        if root.get("aria-roledescription") != "kanban":  # no line crosses the name of a column
            label.insert(0, chip)
        for text in label.iter(svg.tag("text")):
            svg.set_style(text, font_weight="600")
        layer = cluster
        while not svg.has_class(layer, "clusters") and layer in parents:
            layer = parents[layer]
        parents.get(layer, root).append(label)


def _ground_columns(root: Element, theme: Theme) -> None:
    """Give every column of a board a ground that can be seen, and room above its first card."""
    if root.get("aria-roledescription") != "kanban":
        return
    columns = [e for e in root.iter(svg.tag("g")) if svg.has_class(e, "cluster")]
    for index, column in enumerate(columns):
        frame = column.find(svg.tag("rect"))
        if frame is None:
            continue
        for name, change in (("y", -_COLUMN_HEAD), ("height", _COLUMN_HEAD)):
            frame.set(name, f"{float(frame.get(name, '0')) + change:g}")
        color = theme.series[index % len(theme.series)]
        svg.set_style(frame, fill=color, stroke=color)


def add_canvas(root: Element, theme: Theme, title: str, padding: float) -> None:
    """Frame the drawing: paper behind it, padding around it, a title above it if given."""
    x, y, width, height = svg.view_box(root)
    lines = _fold(title, 22, max(width, 320)) if title else []
    top = len(lines) * 30 + (14 if lines else 0)
    need = max([width, *(fonts.text_width(line, 22, bold=True) for line in lines)])
    x -= (need - width) / 2 + padding
    y -= top + padding
    width, height = need + 2 * padding, height + top + 2 * padding
    svg.set_view_box(root, x, y, width, height)
    paper = Element(svg.tag("rect"), {"x": f"{x:.2f}", "y": f"{y:.2f}"})
    paper.set("width", f"{width:.2f}")
    paper.set("height", f"{height:.2f}")
    paper.set("style", f"fill:{theme.paper} !important;stroke:none !important")
    for index, line in enumerate(lines):
        heading = ElementTree.SubElement(root, svg.tag("text"))
        heading.text = line
        heading.set("x", f"{x + width / 2:.2f}")
        heading.set("y", f"{y + padding + 22 + 30 * index:.2f}")
        heading.set("text-anchor", "middle")
        svg.set_style(heading, fill=theme.ink, font_size="22px", font_weight="600", stroke="none")
    root.insert(0, paper)


def _color_branches(root: Element, theme: Theme) -> None:
    """Draw a mind map's branches in strong colors, thinner with depth.

    merman's own widths turn negative from the third level on, and the line vanishes.
    """
    for path in root.iter(svg.tag("path")):
        names = path.get("class", "")
        branch, depth = _BRANCH.search(names), _DEPTH.search(names)
        if branch and depth:
            lines = theme.series_lines
            color = lines[(int(branch[1]) + 1) % len(lines)]
            svg.set_style(path, stroke=color, stroke_width=f"{max(2, 6 - int(depth[1]))}px")


def _color_charts(root: Element, theme: Theme) -> None:
    """Draw radar curves in strong colors, and packets in the palette's, which merman ignores."""
    for shape in root.iter():
        curve = _CURVE.search(shape.get("class", ""))
        if curve:
            index = int(curve[1]) % len(theme.series_lines)
            svg.set_style(shape, stroke=theme.series_lines[index], stroke_width="2.5px")
        elif svg.has_class(shape, "packetBlock"):
            svg.set_style(shape, fill=theme.fill, stroke=theme.border)


def _align_sections(root: Element) -> None:
    """Set a gantt chart's section names right before the first grid line, however long."""
    if root.get("aria-roledescription") != "gantt":
        return  # a sequence diagram's "else" has the same class
    overhang = 0.0
    for label in root.iter(svg.tag("text")):
        if not svg.has_class(label, "sectionTitle"):
            continue
        for part in label.iter():
            part.set("x", f"{GANTT_LEFT - 14}")
        svg.set_style(label, text_anchor="end")
        width = fonts.text_width(svg.text_of(label), 16)
        overhang = max(overhang, width - (GANTT_LEFT - 14))
    if overhang > 0:
        x, y, width, height = svg.view_box(root)
        svg.set_view_box(root, x - overhang, y, width + overhang, height)


def _thin_dates(root: Element) -> None:
    """Leave out dates of a gantt chart's axis that repeat or would touch; grid lines stay."""
    if root.get("aria-roledescription") != "gantt":
        return
    dates: list[tuple[Element, Element, float, float]] = []
    for tick in [e for e in root.iter(svg.tag("g")) if svg.has_class(e, "tick")]:
        text, place = tick.find(svg.tag("text")), _PLACE.match(tick.get("transform", ""))
        if text is None or place is None:
            continue
        if dates and svg.text_of(text) == svg.text_of(dates[-1][1]):
            tick.remove(text)  # of the hours of a day only the first says its date
        else:
            half = fonts.text_width(svg.text_of(text), svg.MIN_FONT_SIZE) / 2
            dates.append((tick, text, float(place[1]), half))
    step = next(
        step
        for step in range(1, len(dates) + 2)
        if all(
            other[2] - other[3] - one[2] - one[3] >= _DATE_GAP
            for one, other in pairwise(dates[::step])
        )
    )
    for index, (tick, text, _, _) in enumerate(dates):
        if index % step:
            tick.remove(text)


def _fill_composites(root: Element) -> None:
    """Let the body of a composite state reach its frame."""
    for cluster in root.iter(svg.tag("g")):
        if not svg.has_class(cluster, "statediagram-cluster"):
            continue
        frames = {e.get("class", ""): e for e in cluster.iter(svg.tag("rect"))}
        outer, inner = frames.get("outer"), frames.get("inner")
        if outer is not None and inner is not None:
            bottom = float(outer.get("y", "0")) + float(outer.get("height", "0"))
            inner.set("height", f"{bottom - float(inner.get('y', '0')):.2f}")


def _raise_frame_names(root: Element) -> None:
    """Set "alt", "loop" and their like so high in their tab that a p does not cross its edge."""
    for text in root.iter(svg.tag("text")):
        if svg.has_class(text, "labelText"):
            text.set("y", f"{float(text.get('y', '0')) - 2:g}")


def _raise_own_messages(root: Element) -> None:
    """Set the text of a message to oneself clear of the circle with the message's number."""
    parts = list(root)
    for index, path in enumerate(parts[:-1]):
        own = path.tag == svg.tag("path") and path.get("class", "").startswith("messageLine")
        if not own or "sequencenumber" not in parts[index + 1].get("marker-start", ""):
            continue
        for text in reversed(parts[:index]):
            if not svg.has_class(text, "messageText"):
                break
            text.set("y", f"{float(text.get('y', '0')) - _OWN_MESSAGE_RISE:g}")


def _fold(text: str, size: float, limit: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and fonts.text_width(longer, size, bold=True) <= limit:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
