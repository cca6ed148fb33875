"""edit_image and upscale_image, painted by a real engine: masks, new edges, sketches, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painting_helpers import QUICK, gradient, pixels, records, square_mask, upload
from PIL import Image

from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.provenance import read_xmp
from agent_tools.recolor_checks import outside_max_change
from agent_tools.settings import Settings
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio


async def test_a_masked_edit_leaves_every_byte_outside_untouched_and_proves_it(
    studio: Studio,
) -> None:
    source, mask = upload(studio, gradient()), upload(studio, square_mask(), "mask")

    result = await studio.call(
        "edit_image",
        {"image_id": source, "mask_id": mask, "prompt": "a vase", "seed": 3, "steps": 2},
    )

    record = records(studio, result)[0]
    before, after = pixels(studio, source), pixels(studio, record.image_id)
    inside = np.asarray(square_mask()) == 255
    assert result.data.model_dump()["outside_max_change"] == 0
    assert (before[~inside] == after[~inside]).all()
    assert (before[inside] != after[inside]).any()
    assert record.parent_id == source
    assert [item["role"] for item in record.recipe["inputs"]] == ["image", "mask"]
    assert record.recipe["inputs"][1]["sha256"] == studio.gallery.get(mask).sha256
    assert "compositeWithTrainedAlgorithmicMedia" in read_xmp(record.path.read_bytes())
    assert "outside the repainted part: 0" in result.text
    assert record.caption == "An uploaded picture, edited to show a vase."


def test_the_proof_would_notice_one_changed_byte() -> None:
    before = gradient()
    tampered = np.array(before)
    tampered[0, 0, 0] ^= 9

    assert outside_max_change(before, Image.fromarray(tampered), square_mask()) == 9
    assert outside_max_change(before, before, square_mask()) == 0


async def test_gray_masks_are_read_as_black_and_white(studio: Studio) -> None:
    source = upload(studio, gradient())
    noisy = np.asarray(square_mask()).astype(int)
    noisy = np.where(noisy == 0, 90, 200).astype(np.uint8)
    mask = upload(studio, Image.fromarray(noisy), "mask")

    result = await studio.call(
        "edit_image", {"image_id": source, "mask_id": mask, "prompt": "a vase", "steps": 2}
    )

    assert result.data.model_dump()["outside_max_change"] == 0


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (square_mask((64, 72)), "72"),
        (Image.new("L", (72, 64), 0), "black everywhere"),
        (Image.new("L", (72, 64), 100), "black everywhere"),
    ],
)
async def test_a_wrong_mask_is_refused_and_nothing_is_kept(
    studio: Studio, mask: Image.Image, said: str
) -> None:
    source, mask_id = upload(studio, gradient()), upload(studio, mask, "mask")

    with pytest.raises(InvalidArguments, match=said):
        await studio.call(
            "edit_image", {"image_id": source, "mask_id": mask_id, "prompt": "a vase"}
        )

    assert len(studio.gallery.list()) == 2


@pytest.mark.parametrize(
    ("margins", "size", "corner"),
    [
        ({"extend_left": 16}, (88, 64), (16, 0)),
        ({"extend_right": 7}, (79, 64), (0, 0)),
        ({"extend_top": 1, "extend_bottom": 30}, (72, 95), (0, 1)),
        (
            dict.fromkeys((f"extend_{s}" for s in ("left", "top", "right", "bottom")), 9),
            (90, 82),
            (9, 9),
        ),
    ],
)
async def test_extending_adds_to_the_sides_and_keeps_the_picture(
    studio: Studio, margins: dict[str, int], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    source = upload(studio, gradient())

    result = await studio.call(
        "edit_image", {"image_id": source, "prompt": "a vase", "steps": 2, **margins}
    )

    record = records(studio, result)[0]
    kept = studio.gallery.open_image(record.image_id).crop(
        (*corner, corner[0] + 72, corner[1] + 64)
    )
    assert (record.width, record.height) == size
    assert (np.asarray(kept) == np.asarray(gradient())).all()
    assert result.data.model_dump()["outside_max_change"] == 0
    assert record.caption == "An uploaded picture, extended to show a vase."


async def test_a_masked_part_and_new_edges_are_painted_in_one_call(studio: Studio) -> None:
    source, mask = upload(studio, gradient()), upload(studio, square_mask(), "mask")

    result = await studio.call(
        "edit_image",
        {"image_id": source, "mask_id": mask, "extend_top": 8, "prompt": "a vase", "steps": 2},
    )

    record = records(studio, result)[0]
    after = np.asarray(studio.gallery.open_image(record.image_id).crop((0, 8, 72, 72)))
    inside = np.asarray(square_mask()) == 255
    assert (after[~inside] == np.asarray(gradient())[~inside]).all()
    assert (after[inside] != np.asarray(gradient())[inside]).any()
    assert result.data.model_dump()["outside_max_change"] == 0


async def test_a_picture_is_enlarged_with_its_words_and_its_line_of_descent(studio: Studio) -> None:
    made = await studio.call("generate_image", {"prompt": "a green mug", **QUICK})
    source = records(studio, made)[0]

    result = await studio.call(
        "upscale_image", {"image_id": source.image_id, "seed": 4, "steps": 3}
    )

    record = records(studio, result)[0]
    assert (record.width, record.height) == (128, 128)
    assert record.caption == source.caption
    assert record.parent_id == source.image_id
    assert record.recipe["mode"] == "upscale"
    assert record.recipe["prompt"] == "a green mug"
    again = await studio.call(record.recipe["tool"], record.recipe["arguments"])
    assert again.images[0].info.image_id == record.image_id


async def test_painting_and_enlarging_in_one_call_can_be_replayed(studio: Studio) -> None:
    result = await studio.call("generate_image", {"prompt": "a mug", "upscale": 2, **QUICK})

    for record in records(studio, result):
        assert (record.width, record.height) == (128, 128)
        again = await studio.call(record.recipe["tool"], record.recipe["arguments"])
        assert again.images[0].info.image_id == record.image_id


async def test_a_sketch_and_references_need_a_model_that_takes_them(studio: Studio) -> None:
    source, sketch = upload(studio, gradient()), upload(studio, square_mask((144, 128)))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("generate_image", {"sketch_id": sketch}),
        ("generate_image", {"reference_ids": [source]}),
        ("edit_image", {"image_id": source, "sketch_id": sketch}),
        ("edit_image", {"image_id": source, "reference_ids": [sketch]}),
    ]
    for tool, arguments in calls:
        with pytest.raises(AgentToolsError) as refused:
            await studio.call(tool, {"prompt": "a mug", **arguments})
        assert refused.value.code == "unsupported_mode"
        assert "FLUX.2-klein" in refused.value.hint
    assert len(studio.gallery.list()) == 2


async def test_with_a_controlnet_a_sketch_guides_the_painting_and_is_in_the_recipe(
    settings: Settings, tiny_stable_diffusion: Path, tmp_path: Path
) -> None:
    from tiny_companions import build_tiny_controlnet

    lines = build_tiny_controlnet(tmp_path / "lines", tiny_stable_diffusion)
    guided = Studio.open(settings.model_copy(update={"controlnet": str(lines)}))
    try:
        sketch = upload(guided, square_mask((160, 80), (40, 20, 90, 60)))
        other = upload(guided, square_mask((160, 80), (10, 10, 120, 70)))
        arguments = {"prompt": "a mug", "seed": 1, "steps": 2}
        first = await guided.call("generate_image", {**arguments, "sketch_id": sketch})
        second = await guided.call("generate_image", {**arguments, "sketch_id": other})
        record = records(guided, first)[0]
        assert (record.width, record.height) == (88, 64)
        assert record.recipe["inputs"][0]["role"] == "sketch"
        assert record.recipe["inputs"][0]["image_id"] == sketch
        assert second.images[0].info.image_id != record.image_id
        again = await guided.call(record.recipe["tool"], record.recipe["arguments"])
        assert again.images[0].info.image_id == record.image_id
    finally:
        await guided.close()


async def test_a_whole_edit_keeps_the_source_and_its_size(studio: Studio) -> None:
    source = upload(studio, gradient(75, 61))
    bytes_before = studio.gallery.read_bytes(source)

    result = await studio.call(
        "edit_image", {"image_id": source, "prompt": "a vase", "strength": 0.5, "steps": 4}
    )

    record = records(studio, result)[0]
    assert (record.width, record.height) == (75, 61)
    assert result.data.model_dump()["outside_max_change"] is None
    assert record.recipe["params"]["strength"] == 0.5
    assert studio.gallery.read_bytes(source) == bytes_before


async def test_transparent_sources_go_on_white_and_the_result_says_so(studio: Studio) -> None:
    image = gradient().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 10, 10))
    source = upload(studio, image)
    mask = upload(studio, square_mask(), "mask")

    result = await studio.call(
        "edit_image", {"image_id": source, "mask_id": mask, "prompt": "a vase", "steps": 2}
    )

    assert (pixels(studio, result.images[0].info.image_id)[:10, :10] == 255).all()
    assert "white" in result.text
    assert result.data.model_dump()["outside_max_change"] == 0


async def test_edits_of_edits_keep_their_line_of_descent(studio: Studio) -> None:
    first = await studio.call("generate_image", {"prompt": "a mug", **QUICK})
    second = await studio.call(
        "edit_image", {"image_id": first.images[0].info.image_id, "prompt": "a vase", "steps": 2}
    )
    third = await studio.call(
        "edit_image", {"image_id": second.images[0].info.image_id, "prompt": "a lamp", "steps": 2}
    )

    made = [records(studio, result)[0] for result in (first, second, third)]
    assert [record.parent_id for record in made] == [None, made[0].image_id, made[1].image_id]
    assert len({record.group for record in made}) == 1
