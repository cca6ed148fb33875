"""generate_image, edit_image, create_persona_avatar and get_image, painted by a real engine.

The model is a tiny Stable Diffusion with random weights: what it paints is noise, but every rule
about seeds, masks, sizes, recipes and cancellation is the real one.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agent_tools.edit_pictures import outside_max_change
from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound, Refused
from agent_tools.gallery import Gallery, ImageRecord
from agent_tools.knowledge import Knowledge
from agent_tools.personas import PersonaStore
from agent_tools.pictures import encode_png
from agent_tools.provenance import read_xmp, recipe_sha256
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from engine import LocalEngine

pytestmark = pytest.mark.anyio
PAINTED_TOOLS = (
    "generate_image",
    "edit_image",
    "upscale_image",
    "create_persona_avatar",
    "get_image",
)
QUICK = {"steps": 2, "width": 64, "height": 64}


@pytest.fixture
def settings(tmp_path: Path, tiny_stable_diffusion: Path) -> Settings:
    return Settings(data=tmp_path / "data", model=str(tiny_stable_diffusion), threads=1)


@pytest.fixture(scope="module")
def engine(tiny_stable_diffusion: Path) -> Iterator[LocalEngine]:
    """Load the model once: an engine may serve several event loops."""
    shared = LocalEngine(str(tiny_stable_diffusion), threads=1)
    yield shared
    asyncio.run(shared.close())


@pytest.fixture
def studio(settings: Settings, engine: LocalEngine) -> Iterator[Studio]:
    gallery = Gallery(settings.data)
    knowledge = Knowledge(gallery, settings)
    yield Studio(settings, engine, gallery, PersonaStore(gallery), knowledge)
    knowledge.close()
    gallery.close()


def upload(studio: Studio, image: Image.Image, kind: Any = "upload") -> str:
    return studio.gallery.add_upload(encode_png(image), kind=kind).image_id


def gradient(width: int = 72, height: int = 64) -> Image.Image:
    """Return a picture in which no two neighbors are equal."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 3 % 256, y * 3 % 256, (x + y) * 2 % 256], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def square_mask(size: tuple[int, int] = (72, 64), box: tuple[int, ...] = (20, 20, 44, 40)) -> Any:
    mask = Image.new("L", size, 0)
    mask.paste(255, box)
    return mask


def records(studio: Studio, result: ToolResult) -> list[ImageRecord]:
    return [studio.gallery.get(image.info.image_id) for image in result.images]


def pixels(studio: Studio, image_id: str) -> np.ndarray:
    return np.asarray(studio.gallery.open_image(image_id))


async def test_each_picture_has_its_own_seed_counted_from_the_first(studio: Studio) -> None:
    result = await studio.call(
        "generate_image", {"prompt": "a mug", "count": 3, "seed": 7, **QUICK}
    )

    made = records(studio, result)
    assert [record.seed for record in made] == [7, 8, 9]
    assert len({record.sha256 for record in made}) == 3
    assert len({record.group for record in made}) == 1
    for record in made:
        assert record.image_id in result.text
        assert f"seed {record.seed}" in result.text


async def test_the_same_words_and_seed_give_the_same_picture(studio: Studio) -> None:
    pair = await studio.call("generate_image", {"prompt": "a mug", "count": 2, "seed": 7, **QUICK})
    alone = await studio.call("generate_image", {"prompt": "a mug", "seed": 8, **QUICK})
    other = await studio.call("generate_image", {"prompt": "a mug", "seed": 9, **QUICK})

    assert alone.images[0].info.image_id == pair.images[1].info.image_id
    assert other.images[0].info.image_id != alone.images[0].info.image_id
    assert len(studio.gallery.list()) == 3


async def test_without_a_seed_pictures_differ_and_the_seed_is_reported(studio: Studio) -> None:
    first = await studio.call("generate_image", {"prompt": "a mug", **QUICK})
    second = await studio.call("generate_image", {"prompt": "a mug", **QUICK})
    seed = first.images[0].info.seed
    again = await studio.call("generate_image", {"prompt": "a mug", "seed": seed, **QUICK})

    assert first.images[0].info.image_id != second.images[0].info.image_id
    assert again.images[0].info.image_id == first.images[0].info.image_id


