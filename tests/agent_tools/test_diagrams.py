"""The diagram renderer's rooms: layout, legibility, sanitizing, words, sources and graphs."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from diagram_specs import SPECS, label

from agent_tools.diagrams import fonts, legibility, svg, worker
from agent_tools.diagrams.errors import (
    DiagramError,
    DiagramTooLarge,
)
from agent_tools.diagrams.legibility import MIN_CONTRAST
from agent_tools.diagrams.mermaid import MermaidRenderer
from agent_tools.diagrams.render import Drawing, render
from agent_tools.diagrams.source import KINDS
from agent_tools.diagrams.theme import LIGHT, THEMES

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def drawings() -> dict[str, Drawing]:
    return {kind: render(text) for kind, text in SPECS.items()}


def overlap(one: Box, other: Box) -> float:
    """Return by how many units two boxes reach into each other; negative if they are apart."""
    return min(
        min(one[2], other[2]) - max(one[0], other[0]),
        min(one[3], other[3]) - max(one[1], other[1]),
    )


def node_boxes(text: str) -> dict[str, Box]:
    layout = next(iter(MermaidRenderer(LIGHT).layout(text)["layout"].values()))
    return {
        n["id"]: (
            n["x"] - n["width"] / 2,
            n["y"] - n["height"] / 2,
            n["x"] + n["width"] / 2,
            n["y"] + n["height"] / 2,
        )
        for n in layout["nodes"]
        if not n["is_cluster"]
    }


def paths(drawing: Drawing, name: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(drawing.svg)
    return [e for e in root.iter(svg.tag("path")) if svg.has_class(e, name)]


def test_there_is_a_large_example_of_every_kind() -> None:
    assert set(SPECS) == set(KINDS)


@pytest.mark.parametrize("kind", ["flowchart", "class", "state", "er", "mindmap"])
def test_no_two_boxes_overlap(drawings: dict[str, Drawing], kind: str) -> None:
    boxes = node_boxes(drawings[kind].source)
    assert len(boxes) >= 4
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        assert overlap(a, b) <= 0.5, (one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_labels_overlap_and_all_are_on_the_paper(
    drawings: dict[str, Drawing], kind: str
) -> None:
    drawing = drawings[kind]
    x0, y0, width, height = svg.view_box(ElementTree.fromstring(drawing.svg))
    for found in drawing.labels:
        assert x0 < found.box[0] < found.box[2] < x0 + width, found
        assert y0 < found.box[1] < found.box[3] < y0 + height, found
    for one, other in combinations(drawing.labels, 2):
        assert overlap(one.box, other.box) <= 1, (one, other)


def test_the_overlap_measure_sees_boxes_that_touch() -> None:
    assert overlap((0, 0, 10, 10), (5, 5, 15, 15)) == 5
    assert overlap((0, 0, 10, 10), (20, 0, 30, 10)) == -10


def test_every_node_label_is_inside_its_box(drawings: dict[str, Drawing]) -> None:
    drawing = drawings["flowchart"]
    boxes = node_boxes(drawing.source)
    for name, text in {"web": "Web widget", "gw": "MCP gateway", "stop": "Refused"}.items():
        inner, outer = label(drawing, text).box, boxes[name]
        assert inner[0] >= outer[0] + 4 and inner[2] <= outer[2] - 4, (text, inner, outer)
        assert inner[1] >= outer[1] and inner[3] <= outer[3], (text, inner, outer)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_label_of_a_large_diagram_stands_out(
    drawings: dict[str, Drawing], kind: str, theme: Any
) -> None:
    drawing = drawings[kind] if theme == "light" else render(SPECS[kind], theme=theme)
    assert drawing.labels
    assert min(found.contrast for found in drawing.labels) >= MIN_CONTRAST
    corner = drawing.image.getpixel((0, 0))
    assert "#{:02x}{:02x}{:02x}".format(*corner) == THEMES[theme].paper


def test_colors_of_the_author_are_kept_and_the_text_on_them_made_legible() -> None:
    drawing = render(
        "flowchart LR\n  a[Snow] --> b[Coal]\n"
        "  style a fill:#ffffff,color:#fefefe\n  style b fill:#000000,color:#111111"
    )
    for text, fill in (("Snow", "#ffffff"), ("Coal", "#000000")):
        assert label(drawing, text).background == fill
        assert label(drawing, text).contrast >= MIN_CONTRAST


def test_without_the_font_no_label_would_be_found(
    drawings: dict[str, Drawing], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = ElementTree.fromstring(drawings["flowchart"].svg)
    assert len(legibility.inspect_labels(root, LIGHT)) == len(drawings["flowchart"].labels)
    monkeypatch.setattr(fonts, "FILES", ())
    assert legibility.inspect_labels(root, LIGHT) == []


@pytest.mark.parametrize(
    "text", ["Knowledge base", "Größe: 5 µm", "Корзина покупок", "Καλάθι αγορών", "a → b ≥ c"]
)
def test_layout_and_raster_agree_on_the_width_of_a_text(text: str) -> None:
    drawing = render(f'flowchart TB\n  a["{text}"] --> b[x]')
    left, _, right, _ = label(drawing, text).box
    assert abs((right - left) - fonts.text_width(text, 16)) <= 4


def test_every_branch_of_a_mind_map_can_be_seen(drawings: dict[str, Drawing]) -> None:
    branches = paths(drawings["mindmap"], "edge")
    assert len(branches) == 13
    for path in branches:
        width = re.search(r"stroke-width:([-\d.]+)px", path.get("style", ""))
        assert width is not None and float(width[1]) >= 2, path.attrib
    variants, color = (label(drawings["mindmap"], text).box for text in ("Variants", "Color"))
    image = np.asarray(drawings["mindmap"].image).astype(int)
    x0, y0, _, _ = svg.view_box(ElementTree.fromstring(drawings["mindmap"].svg))
    # A band half way between the two boxes is crossed by the branch and by nothing else.
    middle = (variants[1] + color[3]) / 2
    row = image[round((middle - y0) * 2)]
    left, right = sorted(((variants[0] + variants[2]) / 2, (color[0] + color[2]) / 2))
    crossed = row[round((left - x0) * 2) - 4 : round((right - x0) * 2) + 4]
    assert (abs(crossed - [255, 255, 255]).sum(axis=1) > 60).sum() >= 2


def test_relationship_markers_stay_on_their_line(drawings: dict[str, Drawing]) -> None:
    room = {"onlyOne": 18, "zeroOrOne": 30, "oneOrMore": 33, "zeroOrMore": 39}
    lines = paths(drawings["er"], "relationshipLine")
    assert len(lines) == 5
    bent = 0
    for path in lines:
        points = [
            (float(x), float(y))
            for x, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", path.get("d", ""))
        ]
        bent += len(points) > 2
        for marker, (end, before) in (
            (path.get("marker-start", ""), points[:2]),
            (path.get("marker-end", ""), points[:-3:-1]),
        ):
            need = next(size for name, size in room.items() if name in marker)
            straight = abs(end[0] - before[0]) + abs(end[1] - before[1])
            assert straight >= need - 0.1, (marker, path.get("d"))
    assert bent >= 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_columns_of_a_board_have_a_ground_and_their_names_stand_above_the_cards(theme: Any) -> None:
    drawing = render(SPECS["kanban"], theme=theme, scale=1)
    root = ElementTree.fromstring(drawing.svg)
    x0, y0, _, _ = svg.view_box(root)
    columns = [e for e in root.iter(svg.tag("g")) if svg.has_class(e, "cluster")]
    assert len(columns) == 3
    card_top = min(
        float(e.get("transform", "").split(",")[1].strip(" )")) + float(e[0].get("y", "0"))
        for e in root.iter(svg.tag("g"))
        if svg.has_class(e, "node")
    )
    for column, name in zip(columns, ("To do", "Doing", "Done"), strict=True):
        left, top = (float(column[0].get(side, "0")) for side in ("x", "y"))
        ground = drawing.image.getpixel((round(left - x0 + 4), round(top - y0 + 30)))
        paper = drawing.image.getpixel((2, 2))
        assert max(abs(a - b) for a, b in zip(ground, paper, strict=True)) >= 20, (name, ground)
        heading = label(drawing, name)
        assert top + 3 <= heading.box[1] and heading.box[3] + 3 <= card_top, heading
        beside = (round(heading.box[2] - x0 + 3), round(heading.box[1] - y0 + 2))
        assert drawing.image.getpixel(beside) == ground, "no patch of another color"


@pytest.mark.parametrize("text", ["pack the parcel", "pack the parcel<br/>with care"])
def test_a_number_is_clear_of_the_text_of_a_message_to_oneself(text: str) -> None:
    drawing = render(f"sequenceDiagram\n  autonumber\n  A->>B: go\n  B->>B: {text}\n", scale=1)
    number = label(drawing, "2").box
    middle, radius = (number[1] + number[3]) / 2, 12
    for found in drawing.labels:
        if "parcel" in found.text or "care" in found.text:
            assert found.box[3] + 1 <= middle - radius, found


def test_section_names_of_a_gantt_chart_end_before_the_grid() -> None:
    long = SPECS["gantt"].replace("section Pictures", "section Pictures and their many variants")
    for text in (SPECS["gantt"], long):
        drawing = render(text)
        first_day = label(drawing, "01 Sep").box
        for found in drawing.labels:
            if found.text.startswith(("Pictures", "Knowledge")):
                assert found.box[2] < (first_day[0] + first_day[2]) / 2, found


def test_no_text_is_tiny(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        sizes = re.findall(r'font-size[=:]"?([\d.]+)(?:px|")', drawing.svg)
        assert sizes and min(map(float, sizes)) >= svg.MIN_FONT_SIZE


def test_the_same_text_gives_the_same_picture_in_every_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        drawing = worker.draw(SPECS["state"])
        seen.add((drawing.svg, drawing.image.tobytes(), drawing.alt))
    assert len(seen) == 1


def python_that(tmp_path: Path, command: str) -> str:
    """Return an interpreter that runs a shell command before it becomes Python."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\n{command}\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return str(script)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("ulimit -v 150000", DiagramTooLarge),  # too little memory to lay anything out
        ("kill -9 $$", DiagramTooLarge),  # what the kernel does when the machine runs out
        ("exit 3", DiagramError),
    ],
)
def test_a_drawing_process_that_dies_is_one_clear_error_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, error: type[DiagramError]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", python_that(tmp_path, command))
        with pytest.raises(DiagramError) as caught:
            worker.draw(SPECS["pie"])
    assert type(caught.value) is error and caught.value.hint
    assert "Traceback" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert worker.draw(SPECS["pie"]).kind == "pie"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_drawing_process_sees_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-1")
    monkeypatch.setenv("AGENT_TOOLS_TOKEN", "canary-2")
    seen = tmp_path / "environment"
    monkeypatch.setattr(sys, "executable", python_that(tmp_path, f'env > "{seen}"'))
    assert worker.draw(SPECS["pie"]).kind == "pie"
    assert "PATH=" in seen.read_text() and "canary" not in seen.read_text()


