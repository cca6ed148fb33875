"""edit_diagram, validation, icons and backdrops through the studio."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from agent_tools import diagram_painting
from agent_tools.callers import acting_as
from agent_tools.diagrams import icons
from agent_tools.diagrams.errors import DiagramRefused, DiagramSyntaxError
from agent_tools.diagrams.legibility import MIN_CONTRAST, contrast
from agent_tools.diagrams.theme import LIGHT
from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.provenance import read_xmp
from agent_tools.replay import replay
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio

FLOW = "flowchart LR\n  cart[Cart] --> pay{Paid?}\n  pay -->|yes| ship[Ship it]\n  pay -->|no| cart"
GRAPH = {
    "nodes": [{"id": "bot", "label": "Chatbot", "group": "g"}, {"id": "kb", "label": "Knowledge"}],
    "edges": [{"source": "bot", "target": "kb", "label": "asks"}],
    "groups": [{"id": "g", "label": "Shop"}],
}


def pictures_in(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [e.get("href", "") for e in root.iter("{http://www.w3.org/2000/svg}image")]


async def test_only_what_was_named_changes_and_the_old_picture_stays(studio: Studio) -> None:
    first = await studio.call("draw_diagram", {"source": FLOW, "title": "Checkout", "svg": True})
    old = first.images[0].info.image_id
    patch = {
        "replace": [{"find": "ship[Ship it]", "put": "ship[Ship today]"}],
        "append": "  ship --> done([Done])",
    }
    second = await studio.call("edit_diagram", {"diagram_id": old, "patch": patch})
    new = studio.gallery.get(second.images[0].info.image_id)
    assert new.parent_id == old and new.title == "Checkout" and new.tool == "edit_diagram"
    assert "Ship today → Done" in second.data.long_description
    assert "Cart → Paid?" in second.data.long_description and "Ship it" not in second.text
    assert studio.gallery.get(old).long_description == first.data.long_description
    assert (await replay(studio, new.image_id)).same_bytes


async def test_a_graph_is_changed_by_its_nodes_and_edges(studio: Studio) -> None:
    first = await studio.call("draw_diagram", {"graph": GRAPH})
    patch = {
        "set_nodes": [{"id": "s3", "label": "Object store", "shape": "cylinder"}],
        "add_edges": [{"source": "kb", "target": "s3"}],
        "remove_groups": ["g"],
    }
    arguments = {"diagram_id": first.images[0].info.image_id, "patch": patch, "theme": "dark"}
    second = await studio.call("edit_diagram", arguments)
    said = second.data.long_description
    assert "Knowledge → Object store." in said and "Chatbot → Knowledge (asks)." in said
    assert "Group" not in said
    third = await studio.call(
        "edit_diagram",
        {"diagram_id": second.images[0].info.image_id, "patch": {"remove_nodes": ["bot"]}},
    )
    assert "Chatbot" not in third.data.long_description


@pytest.mark.parametrize(
    ("drawn", "patch", "says"),
    [
        ({"source": FLOW}, {"replace": [{"find": "ship[Shipit]"}]}, "Did you mean"),
        ({"source": FLOW}, {"replace": [{"find": "pay", "put": "x"}]}, "everywhere"),
        ({"source": FLOW}, {"add_edges": [{"source": "cart", "target": "pay"}]}, "replace"),
        ({"source": FLOW}, {"append": "  ship --> --> cart"}, "line"),
        ({"source": FLOW}, {}, "Nothing to change"),
        ({"graph": GRAPH}, {"append": "x"}, "set_nodes"),
        ({"graph": GRAPH}, {"remove_nodes": ["nobody"]}, "bot, kb"),
        ({"graph": GRAPH}, {"remove_nodes": ["bot", "kb"]}, "No node"),
        ({"graph": GRAPH}, {"remove_edges": [{"source": "kb", "target": "bot"}]}, "no edge"),
        ({"graph": GRAPH}, {"add_edges": [{"source": "kb", "target": "x"}]}, "'x'"),
    ],
)
async def test_a_change_that_cannot_be_made_says_why_and_changes_nothing(
    studio: Studio, drawn: dict[str, object], patch: dict[str, object], says: str
) -> None:
    first = await studio.call("draw_diagram", drawn)
    with pytest.raises(AgentToolsError) as caught:
        await studio.call(
            "edit_diagram", {"diagram_id": first.images[0].info.image_id, "patch": patch}
        )
    assert says.lower() in f"{caught.value} {caught.value.hint} {caught.value.data}".lower()
    assert caught.value.hint and len(studio.gallery.list()) == 1


async def test_a_broken_patch_is_told_to_edit_diagram(studio: Studio) -> None:
    first = await studio.call("draw_diagram", {"source": FLOW})
    for append in ("  ship --> --> cart", "  ship --> done([Done"):
        with pytest.raises(DiagramSyntaxError) as caught:
            await studio.call(
                "edit_diagram",
                {"diagram_id": first.images[0].info.image_id, "patch": {"append": append}},
            )
        assert "edit_diagram" in caught.value.hint and "draw_diagram" not in caught.value.hint
        assert "changed source" in str(caught.value)
        assert caught.value.data["text"] in caught.value.data["source"].split("\n")


@pytest.mark.parametrize(
    ("find", "near"),
    [
        ("ship[Shipit]", "'ship[Ship it]'"),
        ("ship[Ship this]", "'ship[Ship it]'"),
        ("pay{Payed?}", "'pay{Paid?}'"),
        ("refund", "nearest"),
    ],
)
async def test_a_text_that_is_not_there_comes_back_with_the_nearest_piece(
    studio: Studio, find: str, near: str
) -> None:
    line = "flowchart LR; cart[Cart] --> pay{Paid?}; pay -->|yes| ship[Ship it]; pay -->|no| cart"
    first = await studio.call("draw_diagram", {"source": line})
    with pytest.raises(DiagramRefused) as caught:
        await studio.call(
            "edit_diagram",
            {
                "diagram_id": first.images[0].info.image_id,
                "patch": {"replace": [{"find": find, "put": "x"}]},
            },
        )
    assert near in caught.value.hint


async def test_only_diagrams_can_be_edited(studio: Studio) -> None:
    photo = studio.gallery.add_upload(_png("#336699"), title="A photo")
    with pytest.raises(InvalidArguments, match="no diagram"):
        await studio.call("edit_diagram", {"diagram_id": photo.image_id, "title": "x"})


async def test_validation_describes_or_explains_and_keeps_nothing(studio: Studio) -> None:
    result = await studio.call("draw_diagram", {"source": FLOW, "validate_only": True})
    assert result.images == () and "valid" in result.text
    assert result.data.nodes == {"cart": "Cart", "pay": "Paid?", "ship": "Ship it"}
    with pytest.raises(DiagramSyntaxError) as caught:
        await studio.call("draw_diagram", {"source": "flowchart LR\n  a[x", "validate_only": True})
    assert caught.value.data["line"] == 2
    assert studio.gallery.list() == []


async def test_one_pixel_a_unit_is_half_the_size(studio: Studio) -> None:
    sizes = []
    for scale in (1, 2):
        drawn = await studio.call("draw_diagram", {"source": FLOW, "scale": scale, "svg": True})
        sizes.append(drawn.images[0].info.width)
        assert drawn.data.svg.startswith("<svg") and pictures_in(drawn.data.svg) == []
    assert abs(sizes[1] - 2 * sizes[0]) <= 2


async def test_icons_are_painted_once_in_one_style_and_replay_to_the_same_bytes(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    paint = diagram_painting.paint

    async def counting(studio, request, progress, *, label):
        asked.append(request.prompt)
        return await paint(studio, request, progress, label=label)

    monkeypatch.setattr(diagram_painting, "paint", counting)
    arguments = {"source": FLOW, "illustrate": "icons", "style": "watercolor", "svg": True}
    result = await studio.call("draw_diagram", arguments)
    assert len(asked) == 3 and all(prompt.startswith("watercolor icon of") for prompt in asked)
    hrefs = pictures_in(result.data.svg)
    assert len(hrefs) == 3 and all(href.startswith("data:image/png;base64,") for href in hrefs)
    picture = Image.open(io.BytesIO(base64.b64decode(hrefs[0].partition(",")[2])))
    assert picture.width == picture.height and picture.getpixel((0, 0))[3] == 0
    record = studio.gallery.get(result.images[0].info.image_id)
    assert record.recipe["painted"]["ship"].startswith("watercolor icon of Ship it")
    assert "compositeWithTrainedAlgorithmicMedia" in read_xmp(
        studio.gallery.read_bytes(record.image_id)
    )
    plain = await studio.call("draw_diagram", {"source": FLOW})
    assert result.data.long_description == plain.data.long_description, "the words stay exact"
    assert (await replay(studio, record.image_id)).same_bytes and len(asked) == 3, "from the cache"
    await studio.call("draw_diagram", {**arguments, "seed": 1})
    assert len(asked) == 6


async def test_a_gallery_picture_can_stand_in_a_node(studio: Studio) -> None:
    photo = studio.gallery.add_upload(_png("#cc2244"), title="A mug")
    pictures = {"bot": photo.image_id, "kb": "an open book"}
    arguments = {"graph": GRAPH, "illustrate": "icons", "pictures": pictures, "svg": True}
    result = await studio.call("draw_diagram", arguments)
    record = studio.gallery.get(result.images[0].info.image_id)
    assert [item["image_id"] for item in record.recipe["inputs"]] == [photo.image_id]
    shown = studio.gallery.open_image(record.image_id).convert("RGB")
    colors = {color: count for count, color in shown.getcolors(1 << 24)}
    assert colors.get((204, 34, 68), 0) > 5000, "152 x 152 pixels of the photo"


async def test_a_callers_own_picture_can_stand_in_a_node(studio: Studio) -> None:
    """Its id is longer, and once was taken for words to paint."""
    with acting_as("ann"):
        photo = studio.gallery.add_upload(_png("#cc2244"), title="A mug")
        pictures = {"cart": photo.image_id}
        arguments = {"source": "flowchart LR\n  cart", "illustrate": "icons", "pictures": pictures}
        result = await studio.call("draw_diagram", arguments)
        record = studio.gallery.get(result.images[0].info.image_id)
    assert [item["image_id"] for item in record.recipe["inputs"]] == [photo.image_id]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"illustrate": "icons", "pictures": {"nobody": "a mug"}}, "nobody"),
        ({"pictures": {"cart": "a mug"}}, "icons"),
        ({"illustrate": "icons", "source": 'pie\n  "a" : 1'}, "flowchart"),
        ({"illustrate": "icons", "pictures": {"cart": "img_" + "0" * 24}}, "no image"),
        ({"illustrate": "icons", "source": "flowchart LR\n" + "\n".join(
            f"  a{i}[Step {i}] --> a{i + 1}[Step {i + 1}]" for i in range(30))}, "24"),
    ],
)  # fmt: skip
async def test_what_cannot_be_illustrated_is_refused_before_painting(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], says: str
) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("painted")

    monkeypatch.setattr(diagram_painting, "paint", never)
    with pytest.raises(AgentToolsError) as caught:
        await studio.call("draw_diagram", {"source": FLOW, **arguments})
    assert says in f"{caught.value} {caught.value.hint}" and caught.value.hint


def _png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), color).save(buffer, "PNG")
    return buffer.getvalue()


def _noise(seed: int) -> bytes:
    import numpy as np

    pixels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((700, 500)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_loud_backdrop_every_label_can_still_be_read(theme) -> None:
    from agent_tools.diagrams.illustrate import Illustration
    from agent_tools.diagrams.render import render

    drawing = render(
        FLOW, title="Checkout", theme=theme, scale=1,
        illustration=Illustration(icons=True, backdrop=_noise(3)),
    )  # fmt: skip
    assert {"Checkout", "Cart", "yes"} <= {label.text for label in drawing.labels}
    assert min(label.contrast for label in drawing.labels) >= MIN_CONTRAST
    assert len(pictures_in(drawing.svg)) == 1
    assert len(drawing.image.crop((0, 0, drawing.image.width, 8)).getcolors(1 << 16)) > 50


def test_without_the_scrim_the_same_backdrop_would_fail() -> None:
    from agent_tools.diagrams import illustrate

    with Image.open(io.BytesIO(_noise(3))) as raw:
        assert not illustrate._lines_stand_out(raw.convert("RGB"), LIGHT)
    assert contrast(LIGHT.ink, "#202020") < MIN_CONTRAST


def test_drawn_icons_sit_inside_their_boxes_above_the_words(tmp_path: Path) -> None:
    from agent_tools.diagrams.illustrate import Illustration
    from agent_tools.diagrams.render import render

    drawing = render(FLOW, illustration=Illustration(icons=True))
    plain = render(FLOW)
    assert [label.text for label in drawing.labels] == [label.text for label in plain.labels]
    for name in (icons.icon_for("Paid?"), icons.icon_for("Cart"), icons.icon_for("Ship it")):
        assert icons.ICONS[name] in drawing.svg
    assert "\ue000" not in drawing.svg + drawing.source + drawing.long_description
    assert re.search(r"Cart → Paid\?", drawing.long_description)


@pytest.mark.parametrize(
    ("label", "icon"),
    [
        ("Offer store credit", "card"), ("Gift voucher", "card"), ("Our store", "shop"),
        ("Open the online store", "shop"), ("Store hours", "shop"), ("Store the session", "disk"),
        ("Object store", "disk"), ("Vector store", "database"), ("Check credentials", "key"),
    ],
)  # fmt: skip
def test_a_store_that_sells_is_not_one_that_keeps(label: str, icon: str) -> None:
    assert icons.icon_for(label) == icon


@pytest.mark.parametrize(
    "label", ['"quoted"', "**stars** _under_", "<b>bold</b>", "a & b; #35;", "{x} [y] (z)", "`c`"]
)
def test_a_label_means_the_same_with_an_icon_above_it(label: str) -> None:
    from agent_tools.diagrams.graph import Graph, to_mermaid
    from agent_tools.diagrams.illustrate import Illustration
    from agent_tools.diagrams.render import render

    text = to_mermaid(Graph.model_validate({"nodes": [{"id": "a", "label": label}]}))
    drawing = render(text, scale=1, illustration=Illustration(icons=True))
    shown = "".join(found.text for found in drawing.labels)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", label)


def test_a_picture_for_no_node_is_refused_by_the_renderer_too() -> None:
    from agent_tools.diagrams.illustrate import Illustration
    from agent_tools.diagrams.render import render

    with pytest.raises(DiagramRefused, match="nobody"):
        render(FLOW, illustration=Illustration(icons=True, pictures={"nobody": b""}))