async def test_the_largest_seed_still_gives_several_pictures(studio: Studio) -> None:
    result = await studio.call(
        "generate_image", {"prompt": "a mug", "count": 2, "seed": 2**32 - 1, **QUICK}
    )

    assert [record.seed for record in records(studio, result)] == [2**32 - 1, 0]


async def test_a_picture_carries_words_that_repeat_what_was_asked(studio: Studio) -> None:
    result = await studio.call(
        "generate_image", {"prompt": "draw a purple teapot on a white background", **QUICK}
    )

    record = records(studio, result)[0]
    assert record.caption == record.alt == "A purple teapot on a white background."
    assert record.title == "A purple teapot on a white background"
    assert "a purple teapot" in record.use_when
    assert record.tags == ("purple", "teapot", "white")


async def test_a_recipe_holds_everything_and_the_file_is_marked_with_its_hash(
    studio: Studio,
) -> None:
    result = await studio.call(
        "generate_image",
        {"prompt": "a mug", "negative_prompt": "tea", "seed": 1, "guidance": 3, **QUICK},
    )

    record = records(studio, result)[0]
    recipe = dict(record.recipe)
    timings = recipe.pop("timings_s")
    assert recipe.pop("shared_forwards") == 0
    assert timings["denoise"] > 0
    assert (recipe["prompt"], recipe["negative_prompt"], recipe["seed"]) == ("a mug", "tea", 1)
    assert (recipe["width"], recipe["height"]) == (64, 64)
    assert recipe["params"]["num_inference_steps"] == 2
    assert recipe["params"]["guidance_scale"] == 3
    assert recipe["model"] == studio.engine.model
    assert recipe["revision"]
    assert {"torch", "diffusers"} <= recipe["libraries"].keys()
    assert "cpu" in recipe["precision"]
    xmp = read_xmp(record.path.read_bytes())
    assert "digitalsourcetype/trainedAlgorithmicMedia" in xmp
    assert recipe_sha256(recipe) in xmp
    assert "A mug." in xmp


