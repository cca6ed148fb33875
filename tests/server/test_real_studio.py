"""The doors on the real studio: every tool, a diffusers model with random weights, real files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from real_server import environment, http_process
from small_tools import ERAS

from agent_tools.gallery import Gallery
from agent_tools.langchain import ImageToolkit
from agent_tools.pictures import encode_png
from agent_tools.settings import Settings
from agent_tools.tools import all_tools

pytestmark = pytest.mark.anyio

STDIO = (
    "from agent_tools.settings import load_settings; from server.mcp import serve_stdio; "
    "serve_stdio(load_settings())"
)
TOKEN = "a-token-of-enough-characters"
DIAGRAM = "flowchart LR\n  A[Order] --> B[Ship]"


def text_of(result: CallToolResult) -> str:
    return str(result.content[0].text)  # type: ignore[union-attr]


async def cancel_when_it_paints(client: Client, arguments: dict[str, Any]) -> None:
    """Call generate_image and cancel it at the first finished step."""
    painting = asyncio.Event()

    async def hear(done: float, total: float | None, message: str | None) -> None:
        if "step" in (message or ""):
            painting.set()

    call = asyncio.create_task(
        client.call_tool("generate_image", arguments, progress_callback=hear)
    )
    seen = asyncio.create_task(painting.wait())
    await asyncio.wait({call, seen}, return_when=asyncio.FIRST_COMPLETED)
    assert not call.done()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_paints_over_stdio_and_a_cancelled_painting_is_not_kept(
    era: str, tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-c", STDIO],
        cwd=tmp_path,
        env=environment(tmp_path / "data", tiny_stable_diffusion),
    )
    with (tmp_path / "log").open("w") as log:
        async with Client(stdio_client(server, errlog=log), mode=era) as client:
            assert client.protocol_version == ERAS[era]
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert len(names) == len(all_tools())
            await cancel_when_it_paints(client, {"prompt": "a red mug", "steps": 150, "count": 4})
            done: list[float] = []

            async def hear(value: float, total: float | None, message: str | None) -> None:
                done.append(value)

            painted = await client.call_tool(
                "generate_image",
                {"prompt": "a purple teapot", "steps": 3, "seed": 7, "width": 64, "height": 64},
                progress_callback=hear,
            )
            assert not painted.is_error, text_of(painted)
            assert len(done) >= 3 and done == sorted(set(done))
            image = painted.structured_content["images"][0]
            assert image["seed"] == 7
            assert (await client.read_resource(image["uri"])).contents[0].mime_type == "image/png"
            recipe = (await client.read_resource(f"recipe://{image['image_id']}")).contents[0]
            assert "purple teapot" in recipe.text
            drawn = await client.call_tool("draw_diagram", {"source": DIAGRAM})
            assert not drawn.is_error, text_of(drawn)
    kept = [record.image_id for record in Gallery(tmp_path / "data").list()]
    assert kept == [drawn.structured_content["images"][0]["image_id"], image["image_id"]]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert all("request_id" in line for line in lines)
    assert "teapot" not in json.dumps(lines)


@pytest.mark.parametrize("era", ERAS)
async def test_a_model_that_is_not_there_stops_only_painting(era: str, tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-c", STDIO],
        cwd=tmp_path,
        env=environment(tmp_path / "data", tmp_path / "no-such-model"),
    )
    async with Client(server, mode=era) as client:
        assert len((await client.list_tools()).tools) == len(all_tools())
        drawn = await client.call_tool("draw_diagram", {"source": DIAGRAM})
        assert not drawn.is_error, text_of(drawn)
        refused = await client.call_tool("generate_image", {"prompt": "a mug"})
        assert refused.is_error
        assert "no-such-model" in text_of(refused)
        assert refused.meta["agent-tools/error"]["code"] == "model_not_loaded"


def test_listing_the_tools_of_a_real_server_loads_no_model_library(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    program = """
import asyncio, sys
from mcp import Client
from agent_tools.settings import load_settings
from agent_tools.studio import Studio
from agent_tools.tools import all_tools
from server.mcp import build_server

async def main():
    studio = Studio.open(load_settings())
    for mode in ("auto", "legacy"):
        async with Client(build_server(studio), mode=mode) as client:
            assert len((await client.list_tools()).tools) == len(all_tools())
    await studio.close()

asyncio.run(main())
heavy = {"torch", "diffusers", "transformers", "boto3", "langchain_core"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment(tmp_path / "data", tiny_stable_diffusion),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_uploads_and_edits_over_http_and_a_signal_ends_the_server(
    era: str, tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    from PIL import Image

    photo = encode_png(Image.effect_noise((64, 64), 60).convert("RGB"))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with http_process(tmp_path / "data", tiny_stable_diffusion, AGENT_TOOLS_TOKEN=TOKEN) as (
        url,
        process,
    ):
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            assert (await http.get(f"{url}/readyz")).json() == {"status": "ready"}
            sent = await http.post(
                f"{url}/images", content=photo, headers={"Content-Type": "image/png"}
            )
            transport = streamable_http_client(f"{url}/mcp", http_client=http)
            async with Client(transport, mode=era) as client:
                await cancel_when_it_paints(client, {"prompt": "a mug", "steps": 150, "count": 4})
                edited = await client.call_tool(
                    "edit_image",
                    {"image_id": sent.json()["image_id"], "prompt": "a blue mug", "steps": 4},
                )
                assert not edited.is_error, text_of(edited)
                image_id = edited.structured_content["images"][0]["image_id"]
                shown = await http.get(f"{url}/images/{image_id}")
                assert shown.headers["Content-Type"] == "image/png"
                assert len((await client.list_resources()).resources) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    kept = [record.image_id for record in Gallery(tmp_path / "data").list()]
    assert kept == [image_id, sent.json()["image_id"]]


def test_a_scripted_langchain_agent_paints_exports_and_finds_the_picture(
    tmp_path: Path, tiny_stable_diffusion: Path
) -> None:
    settings = Settings(data=tmp_path / "data", model=str(tiny_stable_diffusion), threads=1)

    def call(name: str, arguments: dict[str, Any]) -> AIMessage:
        calls = [{"type": "tool_call", "id": f"call_{name}", "name": name, "args": arguments}]
        return AIMessage("", tool_calls=calls)

    with ImageToolkit(settings) as toolkit:
        tools = {tool.name: tool for tool in toolkit.get_tools()}
        script = iter(
            [
                call("generate_image", {"prompt": "a purple teapot", "steps": 2, "seed": 3}),
                call("export_to_kb", {}),
                call("search_kb", {"question": "Do you have a purple teapot?"}),
                AIMessage("Here it is."),
            ]
        )
        model = GenericFakeChatModel(messages=script)
        conversation: list[Any] = [HumanMessage("A purple teapot, please.")]
        while (answer := model.invoke(conversation)).tool_calls:
            conversation.append(answer)
            conversation += [tools[item["name"]].invoke(item) for item in answer.tool_calls]
        results = [m for m in conversation if isinstance(m, ToolMessage)]
        assert [m.status for m in results] == ["success"] * 3
        painted = results[0].artifact["data"]["images"][0]["image_id"]
        assert painted in str(results[2].content)