ALT = {
    "flowchart": "Flowchart with 9 nodes, 11 arrows and 3 groups: Web widget → MCP gateway "
    "(HTTPS); Mobile app → MCP gateway (HTTPS); MCP gateway → Agent loop; Agent loop → Job queue "
    "(tool call); Job queue → Agent loop (picture); Job queue → Gallery; and 8 more.",
    "pie": "Pie chart 'Pictures by tool' with 5 slices: Product variants 412 (54%); Diagrams 180 "
    "(24%); Avatars 96 (13%); Edits 60 (8%); Other 12 (2%).",
    "mindmap": "Mind map with 14 ideas: Shop bot: Pictures, Knowledge and Channels; Pictures: "
    "Variants, Avatars and Diagrams; Variants: Color and Material; Knowledge: Captions and "
    "Search; Channels: Web, WhatsApp and Email.",
    "timeline": "Timeline 'From idea to catalog' with 5 periods and 7 events: Spring, March: "
    "First sketches and Supplier chosen; Spring, April: Samples arrive; Summer, June: Photo shoot "
    "and Variants painted; Summer, July: Catalog printed; Summer, August: Launch.",
    "er": "Entity-relationship diagram with 6 entities and 5 relationships: Exactly one CUSTOMER "
    "places any number of ORDER; Exactly one ORDER contains one or more LINE_ITEM; Exactly one "
    "PRODUCT is ordered as any number of LINE_ITEM; and 7 more.",
    "class": "Class diagram with 4 classes and 4 relations: Tool is the base of DrawDiagram; "
    "Studio aggregates Tool (serves); Studio is composed of Gallery (owns); Gallery is used by "
    "DrawDiagram (writes to); and 4 more.",
}


