"""What every tool of the real studio publishes: names, schemas, descriptions, annotations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.unit_tests import ToolsUnitTests

from agent_tools.langchain import ImageToolkit
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools import all_tools
from agent_tools.tools.base import Tool
from server.schemas import arguments_schema

EXAMPLES: dict[str, dict[str, Any]] = {
    "generate_image": {"prompt": "a purple teapot on a white background"},
    "edit_image": {"image_id": "img_000000000000000000000000", "prompt": "a red teapot"},
    "upscale_image": {"image_id": "img_000000000000000000000000", "factor": 2},
    "create_product_variants": {"product": "teapot", "colors": ["red", "blue"]},
    "create_persona_avatar": {"name": "Ada", "description": "a friendly shop assistant"},
    "create_avatar_pack": {"persona_id": "per_mina_0123456789"},
    "list_personas": {},
    "draw_diagram": {"source": "flowchart LR\n  A --> B"},
    "edit_diagram": {"diagram_id": "img_000000000000000000000000", "title": "Checkout"},
    "get_image": {"image_id": "img_000000000000000000000000"},
    "find_images": {"query": "a red teapot"},
    "export_to_kb": {},
    "search_kb": {"question": "Do you have a red teapot?"},
    "get_job": {"job_id": "job_0123456789abcdef0123456789abcdef01234567"},
    "cancel_job": {"job_id": "job_0123456789abcdef0123456789abcdef01234567"},
}
TOOLS = {tool.name: tool for tool in all_tools()}


def test_every_tool_is_listed_once_with_an_example_here() -> None:
    assert sorted(TOOLS) == sorted(EXAMPLES)
    assert len(TOOLS) == len(all_tools())


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_a_model_can_read_the_tool(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z_]{1,40}", tool.name)
    assert "Example" in tool.description
    assert tool.title
    schema = arguments_schema(tool.Arguments)
    assert schema["additionalProperties"] is False
    assert all("description" in field for field in schema["properties"].values())
    # Pictures enter by id: models lose large arguments, and paths and URLs are attacks.
    assert not re.search(r"base64|path|url", " ".join(schema["properties"]))


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_reading_tools_are_marked_as_such_and_none_reaches_the_open_web(tool: Tool) -> None:
    reading = {"get_image", "find_images", "list_personas", "search_kb", "get_job"}
    assert tool.read_only == (tool.name in reading)
    assert not tool.open_world or tool.name == "export_to_kb"


def test_langchain_gets_every_tool_but_those_about_jobs(tmp_path: Path) -> None:
    # A call there is answered when it is done, so there is no job to ask about.
    studio = Studio.open(Settings(data=tmp_path))
    with ImageToolkit(studio) as toolkit:
        names = {tool.name for tool in toolkit.get_tools()}
    studio.gallery.close()
    assert set(TOOLS) - names == {"get_job", "cancel_job"}


@pytest.mark.parametrize(
    "name", sorted(name for name in EXAMPLES if not TOOLS[name].about_jobs), scope="class"
)
class TestLangChainStandard(ToolsUnitTests):
    """LangChain's own unit tests, for every real tool."""

    @pytest.fixture(autouse=True)
    def _choose(self, name: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
        studio = Studio.open(Settings(data=tmp_path_factory.mktemp("data")))
        with ImageToolkit(studio) as toolkit:
            self._tool = {tool.name: tool for tool in toolkit.get_tools()}[name]
            self._example = EXAMPLES[name]
            yield
        studio.gallery.close()

    @property
    def tool_constructor(self) -> BaseTool:
        return self._tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self._example
