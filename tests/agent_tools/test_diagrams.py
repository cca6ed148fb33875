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
from diagram_specs import SPECS

from agent_tools.diagrams import fonts, legibility, source, svg, worker
from agent_tools.diagrams.errors import (
    DiagramError,
    DiagramRefused,
    DiagramSyntaxError,
    DiagramTooLarge,
)
from agent_tools.diagrams.graph import Graph, to_mermaid
from agent_tools.diagrams.legibility import MIN_CONTRAST, Label
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


def label(drawing: Drawing, text: str) -> Label:
    return next(found for found in drawing.labels if found.text == text)


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


SVG_ATTACKS = {
    "script": "<script>alert(1)</script>",
    "foreign object": "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'/></foreignObject>",
    "image": "<image href='https://evil.example/x.png' width='9' height='9'/>",
    "data image": "<image href='data:image/svg+xml;base64,AAAA' width='9' height='9'/>",
    "handler": "<rect onload='alert(1)' width='9' height='9'/>",
    "link": "<a href='javascript:alert(1)'><text>x</text></a>",
    "old link": "<a xmlns:xlink='http://www.w3.org/1999/xlink' xlink:href='//evil.example'/>",
    "outside use": "<use href='https://evil.example/x.svg#a'/>",
    "outside fill": "<rect style='fill:url(https://evil.example/x)' width='9' height='9'/>",
    "escaped fill": "<rect style='fill:u\\72l(https://evil.example/x)' width='9' height='9'/>",
    "import": "<style>@import url(https://evil.example/x.css);.a{fill:red}</style>",
    "font face": "<style>@font-face{font-family:x;src:url(https://evil.example/f)}</style>",
    "rule": "<style>.a{fill:url('https://evil.example/x')}</style><g class='a'/>",
    "animation": "<rect width='9' height='9'><animate attributeName='href' to='x'/></rect>",
    "set": "<a><set attributeName='href' to='javascript:alert(1)'/></a>",
    "other namespace": "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
    "filter": "<rect style='filter:url(https://evil.example/f)' width='9' height='9'/>",
}


@pytest.mark.parametrize("name", SVG_ATTACKS)
def test_whatever_the_renderer_lets_through_the_allow_list_stops(name: str) -> None:
    frame = f'<svg xmlns="{svg.SVG}" viewBox="0 0 99 99"><rect width="50" height="50"/>%s</svg>'
    cleaned = svg.to_text(svg.sanitized(frame % SVG_ATTACKS[name], LIGHT))
    assert not re.search(
        r"evil|alert|javascript|script|foreign|<image|data:|onload|@|animate|<set|\\|<\w*:?a\b",
        cleaned,
    ), cleaned
    assert 'width="50"' in cleaned, "what is harmless stays"


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE svg [<!ENTITY x "y">]><svg xmlns="http://www.w3.org/2000/svg">&x;</svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><g></svg>',
        "",
    ],
)
def test_a_damaged_svg_or_one_with_entities_is_an_error(text: str) -> None:
    with pytest.raises(DiagramError):
        svg.sanitized(text, LIGHT)


def test_configuration_is_left_out_and_lines_keep_their_numbers() -> None:
    text = (
        "```mermaid\n---\ntitle: Checkout\nconfig:\n  theme: dark\n---\n"
        "%%{init: {'theme': 'forest'}}%%\n%% a remark\nflowchart LR\n  a --> b\n```"
    )
    prepared = source.prepare(text)
    assert prepared.text.split("\n")[8:10] == ["flowchart LR", "  a --> b"]
    assert prepared.title == "Checkout" and prepared.kind == "flowchart"
    assert "theme" not in prepared.text and "remark" not in prepared.text
    assert len(prepared.notes) == 1 and "ignored" in prepared.notes[0]


@pytest.mark.parametrize(
    "text",
    [
        "%%{%%{init: {}}%%init: {'securityLevel':'loose'}}%%\nflowchart LR\n  a --> b",
        "flowchart LR\n  a --> b\n%%{ init: {'themeCSS': 'x'} \n }%%",
        "flowchart LR\n%%{init: {}}%%%%{init: {'fontFamily': 'x'}}%%\n  a --> b",
    ],
)
def test_no_directive_survives_however_it_is_nested(text: str) -> None:
    try:
        prepared = source.prepare(text)
    except DiagramError:
        return
    assert "%%{" not in prepared.text and "loose" not in prepared.text, prepared.text


