"""The gallery inside the chat, as hosts of MCP Apps find it: on the wire, without a browser."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.types import ImageContent
from PIL import Image
from small_tools import ERAS, small_studio

from agent_tools.settings import Settings
from agent_tools.studio import Studio
from server.apps.gallery import GALLERY_URI, IMAGE_ID_META
from server.mcp import build_server

pytestmark = pytest.mark.anyio
SHOWN_FOR = {"create_product_variants", "create_persona_avatar", "generate_image"}


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def real_tools(data: Path, era: str, **settings: Any) -> AsyncIterator[Client]:
    studio = Studio.open(Settings(data=data, **settings))
    async with Client(build_server(studio), mode=era) as client:
        yield client
    await studio.close()


async def test_a_host_finds_the_view_through_the_tools_that_it_is_for(
    era: str, tmp_path: Path
) -> None:
    async with real_tools(tmp_path, era) as client:
        assert EXTENSION_ID in (client.server_capabilities.extensions or {})
        tools = (await client.list_tools()).tools
        views = {tool.name: tool.meta["ui"] for tool in tools if tool.meta and "ui" in tool.meta}
        assert views == {name: {"resourceUri": GALLERY_URI} for name in SHOWN_FOR}
        # What the view calls must be callable by apps, which is the default.
        assert {"upscale_image", "get_image"} <= {tool.name for tool in tools}
        (view,) = (await client.read_resource(GALLERY_URI)).contents
        assert view.mime_type == APP_MIME_TYPE
        assert view.meta["ui"]["csp"] == {"connectDomains": [], "resourceDomains": []}
        assert len(view.text.encode()) < 32_000


async def test_the_view_is_one_document_that_names_no_other(tmp_path: Path) -> None:
    async with real_tools(tmp_path, "auto") as client:
        (view,) = (await client.read_resource(GALLERY_URI)).contents
    html = re.sub(r"//.*", "", view.text)
    assert html.startswith("<!doctype html>")
    assert not re.search(
        r"<link|<iframe|<form|@import|url\(|\bfetch\(|XMLHttpRequest|import\(", html
    )
    assert not re.search(r"\bsrc=|innerHTML|insertAdjacentHTML|\beval\(|document\.write", html)


async def test_switched_off_nothing_of_it_is_left(era: str, tmp_path: Path) -> None:
    async with real_tools(tmp_path, era, apps=False) as client:
        assert EXTENSION_ID not in (client.server_capabilities.extensions or {})
        tools = (await client.list_tools()).tools
        assert all("ui" not in (tool.meta or {}) for tool in tools)
        with pytest.raises(MCPError):
            await client.read_resource(GALLERY_URI)


async def test_the_pixels_travel_once_and_each_block_names_its_picture(
    era: str, tmp_path: Path
) -> None:
    async with Client(build_server(small_studio(Settings(data=tmp_path))), mode=era) as client:
        result = await client.call_tool("paint_square", {"color": "red"})
        (block,) = (part for part in result.content if isinstance(part, ImageContent))
        image_id = result.structured_content["image"]["image_id"]
        assert block.meta == {IMAGE_ID_META: image_id}
        assert result.model_dump_json().count(block.data[:200]) == 1
        (small,) = (await client.read_resource(f"thumbnail://{image_id}")).contents
        assert small.blob == block.data
        assert small.mime_type == "image/webp"
        assert max(Image.open(io.BytesIO(base64.b64decode(small.blob))).size) <= 384


@pytest.mark.parametrize("image_id", ["img_" + "0" * 24, "../../etc/passwd", "%2e%2e"])
async def test_a_thumbnail_of_no_picture_is_not_found(image_id: str, tmp_path: Path) -> None:
    async with Client(build_server(small_studio(Settings(data=tmp_path)))) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(f"thumbnail://{image_id}")
        assert refused.value.error.code == -32602
