"""Diagrams of all kinds: laid out as before, legible, on the paper, lines at their boxes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from diagram_specs import SPECS
from golden_diagrams import FILE, GOLDEN, outline

from agent_tools.diagrams import finish, svg
from agent_tools.diagrams.legibility import MIN_CONTRAST
from agent_tools.diagrams.mermaid import MermaidRenderer
from agent_tools.diagrams.render import Drawing, render
from agent_tools.diagrams.source import KINDS
from agent_tools.diagrams.theme import LIGHT

REACH = 20.0  # user units from line to box: the hollow triangle of inheritance is 18 long
GRAPHS = [
    name
    for name, text in GOLDEN.items()
    if text.startswith(("flowchart", "stateDiagram", "classDiagram", "erDiagram"))
]


@cache
def drawn(name: str) -> Drawing:
    return render(GOLDEN[name], scale=1)


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return min(
        min(one[2], other[2]) - max(one[0], other[0]),
        min(one[3], other[3]) - max(one[1], other[1]),
    )


def boxes(drawing: Drawing) -> dict[str, tuple[float, float, float, float]]:
    layout = next(iter(MermaidRenderer(LIGHT).layout(drawing.source)["layout"].values()))
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


def ends(drawing: Drawing) -> list[tuple[str, str, tuple[float, float], tuple[float, float]]]:
    """Return (from, to, first point, last point) of every line as it is drawn."""
    layout = next(iter(MermaidRenderer(LIGHT).layout(drawing.source)["layout"].values()))
    root = ElementTree.fromstring(drawing.svg)
    paths = {e.get("id", ""): e.get("d", "") for e in root.iter(svg.tag("path"))}
    # Class and table diagrams number theirs instead.
    numbered = sorted((int(k.rpartition("_")[2]), d) for k, d in paths.items() if "-id_" in k)
    found = []
    for index, edge in enumerate(layout["edges"]):
        path = numbered[index][1] if numbered else paths.get(f"diagram-{edge['id']}")
        if path is not None:
            numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path)]
            first, last = (numbers[0], numbers[1]), (numbers[-2], numbers[-1])
            found.append((edge["from"], edge["to"], first, last))
    return found


def test_there_are_thirty_three_and_every_kind_is_among_them() -> None:
    assert len(GOLDEN) == 33 and set(SPECS) == set(KINDS)
    assert set(json.loads(FILE.read_text(encoding="utf-8"))) == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_label_is_where_it_was(name: str) -> None:
    """After a wanted change: look at the pictures, then run tests/agent_tools/golden_diagrams.py"""
    stored = json.loads(FILE.read_text(encoding="utf-8"))[name]
    found = outline(drawn(name))
    assert [label[0] for label in found["labels"]] == [label[0] for label in stored["labels"]]
    for mine, theirs in zip(
        [found["size"], *(label[1:] for label in found["labels"])],
        [stored["size"], *(label[1:] for label in stored["labels"])],
        strict=True,
    ):
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= 2, (mine, theirs)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_label_is_on_the_paper_apart_from_the_others_and_stands_out(name: str) -> None:
    drawing = drawn(name)
    x, y, width, height = svg.view_box(ElementTree.fromstring(drawing.svg))
    assert len(drawing.labels) >= 4
    for label in drawing.labels:
        left, top, right, bottom = label.box
        assert x < left < right < x + width and y < top < bottom < y + height, label
        assert label.contrast >= MIN_CONTRAST, label
    for one, other in combinations(drawing.labels, 2):
        assert overlap(one.box, other.box) <= 1.5, (one, other)


def test_the_check_sees_dates_that_overprint_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "_thin_dates", lambda root: None)
    labels = render(GOLDEN["three weeks"], scale=1).labels
    assert any(overlap(one.box, other.box) > 1.5 for one, other in combinations(labels, 2))


@pytest.mark.parametrize(
    ("name", "dates"),
    [
        ("three days", ["2026-09-01", "2026-09-02", "2026-09-03", "2026-09-04"]),
        ("three weeks", [f"2026-09-{day:02}" for day in range(1, 22, 4)]),
        ("one year", [f"2026-{month:02}-01" for month in range(1, 13, 2)] + ["2027-01-01"]),
    ],
)
def test_dates_are_thinned_evenly_and_none_is_written_twice(name: str, dates: list[str]) -> None:
    shown = [label for label in drawn(name).labels if re.fullmatch(r"[\d-]{10}", label.text)]
    assert [label.text for label in shown] == dates
    for one, other in pairwise(shown):
        assert other.box[0] - one.box[2] >= 8


def test_long_dates_of_every_day_are_thinned_too() -> None:
    every_day = "gantt\n  tickInterval 1day\n  axisFormat %A %d %B %Y\n"
    drawing = render(GOLDEN["three weeks"].replace("gantt\n", every_day), scale=1)
    assert any("September 2026" in label.text for label in drawing.labels)
    for one, other in combinations(drawing.labels, 2):
        assert overlap(one.box, other.box) <= 1.5, (one, other)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_two_boxes_overlap_and_every_line_ends_at_its_boxes(name: str) -> None:
    drawing = drawn(name)
    places = boxes(drawing)
    for (one, a), (other, b) in combinations(places.items(), 2):
        assert overlap(a, b) <= 0.5, (one, other)
    lines = ends(drawing)
    assert lines
    for start, end, first, last in lines:
        for node, point in ((start, first), (end, last)):
            if node in places:
                box = places[node]
                assert overlap(box, (*point, *point)) >= -REACH, (start, end, point, box)


def test_the_check_of_line_ends_sees_a_line_that_hangs_in_the_air() -> None:
    assert overlap((0, 0, 10, 10), (35, 5, 35, 5)) < -REACH


@pytest.mark.parametrize("name", GOLDEN)
def test_the_words_beside_the_picture_are_those_in_it(name: str) -> None:
    drawing = drawn(name)
    assert len(drawing.alt) <= 250 and drawing.alt.endswith((".", "…", "!", "?"))
    said = re.sub(r"\s", "", drawing.long_description)
    shown = re.sub(r"\s", "", "".join(label.text for label in drawing.labels))
    for word in drawing.words:
        assert re.sub(r"\s", "", word) in said + shown, word
        assert re.sub(r"\s", "", word) in shown, word


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
@pytest.mark.parametrize("name", ["decisions", "quadrant", "nested groups"])
def test_a_reader_of_pixels_reads_the_labels(name: str, tmp_path: Path) -> None:
    drawing = render(GOLDEN[name])
    x, y, _, _ = svg.view_box(ElementTree.fromstring(drawing.svg))
    upright = [label for label in drawing.labels if label.box[2] - label.box[0] > 30]
    right = 0
    for index, label in enumerate(upright):
        left, top, right_edge, bottom = label.box
        area = [(left - x - 4) * 2, (top - y - 4) * 2, (right_edge - x + 4) * 2,
                (bottom - y + 4) * 2]  # fmt: skip
        crop = drawing.image.crop(tuple(round(edge) for edge in area))
        file = tmp_path / f"{index}.png"
        crop.resize((crop.width * 2, crop.height * 2)).save(file)
        read = subprocess.run(
            ["tesseract", str(file), "-", "--psm", "7"], capture_output=True, text=True, check=True
        ).stdout
        right += _distance(read.strip(), label.text) <= 1
    assert right >= 0.8 * len(upright), (right, len(upright))


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]
