"""LangChain's own MCP adapter (`langchain[mcp]`) drives a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from small_tools import http_server, small_studio

from agent_tools.settings import Settings

pytest.importorskip("fastmcp", reason="langchain[mcp] is not installed")
MCPAdapter: Any = pytest.importorskip("langchain.mcp").MCPAdapter

pytestmark = pytest.mark.anyio


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    async with http_server(small_studio(Settings(data=tmp_path / "data"))) as url:
        yield f"{url}/mcp"


async def call(tools: dict[str, Any], name: str, **arguments: Any) -> Any:
    return await tools[name].ainvoke(
        {"type": "tool_call", "id": "1", "name": name, "args": arguments}
    )


async def test_the_adapter_lists_our_tools_and_calls_them(address: str) -> None:
    async with MCPAdapter(f"{address}?links=text") as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}
        message = await call(tools, "paint_square", color="red")
    assert message.status == "success"
    assert [block["type"] for block in message.content] == ["text", "image"]
    image = message.artifact["structured_content"]["image"]
    assert image["image_id"] in message.content[0]["text"]


async def test_links_in_the_text_keep_addresses_that_providers_reject_out(address: str) -> None:
    """The control: without the switch a link becomes an image block with an image:// address."""
    async with MCPAdapter(address) as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}
        message = await call(tools, "paint_square", color="red")
    assert "image://" in str(message.content[1:])
    async with MCPAdapter(f"{address}?links=text") as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}
        message = await call(tools, "paint_square", color="red")
    assert "image://" not in str(message.content[1:])


async def test_an_error_reaches_the_model_with_the_next_step(address: str) -> None:
    async with MCPAdapter(address) as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}
        message = await call(tools, "full", color="red")
    assert message.status == "error"
    assert "Try again in 7 seconds" in str(message.content)
