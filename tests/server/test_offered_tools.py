"""The setting `tools`: agents see fewer tools, every door refuses the others, people keep all."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client

from agent_tools.errors import BadSettings
from agent_tools.langchain import ImageToolkit
from agent_tools.settings import Settings, load_settings
from agent_tools.studio import Studio
from agent_tools.tools import CORE, all_tools
from server.mcp import build_server

pytestmark = pytest.mark.anyio

JOBS = ["cancel_job", "get_job"]
LINE = {"source": "flowchart LR\n  a --> b"}


def studio_with(tmp_path: Path, tools: str | None) -> Studio:
    """Open a studio whose settings came from the environment; its model is never loaded."""
    environ = {"AGENT_TOOLS_DATA": str(tmp_path / "data")}
    return Studio.open(
        load_settings(environ=environ | ({"AGENT_TOOLS_TOOLS": tools} if tools else {}))
    )


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (None, [tool.name for tool in all_tools()]),
        ("core", [*CORE, *JOBS]),
        ("draw_diagram", ["draw_diagram", *JOBS]),
        ("core, upscale_image", [*CORE, "upscale_image", *JOBS]),
    ],
)
async def test_agents_are_listed_what_the_setting_names(
    tmp_path: Path, said: str | None, names: list[str]
) -> None:
    studio = studio_with(tmp_path, said)
    async with Client(build_server(studio)) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
    assert sorted(listed) == sorted(names)


def test_langchain_gets_the_same_without_what_is_about_jobs(tmp_path: Path) -> None:
    with ImageToolkit(studio_with(tmp_path, "core")) as toolkit:
        assert sorted(tool.name for tool in toolkit.get_tools()) == sorted(CORE)


async def test_a_tool_that_is_not_offered_is_refused_by_name(tmp_path: Path) -> None:
    studio = studio_with(tmp_path, "get_image,find_images")
    async with Client(build_server(studio)) as client:
        refused = await client.call_tool("draw_diagram", LINE)
        assert refused.is_error
        assert "There is no tool 'draw_diagram'" in refused.content[0].text
        assert "find_images" in refused.content[0].text
        found = await client.call_tool("find_images", {})
        assert not found.is_error
    # What people do on this machine is not an agent's call.
    assert (await studio.call("draw_diagram", LINE)).images


async def test_the_same_call_is_answered_where_it_is_offered(tmp_path: Path) -> None:
    async with Client(build_server(studio_with(tmp_path, "draw_diagram"))) as client:
        assert not (await client.call_tool("draw_diagram", LINE)).is_error


def test_an_unknown_name_is_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="names no tool: paint_everything") as bad:
        Studio.open(Settings(data=tmp_path / "data", tools=("core", "paint_everything")))
    assert "generate_image" in (bad.value.hint or "")