async def test_every_recipe_makes_the_same_bytes_again(studio: Studio) -> None:
    source = upload(studio, gradient())
    mask = upload(studio, square_mask(), "mask")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("generate_image", {"prompt": "a mug", "count": 2, "steps": 2}),
        ("edit_image", {"image_id": source, "prompt": "a vase", "steps": 3}),
        ("edit_image", {"image_id": source, "prompt": "a vase", "mask_id": mask, "steps": 2}),
        ("edit_image", {"image_id": source, "prompt": "a vase", "extend_left": 9, "steps": 2}),
        ("create_persona_avatar", {"name": "Mina", "description": "red hair", "count": 2}),
    ]
    for tool, arguments in calls:
        result = await studio.call(tool, arguments)
        for record in records(studio, result):
            recipe = json.loads(json.dumps(record.recipe))
            again = await studio.call(recipe["tool"], recipe["arguments"])
            assert [image.info.image_id for image in again.images] == [record.image_id], tool


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("generate_image", {"prompt": ""}, "prompt"),
        ("generate_image", {"prompt": "   "}, "prompt"),
        ("generate_image", {"prompt": "x" * 2001}, "prompt"),
        ("generate_image", {}, "prompt"),
        ("generate_image", {"prompt": "a mug", "count": 0}, "count"),
        ("generate_image", {"prompt": "a mug", "count": 5}, "count"),
        ("generate_image", {"prompt": "a mug", "steps": 0}, "steps"),
        ("generate_image", {"prompt": "a mug", "steps": 1000}, "steps"),
        ("generate_image", {"prompt": "a mug", "guidance": -1}, "guidance"),
        ("generate_image", {"prompt": "a mug", "guidance": float("nan")}, "guidance"),
        ("generate_image", {"prompt": "a mug", "width": 8}, "width"),
        ("generate_image", {"prompt": "a mug", "height": 100000}, "height"),
        ("generate_image", {"prompt": "a mug", "seed": -1}, "seed"),
        ("generate_image", {"prompt": "a mug", "size": "large"}, "size"),
        ("edit_image", {"prompt": "a mug"}, "image_id"),
        ("edit_image", {"image_id": "img_1", "prompt": "a mug", "strength": 0}, "strength"),
        ("edit_image", {"image_id": "img_1", "prompt": "a mug", "extend_top": -1}, "extend_top"),
        ("edit_image", {"image_id": "img_1", "prompt": "m", "extend_left": 1025}, "extend_left"),
        ("edit_image", {"image_id": "i", "prompt": "m", "reference_ids": ["i"] * 5}, "reference_"),
        ("generate_image", {"prompt": "a mug", "upscale": 3}, "upscale"),
        ("upscale_image", {"image_id": "img_1", "factor": 8}, "factor"),
        ("upscale_image", {"factor": 2}, "image_id"),
        ("create_persona_avatar", {"name": "Mina", "expression": "furious"}, "expression"),
        ("create_persona_avatar", {"persona_id": "per_1", "index": -1}, "index"),
        ("create_persona_avatar", {"name": "Mina"}, "description"),
        ("create_persona_avatar", {"description": "red hair"}, "name"),
        ("create_persona_avatar", {}, "name"),
        ("create_persona_avatar", {"name": "\u200b", "description": "red hair"}, "Name"),
        ("create_persona_avatar", {"persona_id": "per_1", "name": "Mina"}, "persona_id"),
    ],
)
async def test_a_wrong_argument_is_named_and_nothing_is_painted(
    studio: Studio, tool: str, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidArguments) as wrong:
        await studio.call(tool, arguments)

    assert named in str(wrong.value)
    assert studio.gallery.list() == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("edit_image", {"image_id": "img_none", "prompt": "a mug"}),
        ("generate_image", {"prompt": "a mug", "sketch_id": "img_none"}),
        ("generate_image", {"prompt": "a mug", "reference_ids": ["img_none"]}),
        ("upscale_image", {"image_id": "img_none"}),
        ("edit_image", {"image_id": "../../etc/passwd", "prompt": "a mug"}),
        ("create_persona_avatar", {"persona_id": "per_none"}),
        ("get_image", {"image_id": "img_none"}),
        ("get_image", {"image_id": "' OR 1=1 --"}),
    ],
)
async def test_an_unknown_id_is_not_found_and_the_answer_says_where_ids_come_from(
    studio: Studio, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(NotFound) as missing:
        await studio.call(tool, arguments)

    assert missing.value.hint


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
    assert outside_max_change(before, before, None) is None


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


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("generate_image", {"prompt": "a mug", "count": 2, "steps": 20}),
        ("create_persona_avatar", {"name": "M", "description": "red hair", "expression": "sad"}),
    ],
)
async def test_a_cancelled_call_keeps_nothing_and_the_next_one_works(
    studio: Studio, tool: str, arguments: dict[str, Any]
) -> None:
    task: asyncio.Task[ToolResult]

    async def cancel_at_a_late_step(event: ProgressEvent) -> None:
        if event.done > 0.6:
            task.cancel()

    task = asyncio.create_task(studio.call(tool, arguments, cancel_at_a_late_step))
    with pytest.raises(asyncio.CancelledError):
        await task

    assert studio.gallery.list() == []
    assert studio.personas.list() == []
    assert list(studio.gallery.files.glob("*/*")) == []
    result = await studio.call("generate_image", {"prompt": "a mug", **QUICK})
    assert len(records(studio, result)) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "stages"),
    [
        ("generate_image", {"prompt": "a mug", "count": 2, "steps": 4}, 1),
        ("create_persona_avatar", {"name": "M", "description": "tan skin", "expression": "sad"}, 2),
    ],
)
async def test_progress_only_grows_and_ends_at_the_total(
    studio: Studio, tool: str, arguments: dict[str, Any], stages: int
) -> None:
    events: list[ProgressEvent] = []

    async def note(event: ProgressEvent) -> None:
        events.append(event)

    await studio.call(tool, arguments, note)

    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[-1] == events[-1].total == 1.0
    assert sum("starting" in event.message for event in events) == stages
    assert any("step 2 of" in event.message and "s left" in event.message for event in events)


