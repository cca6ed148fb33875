"""The LangChain toolkit: standard tests for every tool, an agent loop, sync and async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_tests.unit_tests import ToolsUnitTests
from small_tools import Hold, small_studio

from agent_tools.langchain import ImageToolkit
from agent_tools.settings import Settings


@pytest.fixture
def toolkit(tmp_path: Path) -> Iterator[ImageToolkit]:
    with ImageToolkit(small_studio(Settings(data=tmp_path / "data"))) as toolkit:
        yield toolkit


def by_name(toolkit: ImageToolkit) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in toolkit.get_tools()}


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "id": "call_1", "name": name, "args": arguments}


def test_an_agent_paints_and_counts_with_two_tools(toolkit: ImageToolkit) -> None:
    tools = by_name(toolkit)
    Hold.cancelled.set()
    model = GenericFakeChatModel(
        messages=iter(
            [
                AIMessage("", tool_calls=[call("paint_square", {"color": "red"})]),
                AIMessage("", tool_calls=[call("count_after_cancel", {})]),
                AIMessage("There is one red square."),
            ]
        )
    )
    conversation: list[Any] = [HumanMessage("Paint a red square and count the pictures.")]
    while True:
        answer = model.invoke(conversation)
        conversation.append(answer)
        if not answer.tool_calls:
            break
        conversation += [tools[item["name"]].invoke(item) for item in answer.tool_calls]
    painted, counted = (m for m in conversation if isinstance(m, ToolMessage))
    assert [block["type"] for block in painted.content] == ["text", "image"]
    assert painted.content[1]["mime_type"] == "image/webp"
    image_id = painted.artifact["data"]["image"]["image_id"]
    assert image_id in painted.content[0]["text"]
    assert Path(painted.artifact["files"][image_id]).exists()
    assert counted.artifact["data"] == {"pictures": 1}
    assert conversation[-1].content == "There is one red square."


@pytest.mark.anyio
async def test_async_callers_get_progress_in_their_own_loop(toolkit: ImageToolkit) -> None:
    here = asyncio.get_running_loop()
    heard: list[tuple[Any, bool]] = []

    class Hear(AsyncCallbackHandler):
        async def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            assert name == "image_progress"
            heard.append((data["done"], asyncio.get_running_loop() is here))

    tool = by_name(toolkit)["paint_square"]
    message = await tool.ainvoke(call("paint_square", {"color": "red"}), {"callbacks": [Hear()]})
    assert message.status == "success"
    assert heard == [(1, True), (2, True), (3, True)]


def test_sync_callers_get_progress_in_their_own_thread(toolkit: ImageToolkit) -> None:
    here = threading.get_ident()
    heard: list[tuple[Any, bool]] = []

    class Hear(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            heard.append((data["done"], threading.get_ident() == here))

    tool = by_name(toolkit)["paint_square"]
    tool.invoke(call("paint_square", {"color": "red"}), {"callbacks": [Hear()]})
    assert heard == [(1, True), (2, True), (3, True)]


def test_one_toolkit_serves_several_event_loops_and_threads(toolkit: ImageToolkit) -> None:
    tool = by_name(toolkit)["paint_square"]

    async def paint() -> Any:
        return await tool.ainvoke(call("paint_square", {"color": "green"}))

    messages = [asyncio.run(paint()), tool.invoke(call("paint_square", {"color": "green"}))]
    thread = threading.Thread(target=lambda: messages.append(asyncio.run(paint())))
    thread.start()
    thread.join()
    assert [m.status for m in messages] == ["success"] * 3


@pytest.mark.anyio
async def test_cancelling_the_caller_cancels_the_tool_and_nothing_is_kept(
    toolkit: ImageToolkit,
) -> None:
    tools = by_name(toolkit)
    begun = asyncio.Event()

    class Hear(AsyncCallbackHandler):
        async def on_custom_event(self, *_: Any, **__: Any) -> None:
            begun.set()

    waiting = asyncio.create_task(
        tools["hold"].ainvoke(call("hold", {"color": "red"}), {"callbacks": [Hear()]})
    )
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    counted = await tools["count_after_cancel"].ainvoke(call("count_after_cancel", {}))
    assert counted.artifact["data"] == {"pictures": 0}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("paint_square", {}, "'color' is missing"),
        ("paint_square", {"color": "pink"}, "'color'"),
        ("paint_square", {"color": "red", "path": "/etc"}, "'path' is not an argument"),
        ("full", {"color": "red"}, "12 pictures are waiting"),
    ],
)
def test_an_error_is_a_message_that_says_what_to_do(
    name: str, arguments: dict[str, Any], expected: str, toolkit: ImageToolkit
) -> None:
    message = by_name(toolkit)[name].invoke(call(name, arguments))
    assert message.status == "error"
    assert expected in str(message.content)


def test_a_closed_toolkit_says_so(toolkit: ImageToolkit) -> None:
    tool = by_name(toolkit)["paint_square"]
    tool.invoke({"color": "red"})
    toolkit.close()
    toolkit.close()
    tool.handle_tool_error = False
    with pytest.raises(ToolException, match="closed"):
        tool.invoke({"color": "red"})
    assert not [t for t in threading.enumerate() if t.name == "image-toolkit"]


def test_closing_during_a_call_ends_it_with_a_message(toolkit: ImageToolkit) -> None:
    class CloseAtOnce(BaseCallbackHandler):
        def on_custom_event(self, *_: Any, **__: Any) -> None:
            toolkit.close()

    tool = by_name(toolkit)["hold"]
    message = tool.invoke(call("hold", {"color": "red"}), {"callbacks": [CloseAtOnce()]})
    assert message.status == "error"
    assert "closed" in str(message.content)


def test_pictures_can_be_left_out_of_the_content(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", images="none")
    with ImageToolkit(small_studio(settings)) as toolkit:
        message = by_name(toolkit)["paint_square"].invoke(call("paint_square", {"color": "red"}))
        assert [block["type"] for block in message.content] == ["text"]


EXAMPLES: dict[str, dict[str, Any]] = {
    "paint_square": {"color": "red"},
    "full": {"color": "blue", "side": 32},
}


@pytest.mark.parametrize("name", sorted(EXAMPLES), scope="class")
class TestEveryTool(ToolsUnitTests):
    """LangChain's own unit tests, for each tool."""

    @pytest.fixture(autouse=True)
    def _choose(self, name: str, toolkit: ImageToolkit) -> None:
        self._tool = by_name(toolkit)[name]
        self._example = EXAMPLES[name]

    @property
    def tool_constructor(self) -> BaseTool:
        return self._tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return self._example
