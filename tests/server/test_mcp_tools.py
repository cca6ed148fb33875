"""The MCP door through a real client: three transports, both protocol eras."""

from __future__ import annotations

import base64
import io
import json
import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import ImageContent, ResourceLink, TextContent
from PIL import Image
from small_tools import ERAS, TRANSPORTS, connected, small_studio

from agent_tools.errors import BadSettings
from agent_tools.results import within_inline_limit
from agent_tools.settings import Settings
from server.content import ERROR_META
from server.mcp import build_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_agent_lists_calls_sees_progress_and_reads_the_picture(
    transport: str, era: str, settings: Settings
) -> None:
    async with connected(transport, era, settings) as client:
        assert client.protocol_version == ERAS[era]
        assert "image_id" in (client.instructions or "")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["paint_square"].input_schema["properties"]["color"]["enum"] == [
            "red",
            "green",
            "blue",
        ]
        assert tools["count_after_cancel"].annotations.read_only_hint is True

        heard: list[tuple[float, float | None, str | None]] = []

        async def hear(done: float, total: float | None, message: str | None) -> None:
            heard.append((done, total, message))

        result = await client.call_tool("paint_square", {"color": "red"}, progress_callback=hear)
        assert heard == [(1, 3, "step 1 of 3"), (2, 3, "step 2 of 3"), (3, 3, "step 3 of 3")]
        assert not result.is_error
        text, thumbnail, link = result.content
        assert isinstance(text, TextContent)
        assert isinstance(thumbnail, ImageContent)
        assert isinstance(link, ResourceLink)
        image = result.structured_content["image"]
        assert image["image_id"] in text.text
        assert link.uri == image["uri"]
        assert Image.open(io.BytesIO(base64.b64decode(thumbnail.data))).format == "WEBP"

        full = (await client.read_resource(link.uri)).contents[0]
        assert full.mime_type == "image/png"
        assert Image.open(io.BytesIO(base64.b64decode(full.blob))).size == (64, 64)
        recipe = (await client.read_resource(f"recipe://{image['image_id']}")).contents[0]
        assert json.loads(recipe.text)["color"] == "red"
        listed = (await client.list_resources()).resources
        assert [resource.uri for resource in listed] == [image["uri"]]


async def test_a_cancelled_call_reaches_the_tool_and_nothing_is_kept(
    transport: str, era: str, settings: Settings
) -> None:
    async with connected(transport, era, settings) as client:
        begun = anyio.Event()

        async def hear(*_: Any) -> None:
            begun.set()

        async def hold() -> None:
            await client.call_tool("hold", {"color": "red"}, progress_callback=hear)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold)
            await begun.wait()
            tasks.cancel_scope.cancel()
        counted = await client.call_tool("count_after_cancel", {})
        assert counted.structured_content == {"pictures": 0}


HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "an unknown tool": ("x" * 5000, {}, "There is no tool 'xxx"),
    "a missing argument": ("paint_square", {}, "'color' is missing"),
    "an extra argument": ("paint_square", {"color": "red", "path": "/etc"}, "'path' is not an"),
    "a wrong type": ("paint_square", {"color": ["red"]}, "'color'"),
    "a huge string": ("paint_square", {"color": "red", "title": "A" * 1_000_000}, "'title'"),
    "a huge number": ("paint_square", {"color": "red", "side": 10**300}, "'side'"),
    "thousands of names": ("paint_square", {"k" * 300 + str(i): 1 for i in range(2000)}, "more"),
    "deep nesting": ("paint_square", {"color": json.loads("[" * 90 + "]" * 90)}, "'color'"),
    "control characters": ("paint_square", {"color": "\x00\x1b[2J\u202e"}, "'color'"),
}


async def test_hostile_arguments_get_one_short_error_and_the_server_goes_on(
    transport: str, era: str, settings: Settings
) -> None:
    async with connected(transport, era, settings) as client:
        for name, arguments, expected in HOSTILE.values():
            result = await client.call_tool(name, arguments)
            assert result.is_error
            text = result.content[0].text
            assert expected in text
            assert len(text) < 4000
            assert result.meta[ERROR_META]["hint"]
        result = await client.call_tool("paint_square", {"color": "blue"})
        assert not result.is_error


async def test_a_fault_inside_a_tool_tells_the_model_nothing_private(
    transport: str, era: str, settings: Settings
) -> None:
    async with connected(transport, era, settings) as client:
        result = await client.call_tool("broken", {"color": "red"})
        assert result.is_error
        said = result.model_dump_json()
        assert "CANARY" not in said and "/srv" not in said and "Traceback" not in said
        assert "request id" in result.content[0].text
        assert result.meta[ERROR_META]["code"] == "internal"