def test_fonts_and_sizes_of_the_author_are_left_out_and_said_so() -> None:
    drawing = render(
        "flowchart LR\n  a[Pay] --> b[Ship]\n"
        "  style a font-size:400px,fill:#fde68a,stroke-width:900px,font-family:Foo\n"
        "  style b font-weight:bold\n  linkStyle 0 stroke-width:9999px"
    )
    plain = render("flowchart LR\n  a[Pay] --> b[Ship]")
    assert abs(drawing.size[0] - plain.size[0]) < 12 and abs(drawing.size[1] - plain.size[1]) < 12
    assert label(drawing, "Pay").background == "#fde68a"
    assert any("styles were left out" in note for note in drawing.notes)
    assert not plain.notes


def test_stacked_accents_do_not_leave_their_box() -> None:
    tall = render("flowchart LR\n  a[Z" + "\u0301" * 300 + "algo] --> b")
    plain = render("flowchart LR\n  a[Zalgo] --> b")
    assert tall.size[1] - plain.size[1] < 12


@pytest.mark.parametrize("text", ["سلام دنيا", "שלום עולם", "Ղողանջ", "გამარჯობა", "★ ✓ ☎ ∑ ∞"])
def test_other_scripts_and_symbols_are_drawn(text: str) -> None:
    drawing = render(f'flowchart TB\n  a["{text}"] --> b[x]')
    assert text in drawing.long_description
    assert label(drawing, text).contrast >= MIN_CONTRAST


@pytest.mark.parametrize("text", ["漢字", "日本語", "🚀", "한국어", "\ue000"])
def test_a_script_that_the_fonts_cannot_write_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(DiagramRefused) as caught:
        render(f"flowchart LR\n  a[Ok] --> b[{text}]")
    assert caught.value.data["line"] == 2 and caught.value.data["column"] == 15
    assert text[0] in caught.value.data["characters"]


@pytest.mark.parametrize(
    "text",
    [
        "flowchart LR\n",
        "gantt\n  dateFormat YYYY-MM-DD\n",
        "sequenceDiagram\n",
        'pie\n  "a" : 0\n  "b" : 0',
        "classDiagram",
        "stateDiagram-v2\n  [*] --> [*]",
    ],
)
def test_an_empty_diagram_is_not_a_blank_picture(text: str) -> None:
    with pytest.raises(DiagramError) as caught:
        render(text)
    assert caught.value.hint


def test_the_line_of_a_statement_that_the_message_quotes_is_named() -> None:
    with pytest.raises(DiagramSyntaxError) as caught:
        render('pie\n  "a" : NaN\n  "b" : 3')
    assert (caught.value.data["line"], caught.value.data["column"]) == (2, 3)
    assert caught.value.data["text"].strip() == '"a" : NaN'


def test_a_chain_that_is_too_long_one_way_is_drawn_the_other_way() -> None:
    chain = "\n".join(f"  a{i}[Step {i}] --> a{i + 1}[Step {i + 1}]" for i in range(60))
    drawing = render(f"flowchart LR\n{chain}")
    assert drawing.source.startswith("flowchart TB")
    assert drawing.image.height <= 4000 and drawing.size[1] > drawing.size[0]


@pytest.mark.parametrize(
    "text",
    [
        "flowchart LR\n" + "\n".join(f"subgraph s{i}" for i in range(60)) + "\na\n" + "end\n" * 60,
        "sequenceDiagram\n" + "\n".join(f"  A->>B: message {i}" for i in range(280)),
        "flowchart LR\n  "
        + " & ".join(f"a{i}" for i in range(40))
        + " --> "
        + " & ".join("bcdefg"),
        "flowchart TB\n" + "\n".join(f"  a{i}-->a{j}" for i in range(17) for j in range(i, 17)),
        "mindmap\n  root\n" + "\n".join(f"    leaf {i}" for i in range(290)),
        "erDiagram\n" + "\n".join(f"  E{i} ||--o{{ E{i * 7 % 99} : r" for i in range(99)),
        "flowchart LR\n  a[" + "word " * 190 + "]",
        "flowchart LR\n" + "%% x\n" * 500 + "a --> b",
    ],
)
def test_every_size_ends_in_a_picture_or_a_clear_limit(text: str) -> None:
    try:
        drawing = render(text)
    except DiagramTooLarge as error:
        assert re.search(r"\d", error.message) and error.hint
    else:
        assert max(drawing.image.size) <= 4001


