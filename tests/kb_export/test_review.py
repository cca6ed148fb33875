"""Before export: what a caption says is compared with what its picture shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest
from kb_pictures import new_picture, rewrite
from PIL import Image, ImageDraw

from agent_tools.caption_checks import ColorCheck, named_colors
from agent_tools.diagram_painting import Art
from agent_tools.errors import NotFound
from agent_tools.gallery import Gallery
from agent_tools.image_record import ImageRecord, NewImage
from agent_tools.knowledge import Knowledge
from agent_tools.pictures import encode_png
from agent_tools.settings import Settings
from agent_tools.tools.draw_diagram import DrawDiagramArguments, _new_image
from kb_export.record import KBRecord
from kb_export.targets import open_target

RED, BLUE = "#C8202B", "#2B63D9"


def product(color: str, side: int = 160) -> Image.Image:
    """Return a shaded disc of a color on a light background."""
    image = Image.new("RGB", (side, side), "#E9E7E2")
    draw = ImageDraw.Draw(image)
    channels = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    for step in range(12):
        shade = tuple(int(c * (0.75 + 0.025 * step)) for c in channels)
        inset = side // 5 + step * 3
        draw.ellipse((inset, inset, side - inset, side - inset), fill=shade)
    return image


def pictured(color: str, caption: str, **values: Any) -> NewImage:
    # Painted by a model whose words nobody here knows: only the color is judged.
    words = {"title": "", "model": "another", "caption": caption, "alt": caption, **values}
    made = new_picture(caption, **words)
    image = product(color)
    return NewImage(
        **{name: getattr(made, name) for name in made.__slots__}
        | {"data": encode_png(image), "width": image.width, "height": image.height}
    )


@pytest.fixture
def knowledge(gallery: Gallery, tmp_path: Path) -> Knowledge:
    return Knowledge(gallery, Settings(data=gallery.data_dir, kb=f"folder:{tmp_path / 'kb'}"))


def exported(gallery: Gallery) -> dict[str, KBRecord]:
    rows = gallery.connection.execute("SELECT image_id, record FROM kb_exported").fetchall()
    return {row[0]: KBRecord.from_json(row[1]) for row in rows}


def keep(gallery: Gallery, image: NewImage) -> ImageRecord:
    return gallery.add([image])[0]


def test_a_variant_that_shows_its_color_is_exported_as_verified(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    right = keep(gallery, pictured(RED, "A mug.", metadata={"color": "red", "color_hex": RED}))
    outcome = knowledge.export()
    assert (outcome.put, outcome.failed, outcome.flagged) == ((right.image_id,), (), ())
    record = exported(gallery)[right.image_id]
    assert (record.caption_verified, record.caption_checker) == ("color", "color check")
    assert record.caption_score is not None and record.caption_score > 0.9


def test_a_variant_of_another_color_than_it_says_is_set_aside_with_the_reason(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    wrong = keep(gallery, pictured(BLUE, "A mug.", metadata={"color": "red", "color_hex": RED}))
    right = keep(gallery, pictured(RED, "A pot.", metadata={"color": "red", "color_hex": RED}))
    outcome = knowledge.export()
    assert outcome.put == (right.image_id,)
    ((failed, reason),) = outcome.failed
    assert failed == wrong.image_id
    assert RED in reason and "kb approve" in reason
    target = knowledge.default_target
    assert open_target(target).list_ids() == {exported(gallery)[right.image_id].record_id}
    assert knowledge.status().targets[0].failed == outcome.failed


def test_what_a_person_approved_is_exported_until_its_words_change(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    wrong = keep(gallery, pictured(BLUE, "A mug.", metadata={"color": "red", "color_hex": RED}))
    assert knowledge.export().failed
    knowledge.approve([wrong.image_id])
    assert knowledge.export().put == (wrong.image_id,)
    assert exported(gallery)[wrong.image_id].caption_verified == "human"
    assert knowledge.export().put == ()
    rewrite(gallery, wrong.image_id, caption="Another mug.")
    assert [image_id for image_id, _ in knowledge.export().failed] == [wrong.image_id]


def test_approving_an_unknown_picture_approves_none(gallery: Gallery, knowledge: Knowledge) -> None:
    known = keep(gallery, pictured(BLUE, "A mug.", metadata={"color_hex": RED}))
    with pytest.raises(NotFound):
        knowledge.approve([known.image_id, "img_nobody"])
    assert knowledge.export().failed


def test_a_color_word_the_picture_does_not_show_is_flagged_and_says_so_everywhere(
    gallery: Gallery, knowledge: Knowledge, tmp_path: Path
) -> None:
    doubtful = keep(gallery, pictured(RED, "A green mug on a table."))
    sure = keep(gallery, pictured(BLUE, "A blue mug on a white background."))
    outcome = knowledge.export()
    assert set(outcome.put) == {doubtful.image_id, sure.image_id}
    ((image_id, doubt),) = outcome.flagged
    assert image_id == doubtful.image_id and "green" in doubt
    records = exported(gallery)
    assert records[doubtful.image_id].caption_verified == "none"
    assert records[sure.image_id].caption_verified == "color"
    pages = [path.read_text() for path in (tmp_path / "kb" / "docs").rglob("*.md")]
    assert sum("doubtful: The caption says green" in page for page in pages) == 1


def test_exporting_again_neither_checks_nor_puts(
    gallery: Gallery, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(gallery, pictured(RED, "A red mug."))
    keep(gallery, pictured(BLUE, "A green mug."))
    knowledge.export()
    monkeypatch.setattr(ColorCheck, "check", None)
    again = knowledge.export()
    assert (again.put, again.failed, again.unchanged) == ((), (), 2)


def test_a_color_that_is_none_is_set_aside_with_that_reason(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    keep(gallery, pictured(RED, "A mug.", metadata={"color_hex": "javascript"}))
    ((_, reason),) = knowledge.export().failed
    assert "'javascript' is not known" in reason


def test_retrying_gives_what_was_set_aside_another_chance(
    gallery: Gallery, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = keep(gallery, pictured(BLUE, "A mug.", metadata={"color_hex": RED}))
    knowledge.export()
    assert knowledge.retry().failed
    monkeypatch.setattr("agent_tools.caption_checks.SAME_COLOR_DELTA_E", 200)
    assert knowledge.retry(image_ids=[wrong.image_id]).put == (wrong.image_id,)
    assert knowledge.retry().put == ()


def test_a_picture_with_too_many_facts_is_reported_and_stops_no_other(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    many = keep(gallery, pictured(RED, "A mug.", metadata={f"fact{n}": n for n in range(9)}))
    fine = keep(gallery, pictured(BLUE, "A cup."))
    outcome = knowledge.export()
    assert outcome.put == (fine.image_id,)
    assert [image_id for image_id, _ in outcome.failed] == [many.image_id]
    assert "too many" in outcome.failed[0][1]


def diagram(source: str, **changes: Any) -> NewImage:
    from agent_tools.diagrams.worker import draw

    asked = DrawDiagramArguments(source=source, title="Checkout")
    no_studio = cast(Any, None)  # nothing is painted
    made = _new_image(no_studio, asked, draw(source, title="Checkout"), Art(), None)
    values = {name: getattr(made, name) for name in made.__slots__}
    return NewImage(**{**values, **changes})


FLOW = "flowchart LR\n  cart[Cart] --> pay{Paid?}\n  pay -->|yes| ship[Ship]"


def test_a_diagram_is_drawn_again_and_must_give_the_same_pixels_and_words(
    gallery: Gallery, knowledge: Knowledge
) -> None:
    true = keep(gallery, diagram(FLOW))
    painted_over = Image.new("RGB", (60, 40), "white")
    other = keep(gallery, diagram(FLOW, data=encode_png(painted_over), width=60, height=40))
    outcome = knowledge.export()
    assert outcome.put == (true.image_id,)
    record = exported(gallery)[true.image_id]
    assert (record.caption_verified, record.caption_score) == ("graph", 1.0)
    assert "Cart → Paid?" in record.long_description.split("\n")
    assert outcome.failed == ((other.image_id, outcome.failed[0][1]),)
    assert "not what its graph draws" in outcome.failed[0][1]
    with gallery.transaction() as connection:
        connection.execute(
            "UPDATE images SET long_description = 'Cart → Ship.' WHERE image_id = ?",
            (true.image_id,),
        )
    assert "something else than its graph" in knowledge.export([true.image_id]).failed[0][1]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A red mug and a sky blue cup", ["red", "sky blue"]),
        ("A mug on a white background", []),
        ("A red mug, not blue, instead of green", ["red"]),
        ("Wine, sand and stone", []),
        ("A covered wagon", []),
    ],
)
def test_colors_are_read_from_captions(text: str, names: list[str]) -> None:
    assert [color.name for color in named_colors(text)] == names


def test_importing_the_checks_loads_no_model_library() -> None:
    import subprocess

    code = "import agent_tools.caption_checks, kb_export.vision, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
