"""Editing through a remote engine: what is uploaded, what comes back untouched."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import box_mask, paint, photograph
from PIL import Image
from remote_helpers import Remote, ask

from engine import Margins, SamplingParams
from engine.errors import (
    GenerationFailed,
    InvalidRequest,
    UnsupportedMode,
)

pytestmark = pytest.mark.anyio


async def test_outside_the_mask_every_byte_comes_back(remote: Remote) -> None:
    api, engine = await remote("openai")
    source, mask = photograph((210, 130)), box_mask((210, 130), (40, 30, 90, 80))
    result = await paint(engine, ask(image=source, mask=mask, width=None, height=None))
    kept = np.asarray(mask) == 0
    painted, before = np.asarray(result.images[0]), np.asarray(source)
    assert (painted[kept] == before[kept]).all()
    assert (painted[~kept] != before[~kept]).any(axis=-1).mean() > 0.5
    names = [name for name, _ in api.received[0].files]
    assert api.received[0].path == "/v1/images/edits" and names == ["image", "mask"]


async def test_the_masks_transparent_part_is_what_is_repainted(remote: Remote) -> None:
    api, engine = await remote()
    source, mask = photograph((64, 64)), box_mask((64, 64), (16, 16, 31, 31))
    await paint(engine, ask(image=source, mask=mask))
    sent = {name: np.asarray(picture) for name, picture in api.received[0].files}
    assert list(sent) == ["image", "mask", "mask_image"]
    scale = sent["mask"].shape[0] // 64
    inside, outside = (20 * scale, 20 * scale), (50 * scale, 50 * scale)
    assert sent["mask"][inside].tolist() == [255, 255, 255, 0]
    assert sent["mask"][outside].tolist() == [0, 0, 0, 255]
    assert (sent["mask_image"][inside], sent["mask_image"][outside]) == (255, 0)


async def test_a_large_source_is_shown_around_its_mask_only(remote: Remote) -> None:
    api, engine = await remote("openai")
    source, mask = photograph((1600, 1000)), box_mask((1600, 1000), (700, 500, 800, 600))
    result = await paint(engine, ask(image=source, mask=mask, width=None, height=None))
    shown = api.received[0].files[0][1]
    assert shown.width * shown.height <= 1024 * 1024
    assert result.images[0].size == (1600, 1000)


async def test_the_border_is_extended_and_the_source_kept(remote: Remote) -> None:
    api, engine = await remote("openai")
    source = photograph((100, 60))
    margins = Margins(left=20, right=41, bottom=30)
    result = await paint(engine, ask(image=source, extend=margins, width=None, height=None))
    assert result.images[0].size == (161, 90)
    assert result.images[0].crop((20, 0, 120, 60)).tobytes() == source.tobytes()
    assert [name for name, _ in api.received[0].files] == ["image", "mask"]


async def test_image_to_image_comes_back_in_the_sources_size(remote: Remote) -> None:
    api, engine = await remote()
    params = SamplingParams(strength=0.5)
    source = photograph((70, 52))
    result = await paint(engine, ask(image=source, params=params, width=None, height=None))
    assert result.images[0].size == (70, 52)
    assert api.received[0].fields["strength"] == 0.5
    wider = await paint(engine, ask(image=source, width=128, height=64))
    assert wider.images[0].size == (128, 64)
    assert "The source was cropped to the proportions asked for." in wider.warnings


async def test_references_travel_as_a_list_behind_the_source(remote: Remote) -> None:
    api, engine = await remote("openai")
    one, two = photograph((64, 64)), photograph((80, 48))
    await paint(engine, ask(references=(one, two)))
    big = photograph((512, 512))
    await paint(engine, ask(image=big, references=(two,), width=None, height=None))
    assert [name for name, _ in api.received[0].files] == ["image[]", "image[]"]
    assert [picture.size for _, picture in api.received[1].files] == [(512, 512), (80, 48)]


async def test_a_painted_shape_that_does_not_fit_the_mask_is_refused(remote: Remote) -> None:
    api, engine = await remote("openai")
    api.size = (768, 512)
    source = photograph((256, 256))
    with pytest.raises(GenerationFailed, match="768x512"):
        mask = box_mask((256, 256), (0, 0, 50, 50))
        await paint(engine, ask(image=source, mask=mask, width=None, height=None))
    result = await paint(engine, ask(image=source, width=None, height=None))
    assert result.images[0].size == (256, 256)
    assert any("768x512" in warning for warning in result.warnings)


async def test_a_server_without_editing_says_so_and_still_paints(remote: Remote) -> None:
    _, engine = await remote(server={"edits": False})
    with pytest.raises(UnsupportedMode, match="cannot edit"):
        await paint(engine, ask(image=photograph()))
    assert (await paint(engine, ask())).images


async def test_bad_edits_are_refused_before_anything_is_sent(remote: Remote) -> None:
    api, engine = await remote()
    source = photograph((64, 64))
    for changes in (
        {"image": source, "mask": Image.new("L", (64, 64), 0)},
        {"image": source, "mask": Image.new("L", (32, 64), 255)},
        {"image": source, "mask": box_mask((64, 64), (1, 1, 9, 9)), "width": 128},
        {"image": source, "extend": Margins()},
        {"image": source, "extend": Margins(left=-5, right=9)},
        {"image": source, "extend": Margins(left=9000), "width": None, "height": None},
        {"extend": Margins(left=5)},
        {"references": (source,) * 17},
        {"prompt": " "},
    ):
        with pytest.raises(InvalidRequest):
            await paint(engine, ask(**changes))
    assert api.received == []
