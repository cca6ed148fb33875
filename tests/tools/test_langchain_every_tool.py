"""LangChain's standard tests for every tool, in this process and against a running server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from tool_calls import calls_of_every_tool

from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.gallery import Gallery
from agent_tools.knowledge import Knowledge
from agent_tools.langchain import ImageToolkit
from agent_tools.personas import PersonaStore
from agent_tools.settings import Settings
from agent_tools.studio import Studio
from agent_tools.tools import all_tools
from engine import LocalEngine
from server.app import build_app
from server.connections import http_config
from server.tokens import TokenStore
from server.warm_up import WarmUp

# What is about jobs is of use only behind a door that answers before a long call is done.
NAMES = [tool.name for tool in all_tools() if not tool.about_jobs]
Place = tuple[ImageToolkit, dict[str, BaseTool], dict[str, dict[str, Any]]]


def a_studio(folder: Path, model: Path, engine: LocalEngine) -> Studio:
    settings = Settings(data=folder, model=str(model), threads=1)
    gallery = Gallery(folder)
    return Studio(settings, engine, gallery, PersonaStore(gallery), Knowledge(gallery, settings))


@pytest.fixture(scope="module")
def process(
    tmp_path_factory: pytest.TempPathFactory, tiny_stable_diffusion: Path, engine: LocalEngine
) -> Iterator[Place]:
    studio = a_studio(tmp_path_factory.mktemp("here"), tiny_stable_diffusion, engine)
    calls = {name: calls[0] for name, calls in asyncio.run(calls_of_every_tool(studio)).items()}
    with ImageToolkit(studio) as toolkit:
        yield toolkit, {tool.name: tool for tool in toolkit.get_tools()}, calls
    studio.knowledge.close()
    studio.gallery.close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_stable_diffusion: Path
) -> Iterator[tuple[str, str, Studio]]:
    """A server with a token on a thread of its own, as far from the test as another process."""
    folder = tmp_path_factory.mktemp("there")
    engine = LocalEngine(str(tiny_stable_diffusion), threads=1)
    studio = a_studio(folder, tiny_stable_diffusion, engine)
    token = TokenStore(folder).create("test", ["admin"])
    config = http_config(build_app(studio, WarmUp(studio)), max_connections=64, grace_s=1)
    config.port = 0
    running = uvicorn.Server(config)
    running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    begun = threading.Event()

    async def serve() -> None:
        serving = asyncio.ensure_future(running._serve())
        while not running.started and not serving.done():
            await asyncio.sleep(0.01)
        begun.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    begun.wait()
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", token, studio
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def remote(server: tuple[str, str, Studio]) -> Iterator[Place]:
    url, token, studio = server
    calls = {name: calls[0] for name, calls in asyncio.run(calls_of_every_tool(studio)).items()}
    with ImageToolkit(url=url, token=token) as toolkit:
        yield toolkit, {tool.name: tool for tool in toolkit.get_tools()}, calls


class _Chosen:
    _place: Place
    _name: str

    @property
    def tool_constructor(self) -> BaseTool:
        return self._place[1][self._name]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self._place[2][self._name]


@pytest.mark.parametrize("name", NAMES, scope="class")
class TestUnitInThisProcess(_Chosen, ToolsUnitTests):
    """LangChain's own tests, in this process."""

    @pytest.fixture(autouse=True)
    def _choose(self, name: str, process: Place) -> None:
        self._place, self._name = process, name


@pytest.mark.anyio
@pytest.mark.parametrize("name", NAMES, scope="class")
class TestIntegrationInThisProcess(_Chosen, ToolsIntegrationTests):
    """LangChain's own tests, in this process."""

    @pytest.fixture(autouse=True)
    def _choose(self, name: str, process: Place) -> None:
        self._place, self._name = process, name


@pytest.mark.parametrize("name", NAMES, scope="class")
class TestUnitAgainstAServer(_Chosen, ToolsUnitTests):
    """LangChain's own tests, through a server's url and token."""

    @pytest.fixture(autouse=True)
    def _choose(self, name: str, remote: Place) -> None:
        self._place, self._name = remote, name


@pytest.mark.anyio
@pytest.mark.parametrize("name", NAMES, scope="class")
class TestIntegrationAgainstAServer(_Chosen, ToolsIntegrationTests):
    """LangChain's own tests, through a server's url and token."""

    @pytest.fixture(autouse=True)
    def _choose(self, name: str, remote: Place) -> None:
        self._place, self._name = remote, name