async def test_a_busy_server_says_when_to_come_back(era: str, settings: Settings) -> None:
    async with connected("memory", era, settings) as client:
        result = await client.call_tool("full", {"color": "red"})
        assert result.is_error
        assert "Try again in 7 seconds." in result.content[0].text
        error = result.meta[ERROR_META]
        assert (error["code"], error["retryable"]) == ("busy", True)
        assert error["data"]["retry_after_s"] == 7


@pytest.mark.parametrize(
    "uri",
    [
        "image://img_000000000000000000000000",
        "image://..%2f..%2fetc%2fpasswd",
        "image:///etc/passwd",
        "recipe://nothing",
        "persona://nobody",
        "file:///etc/passwd",
        "image://" + "a" * 20_000,
    ],
)
async def test_a_wrong_resource_is_an_error_and_reads_no_file(
    uri: str, era: str, settings: Settings
) -> None:
    async with connected("memory", era, settings) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
        assert "root:" not in str(caught.value)
        assert str(settings.data) not in str(caught.value)
        assert (await client.list_tools()).tools


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"images": "both"}, ["text", "image", "resource_link"]),
        ({"images": "inline"}, ["text", "image"]),
        ({"images": "link"}, ["text", "resource_link"]),
        ({"images": "none"}, ["text"]),
        ({"links": "text"}, ["text", "image"]),
    ],
)
async def test_settings_decide_how_pictures_travel(
    changes: dict[str, Any], kinds: list[str], settings: Settings
) -> None:
    changed = settings.model_copy(update=changes)
    async with connected("memory", "auto", changed) as client:
        result = await client.call_tool("paint_square", {"color": "red"})
        assert [block.type for block in result.content] == kinds
        image_id = result.structured_content["image"]["image_id"]
        if changes.get("links") == "text":
            assert f"image://{image_id}" in result.content[0].text


async def test_links_can_be_web_addresses_if_the_server_knows_its_own(settings: Settings) -> None:
    https = settings.model_copy(update={"links": "https"})
    with pytest.raises(BadSettings, match="public_url"):
        build_server(small_studio(https))
    public = https.model_copy(update={"public_url": "https://pictures.example/"})
    async with connected("memory", "auto", public) as client:
        result = await client.call_tool("paint_square", {"color": "red"})
        image_id = result.structured_content["image"]["image_id"]
        assert result.content[2].uri.startswith(f"https://pictures.example/i/{image_id}/")


async def test_without_structured_content_the_text_is_complete_and_no_schema_is_promised(
    era: str, settings: Settings
) -> None:
    plain = settings.model_copy(update={"structured": False})
    async with connected("memory", era, plain) as client:
        tools = (await client.list_tools()).tools
        assert all(tool.output_schema is None for tool in tools)
        result = await client.call_tool("paint_square", {"color": "red"})
        assert result.structured_content is None
        assert "image://" in result.content[2].uri
        assert result.content[0].text.startswith("Painted img_")


async def test_thumbnails_never_make_a_result_too_large(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(within_inline_limit, "__defaults__", (100,))
    async with connected("memory", "auto", settings) as client:
        result = await client.call_tool("paint_square", {"color": "red"})
        assert [block.type for block in result.content] == ["text", "resource_link"]
        assert "Call get_image" in result.content[0].text


async def test_logs_name_the_tool_and_the_outcome_but_never_the_arguments(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with connected("memory", "legacy", settings) as client:
        await client.call_tool("paint_square", {"color": "red", "title": "CANARY-PROMPT"})
        await client.call_tool("paint_square", {"color": "CANARY-PROMPT"})
        await client.call_tool("CANARY-PROMPT", {})
    calls = [r.fields for r in caplog.records if r.getMessage() == "tool call"]  # type: ignore[attr-defined]
    assert [(c["tool"], c["outcome"]) for c in calls] == [
        ("paint_square", "ok"),
        ("paint_square", "invalid_arguments"),
        ("(unknown)", "not_found"),
    ]
    assert not any("CANARY" in str(vars(record)) for record in caplog.records)


async def test_two_clients_are_served_by_one_server(settings: Settings) -> None:
    server = build_server(small_studio(settings))
    async with Client(server) as first, Client(server, mode="legacy") as second:
        a = await first.call_tool("paint_square", {"color": "red"})
        image_id = a.structured_content["image"]["image_id"]
        assert (await second.read_resource(f"image://{image_id}")).contents
