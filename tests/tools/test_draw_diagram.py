"""draw_diagram through the studio: exact structure and words, clear errors, nothing hostile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from agent_tools.diagrams import worker
from agent_tools.diagrams.errors import (
    DiagramError,
    DiagramRefused,
    DiagramSyntaxError,
    DiagramTimeout,
    DiagramTooLarge,
)
from agent_tools.diagrams.illustrate import PLAIN, Illustration
from agent_tools.diagrams.legibility import MIN_CONTRAST, contrast
from agent_tools.diagrams.source import KINDS, MAX_CHARACTERS
from agent_tools.errors import InvalidArguments
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.personas import PersonaStore
from agent_tools.provenance import read_xmp
from agent_tools.replay import replay
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from engine import LocalEngine

pytestmark = pytest.mark.anyio

SAMPLES = {
    "flowchart": "flowchart LR\n  cart[Cart] --> pay{Paid?}\n  pay -->|yes| ship[Ship it]\n"
    "  pay -->|no| cart",
    "sequence": "sequenceDiagram\n  autonumber\n  Shopper->>Bot: A sage mug?\n"
    "  alt in stock\n    Bot-->>Shopper: Here it is\n  else\n    Bot-->>Shopper: Sold out\n  end",
    "class": "classDiagram\n  class Order {\n    +String number\n    +pay() bool\n  }\n"
    "  Order --> Customer : belongs to",
    "state": "stateDiagram-v2\n  [*] --> Open\n  Open --> Paid: payment\n  Paid --> [*]",
    "er": "erDiagram\n  CUSTOMER ||--o{ ORDER : places\n  ORDER {\n    string number\n  }",
    "gantt": "gantt\n  dateFormat YYYY-MM-DD\n  section Launch\n"
    "  Photos :a, 2026-01-01, 5d\n  Texts :after a, 3d",
    "pie": 'pie title Colors sold\n  "Sage" : 40\n  "Navy" : 35\n  "Rust" : 25',
    "mindmap": "mindmap\n  root((Shop))\n    Mugs\n      Sage\n    Lamps",
    "timeline": "timeline\n  title Our year\n  Spring : New mugs\n  Summer : New lamps",
}
WORDS = {
    "flowchart": ("Cart", "Paid?", "Ship it", "yes", "no"),
    "sequence": ("Shopper", "A sage mug?", "Here it is", "Sold out"),
    "class": ("Order", "pay", "Customer", "belongs to"),
    "state": ("Open", "Paid", "payment"),
    "er": ("CUSTOMER", "ORDER", "places", "number"),
    "gantt": ("Launch", "Photos", "Texts"),
    "pie": ("Sage", "Navy", "Rust"),
    "mindmap": ("Shop", "Mugs", "Sage", "Lamps"),
    "timeline": ("Spring", "New mugs", "Summer", "New lamps"),
}


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    settings = Settings(data=tmp_path / "data")
    gallery = Gallery(settings.data)
    knowledge = Knowledge(gallery, settings)
    yield Studio(settings, LocalEngine("starter"), gallery, PersonaStore(gallery), knowledge)
    knowledge.close()
    gallery.close()


def letters(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_there_are_words_to_look_for_in_every_sample() -> None:
    assert set(SAMPLES) == set(WORDS) < set(KINDS), "test_diagram_golden.py has the others"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", SAMPLES)
def test_every_word_is_inside_the_picture_and_stands_out(kind: str, theme) -> None:
    drawing = worker.draw(SAMPLES[kind], theme=theme)
    shown = letters("".join(label.text for label in drawing.labels))
    for word in WORDS[kind]:
        assert letters(word) in shown, (word, shown)
    width, height = drawing.size
    for label in drawing.labels:
        left, top, right, bottom = label.box
        assert 0 <= left < right <= width and 0 <= top < bottom <= height, label
        assert label.contrast >= MIN_CONTRAST, label
    assert np.asarray(drawing.image).std() > 5


def test_the_contrast_measure_sees_gray_on_gray() -> None:
    assert contrast("#777777", "#888888") < MIN_CONTRAST < contrast("#111111", "#ffffff")


@pytest.mark.parametrize("kind", SAMPLES)
async def test_the_words_around_the_picture_name_what_is_in_it(studio: Studio, kind: str) -> None:
    result = await studio.call("draw_diagram", {"source": SAMPLES[kind], "title": "How we work"})
    record = studio.gallery.get(result.images[0].info.image_id)
    assert record.kind == "diagram" and record.title == "How we work"
    said = letters(record.long_description + record.alt)
    for word in WORDS[kind]:
        assert letters(word) in said, (word, record.long_description)
    assert record.image_id in result.text and result.data.source in result.text
    xmp = read_xmp(studio.gallery.read_bytes(record.image_id))
    assert "algorithmicMedia" in xmp and "trainedAlgorithmicMedia" not in xmp


async def test_the_same_text_gives_the_same_bytes_and_replays(studio: Studio) -> None:
    first, second = [
        await studio.call("draw_diagram", {"source": SAMPLES["flowchart"]}) for _ in range(2)
    ]
    assert first.images[0].info.image_id == second.images[0].info.image_id
    assert (await replay(studio, first.images[0].info.image_id)).same_bytes
    other = await studio.call("draw_diagram", {"source": SAMPLES["state"]})
    assert other.images[0].info.image_id != first.images[0].info.image_id


async def test_a_graph_is_drawn_like_text(studio: Studio) -> None:
    graph = {
        "nodes": [
            {"id": "a", "label": 'Say "hi" [now]'},
            {"id": "end", "label": "Done"},
        ],
        "edges": [{"from": "a", "to": "end", "label": "then"}],
    }
    schema = studio.tools["draw_diagram"].Arguments.model_json_schema()
    edge = schema["$defs"]["Edge"]["properties"]
    if "from" not in edge:
        graph["edges"] = [{"source": "a", "target": "end", "label": "then"}]
    result = await studio.call("draw_diagram", {"graph": graph})
    said = result.data.long_description
    assert "hi" in said and "Done" in said and "then" in said


def test_a_ribbon_is_turned_and_a_fine_shape_is_left_alone() -> None:
    chain = "\n".join(f"  n{i}[Step {i}] --> n{i + 1}[Step {i + 1}]" for i in range(6))
    ribbon = worker.draw(f"flowchart LR\n{chain}")
    assert ribbon.source.startswith("flowchart TB")
    assert ribbon.size[0] / ribbon.size[1] < 2.2
    rows = "\n".join(f"  a{i} --> b{i} --> c{i}" for i in range(4))
    fine = worker.draw(f"flowchart LR\n{rows}")
    assert fine.source.startswith("flowchart LR")
    tall = worker.draw(f"flowchart LR\n{chain}", aspect="tall")
    assert tall.size[0] < tall.size[1]


QUESTIONS = (
    "Does the customer have an order number?", "Has the parcel left the warehouse?",
    "Is the address complete and right?", "Was the payment taken from the card?",
    "Is the mug still in stock with us?", "Do we ship to that country?",
)  # fmt: skip
TALL = "\n".join(
    f"  n{i}{{{one}}} -->|yes| n{i + 1}{{{other}}}\n  n{i} -->|no| help[Ask a colleague]"
    for i, (one, other) in enumerate(pairwise(QUESTIONS))
)


SQUARE = "  a[Ask] --> b[Show it] & c[Offer more]\n  b --> d[Sold]\n  d --> e[Thank you]"


@pytest.mark.parametrize("header", ["flowchart TD", "flowchart", "flowchart LR"])
def test_auto_turns_nothing_into_a_picture_that_is_warned_of(header: str) -> None:
    drawing = worker.draw(f"{header}\n{TALL}")
    assert drawing.size[0] < drawing.size[1] and drawing.notes == ()


def test_the_other_direction_of_it_is_warned_of() -> None:
    drawing = worker.draw(f"flowchart TD\n{TALL}", aspect="wide")
    assert any("small in a chat" in note for note in drawing.notes)


@pytest.mark.parametrize("illustration", [PLAIN, Illustration(icons=True)])
def test_a_shape_that_was_asked_for_and_not_reached_is_said(illustration: Illustration) -> None:
    drawing = worker.draw(f"flowchart TD\n{TALL}", aspect="square", illustration=illustration)
    size = f"{drawing.image.width}x{drawing.image.height}"
    assert any("square" in note and size in note for note in drawing.notes), drawing.notes
    for aspect, text in (("auto", TALL), ("square", SQUARE)):
        reached = worker.draw(f"flowchart TD\n{text}", aspect=aspect, illustration=illustration)
        assert not any("square" in note or "auto" in note for note in reached.notes)


def test_a_direction_that_is_given_stays_unless_the_other_is_clearly_nearer() -> None:
    text = (Path(__file__).parents[2] / "examples/bot.mmd").read_text(encoding="utf-8")
    assert worker.draw(text).source.startswith("flowchart LR")
    undecided = text.replace("flowchart LR", "flowchart")
    assert worker.draw(undecided).size[0] < worker.draw(text).size[0]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("flowchart LR\n  a[Cart --> b[Pay]", 2),
        ("flowchart LR\n  a --> b\n  b --> --> c", 3),
        ("sequenceDiagram\n  A->>B: hi\n  alt x\n  A->>B: hey", None),
        ('pie\n  "Sage" : many', 2),
        ("erDiagram\n  A ||--o{ : places", 2),
    ],
)
async def test_a_syntax_error_names_line_and_column(
    studio: Studio, source: str, line: int | None
) -> None:
    with pytest.raises(DiagramSyntaxError) as caught:
        await studio.call("draw_diagram", {"source": source})
    data = caught.value.data
    assert data["line"] >= 1 and data["column"] >= 1
    assert line is None or data["line"] == line
    assert f"line {data['line']}" in str(caught.value).lower()
    assert studio.gallery.list() == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("flowchart LR\n  a[Cart (new)] --> b[Pay]", "Cart (new)"),
        ("flowchart LR\n  a[Cart --> b[Pay]", "Cart"),
        ("flowchart LR\n  a[Cart] -> b[Pay]", "Pay"),
        ("sequenceDiagram\n  Shopper->>Bot hello", "hello"),
        ("erDiagram\n  SHOP ||--o ORDER : takes", "takes"),
    ],
)
async def test_the_corrected_source_can_be_drawn(studio: Studio, source: str, says: str) -> None:
    with pytest.raises(DiagramSyntaxError) as caught:
        await studio.call("draw_diagram", {"source": source})
    corrected = caught.value.data["corrected_source"]
    assert caught.value.data["suggestion"] in corrected and "Write that line" in caught.value.hint
    result = await studio.call("draw_diagram", {"source": corrected})
    assert says in result.data.long_description


@pytest.mark.parametrize(
    ("second", "third", "column", "suggestion"),
    [
        ("  a[Cart --> b{Paid?}", "  b -->|yes c[Ship]", 4, "a[Cart] --> b{Paid?}"),
        ("  a[Cart] --> b{Paid?", "  b --> c[Ship]", 16, "a[Cart] --> b{Paid?}"),
        ("  a[Cart (new) --> b[Pay]", "  b --> c", 4, 'a["Cart (new)"] --> b["Pay"]'),
        ("  a[(Orders --> b[Pay]", "  b --> c", 4, "a[(Orders)] --> b[Pay]"),
    ],
)
async def test_the_first_bracket_that_is_left_open_is_named(
    studio: Studio, second: str, third: str, column: int, suggestion: str
) -> None:
    with pytest.raises(DiagramSyntaxError) as caught:
        await studio.call("draw_diagram", {"source": f"flowchart LR\n{second}\n{third}"})
    assert (caught.value.data["line"], caught.value.data["column"]) == (2, column)
    assert caught.value.data["suggestion"] == suggestion and suggestion in caught.value.hint
    assert f"Line 2, column {column}" in str(caught.value) and "not closed" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ("  b -->|yes c[Ship]", "b -->|yes| c[Ship]"),
        ("  b --> c[Cart (new)] --> d[x --> y]", 'b --> c["Cart (new)"] --> d["x --> y"]'),
    ],
)
async def test_closed_brackets_are_not_called_open(
    studio: Studio, line: str, suggestion: str
) -> None:
    with pytest.raises(DiagramSyntaxError) as caught:
        await studio.call("draw_diagram", {"source": f"flowchart LR\n  a --> b\n{line}"})
    assert caught.value.data["line"] == 3 and "not closed" not in str(caught.value)
    assert caught.value.data["suggestion"] == suggestion


async def test_a_label_of_two_lines_is_not_called_open(studio: Studio) -> None:
    with pytest.raises(DiagramSyntaxError) as caught:
        await studio.call(
            "draw_diagram", {"source": "flowchart LR\n  a[My\n  cart]\n  b --> --> c"}
        )
    assert caught.value.data["line"] == 4 and "not closed" not in str(caught.value)


HOSTILE = {
    "script in a label": 'flowchart LR\n  a["<script>alert(1)</script>Pay"] --> b[Ship]',
    "handler in a label": 'flowchart LR\n  a["<img src=x onerror=alert(1)>Pay"] --> b[Ship]',
    "javascript link": 'flowchart LR\n  a[Pay] --> b[Ship]\n  click a "javascript:alert(1)"',
    "web link": 'flowchart LR\n  a[Pay] --> b[Ship]\n  click a "https://evil.example/x"',
    "callback": "flowchart LR\n  a[Pay] --> b[Ship]\n  click a call alert()",
    "remote image": 'flowchart LR\n  a@{ img: "https://evil.example/x.png", label: "Pay" }',
    "init directive": "%%{init: {'securityLevel': 'loose', "
    "'themeCSS': '* {fill: url(https://evil.example)}'}}%%\nflowchart LR\n  a[Pay] --> b[Ship]",
    "front matter": "---\nconfig:\n  securityLevel: loose\n"
    "  themeCSS: '@import url(https://evil.example)'\n---\nflowchart LR\n  a[Pay] --> b[Ship]",
    "style with a url": "flowchart LR\n  a[Pay]\n  style a fill:url(https://evil.example/x)",
    "entity": 'flowchart LR\n  a["&lt;script&gt;Pay"] --> b[Ship]',
    "doctype": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>\nflowchart LR\n  a[&e;Pay]',
    "right to left override": "flowchart LR\n  a[\u202ePay\u202c] --> b[Ship]",
    "zero width": "flowchart LR\n  a[P\u200bay] --> b[Ship]",
    "control characters": "flowchart LR\n  a[Pay\x00\x1b] --> b[Ship]",
    "foreign object": 'flowchart LR\n  a["<foreignObject><iframe src=//evil.example></iframe>'
    '</foreignObject>Pay"] --> b[Ship]',
    "120 groups in each other": "flowchart LR\n"
    + "\n".join(f"subgraph s{i}" for i in range(120))
    + "\na[Pay]\n"
    + "end\n" * 120,
}
LIVE = re.compile(
    r"<script|javascript:|\son\w+\s*=|evil\.example|file:|<iframe|@import|<!doctype",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_drawn_harmless_or_refused(name: str) -> None:
    try:
        drawing = worker.draw(HOSTILE[name])
    except DiagramError as error:
        assert error.hint
        return
    root = ElementTree.fromstring(drawing.svg)
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2].lower()
        assert tag not in ("script", "foreignobject", "iframe", "image", "a", "animate"), tag
        for key, value in element.attrib.items():
            assert not key.lower().startswith("on"), key
            assert not LIVE.search(value), (key, value)
    for element in root.iter("{http://www.w3.org/2000/svg}style"):
        assert not LIVE.search(element.text or "")
    assert drawing.image.size > (50, 50)


def test_the_check_for_live_content_sees_it() -> None:
    assert LIVE.search('<a href="javascript:alert(1)">') and LIVE.search(' onclick="x"')


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("flowchart LR\n" + "a" * MAX_CHARACTERS, InvalidArguments),
        ("flowchart LR\n" + "\n".join(f"a{i} --> b{i}" for i in range(400)), DiagramTooLarge),
        ("flowchart LR\n  a[" + "x" * 2000 + "]", DiagramError),
        ("C4Context\n  Person(a, b)", DiagramError),
        ("hello there", DiagramError),
        ("   \n  ", DiagramError),
    ],
)
async def test_what_cannot_be_drawn_is_one_clear_error_and_the_next_one_works(
    studio: Studio, source: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await studio.call("draw_diagram", {"source": source})
    assert caught.value.hint
    assert len(str(caught.value)) < 1500
    assert (await studio.call("draw_diagram", {"source": SAMPLES["pie"]})).images


def test_a_drawing_that_takes_too_long_is_stopped_and_the_next_one_works() -> None:
    with pytest.raises(DiagramTimeout) as caught:
        worker.draw(SAMPLES["flowchart"], timeout_s=0.01)
    assert caught.value.hint
    assert worker.draw(SAMPLES["pie"]).kind == "pie"


async def test_neither_text_nor_graph_or_both_is_refused(studio: Studio) -> None:
    for arguments in ({}, {"source": "pie", "graph": {"nodes": [], "edges": []}}):
        with pytest.raises(InvalidArguments):
            await studio.call("draw_diagram", arguments)


def test_accents_and_long_labels_are_measured_right() -> None:
    label = "Größenänderung für Überseekäufer mit außergewöhnlich langer Beschriftung"
    drawing = worker.draw(f"flowchart TB\n  a[{label}] --> b[Ω ≥ 5 µm]")
    width, _ = drawing.size
    assert all(label.box[0] >= 0 and label.box[2] <= width for label in drawing.labels)


def test_a_script_without_a_font_is_refused_rather_than_drawn_as_boxes() -> None:
    with pytest.raises(DiagramRefused) as caught:
        worker.draw("flowchart LR\n  a[漢字] --> b[Ship]")
    assert "漢" in str(caught.value) or "漢" in str(caught.value.data)