def test_both_ways_give_the_same_names_descriptions_and_annotations(
    process: Place, remote: Place
) -> None:
    here, there = process[1], remote[1]
    assert list(here) == NAMES
    assert [name for name in there if name in NAMES] == NAMES
    for name in NAMES:
        assert here[name].description == there[name].description
        assert here[name].metadata == there[name].metadata
        assert there[name].metadata["read_only"] in (True, False)


def test_a_model_is_told_the_same_arguments_both_ways(process: Place, remote: Place) -> None:
    for name in NAMES:
        here, there = (
            convert_to_openai_tool(tools[name])["function"]["parameters"]
            for tools in (process[1], remote[1])
        )
        assert sorted(here.get("required", [])) == sorted(there.get("required", []))
        # A door may add switches of its own, such as a key against doing things twice.
        assert here["properties"].keys() <= there["properties"].keys()
        for argument, schema in here["properties"].items():
            told = there["properties"][argument]["description"]
            assert schema["description"] == told, (name, argument)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("generate_image", {}, "'prompt' is missing"),
        ("generate_image", {"prompt": "a mug", "path": "/etc"}, "'path' is not an argument"),
        ("generate_image", {"prompt": "a naked child"}, "Ask for a picture without sexual"),
        ("get_image", {"image_id": "img_none"}, "There is no image 'img_none'"),
    ],
)
def test_errors_are_the_same_messages_both_ways(
    name: str, arguments: dict[str, Any], said: str, process: Place, remote: Place
) -> None:
    call = {"type": "tool_call", "id": "1", "name": name, "args": arguments}
    here, there = process[1][name].invoke(call), remote[1][name].invoke(call)
    assert here.status == there.status == "error"
    assert said in str(here.content)
    assert here.content == there.content


def test_pictures_travel_as_standard_blocks_and_everything_else_as_artifact(
    process: Place, remote: Place
) -> None:
    for _, tools, calls in (process, remote):
        tool = tools["draw_diagram"]
        message = tool.invoke(
            {"type": "tool_call", "id": "1", "name": tool.name, "args": calls[tool.name]}
        )
        kinds = [block["type"] for block in message.content]
        assert kinds == ["text", "image"]
        assert message.content[1]["mime_type"] == "image/webp"
        image = message.artifact["data"]["images"][0]
        assert image["image_id"] in message.content[0]["text"]


def test_a_default_that_nobody_gave_is_not_taken_for_a_wish(process: Place, remote: Place) -> None:
    """A product in words has no prints to keep; LangChain would say that they were asked for."""
    words = {"product": "teapot", "colors": ["red"], "seed": 1, "steps": 2}
    call = {"type": "tool_call", "id": "1", "name": "create_product_variants", "args": words}
    for _, tools, _ in (process, remote):
        message = tools["create_product_variants"].invoke(call)
        assert message.status == "success", message.text


def test_progress_of_a_server_reaches_the_callbacks(remote: Place) -> None:
    from langchain_core.callbacks import BaseCallbackHandler

    heard: list[float] = []

    class Hear(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            heard.append(data["done"] / data["total"])

    remote[1]["generate_image"].invoke(
        {"prompt": "a jug", "steps": 3, "width": 64, "height": 64}, {"callbacks": [Hear()]}
    )
    assert heard and heard == sorted(heard)


def test_a_wrong_token_and_a_server_that_is_away_are_said_with_the_next_step(
    server: tuple[str, str, Studio],
) -> None:
    url, _, _ = server
    with (
        ImageToolkit(url=url, token="wrong") as toolkit,
        pytest.raises(AgentToolsError, match="token is right"),
    ):
        toolkit.get_tools()
    with (
        ImageToolkit(url="http://127.0.0.1:9") as toolkit,
        pytest.raises(AgentToolsError, match="See that it runs"),
    ):
        toolkit.get_tools()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"token": "t"},
        {"url": "ftp://pictures.example"},
        {"url": "http://pictures.example", "token": "would be read on the way"},
        {"url": "https://me:secret@pictures.example"},
        {"url": "https://pictures.example", "token": "line\nbreak"},
    ],
)
def test_addresses_that_would_leak_a_token_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidArguments) as refused:
        ImageToolkit(**wrong)
    assert "secret" not in str(refused.value)
