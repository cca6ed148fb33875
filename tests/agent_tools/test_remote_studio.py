"""The tools paint through a remote engine when the settings say so; nothing else changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images_api_stub import KEY, ImagesApi, serving
from PIL import Image

from agent_tools.errors import AgentToolsError, BadSettings, Overloaded
from agent_tools.pictures import encode_png
from agent_tools.settings import load_settings
from agent_tools.studio import Studio
from server.doctor import Check, examine

pytestmark = pytest.mark.anyio


def environment(api: ImagesApi, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "AGENT_TOOLS_DATA": str(tmp_path / "data"),
        "AGENT_TOOLS_ENGINE": api.url,
        "AGENT_TOOLS_ENGINE_API_KEY": KEY,
        **more,
    }


@pytest.fixture
async def api(anyio_backend: str) -> AsyncIterator[ImagesApi]:
    async with serving(ImagesApi("vllm-omni")) as served:
        yield served


@pytest.fixture
async def studio(api: ImagesApi, tmp_path: Path) -> AsyncIterator[Studio]:
    opened = Studio.open(load_settings(environ=environment(api, tmp_path)))
    yield opened
    await opened.close()


async def test_a_tools_pictures_come_from_the_server_and_keep_its_name(
    studio: Studio, api: ImagesApi
) -> None:
    await studio.warm_up()
    asked = {"prompt": "a red mug", "count": 2, "seed": 5, "width": 64, "height": 64}
    result = await studio.call("generate_image", asked)
    assert sorted(call.fields["seed"] for call in api.received) == [5, 6]
    for image in result.images:
        record = studio.gallery.get(image.info.image_id)
        assert record.model == "painter-1" and record.recipe["revision"].startswith("remote:")
    again = await studio.call("generate_image", asked)
    first, second = (
        [studio.gallery.open_image(i.info.image_id).tobytes() for i in r.images]
        for r in (result, again)
    )
    assert first == second


async def test_an_edit_keeps_what_the_mask_keeps(studio: Studio, api: ImagesApi) -> None:
    source = Image.effect_noise((90, 70), 60).convert("RGB")
    mask = Image.new("L", source.size, 0)
    mask.paste(255, (20, 20, 60, 50))
    ids: dict[str, Any] = {
        "image_id": studio.gallery.add_upload(encode_png(source)).image_id,
        "mask_id": studio.gallery.add_upload(encode_png(mask), kind="mask").image_id,
    }
    result = await studio.call("edit_image", {"prompt": "a blue handle on a mug", **ids})
    edited = np.asarray(studio.gallery.open_image(result.images[0].info.image_id))
    kept = np.asarray(mask) == 0
    assert (edited[kept] == np.asarray(source)[kept]).all()
    assert (edited[~kept] != np.asarray(source)[~kept]).any()
    assert api.received[0].path == "/v1/images/edits"


async def test_a_busy_server_tells_the_agent_when_to_come_back(
    studio: Studio, api: ImagesApi
) -> None:
    api.answer_next(429, {}, {"retry-after": "120"})
    with pytest.raises(Overloaded) as caught:
        await studio.call("generate_image", {"prompt": "a red mug"})
    assert caught.value.data["retry_after_s"] == 120 and caught.value.retryable


async def test_the_tools_error_and_the_log_do_not_have_the_key(
    api: ImagesApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "sk-wrong-0011223344"
    environ = environment(api, tmp_path, AGENT_TOOLS_ENGINE_API_KEY=wrong)
    settings = load_settings(environ=environ)
    studio = Studio.open(settings)
    with pytest.raises(AgentToolsError) as caught:
        await studio.call("generate_image", {"prompt": "a red mug"})
    await studio.close()
    assert caught.value.code == "remote_refused" and "ENGINE_API_KEY" in caught.value.hint
    for text in (str(caught.value), caplog.text, repr(settings), settings.model_dump_json()):
        assert wrong not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENGINE", "http://example.com/v1"),
        ("ENGINE", "https://me:s3cret@example.com/v1"),
        ("ENGINE", "example.com"),
        ("ENGINE_API_KEY", "s3cret with spaces"),
        ("ENGINE_EXTRAS", "maybe"),
    ],
)
def test_a_bad_setting_is_named_and_no_secret_shown(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=f"'{name.lower()}' from the environment") as caught:
        load_settings(environ={f"AGENT_TOOLS_{name}": value})
    assert "s3cret" not in str(caught.value)


def engine_check(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Check:
    for slow in ("_torch", "_device"):
        monkeypatch.setattr(f"server.doctor.{slow}", lambda _: Check("", "ok", ""))
    checks = {check.name: check for check in examine(settings)}
    assert checks["model"].status == "ok"
    return checks["engine"]


async def test_the_doctor_asks_the_remote_engine(
    api: ImagesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(**more: str) -> Check:
        settings = load_settings(environ=environment(api, tmp_path, **more))
        return await asyncio.to_thread(engine_check, settings, monkeypatch)

    found = await check()
    assert found.status == "ok" and "painter-1" in found.detail and api.url in found.detail
    wrong = await check(AGENT_TOOLS_ENGINE_API_KEY="sk-wrong-0011223344")
    assert wrong.status == "fail" and "AGENT_TOOLS_ENGINE_API_KEY" in wrong.hint
    gone = await check(AGENT_TOOLS_ENGINE="http://127.0.0.1:9/v1")
    assert gone.status == "fail" and gone.hint
