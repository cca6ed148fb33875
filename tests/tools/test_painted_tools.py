"""generate_image, edit_image, create_persona_avatar and get_image, painted by a real engine.

The model is a tiny Stable Diffusion with random weights: what it paints is noise, but every rule
about seeds, masks, sizes, recipes and cancellation is the real one.
"""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from painting_helpers import QUICK, gradient, records, square_mask, upload
from PIL import Image

from agent_tools.errors import AgentToolsError, InvalidArguments, NotFound, Refused
from agent_tools.provenance import read_xmp, recipe_sha256
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent

pytestmark = pytest.mark.anyio
PAINTED_TOOLS = (
    "generate_image",
    "edit_image",
    "upscale_image",
    "create_persona_avatar",
    "get_image",
)


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
    # Encoded again, smaller, it says the same; what came from outside says nothing.
    assert read_xmp(studio.gallery.thumbnail(record.image_id)) == xmp
    assert read_xmp(studio.gallery.thumbnail(upload(studio, gradient()))) == ""


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
