"""Lines in diagrams: around boxes, apart from each other, with their heads, clear of labels."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from diagram_specs import SPECS

from agent_tools.diagrams import bends, routes, svg
from agent_tools.diagrams.mermaid import MermaidRenderer
from agent_tools.diagrams.render import Drawing, render
from agent_tools.diagrams.theme import LIGHT, THEMES

# The layout leads "captions" 14 units to the left to pass the queue.
AROUND = """flowchart TB
  subgraph core[Agent platform]
    gate["MCP gateway"]
    llm{{"Language model"}}
    tools[Image tools]
    queue[(Job queue)]
  end
  subgraph store[Storage]
    kb[(Knowledge base)]
    s3[(Object store)]
  end
  gate --> llm
  llm -.->|tool call| tools
  tools --> queue
  queue ==>|pictures| s3
  tools -->|captions| kb
  llm -->|search| kb
  kb --> s3"""
THERE_AND_BACK = """stateDiagram-v2
  [*] --> Draft
  Draft --> Review : submit
  state Review {
    [*] --> Waiting
    Waiting --> Reading : reviewer opens
    Reading --> [*]
  }
  Review --> Published : approve
  Review --> Draft : ask for changes
  state check <<choice>>
  Published --> check
  check --> Archived : older than a year
  check --> Published : still fresh
  Archived --> [*]
  note right of Draft : Only the author sees it"""
SEQUENCE = """sequenceDiagram
  participant A as Shop
  participant B as Bot
  alt found
    A->>B: hello
  else nothing found
    A-xB: lost
  end
  loop every day
    B->>A: export
  end"""

NEAR = 8.0  # user units; lines that are closer are read as one

Segment = tuple[routes.Point, routes.Point]


def segments(path: str) -> list[Segment]:
    """Return the straight parts between the corners of a rounded line."""
    ends = re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", path)
    corners = re.findall(r"Q(-?[\d.]+),(-?[\d.]+)", path)
    points = [(float(x), float(y)) for x, y in (ends[0], *corners, ends[-1])]
    return list(pairwise(points))


def enters(segment: Segment, box: tuple[float, float, float, float]) -> bool:
    (x0, y0), (x1, y1) = segment
    return (
        max(x0, x1) > box[0]
        and min(x0, x1) < box[2]
        and max(y0, y1) > box[1]
        and min(y0, y1) < box[3]
    )


def boxes_entered(root: ElementTree.Element, text: str) -> list[tuple[str, str]]:
    """Return (edge, node) for every edge that enters a node at which it does not end."""
    layout = next(iter(MermaidRenderer(LIGHT).layout(text)["layout"].values()))
    paths = {e.get("id"): e.get("d", "") for e in root.iter(svg.tag("path"))}
    found = []
    for edge in layout["edges"]:
        for node in layout["nodes"]:
            if node["is_cluster"] or node["id"] in (edge["from"], edge["to"]):
                continue
            half = node["width"] / 2 - 1, node["height"] / 2 - 1
            box = (
                node["x"] - half[0],
                node["y"] - half[1],
                node["x"] + half[0],
                node["y"] + half[1],
            )
            if any(enters(segment, box) for segment in segments(paths[f"diagram-{edge['id']}"])):
                found.append((edge["id"], node["id"]))
    return found


def edge_paths(drawing: Drawing) -> list[str]:
    root = ElementTree.fromstring(drawing.svg)
    return [e.get("d", "") for e in root.iter(svg.tag("path")) if svg.has_class(e, "transition")]


def shared(one: Segment, other: Segment) -> float:
    """Return for how many user units two right-angled segments run next to each other."""
    longest = 0.0
    for axis in (0, 1):
        across = 1 - axis
        values = [point[across] for point in (*one, *other)]
        if max(values) - min(values) < NEAR:
            low = max(min(p[axis] for p in one), min(p[axis] for p in other))
            high = min(max(p[axis] for p in one), max(p[axis] for p in other))
            longest = max(longest, high - low)
    return longest


@pytest.mark.parametrize("aspect", ["tall", "wide"])
@pytest.mark.parametrize("text", [AROUND, SPECS["flowchart"]])
def test_no_line_runs_through_a_box_that_it_does_not_end_at(text: str, aspect: Any) -> None:
    drawing = render(text, aspect=aspect)
    assert boxes_entered(ElementTree.fromstring(drawing.svg), drawing.source) == []


def test_the_renderers_own_line_would_run_through_the_box() -> None:
    own = ElementTree.fromstring(MermaidRenderer(LIGHT).svg(AROUND))
    assert boxes_entered(own, AROUND) == [("L_tools_kb_0", "queue")]


def longest_side_by_side(drawing: Drawing) -> float:
    paths = [segments(path) for path in edge_paths(drawing)]
    assert len(paths) >= 11
    return max(shared(a, b) for one, other in combinations(paths, 2) for a in one for b in other)


def test_a_line_there_and_a_line_back_are_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert longest_side_by_side(render(THERE_AND_BACK, aspect="wide")) < 30
    monkeypatch.setattr(routes, "follow_layout", lambda root, lines: None)
    assert longest_side_by_side(render(THERE_AND_BACK, aspect="wide")) > 100, "the renderer's own"


def test_the_measure_of_shared_lines_sees_them() -> None:
    assert shared(((0, 0), (100, 0)), ((40, 0.5), (90, 0.5))) == 50
    assert shared(((0, 0), (100, 0)), ((40, 9), (90, 9))) == 0


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0), (30.0, 40.0), (60.0, 0.0)],  # not right-angled
        [(0.0, 0.0), (50.0, 0.0)],  # straight
    ],
)
def test_other_lines_are_left_as_the_renderer_drew_them(points: list[routes.Point]) -> None:
    path = '<path xmlns="http://www.w3.org/2000/svg" data-id="e" d="M0,0C1,2 3,4 50,0"/>'
    root = ElementTree.fromstring(f"<svg>{path}</svg>")
    routes.follow_layout(root, {"e": points})
    assert root[0].get("d") == "M0,0C1,2 3,4 50,0"


def test_a_line_ends_where_its_arrowhead_begins() -> None:
    path = '<path xmlns="http://www.w3.org/2000/svg" data-id="e" d="M0,4L0,20L40,20L40,46"/>'
    root = ElementTree.fromstring(f"<svg>{path}</svg>")
    routes.follow_layout(root, {"e": [(0, 0), (0, 20), (40, 20), (40, 50)]})
    drawn = root[0].get("d", "")
    assert drawn.startswith("M0.00,4.00L") and drawn.endswith("L40.00,46.00")
    assert drawn.count("Q") == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_lost_message_ends_in_a_cross(theme: Any) -> None:
    drawing = render(SEQUENCE, theme=theme)
    image = np.asarray(drawing.image).astype(int)
    root = ElementTree.fromstring(drawing.svg)
    x0, y0, _, _ = svg.view_box(root)
    line = next(e for e in root.iter(svg.tag("line")) if "cross" in e.get("marker-end", ""))
    x, y = (float(line.get(name, "0")) for name in ("x2", "y2"))
    head = image[round((y - y0 - 8) * 2) : round((y - y0 + 8) * 2), round((x - x0 - 4) * 2) : -1][
        :, :10
    ]
    paper = [int(THEMES[theme].paper[i : i + 2], 16) for i in (1, 3, 5)]
    rows = (abs(head - paper).sum(axis=2) > 150).any(axis=1).sum()
    assert rows >= 8, "a line alone is four rows high"


def test_what_stands_in_a_frame_stays_in_it() -> None:
    drawing = render(SEQUENCE)
    root = ElementTree.fromstring(drawing.svg)
    frame = [e for e in root.iter(svg.tag("line")) if svg.has_class(e, "loopLine")]
    left = min(float(e.get("x1", "0")) for e in frame)
    right = max(float(e.get("x2", "0")) for e in frame)
    for text in ("[found]", "[nothing found]", "alt", "loop"):
        box = next(label.box for label in drawing.labels if label.text == text)
        assert left < box[0] < box[2] < right, (text, box)


def test_only_labels_on_a_line_get_a_halo() -> None:
    root = ElementTree.fromstring(render(SEQUENCE).svg)
    halo = {svg.text_of(e): "paint-order:stroke" in e.get("style", "") for e in svg.texts(root)}
    assert not any(halo[name] for name in ("Shop", "Bot", "hello", "alt", "loop")), halo
    crossed = render("sequenceDiagram\n  participant A\n  participant B\n  A->>A: a long talk")
    root = ElementTree.fromstring(crossed.svg)
    assert any("paint-order:stroke" in e.get("style", "") for e in svg.texts(root))


def test_labels_of_relationships_are_clear_of_bends_and_markers() -> None:
    drawing = render(SPECS["er"])
    root = ElementTree.fromstring(drawing.svg)
    lines = [
        segments(e.get("d", ""))
        for e in root.iter(svg.tag("path"))
        if svg.has_class(e, "relationshipLine")
    ]
    names = ("places", "contains", "is ordered as", "has", "shows")
    for label in (label for label in drawing.labels if label.text in names):
        crossing = [
            segment
            for line in lines
            for segment in line
            if enters(segment, label.box) and abs(segment[0][1] - segment[1][1]) < 1
        ]
        upright = [s for line in lines for s in line if enters(s, label.box) and s not in crossing]
        assert not (crossing and upright), (label, crossing, upright)


def test_a_moved_bend_takes_its_label_along() -> None:
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg"><path class="relationshipLine" '
        'marker-end="url(#zeroOrMoreEnd)" d="M0,0L0,73Q0,80 7,80L93,80Q100,80 100,87L100,100"/>'
        '<g class="edgeLabel" transform="translate(0, 50)"/></svg>'
    )
    root = ElementTree.fromstring(text)
    bends.clear_of_markers(root)
    bar = segments(root[0].get("d", ""))[1][0][1]
    assert bar <= 100 - 39
    label = float(re.findall(r"[\d.]+", root[1].get("transform", ""))[1])
    assert 10 < label < bar - 10
