"""edit_image with background: cut out, plain, painted; what stays, stays to the byte."""

from __future__ import annotations

import numpy as np
import pytest
from painting_helpers import upload
from PIL import Image

from agent_tools.errors import InvalidArguments, Refused
from agent_tools.replay import replay
from agent_tools.studio import Studio
from benchmarks.rendered_truth import mug

pytestmark = pytest.mark.anyio
TOOL = "edit_image"
MUG = mug("#B3201C", 192)
WHOLE = np.asarray(MUG.mask) == 255
EMPTY = np.asarray(MUG.mask) == 0


async def test_a_product_is_cut_out_with_its_own_pixels(studio: Studio) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    result = await studio.call(
        TOOL, {"image_id": source, "mask_id": mask, "background": "transparent"}
    )
    made = studio.gallery.open_image(result.images[0].info.image_id)
    assert made.mode == "RGBA"
    assert made.getchannel("A").tobytes() == MUG.mask.tobytes()
    assert np.array_equal(np.asarray(made)[WHOLE][:, :3], np.asarray(MUG.image)[WHOLE])
    assert result.data.outside_max_change == 0
    assert result.data.model == "exact-background"
    assert (await replay(studio, result.images[0].info.image_id)).same_bytes
    # What was cut out needs no mask any more.
    cut = result.images[0].info.image_id
    again = await studio.call("create_product_variants", {"image_id": cut, "colors": ["sage"]})
    assert again.data.mask == "alpha"


@pytest.mark.parametrize(
    ("said", "rgb"), [("#F4F4F4", (244, 244, 244)), ("a white background", None)]
)
async def test_a_plain_background_is_exact(studio: Studio, said: str, rgb) -> None:
    source = upload(studio, MUG.image)
    result = await studio.call(TOOL, {"image_id": source, "background": said})
    made = np.asarray(studio.gallery.open_image(result.images[0].info.image_id))
    mask = np.asarray(studio.gallery.open_image(result.data.mask_id))
    assert np.array_equal(made[mask == 255], np.asarray(MUG.image)[mask == 255])
    colors = {tuple(pixel) for pixel in made[mask == 0]}
    assert len(colors) == 1
    assert rgb is None or colors == {rgb}
    assert result.data.outside_max_change == 0


async def test_a_painted_background_leaves_the_product(studio: Studio) -> None:
    source, mask = upload(studio, MUG.image), upload(studio, MUG.mask, "mask")
    result = await studio.call(
        TOOL,
        {
            "image_id": source,
            "mask_id": mask,
            "background": "on a wooden table",
            "steps": 2,
            "seed": 3,
        },
    )
    made = np.asarray(studio.gallery.open_image(result.images[0].info.image_id))
    assert np.array_equal(made[WHOLE], np.asarray(MUG.image)[WHOLE])
    assert (made[EMPTY] != np.asarray(MUG.image)[EMPTY]).mean() > 0.5
    assert result.data.outside_max_change == 0
    assert result.images[0].info.seed == 3
    assert (await replay(studio, result.images[0].info.image_id)).same_bytes


async def test_a_thing_that_cannot_be_told_is_refused_with_a_candidate(studio: Studio) -> None:
    pale = upload(studio, mug("#D2D2D2", 192).image)
    with pytest.raises(Refused) as caught:
        await studio.call(TOOL, {"image_id": pale, "background": "transparent"})
    assert caught.value.code == "mask_needed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'prompt' is missing"),
        ({"prompt": "a mug", "background": "white"}, "do not go together"),
        ({"background": "white", "strength": 0.4}, "strength cannot be used"),
        ({"background": "white", "extend_left": 8}, "extend_left cannot be used"),
        ({"prompt": "a mug", "point": [3, 4]}, "point needs background"),
        ({"background": "white", "point": [300, 4]}, "outside the picture"),
    ],
)
async def test_arguments_that_contradict_each_other_are_named(
    studio: Studio, arguments: dict, words: str
) -> None:
    source = upload(studio, Image.new("RGB", (64, 64), "red"))
    with pytest.raises(InvalidArguments, match=words):
        await studio.call(TOOL, {"image_id": source, **arguments})