@pytest.mark.parametrize("kind", ALT)
def test_the_alt_text_is_exact(drawings: dict[str, Drawing], kind: str) -> None:
    assert drawings[kind].alt == ALT[kind]


def test_the_long_description_says_everything_in_order(drawings: dict[str, Drawing]) -> None:
    lines = drawings["gantt"].long_description.split("\n")
    assert lines == [
        "Gantt chart 'Launch of the autumn catalog' with 6 tasks and 2 sections.",
        "Pictures: Briefing, 2026-09-01 to 2026-09-06, done.",
        "Pictures: Product variants, 2026-09-06 to 2026-09-16, active.",
        "Pictures: Review with brand, 2026-09-16 to 2026-09-20, critical.",
        "Knowledge base: Captions, 2026-09-06 to 2026-09-14.",
        "Knowledge base: Export, 2026-09-20 to 2026-09-22.",
        "Knowledge base: Go live, milestone on 2026-09-22.",
    ]
    state = drawings["state"].long_description
    assert "Failed → Queued (retry)." in state and "Note: retried at most twice." in state
    assert "Running holds Encoding, Denoising and Decoding." in state
    assert all(len(drawing.alt) <= 250 for drawing in drawings.values())


def test_only_states_are_counted_as_states_whatever_they_are_called() -> None:
    drawing = render(
        "stateDiagram-v2\n  state c <<choice>>\n  [*] --> start\n  start --> c\n"
        "  c --> finish : a → b\n  finish --> [*]\n  note right of start : goes → on"
    )
    assert drawing.alt.startswith("State diagram with 2 states and 4 transitions: ")
    assert drawing.words == ("start", "finish")
    assert "start → choice." in drawing.long_description
