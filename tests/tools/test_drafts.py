"""Drafts to choose from, and variations of the one that is liked."""

from __future__ import annotations

import numpy as np
import pytest
from painting_helpers import QUICK, records

from agent_tools.drafts import draft_steps
from agent_tools.errors import InvalidArguments, NotFound
from agent_tools.replay import replay
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio
TOOL = "generate_image"


async def test_four_drafts_come_with_a_sheet_and_each_can_be_gone_on_with(studio: Studio) -> None:
    drafts = await studio.call(
        TOOL, {"prompt": "a mug", "count": 4, "draft": True, "seed": 7, **QUICK}
    )
    assert len(drafts.data.images) == 4
    assert [record.kind for record in records(studio, drafts)] == ["sheet"] + ["picture"] * 4
    assert drafts.data.sheet.image_id in drafts.text
    liked = drafts.data.images[2].image_id
    varied = await studio.call(
        TOOL, {"vary_id": liked, "count": 2, "seed": 70, "variation": 0.5, "steps": 4}
    )
    source = studio.gallery.get(liked)
    for record in records(studio, varied):
        assert record.parent_id == liked and record.group == source.group
        assert (record.width, record.height) == (source.width, source.height)
        assert record.sha256 != source.sha256
        assert record.recipe["prompt"] == "a mug"
        assert (await replay(studio, record.image_id)).same_bytes
    for image in drafts.images:
        assert (await replay(studio, image.info.image_id)).same_bytes


async def test_close_variations_stay_closer_than_far_ones(studio: Studio) -> None:
    drawn = await studio.call(TOOL, {"prompt": "a mug", "seed": 7, **QUICK})
    source = drawn.data.images[0].image_id
    before = np.asarray(studio.gallery.open_image(source)).astype(int)
    moved = []
    for variation in (0.2, 1.0):
        result = await studio.call(
            TOOL, {"vary_id": source, "seed": 9, "variation": variation, "steps": 10}
        )
        after = np.asarray(studio.gallery.open_image(result.data.images[0].image_id)).astype(int)
        moved.append(np.abs(after - before).mean())
    assert moved[0] < moved[1]


async def test_one_draft_has_no_sheet_and_fewer_steps() -> None:
    assert draft_steps("starter") == 5
    assert draft_steps("FLUX.2-klein-4B") == 4
    assert draft_steps("somebody/unknown") == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'prompt' is missing"),
        ({"prompt": "a mug", "variation": 0.5}, "variation needs vary_id"),
        ({"vary_id": "img_000000000000000000000000", "variation": 0}, "variation"),
    ],
)
async def test_wrong_arguments_are_named(studio: Studio, arguments: dict, words: str) -> None:
    with pytest.raises(InvalidArguments, match=words):
        await studio.call(TOOL, arguments)
    with pytest.raises(NotFound):
        await studio.call(TOOL, {"vary_id": "img_000000000000000000000000"})
