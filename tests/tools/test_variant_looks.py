"""create_product_variants beyond one color: regions, materials, scenes, price lists, files.

The painter is a tiny model with random weights: what it paints is noise, but which bytes stay, what
is measured and what is kept are the real thing.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from painting_helpers import upload
from PIL import Image

from agent_tools.color import parse_color
from agent_tools.errors import AgentToolsError, InvalidArguments, Refused
from agent_tools.kb_records import Records
from agent_tools.picture_variants import JPEG_NOTE
from agent_tools.provenance import read_xmp
from agent_tools.recolor import color_difference
from agent_tools.recolor_checks import outside_max_change
from agent_tools.replay import replay
from agent_tools.studio import Studio
from benchmarks.rendered_truth import mug, sneaker

pytestmark = pytest.mark.anyio
TOOL = "create_product_variants"
SHOE = sneaker("#B3201C", 288)
MUG = mug("#B3201C", 128)
SEEDED = {"steps": 2, "seed": 5}


def opened(studio: Studio, variant: Any) -> Image.Image:
    return studio.gallery.open_image(variant.image.image_id)


def outside(mask: Image.Image) -> np.ndarray:
    return np.asarray(mask) == 0


async def test_two_masks_take_two_colors_in_one_call(studio: Studio) -> None:
    source = upload(studio, SHOE.image)
    masks = [upload(studio, mask, "mask") for mask in (SHOE.body_mask, SHOE.print_mask)]
    result = await studio.call(
        TOOL,
        {
            "image_id": source,
            "regions": [{"mask_id": mask} for mask in masks],
            "variants": [{"colors": ["teal", "navy"]}, {"colors": ["#36383D", "crimson"]}],
        },
    )
    truth = sneaker(parse_color("teal").hex, 288, sole=parse_color("navy").hex)
    first, second = result.data.variants
    made = opened(studio, first)
    assert outside_max_change(SHOE.image, made, SHOE.mask) == 0
    inside = np.asarray(SHOE.mask) == 255
    gap = np.abs(np.asarray(made).astype(int) - np.asarray(truth.image))[inside].mean()
    assert gap < 8
    assert [m.target for m in first.region_measurements] == [
        parse_color(name).hex for name in ("teal", "navy")
    ]
    assert all(m.achieved_delta_e < 2 for v in (first, second) for m in v.region_measurements)
    assert {m.outside_max_change for m in first.region_measurements} == {0}
    assert [mask.source for mask in result.data.masks] == ["mask", "mask"]
    record = studio.gallery.get(first.image.image_id)
    assert record.metadata["color"] == "teal and navy"
    assert (await replay(studio, record.image_id)).same_bytes


async def test_masks_found_by_color_and_point_are_kept_and_can_be_used_again(
    studio: Studio,
) -> None:
    source = upload(studio, SHOE.image)
    asked = {"image_id": source, "from_color": "#B3201C", "colors": ["sage"]}
    found = await studio.call(TOOL, asked)
    (mask,) = found.data.masks
    assert mask.source == "color" and mask.mask_id in found.text
    assert studio.gallery.get(mask.mask_id).kind == "mask"
    again = await studio.call(
        TOOL, {"image_id": source, "mask_id": mask.mask_id, "colors": ["sage"]}
    )
    assert again.data.variants[0].image.image_id == found.data.variants[0].image.image_id
    by_point = await studio.call(TOOL, {"image_id": source, "point": [60, 165], "colors": ["sage"]})
    assert by_point.data.mask == "point"


async def test_regions_that_are_the_same_are_refused(studio: Studio) -> None:
    source = upload(studio, SHOE.image)
    with pytest.raises(InvalidArguments, match="Region 2 lies in"):
        await studio.call(
            TOOL,
            {
                "image_id": source,
                "regions": [{"from_color": "#B3201C"}, {"from_color": "#B0201C"}],
                "variants": [{"colors": ["teal", "navy"]}],
            },
        )


async def test_a_material_is_painted_inside_the_mask_only_and_gets_the_exact_color(
    studio: Studio,
) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    result = await studio.call(
        TOOL,
        {
            "image_id": source,
            "mask_id": mask,
            "product": "mug",
            "variants": [{"material": "walnut", "color": "teal"}, {"style": "watercolor"}],
            **SEEDED,
        },
    )
    for variant in result.data.variants:
        made = opened(studio, variant)
        assert outside_max_change(MUG.image, made, MUG.mask) == 0
        assert np.asarray(made)[np.asarray(MUG.mask) == 255].std() > 0
        assert 0 <= variant.alike <= 1
    walnut = result.data.variants[0]
    assert walnut.measurements.outside_max_change == 0
    assert walnut.measurements.painted_delta_e is not None
    assert walnut.measurements.achieved_delta_e < 5
    corrected = color_difference(opened(studio, walnut), MUG.mask, parse_color("teal"))
    assert corrected <= walnut.measurements.painted_delta_e
    record = studio.gallery.get(walnut.image.image_id)
    assert "compositeWithTrainedAlgorithmicMedia" in read_xmp(record.path.read_bytes())
    assert record.parent_id == source
    assert (await replay(studio, record.image_id)).same_bytes


async def test_a_scene_is_painted_around_the_product_whose_bytes_stay(studio: Studio) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    result = await studio.call(
        TOOL,
        {"image_id": source, "mask_id": mask, "scene": "on a beach", "product": "mug", **SEEDED},
    )
    made = np.asarray(opened(studio, result.data.variants[0]))
    product = np.asarray(MUG.mask) >= 128
    assert np.array_equal(made[product], np.asarray(MUG.image)[product])
    assert (made[outside(MUG.mask)] != np.asarray(MUG.image)[outside(MUG.mask)]).mean() > 0.5


async def test_count_gives_each_painted_look_several_seeds(studio: Studio) -> None:
    result = await studio.call(
        TOOL, {"product": "mug", "variants": [{"material": "steel"}], "count": 3, **SEEDED}
    )
    assert [variant.image.seed for variant in result.data.variants] == [5, 6, 7]
    assert len({variant.image.image_id for variant in result.data.variants}) == 3
    assert all(variant.measurements is None for variant in result.data.variants)


async def test_looks_painted_from_words_say_how_alike_they_are(studio: Studio) -> None:
    result = await studio.call(
        TOOL, {"product": "mug", "colors": ["red", "blue"], "scene": "studio", **SEEDED}
    )
    first, second = result.data.variants
    assert first.alike is None and 0 <= second.alike <= 1
    assert f"structure {second.alike:.2f} alike" in result.text


async def test_sku_and_price_travel_to_the_knowledge_base(studio: Studio) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    result = await studio.call(
        TOOL,
        {
            "image_id": source,
            "mask_id": mask,
            "variants": [{"color": "sage", "sku": "M-7", "facts": {"Price": "12.90 EUR"}}],
        },
    )
    variant = result.data.variants[0]
    assert variant.sku == "M-7" and "[M-7]" in result.text
    record = studio.gallery.get(variant.image.image_id)
    facts = Records(studio.gallery, studio.settings).of(record).facts
    assert facts["sku"] == "M-7" and facts["price"] == "12.90 EUR"
    assert facts["color_hex"] == "#9CAF88"


async def test_a_jpeg_says_that_exactness_ends_and_measures_it(studio: Studio) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    asked = {"image_id": source, "mask_id": mask, "colors": ["sage"]}
    jpeg, webp = [
        (await studio.call(TOOL, {**asked, "format": name})).data.variants[0]
        for name in ("jpeg", "webp")
    ]
    record = studio.gallery.get(jpeg.image.image_id)
    assert record.media_type == "image/jpeg" and JPEG_NOTE in record.notes
    written = Image.open(io.BytesIO(record.path.read_bytes()))
    assert written.format == "JPEG"
    assert jpeg.measurements.outside_max_change == outside_max_change(MUG.image, written, MUG.mask)
    assert jpeg.measurements.outside_max_change > 0
    assert "algorithmicallyEnhanced" in read_xmp(record.path.read_bytes())
    assert outside_max_change(MUG.image, opened(studio, webp), MUG.mask) == 0
    assert webp.measurements.outside_max_change == 0
    assert studio.gallery.get(webp.image.image_id).media_type == "image/webp"
    for variant in (jpeg, webp):
        assert (await replay(studio, variant.image.image_id)).same_bytes


async def test_every_call_has_a_sheet_with_the_source_and_each_color(studio: Studio) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    result = await studio.call(TOOL, {"image_id": source, "mask_id": mask, "colors": ["sage"]})
    sheet = studio.gallery.open_image(result.data.sheet.image_id)
    seen = {tuple(pixel) for pixel in np.asarray(sheet).reshape(-1, 3)}
    assert parse_color("sage").rgb in seen
    assert sheet.width > sheet.height


async def test_a_refusal_keeps_the_candidate_and_it_can_be_used(studio: Studio) -> None:
    pale = upload(studio, mug("#D2D2D2", 192).image)
    with pytest.raises(Refused) as caught:
        await studio.call(TOOL, {"image_id": pale, "point": [90, 100], "colors": ["navy"]})
    candidate = caught.value.data["candidate_mask_id"]
    assert candidate in str(caught.value)
    result = await studio.call(TOOL, {"image_id": pale, "mask_id": candidate, "colors": ["navy"]})
    assert result.data.variants[0].measurements.outside_max_change == 0


async def test_prompts_of_looks_pass_the_gate_too(studio: Studio) -> None:
    with pytest.raises(AgentToolsError, match="real people"):
        await studio.call(
            TOOL, {"product": "mug", "variants": [{"scene": "held by Taylor Swift"}], **SEEDED}
        )