async def test_calls_at_the_same_time_get_their_own_pictures(studio: Studio) -> None:
    results = await asyncio.gather(
        *(
            studio.call("generate_image", {"prompt": f"a mug {k}", "seed": k, **QUICK})
            for k in range(4)
        )
    )

    for k, result in enumerate(results):
        record = records(studio, result)[0]
        assert (record.seed, record.recipe["prompt"]) == (k, f"a mug {k}")


async def test_a_refused_prompt_paints_nothing_in_any_tool(studio: Studio) -> None:
    source = upload(studio, gradient())
    calls: list[tuple[str, dict[str, Any]]] = [
        ("generate_image", {"prompt": "a naked child"}),
        ("edit_image", {"image_id": source, "prompt": "a naked child"}),
        ("create_persona_avatar", {"name": "Tim", "description": "a naked child"}),
        ("create_persona_avatar", {"name": "Elon Musk", "description": "a suit"}),
    ]
    for tool, arguments in calls:
        with pytest.raises(Refused) as refused:
            await studio.call(tool, arguments)
        assert refused.value.hint

    assert [record.image_id for record in studio.gallery.list()] == [source]
    assert studio.personas.list() == []


async def test_an_edit_is_judged_together_with_what_its_source_shows(studio: Studio) -> None:
    source = await studio.call("generate_image", {"prompt": "children at a pool", **QUICK})

    with pytest.raises(Refused):
        await studio.call(
            "edit_image", {"image_id": source.images[0].info.image_id, "prompt": "all naked"}
        )


async def test_a_negative_prompt_may_name_what_must_not_be_there(studio: Studio) -> None:
    await studio.call(
        "generate_image", {"prompt": "children playing", "negative_prompt": "naked", **QUICK}
    )

    assert len(studio.gallery.list()) == 1


async def test_a_persona_is_the_same_after_the_studio_was_closed_and_opened_again(
    settings: Settings,
) -> None:
    first = Studio.open(settings)
    created = await first.call(
        "create_persona_avatar", {"name": "Mina", "description": "red hair, glasses"}
    )
    sad = await first.call(
        "create_persona_avatar",
        {"persona_id": created.data.persona.persona_id, "expression": "sad"},
    )
    await first.close()
    second = Studio.open(settings)
    try:
        persona_id = created.data.model_dump()["persona"]["persona_id"]
        neutral_again = await second.call("create_persona_avatar", {"persona_id": persona_id})
        sad_again = await second.call(
            "create_persona_avatar", {"persona_id": persona_id, "expression": "sad"}
        )
    finally:
        await second.close()

    assert created.data.model_dump()["created"] is True
    assert sad_again.data.model_dump()["created"] is False
    assert neutral_again.images[0].info.image_id == created.images[0].info.image_id
    assert sad_again.images[0].info.image_id == sad.images[0].info.image_id
    assert sad.images[0].info.image_id != created.images[0].info.image_id


async def test_a_persona_created_twice_is_one_persona(studio: Studio) -> None:
    words = {"name": "Mina", "description": "red hair"}
    first = await studio.call("create_persona_avatar", words)
    second = await studio.call("create_persona_avatar", words)
    other = await studio.call("create_persona_avatar", {**words, "description": "black hair"})

    assert second.data.model_dump()["created"] is False
    assert second.images[0].info.image_id == first.images[0].info.image_id
    assert len(studio.personas.list()) == 2
    assert (
        other.data.model_dump()["persona"]["persona_id"]
        != (first.data.model_dump()["persona"]["persona_id"])
    )


async def test_a_persona_asked_for_with_a_mood_still_gets_its_neutral_picture(
    studio: Studio,
) -> None:
    result = await studio.call(
        "create_persona_avatar",
        {"name": "Mina", "description": "red hair", "expression": "smiling", "count": 2},
    )

    data = result.data.model_dump()
    canonical = studio.gallery.get(data["persona"]["canonical_image_id"])
    assert canonical.metadata["expression"] == "neutral"
    assert [record.metadata["expression"] for record in records(studio, result)] == ["smiling"] * 2
    assert len(studio.gallery.list()) == 3
    assert len({record.group for record in studio.gallery.list()}) == 1


