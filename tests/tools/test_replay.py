"""Every tool's pictures: a complete recipe, the same bytes again, or precisely why not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from painting_helpers import QUICK, records
from tool_calls import WITHOUT_PICTURES, calls_of_every_tool

from agent_tools.callers import acting_as
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.image_record import ImageRecord
from agent_tools.provenance import MEASURED, read_xmp, recipe_sha256
from agent_tools.replay import compare, replay
from agent_tools.studio import Studio
from agent_tools.tools import all_tools

pytestmark = pytest.mark.anyio

MAKERS = sorted({tool.name for tool in all_tools() if not tool.about_jobs} - WITHOUT_PICTURES)


async def pictures_of(studio: Studio, tool: str) -> list[ImageRecord]:
    calls = await calls_of_every_tool(studio)
    assert tool in calls, f"say in tool_calls.py how {tool} is called"
    found: list[ImageRecord] = []
    for arguments in calls[tool]:
        found += records(studio, await studio.call(tool, arguments))
    assert found
    return found


@pytest.mark.parametrize("tool", MAKERS)
async def test_every_picture_of_a_tool_is_made_again_to_the_byte(tool: str, studio: Studio) -> None:
    for record in await pictures_of(studio, tool):
        again = await replay(studio, record.image_id)
        assert again.same_bytes, (tool, record.kind, again.reasons)
        assert again.made.image_id == record.image_id
        assert again.reasons == ()


@pytest.mark.parametrize("tool", MAKERS)
async def test_every_recipe_says_what_the_bytes_depend_on(tool: str, studio: Studio) -> None:
    for record in await pictures_of(studio, tool):
        recipe = record.recipe
        # An edited diagram is drawn again from what it became.
        maker = "draw_diagram" if tool == "edit_diagram" else tool
        assert (recipe["tool"], recipe["model"]) == (maker, record.model)
        studio.tools[maker].Arguments.model_validate(recipe["arguments"])
        assert (recipe["width"], recipe["height"]) == (record.width, record.height)
        assert recipe["timings_s"]["total"] > 0
        assert {"agent-tools", "pillow", "zlib", "numpy"} <= recipe["libraries"].keys()
        for item in recipe["inputs"]:
            assert studio.gallery.get(item["image_id"]).sha256 == item["sha256"]
        named = {value for name, value in recipe["arguments"].items() if name.endswith("_id")}
        if record.kind != "sheet" and "persona_id" not in recipe["arguments"]:
            assert named == {item["image_id"] for item in recipe["inputs"]}
        if "prompt" in recipe:  # a model painted it
            assert recipe["revision"] and recipe["precision"] and "seed" in recipe
            assert recipe["params"]["num_inference_steps"]
            assert {"torch", "diffusers", "transformers"} <= recipe["libraries"].keys()
            assert {"text", "denoise", "decode"} <= recipe["timings_s"].keys()
        # The file carries the hash of this very recipe, whatever the run measured.
        assert recipe_sha256(recipe) in read_xmp(studio.gallery.read_bytes(record.image_id))
        bare = {name: value for name, value in recipe.items() if name not in MEASURED}
        assert recipe_sha256(bare) == recipe_sha256(json.loads(json.dumps(recipe)))


async def test_another_recipe_has_another_hash(studio: Studio) -> None:
    (record,) = records(studio, await studio.call("generate_image", {"prompt": "a mug", **QUICK}))
    for name in ("seed", "revision", "prompt", "libraries"):
        assert recipe_sha256({**record.recipe, name: "x"}) != recipe_sha256(record.recipe)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("libraries", {"pillow": "1.0"}, "libraries.pillow: 1.0 then"),
        ("revision", "abc", "revision: abc then"),
        ("model", "other", "model: other then"),
        ("params", {"sampler": "ddim"}, "params.sampler: ddim then"),
    ],
)
async def test_other_bytes_are_explained_by_what_differs(
    name: str, value: Any, reason: str, studio: Studio
) -> None:
    first = records(studio, await studio.call("generate_image", {"prompt": "a mug", **QUICK}))[0]
    second = records(studio, await studio.call("generate_image", {"prompt": "a jug", **QUICK}))[0]
    old = replace(first, recipe={**first.recipe, name: value})
    found = compare(studio.gallery, old, second)
    assert not found.same_bytes and found.max_change
    assert any(said.startswith(reason) for said in found.reasons), found.reasons


async def test_a_picture_without_a_recipe_says_why_it_cannot_be_made_again(
    studio: Studio,
) -> None:
    calls = await calls_of_every_tool(studio)
    with pytest.raises(InvalidArguments, match="nothing to run again"):
        await replay(studio, calls["get_image"][0]["image_id"])
    with pytest.raises(NotFound, match="img_none"):
        await replay(studio, "img_none")
    made = records(studio, await studio.call("draw_diagram", calls["draw_diagram"][0]))[0]
    del studio.tools["draw_diagram"]
    with pytest.raises(NotFound, match="no tool 'draw_diagram'"):
        await replay(studio, made.image_id)


async def test_a_published_picture_of_somebody_else_is_not_taken_for_an_upload(
    studio: Studio,
) -> None:
    with acting_as("alice"):
        made = await studio.call("draw_diagram", {"source": "flowchart LR\n a --> b"})
        image_id = made.images[0].info.image_id
        with studio.gallery.transaction() as connection:
            studio.gallery.publish(connection, [image_id])
        assert (await replay(studio, image_id)).same_bytes
    with acting_as("bob"), pytest.raises(InvalidArguments, match="somebody else's"):
        await replay(studio, image_id)
