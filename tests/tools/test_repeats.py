"""The same call later gives the stored pictures, unless it says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_models import BUILDERS

from agent_tools.errors import AgentToolsError
from agent_tools.replay import replay
from agent_tools.settings import Settings
from agent_tools.studio import Studio

pytestmark = pytest.mark.anyio
CALL = {"prompt": "a mug", "seed": 7, "steps": 2, "count": 2, "width": 64, "height": 64}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    model = BUILDERS["stable-diffusion"](tmp_path / "model")
    return Settings(data=tmp_path / "data", model=str(model), device="cpu", threads=1)


@pytest.fixture
async def studio(settings: Settings, anyio_backend: str) -> Any:
    opened = Studio.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
def painted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The prompts that really reached the engine."""
    prompts: list[str] = []
    submit = studio.engine.submit

    def counting(request: Any) -> Any:
        prompts.append(request.prompt)
        return submit(request)

    monkeypatch.setattr(studio.engine, "submit", counting)
    yield prompts


async def test_the_same_call_returns_the_stored_pictures_without_painting(
    studio: Studio, painted: list[str]
) -> None:
    first = await studio.call("generate_image", CALL)
    again = await studio.call("generate_image", dict(reversed(CALL.items())))
    assert painted == ["a mug"]
    assert again.data == first.data
    assert [i.info for i in again.images] == [i.info for i in first.images]
    assert "made before" in again.text and "made before" not in first.text


@pytest.mark.parametrize("change", [{"seed": 8}, {"steps": 3}, {"prompt": "a cup"}, {"count": 1}])
async def test_any_other_call_is_painted(
    change: dict[str, Any], studio: Studio, painted: list[str]
) -> None:
    await studio.call("generate_image", CALL)
    await studio.call("generate_image", CALL | change)
    assert len(painted) == 2


async def test_fresh_paints_again_and_so_does_replay(studio: Studio, painted: list[str]) -> None:
    first = await studio.call("generate_image", CALL)
    fresh = await studio.call("generate_image", {**CALL, "fresh": True})
    assert len(painted) == 2
    assert "made before" not in fresh.text
    assert (await replay(studio, first.images[0].info.image_id)).same_bytes
    assert len(painted) == 3


async def test_without_a_seed_every_call_is_new(studio: Studio, painted: list[str]) -> None:
    call = {name: value for name, value in CALL.items() if name != "seed"}
    await studio.call("generate_image", call)
    await studio.call("generate_image", call)
    assert len(painted) == 2


async def test_a_deleted_picture_is_painted_again(studio: Studio, painted: list[str]) -> None:
    first = await studio.call("generate_image", CALL)
    with studio.gallery.transaction() as connection:
        connection.execute(
            "DELETE FROM images WHERE image_id = ?", (first.images[1].info.image_id,)
        )
    again = await studio.call("generate_image", CALL)
    assert len(painted) == 2
    assert [i.info.image_id for i in again.images] == [i.info.image_id for i in first.images]


async def test_what_was_made_is_known_after_a_restart_but_not_with_other_weights(
    settings: Settings, studio: Studio, tmp_path: Path
) -> None:
    first = await studio.call("generate_image", CALL)
    await studio.close()
    later = Studio.open(settings)
    try:
        again = await later.call("generate_image", CALL)
        assert "made before" in again.text
        assert again.data == first.data
    finally:
        await later.close()
    # Other weights in the same folder.
    import shutil

    shutil.rmtree(settings.model)
    BUILDERS["stable-diffusion-v"](Path(settings.model))
    changed = Studio.open(settings)
    try:
        assert "made before" not in (await changed.call("generate_image", CALL)).text
    finally:
        await changed.close()


async def test_a_call_may_name_one_of_the_servers_models_and_no_other(tmp_path: Path) -> None:
    first, second = (BUILDERS[name](tmp_path / name) for name in ("stable-diffusion", "sdxl"))
    studio = Studio.open(
        Settings(
            data=tmp_path / "data", model=str(first), models=(str(second),), device="cpu", threads=1
        )
    )
    try:
        assert (await studio.call("generate_image", CALL)).data.model == "stable-diffusion"
        named = await studio.call("generate_image", {**CALL, "model": "sdxl"})
        assert named.data.model == "sdxl"
        assert (await replay(studio, named.images[0].info.image_id)).same_bytes
        with pytest.raises(AgentToolsError, match="no model 'banana'") as refused:
            await studio.call("generate_image", {**CALL, "model": "banana"})
        assert "sdxl" in refused.value.hint
    finally:
        await studio.close()