async def test_similarity_is_one_for_the_neutral_picture_and_less_for_others(
    studio: Studio,
) -> None:
    created = await studio.call(
        "create_persona_avatar", {"name": "Mina", "description": "red hair", "count": 2}
    )

    first, second = created.data.model_dump()["similarity"]
    assert first == 1
    assert 0 <= second < 1
    assert f"{second:.2f}" in created.text


async def test_another_index_is_another_picture_of_the_same_look(studio: Studio) -> None:
    created = await studio.call("create_persona_avatar", {"name": "M", "description": "red hair"})
    persona_id = created.data.model_dump()["persona"]["persona_id"]
    pair = await studio.call(
        "create_persona_avatar", {"persona_id": persona_id, "index": 1, "count": 2}
    )
    alone = await studio.call("create_persona_avatar", {"persona_id": persona_id, "index": 2})

    assert alone.images[0].info.image_id == pair.images[1].info.image_id
    prompts = {record.recipe["prompt"] for record in studio.gallery.list()}
    assert len(prompts) == 1


async def test_a_persona_of_another_model_is_drawn_with_a_warning(studio: Studio) -> None:
    created = await studio.call("create_persona_avatar", {"name": "M", "description": "red hair"})
    persona = studio.personas.get(created.data.model_dump()["persona"]["persona_id"])
    studio.personas.save(persona.model_copy(update={"model": "another-model"}))

    result = await studio.call("create_persona_avatar", {"persona_id": persona.persona_id})

    assert "another-model" in result.data.model_dump()["warnings"][0]
    assert "another-model" in result.text


async def test_get_image_shows_a_larger_copy_and_everything_but_the_path(studio: Studio) -> None:
    source = upload(studio, gradient(1200, 800))
    result = await studio.call("get_image", {"image_id": source})
    made = await studio.call("generate_image", {"prompt": "a mug", "seed": 5, **QUICK})
    again = await studio.call("get_image", {"image_id": made.images[0].info.image_id})

    thumbnail = Image.open(io.BytesIO(result.images[0].thumbnail))
    assert thumbnail.size == (768, 512)
    data = again.data.model_dump()
    assert data["recipe"]["arguments"]["seed"] == 5
    assert '"seed": 5' in again.text
    assert "A mug." in again.text
    for told in (again.text, again.data.model_dump_json()):
        assert str(studio.settings.data) not in told
        assert str(studio.settings.model) not in told


async def test_hostile_words_do_not_reach_captions(studio: Studio) -> None:
    hostile = "a mug ![x](https://evil.example/?q=1) <script>alert(1)</script>\x1b[31m\u202e"
    result = await studio.call("generate_image", {"prompt": hostile, **QUICK})

    record = records(studio, result)[0]
    for text in (record.caption, record.alt, record.title, record.use_when, *record.tags):
        assert "evil" not in text
        assert "<" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "\x1b" not in result.text


@pytest.mark.parametrize("name", PAINTED_TOOLS)
def test_schemas_are_closed_flat_and_described(studio_tools: dict[str, Any], name: str) -> None:
    tool = studio_tools[name]
    schema = tool.Arguments.model_json_schema()

    assert schema["additionalProperties"] is False
    assert all("description" in field for field in schema["properties"].values())
    assert "$defs" not in schema
    assert "Example" in tool.description


@pytest.fixture
def studio_tools() -> dict[str, Any]:
    from agent_tools.tools import all_tools

    return {tool.name: tool for tool in all_tools()}


async def test_an_engine_error_reaches_the_caller_as_ours_with_its_next_step(
    settings: Settings, tmp_path: Path
) -> None:
    broken = Studio.open(settings.model_copy(update={"model": str(tmp_path / "nowhere")}))
    try:
        with pytest.raises(AgentToolsError) as failed:
            await broken.call("generate_image", {"prompt": "a mug"})
    finally:
        await broken.close()

    assert failed.value.code == "model_not_loaded"
    assert failed.value.hint
