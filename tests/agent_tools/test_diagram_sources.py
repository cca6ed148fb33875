"""What a diagram is made from: hostile drawings, configuration, scripts, sizes, graphs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from diagram_specs import label

from agent_tools.diagrams import fonts, source, svg
from agent_tools.diagrams.errors import (
    DiagramError,
    DiagramRefused,
    DiagramSyntaxError,
    DiagramTooLarge,
)
from agent_tools.diagrams.graph import Graph, to_mermaid
from agent_tools.diagrams.legibility import MIN_CONTRAST
from agent_tools.diagrams.render import render
from agent_tools.diagrams.theme import LIGHT

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
