"""How results travel: chosen per call, per connection or per server; never too large."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import ImageContent
from PIL import Image
from small_tools import ERAS, PaintSquare, SquareOutput, connected, http_server, small_studio

from agent_tools.langchain import ImageToolkit
from agent_tools.results import ImageInfo, ToolImage, ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools.base import Progress
from server import content
from server.content import ERROR_META
from server.delivery import META_KEY
from server.mcp import build_server

pytestmark = pytest.mark.anyio

RED = {"color": "red"}


class PaintMany(PaintSquare):
    """Paint as many squares as the side says."""

    name = "paint_many"

    async def run(self, studio: Studio, arguments: Any, progress: Progress) -> ToolResult:
        square = arguments.model_copy(update={"side": 24})
        results = [await super().run(studio, square, progress)]
        while len(results) < arguments.side:
            results.append(await super().run(studio, square, progress))
        images = tuple(image for result in results for image in result.images)
        return ToolResult(text="Painted.", data=results[0].data, images=images)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def kinds(result: Any) -> list[str]:
    return [block.type for block in result.content]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ("both", ["text", "image", "resource_link"]),
        ("inline", ["text", "image"]),
        ("link", ["text", "resource_link"]),
        ("none", ["text"]),
    ],
)
async def test_a_call_chooses_how_its_pictures_come_back(
    era: str, images: str, expected: list[str], settings: Settings
) -> None:
    async with connected("memory", era, settings) as client:
        result = await client.call_tool("paint_square", RED | {"images": images})
        assert not result.is_error
        assert kinds(result) == expected
        image_id = result.structured_content["image"]["image_id"]
        assert image_id in result.content[0].text  # each half is complete in every way
        again = await client.call_tool("paint_square", RED)
        assert kinds(again) == ["text", "image", "resource_link"]


async def test_tools_with_pictures_offer_the_switch_with_the_servers_own_default(
    settings: Settings,
) -> None:
    linked = settings.model_copy(update={"images": "link"})
    async with connected("memory", "auto", linked) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        offered = tools["paint_square"].input_schema["properties"]["images"]
        assert (offered["default"], offered["type"]) == ("link", "string")
        assert sorted(offered["enum"]) == ["both", "inline", "link", "none"]
        assert kinds(await client.call_tool("paint_square", RED)) == ["text", "resource_link"]


@pytest.mark.parametrize("wrong", ["all", 7, ["link"], {"a": 1}, "x" * 100_000])
async def test_a_wrong_choice_is_one_short_error_before_anything_is_painted(
    wrong: Any, settings: Settings
) -> None:
    async with connected("memory", "auto", settings) as client:
        result = await client.call_tool("paint_square", RED | {"images": wrong})
        assert result.is_error
        assert "'images' is one of both, inline, link, none" in result.content[0].text
        assert len(result.content[0].text) < 300
        assert result.meta[ERROR_META]["code"] == "invalid_arguments"
        assert (await client.list_resources()).resources == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_chooses_in_the_meta_of_its_request(era: str, settings: Settings) -> None:
    public = settings.model_copy(update={"public_url": "https://pictures.example"})
    async with connected("memory", era, public) as client:
        meta: Any = {META_KEY: {"images": "link", "links": "https"}}
        result = await client.call_tool("paint_square", RED, meta=meta)
        assert kinds(result) == ["text", "resource_link"]
        assert result.content[1].uri.startswith("https://pictures.example/i/img_")
        # What the model asks for in the call itself is nearer.
        result = await client.call_tool("paint_square", RED | {"images": "inline"}, meta=meta)
        assert kinds(result) == ["text", "image"]
        meta = {META_KEY: {"links": "text"}}
        result = await client.call_tool("paint_square", RED, meta=meta)
        assert "https://pictures.example/i/img_" in result.content[0].text
        for wrong in ({"pictures": "link"}, {"links": "ftp"}, {"structured": True}, "link", ["x"]):
            meta = {META_KEY: wrong}
            assert (await client.call_tool("paint_square", RED, meta=meta)).is_error, wrong


async def test_https_links_need_an_address(settings: Settings) -> None:
    async with connected("memory", "auto", settings) as client:
        meta: Any = {META_KEY: {"links": "https"}}
        result = await client.call_tool("paint_square", RED, meta=meta)
        assert result.is_error and "public_url" in result.content[0].text


@pytest.mark.parametrize("era", ERAS)
async def test_a_connection_chooses_in_the_servers_address(era: str, settings: Settings) -> None:
    studio = small_studio(settings)
    async with http_server(studio) as url:
        query = "images=link&structured=off&links=text&other=1"
        async with Client(f"{url}/mcp?{query}", mode=era) as client:
            tools = (await client.list_tools()).tools
            assert all(tool.output_schema is None for tool in tools)
            result = await client.call_tool("paint_square", RED)
            assert kinds(result) == ["text"]
            assert result.structured_content is None
            assert "image://img_" in result.content[0].text
        async with Client(f"{url}/mcp", mode=era) as client:
            assert (await client.list_tools()).tools[0].output_schema is not None
            assert (await client.call_tool("paint_square", RED)).structured_content is not None
        async with Client(f"{url}/mcp?images=all", mode=era) as client:
            assert (await client.call_tool("paint_square", RED)).is_error


def shown(thumbnail: bytes, kind: str = "picture") -> ToolImage:
    info = ImageInfo(
        image_id="img_0", uri="image://img_0", width=1, height=1, model="m", caption="c", alt="a"
    )
    return ToolImage(info, Path("x"), thumbnail, kind)


@pytest.mark.parametrize(("more", "sent"), [(0, 4), (1, 3)])
def test_the_pictures_inside_a_result_are_at_most_700_kilobytes_of_base64(
    more: int, sent: int, settings: Settings
) -> None:
    """525,000 bytes are exactly 700,000 characters of base64; one byte more is too much."""
    sizes = [131_250, 131_250, 131_250, 131_250 + more]
    images = tuple(shown(b"x" * size) for size in sizes)
    info = images[0].info
    result = content.success(ToolResult("text", SquareOutput(image=info), images), settings)
    inside = [block for block in result.content if isinstance(block, ImageContent)]
    assert len(inside) == sent
    assert sum(len(block.data) for block in inside) <= 700_000
    assert ("Call get_image" in result.content[0].text) == bool(more)
    assert len(result.model_dump_json()) < 1_000_000


async def test_more_than_four_pictures_come_as_one_numbered_sheet_with_a_link_each(
    settings: Settings,
) -> None:
    studio = small_studio(settings)
    tool = PaintMany()
    studio.tools[tool.name] = tool
    async with Client(build_server(studio)) as client:
        result = await client.call_tool(tool.name, RED | {"side": 20})
    images = [block for block in result.content if isinstance(block, ImageContent)]
    assert len(images) == 1
    assert kinds(result).count("resource_link") == 20
    assert "numbered in this order" in result.content[0].text
    sheet = Image.open(io.BytesIO(base64.b64decode(images[0].data)))
    assert max(sheet.size) == 1024


async def test_a_sheet_that_a_tool_made_stands_for_its_pictures(settings: Settings) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP")
    images = tuple(shown(buffer.getvalue()) for _ in range(5))
    own = replace(images[0], thumbnail=b"the tool's own", kind="sheet")
    data = SquareOutput(image=images[0].info)
    result = content.success(ToolResult("text", data, (own, *images)), settings)
    (inside,) = [block for block in result.content if isinstance(block, ImageContent)]
    assert base64.b64decode(inside.data) == b"the tool's own"


def test_langchain_gets_the_same_sheet(settings: Settings) -> None:
    studio = small_studio(settings)
    studio.tools["paint_many"] = PaintMany()
    with ImageToolkit(studio) as toolkit:
        tool = {tool.name: tool for tool in toolkit.get_tools()}["paint_many"]
        call: Any = {"type": "tool_call", "id": "1", "name": "paint_many", "args": RED}
        message = tool.invoke(call)
    assert [block["type"] for block in message.content] == ["text", "image"]
    assert "contact sheet" in message.content[0]["text"]
    studio.gallery.close()