MARKUP = [
    '"quoted"', "<b>bold</b>", "<script>alert(1)</script>", "a & b; c", "[x](javascript:1)",
    "{curly} [square] (round)", "100% #1 $5", "`code`", "**stars** _under_ ~tilde~", "back\\slash",
    "pipe | pipe", "&lt;entity&gt;", "#35;", "end", "--> x", ":::class", "%%{init}%%", "click a b",
    "fa:fa-car", "@{ img: x }",
]  # fmt: skip


@pytest.mark.parametrize("texts", [MARKUP[::2], MARKUP[1::2]])
@pytest.mark.parametrize("kind", ["flowchart", "state", "sequence", "mindmap"])
def test_labels_of_a_graph_mean_themselves(kind: str, texts: list[str]) -> None:
    nodes = [{"id": "root", "label": "Root"}]
    nodes += [{"id": f"n{i}", "label": text} for i, text in enumerate(texts)]
    said = [] if kind == "mindmap" else [f"say {text} on" for text in texts]
    edges = [
        {"source": "root", "target": f"n{i}", "label": said[i] if said else ""}
        for i in range(len(texts))
    ]
    if kind == "sequence":  # next to each other, or the paper gets too wide
        edges = [{**edge, "source": f"n{i - 1}" if i else "root"} for i, edge in enumerate(edges)]
    graph = Graph.model_validate({"kind": kind, "nodes": nodes, "edges": edges})
    drawing = render(to_mermaid(graph))
    shown = re.sub(r"\s", "", "".join(found.text for found in drawing.labels))
    for text in (*texts, *said):
        assert re.sub(r"\s", "", text) in shown, text
        assert text in drawing.long_description, text


def test_groups_styles_and_shapes_of_a_graph_arrive() -> None:
    graph = Graph.model_validate(
        {
            "nodes": [
                {"id": "a", "label": "Ask", "shape": "pill", "group": "front"},
                {"id": "b", "label": "Paid?", "shape": "diamond"},
                {"id": "c", "label": "Orders", "shape": "cylinder"},
            ],
            "edges": [
                {"source": "a", "target": "b", "label": "then"},
                {"source": "b", "target": "c", "style": "dashed"},
            ],
            "groups": [{"id": "front", "label": "Front of house"}],
        }
    )
    text = to_mermaid(graph)
    assert '(["Ask"])' in text and '{"Paid?"}' in text and '[("Orders")]' in text
    assert "-.->" in text
    assert "Group Front of house holds Ask." in render(text).long_description


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        ({"nodes": [{"id": "a"}], "edges": [{"source": "a", "target": "x"}]}, "'x'"),
        ({"nodes": [{"id": "a"}, {"id": "a"}]}, "twice"),
        ({"nodes": [{"id": "a", "group": "g"}]}, "'g'"),
        ({"kind": "mindmap", "nodes": [{"id": "a"}, {"id": "b"}]}, "tree"),
        (
            {
                "kind": "mindmap",
                "nodes": [{"id": name} for name in "abc"],
                "edges": [{"source": "b", "target": "c"}, {"source": "c", "target": "b"}],
            },
            "tree",
        ),
        (
            {"kind": "sequence", "nodes": [{"id": "a"}], "groups": [{"id": "g"}]},
            "no groups",
        ),
    ],
)
def test_a_graph_that_contradicts_itself_is_refused(graph: dict[str, Any], says: str) -> None:
    with pytest.raises(DiagramRefused, match=says) as caught:
        to_mermaid(Graph.model_validate(graph))
    assert caught.value.hint


def test_the_fonts_come_with_their_licenses() -> None:
    for name in ("OFL.txt", "DejaVu-LICENSE.txt"):
        assert "copyright" in (fonts.FOLDER / name).read_text(encoding="utf-8").lower()
    assert all(isinstance(path, Path) and path.is_file() for path in fonts.FILES)
    assert sum(path.stat().st_size for path in fonts.FILES) < 1_000_000
