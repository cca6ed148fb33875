"""create_product_variants, through the studio on the shipped model and the shipped photo."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import agent_tools
from agent_tools.color import parse_color
from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound, Refused
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.personas import PersonaStore
from agent_tools.pictures import encode_png
from agent_tools.provenance import read_xmp
from agent_tools.recolor import color_difference
from agent_tools.replay import replay
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from engine import LocalEngine

pytestmark = pytest.mark.anyio
TOOL = "create_product_variants"
ASSETS = Path(agent_tools.__file__).parent / "assets"
TEAPOT = {"product": "glossy teapot", "scene": "white background", "seed": 7, "steps": 6}


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    shared = LocalEngine("starter", threads=1)
    yield shared
    asyncio.run(shared.close())


@pytest.fixture
def studio(tmp_path: Path, engine: LocalEngine) -> Iterator[Studio]:
    settings = Settings(data=tmp_path / "data", threads=1)
    gallery = Gallery(settings.data)
    knowledge = Knowledge(gallery, settings)
    yield Studio(settings, engine, gallery, PersonaStore(gallery), knowledge)
    knowledge.close()
    gallery.close()


@pytest.fixture
def photo(studio: Studio) -> dict[str, str]:
    ids = {}
    for name, file, kind in (
        ("image_id", "coffee-cup.png", "upload"),
        ("mask_id", "coffee-cup-mask.png", "mask"),
    ):
        image = Image.open(ASSETS / file)
        ids[name] = studio.gallery.add_upload(encode_png(image), kind=kind).image_id
    return ids


def upload(studio: Studio, image: Image.Image, kind: str = "mask") -> str:
    return studio.gallery.add_upload(encode_png(image), kind=kind).image_id


def opened(studio: Studio, image_id: str) -> np.ndarray:
    return np.asarray(studio.gallery.open_image(image_id).convert("RGB")).astype(int)


def silhouette(picture: np.ndarray) -> np.ndarray:
    """Return where a picture on white is clearly not white."""
    return picture.min(axis=-1) < 190


def variants_of(result: ToolResult) -> list:
    return result.data.variants


async def test_colors_from_words_share_shape_and_view_and_are_exact(studio: Studio) -> None:
    colors = ["purple", "#1f3a5f", "dusty rose", "teal"]
    result = await studio.call(TOOL, {**TEAPOT, "colors": colors})

    made = variants_of(result)
    pictures = [opened(studio, variant.image.image_id) for variant in made]
    outlines = [silhouette(picture) for picture in pictures]
    for outline in outlines[1:]:
        assert (outline & outlines[0]).sum() / (outline | outlines[0]).sum() > 0.85
    assert {variant.image.seed for variant in made} == {7}
    for variant in made:
        assert variant.measurements.achieved_delta_e < 2
        assert variant.measurements.painted_delta_e < 30
    corrected = [variant for variant in made if "then" in variant.measurements.method]
    assert any(variant.color == "dusty rose" for variant in corrected)
    assert all(variant.measurements.outside_max_change == 0 for variant in corrected)


async def test_the_measured_color_is_in_the_picture_and_not_another_variants(
    studio: Studio,
) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "colors": ["purple", "orange"]})
    pictures = [studio.gallery.open_image(v.image.image_id) for v in variants_of(result)]
    body = Image.new("L", pictures[0].size, 0)
    body.paste(255, (100, 130, 160, 180))
    for picture, own, other in zip(
        pictures, ("purple", "orange"), ("orange", "purple"), strict=True
    ):
        assert color_difference(picture, body, parse_color(own)) < 12
        assert color_difference(picture, body, parse_color(other)) > 40


async def test_a_pale_product_borrows_the_outline_of_its_dark_twin(studio: Studio) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "colors": ["beige"]})
    measured = variants_of(result)[0].measurements
    assert measured is not None and measured.achieved_delta_e < 2
    assert 0.1 < measured.mask_area < 0.5
    assert [record.kind for record in studio.gallery.list()] == ["sheet", "product"]


async def test_the_sheet_comes_first_and_shows_every_color(studio: Studio) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "colors": ["red", "blue", "green"]})
    sheet = studio.gallery.get(result.images[0].info.image_id)
    assert sheet.kind == "sheet"
    assert sheet.image_id == result.data.sheet.image_id
    assert [image.info.image_id for image in result.images[1:]] == [
        variant.image.image_id for variant in variants_of(result)
    ]
    seen = {tuple(pixel) for pixel in opened(studio, sheet.image_id).reshape(-1, 3)}
    assert {parse_color(name).rgb for name in ("red", "blue", "green")} <= seen
    alone = await studio.call(TOOL, {**TEAPOT, "colors": ["red"]})
    assert [studio.gallery.get(image.info.image_id).kind for image in alone.images] == [
        "product",
        "sheet",
    ]


async def test_the_text_is_complete_alone(studio: Studio) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "colors": ["red", "navy"]})
    for variant in variants_of(result):
        assert variant.image.image_id in result.text
        assert variant.color_hex in result.text
    assert "seed 7" in result.text and result.data.sheet.image_id in result.text


async def test_every_variant_can_be_made_again_byte_for_byte(studio: Studio) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "colors": ["purple", "beige"]})
    for image in result.images:
        again = await replay(studio, image.info.image_id)
        assert again.same_bytes, again.reasons


async def test_progress_only_grows_and_ends_at_one(studio: Studio) -> None:
    seen: list[ProgressEvent] = []

    async def note(event: ProgressEvent) -> None:
        seen.append(event)

    await studio.call(TOOL, {**TEAPOT, "colors": ["beige", "white", "red"]}, note)
    done = [event.done for event in seen]
    assert done == sorted(done) and done[-1] == pytest.approx(1.0)


async def test_words_the_model_does_not_know_are_said(studio: Studio) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "product": "velvet teapot", "colors": ["red"]})
    assert any("velvet" in warning for warning in result.data.warnings)
    assert "velvet" in result.text


async def test_a_color_asked_for_twice_is_made_once(studio: Studio) -> None:
    result = await studio.call(TOOL, {**TEAPOT, "colors": ["navy", "NAVY", "#1D2A57"]})
    assert len(variants_of(result)) == 1
    assert any("same color" in warning for warning in result.data.warnings)


async def test_a_photo_changes_only_under_its_mask(studio: Studio, photo: dict[str, str]) -> None:
    colors = ["sage", "#1f3a5f", "yellow"]
    result = await studio.call(TOOL, {**photo, "colors": colors})
    outside = np.asarray(Image.open(ASSETS / "coffee-cup-mask.png").convert("L")) == 0
    before = opened(studio, photo["image_id"])
    for variant in variants_of(result):
        after = opened(studio, variant.image.image_id)
        assert np.array_equal(after[outside], before[outside])
        assert not np.array_equal(after, before)
        assert variant.measurements.outside_max_change == 0
        assert variant.measurements.achieved_delta_e < 2
    assert result.data.mask == "mask"


async def test_a_variant_knows_its_photo_and_its_mark_says_how_it_was_made(
    studio: Studio, photo: dict[str, str]
) -> None:
    result = await studio.call(TOOL, {**photo, "colors": ["sage"]})
    record = studio.gallery.get(result.images[0].info.image_id)
    assert record.parent_id == photo["image_id"]
    assert record.metadata["color_hex"] == "#9CAF88"
    looked = await studio.call("get_image", {"image_id": record.image_id})
    assert looked.data.variants_of == photo["image_id"]
    source = await studio.call("get_image", {"image_id": photo["image_id"]})
    assert source.data.variants == [record.image_id] and record.image_id in source.text
    assert "gray-green" in record.use_when
    xmp = read_xmp(studio.gallery.read_bytes(record.image_id))
    assert "algorithmicallyEnhanced" in xmp and "trainedAlgorithmicMedia" not in xmp
    again = await replay(studio, record.image_id)
    assert again.same_bytes


async def test_a_cut_out_product_needs_no_mask(studio: Studio) -> None:
    cut = Image.open(ASSETS / "coffee-cup.png").convert("RGBA")
    cut.putalpha(Image.open(ASSETS / "coffee-cup-mask.png").convert("L"))
    image_id = upload(studio, cut, "upload")
    result = await studio.call(TOOL, {"image_id": image_id, "colors": ["teal"]})
    assert result.data.mask == "alpha"
    stored = studio.gallery.open_image(result.images[0].info.image_id)
    assert stored.getchannel("A").tobytes() == cut.getchannel("A").tobytes()


async def test_a_busy_photo_without_a_mask_is_refused_with_what_to_send(
    studio: Studio, photo: dict[str, str]
) -> None:
    with pytest.raises(Refused) as caught:
        await studio.call(TOOL, {"image_id": photo["image_id"], "colors": ["sage"]})
    assert "mask_id" in caught.value.hint and "point" in caught.value.hint
    candidate = studio.gallery.get(caught.value.data["candidate_mask_id"])
    assert candidate.kind == "mask" and candidate.image_id in caught.value.hint
    source = studio.gallery.get(photo["image_id"])
    assert (candidate.width, candidate.height) == (source.width, source.height)
    assert [record.kind for record in studio.gallery.list()] == ["mask", "mask", "upload"]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (Image.new("L", (64, 64), 255), "64x64"),
        (Image.new("L", (600, 400), 0), "empty"),
        (Image.new("L", (600, 400), 255), "whole picture"),
    ],
    ids=["other size", "empty", "full"],
)
async def test_a_wrong_mask_is_refused_and_nothing_is_kept(
    studio: Studio, photo: dict[str, str], mask: Image.Image, words: str
) -> None:
    mask_id = upload(studio, mask)
    kept = len(studio.gallery.list())
    with pytest.raises(InvalidArguments, match=words):
        await studio.call(TOOL, {**photo, "mask_id": mask_id, "colors": ["sage"]})
    assert len(studio.gallery.list()) == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"colors": ["red"]}, "either product"),
        ({"product": "mug", "image_id": "img_1", "colors": ["red"]}, "do not go together"),
        ({"image_id": "img_1", "seed": 3, "colors": ["red"]}, "seed cannot be used"),
        ({"image_id": "img_1", "count": 2, "colors": ["red"]}, "count cannot be used"),
        ({"image_id": "img_1", "scene": "a beach", "mode": "exact"}, "cannot be made exactly"),
        ({"image_id": "img_1", "colors": ["red"], "mask_id": "m", "point": [1, 2]}, "together"),
        ({"image_id": "img_1", "colors": ["red"], "regions": [{}]}, "says nothing"),
        ({"image_id": "img_1", "colors": ["red"], "regions": [{"point": [1, 2]}] * 2}, "2 regions"),
        (
            {
                "image_id": "img_1",
                "point": [1, 2],
                "regions": [{"point": [1, 2]}],
                "colors": ["red"],
            },
            "does not go together",
        ),
        ({"image_id": "img_1", "variants": [{"colors": ["red", "blue"]}]}, "2 colors for 1 region"),
        ({"image_id": "img_1", "variants": [{"color": "red", "colors": ["blue"]}]}, "both color"),
        ({"image_id": "img_1"}, "No variant"),
        ({"product": "mug", "variants": [{"sku": "M-7"}]}, "nothing about its look"),
        ({"product": "mug", "colors": ["red", "blue", "green"], "count": 4}, "12 pictures"),
        ({"product": "mug", "point": [3, 4], "colors": ["red"]}, "needs image_id"),
        ({"product": "mug", "anchor": "albedo", "colors": ["red"]}, "needs image_id"),
        ({"product": "mug", "variants": [{"colors": ["red", "blue"]}]}, "Several colors"),
        ({"product": "mug", "variants": [{"color": "red", "facts": {"color": "x"}}]}, "'color'"),
        (
            {"product": "mug", "variants": [{"color": "red", "facts": dict.fromkeys("abcd", 1)}]},
            "6 facts",
        ),
        ({"product": "mug", "mask_id": "img_1", "colors": ["red"]}, "needs image_id"),
        ({"product": "mug", "colors": []}, "No variant"),
        ({"product": "mug", "colors": ["red"] * 9}, "colors"),
        ({"product": "  ", "colors": ["red"]}, "product"),
        ({"product": "mug", "colors": ["red"], "angle": "top"}, "angle"),
    ],
)
async def test_arguments_that_contradict_each_other_are_named(
    studio: Studio, arguments: dict, words: str
) -> None:
    with pytest.raises(InvalidArguments, match=words):
        await studio.call(TOOL, arguments)
    assert studio.gallery.list() == []


async def test_an_unknown_color_names_its_neighbors_before_anything_is_painted(
    studio: Studio,
) -> None:
    with pytest.raises(InvalidArguments) as caught:
        await studio.call(TOOL, {**TEAPOT, "colors": ["red", "turqoise"]})
    assert "turquoise" in caught.value.hint
    assert studio.gallery.list() == []


async def test_an_unknown_picture_is_named(studio: Studio) -> None:
    with pytest.raises(NotFound, match="img_000000000000000000000000"):
        await studio.call(TOOL, {"image_id": "img_000000000000000000000000", "colors": ["red"]})


async def test_what_must_not_be_painted_is_refused(studio: Studio) -> None:
    with pytest.raises(AgentToolsError, match="real people"):
        await studio.call(TOOL, {"product": "Taylor Swift figurine", "colors": ["red"]})


async def test_a_noisy_picture_becomes_a_jpeg_too(studio: Studio) -> None:
    """Pillow's optimizer has no room for pure noise."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    mask = np.zeros((200, 300), np.uint8)
    mask[50:60, 50:60] = 255
    ids = {
        "image_id": upload(studio, Image.fromarray(noise), "upload"),
        "mask_id": upload(studio, Image.fromarray(mask)),
    }
    result = await studio.call(TOOL, {**ids, "colors": ["red"], "format": "jpeg"})
    made = opened(studio, variants_of(result)[0].image.image_id)
    assert made.shape == noise.shape and np.abs(made - noise.astype(int)).mean() < 10


async def test_a_picture_too_long_for_webp_is_refused_with_what_does(studio: Studio) -> None:
    mask = Image.new("L", (17000, 20))
    mask.paste(255, (5, 5, 15, 15))
    ids = {
        "image_id": upload(studio, Image.new("RGB", (17000, 20), "teal"), "upload"),
        "mask_id": upload(studio, mask),
        "colors": ["red"],
    }
    with pytest.raises(InvalidArguments, match="16383") as refused:
        await studio.call(TOOL, {**ids, "format": "webp"})
    assert "png" in (refused.value.hint or "")
    assert variants_of(await studio.call(TOOL, {**ids, "format": "png"}))
