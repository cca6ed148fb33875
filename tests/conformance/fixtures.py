"""What the conformance suite asks a server to have, mounted on our own server.

The suite (@modelcontextprotocol/conformance) calls tools, prompts and resources of fixed names and
contents. Here they are added to the MCP server that `agent-tools serve` builds, so that the suite
speaks through our transport, our guard and our Tasks extension. Names and texts are the suite's.
"""

from __future__ import annotations

import base64
import io
import json
import wave
from pathlib import Path
from typing import Annotated, Any

from asking_tools import add_input_tools, add_task_tools
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from PIL import Image
from pydantic import Field
from requests_back import AnyContext, answered, ask, elicit
from talking_tools import add_talking_tools

from agent_tools.pictures import encode_png
from server.mcp import ToolServer


def _png() -> str:
    return base64.b64encode(encode_png(Image.new("RGB", (8, 8), (200, 60, 40)))).decode()


def _wav() -> str:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(160))
    return base64.b64encode(buffer.getvalue()).decode()


def mount(server: ToolServer) -> None:
    """Add everything to a server."""
    _add_content_tools(server)
    add_talking_tools(server)
    add_input_tools(server)
    add_task_tools(server)
    _add_schema_tools(server)
    _add_prompts(server)
    _add_resources(server)
    _add_methods(server)


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(resource=contents)


def _add_content_tools(server: ToolServer) -> None:
    @server.tool()
    async def test_simple_text() -> str:
        """Return a text."""
        return "This is a simple text response for testing."

    @server.tool()
    async def test_image_content() -> list[ImageContent]:
        """Return a picture."""
        return [ImageContent(data=_png(), mime_type="image/png")]

    @server.tool()
    async def test_audio_content() -> list[AudioContent]:
        """Return a sound."""
        return [AudioContent(data=_wav(), mime_type="audio/wav")]

    @server.tool()
    async def test_embedded_resource() -> list[EmbeddedResource]:
        """Return a resource."""
        return [_embedded("test://embedded-resource", "This is an embedded resource content.")]

    @server.tool()
    async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        """Return a text, a picture and a resource."""
        data = json.dumps({"test": "data", "value": 123})
        return [
            TextContent(text="Multiple content types test:"),
            ImageContent(data=_png(), mime_type="image/png"),
            _embedded("test://mixed-content-resource", data, "application/json"),
        ]

    @server.tool()
    async def test_error_handling() -> str:
        """Fail."""
        raise ToolError("This tool intentionally returns an error for testing")


JSON_SCHEMA_2020_12 = Path(__file__).with_name("json_schema_2020_12.json")


def _add_schema_tools(server: ToolServer) -> None:
    @server.tool()
    async def json_schema_2020_12_tool() -> str:
        """Tool with JSON Schema 2020-12 features"""
        return "Called."

    added = server._tool_manager.get_tool("json_schema_2020_12_tool")
    assert added is not None
    added.parameters = json.loads(JSON_SCHEMA_2020_12.read_text(encoding="utf-8"))

    @server.tool()
    async def test_custom_header(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
        query: str = "",
    ) -> str:
        """Take an argument that is repeated in a header (SEP-2243)."""
        return f"{query} in {region}"


def _add_prompts(server: ToolServer) -> None:
    def text(said: str) -> UserMessage:
        return UserMessage(content=TextContent(text=said))

    @server.prompt()
    async def test_simple_prompt() -> list[UserMessage]:
        """A prompt without arguments."""
        return [text("This is a simple prompt for testing.")]

    @server.prompt()
    async def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
        """A prompt with two arguments."""
        return [text(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    @server.prompt()
    async def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        """A prompt with a resource inside."""
        resource = _embedded(resourceUri, "Embedded resource content for testing.")
        return [
            UserMessage(content=resource),
            text("Please process the embedded resource above."),
        ]

    @server.prompt()
    async def test_prompt_with_image() -> list[UserMessage]:
        """A prompt with a picture inside."""
        picture = UserMessage(content=ImageContent(data=_png(), mime_type="image/png"))
        return [picture, text("Please analyze the image above.")]

    @server.prompt()
    async def test_input_required_result_prompt(
        context: AnyContext,
    ) -> list[UserMessage] | InputRequiredResult:
        """A prompt that asks first."""
        answer = answered(context).get("user_context")
        if answer is None:
            return ask(user_context=elicit("What context should the prompt use?", "context"))
        return [text(f"Use this context: {answer.content['context']}")]


def _add_resources(server: ToolServer) -> None:
    @server.resource("test://static-text", description="A text.", mime_type="text/plain")
    async def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A picture.", mime_type="image/png")
    async def static_binary() -> bytes:
        return base64.b64decode(_png())

    @server.resource("test://watched-resource", description="A text to watch.")
    async def watched() -> str:
        return "Watched resource content"

    @server.resource(
        "test://template/{id}/data", description="Data by id.", mime_type="application/json"
    )
    async def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_methods(server: ToolServer) -> None:
    """Add the methods of the handshake era that our own tools have no use for."""
    subscribed: set[str] = set()
    low = server._lowlevel_server

    async def set_level(_: Any, params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    async def subscribe(_: Any, params: SubscribeRequestParams) -> EmptyResult:
        subscribed.add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(_: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        subscribed.discard(str(params.uri))
        return EmptyResult()

    low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    if low.get_request_handler("completion/complete") is None:

        @server.completion()
        async def complete(ref: Any, argument: Any, context: Any) -> Completion:
            return Completion(values=[], total=0, has_more=False)
