"""What the conformance suite asks a server to have, mounted on our own server.

The suite (@modelcontextprotocol/conformance) calls tools, prompts and resources of fixed names and
contents. Here they are added to the MCP server that `agent-tools serve` builds, so that the suite
speaks through our transport, our guard and our Tasks extension. Names and texts are the suite's.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from pathlib import Path
from typing import Annotated, Any

from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    Completion,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from PIL import Image
from pydantic import BaseModel, Field

from agent_tools.pictures import encode_png
from server.mcp import ToolServer
from server.tasks import TASK_AFTER_S, require_tasks

AnyContext = Context[Any, Any]
# Longer than what is answered at once, so that the call becomes a task.
_UNTIL_A_TASK_S = TASK_AFTER_S + 0.3


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
    _add_talking_tools(server)
    _add_input_tools(server)
    _add_task_tools(server)
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


class Reply(BaseModel):
    """What a user is asked for."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    """One default of each primitive type (SEP-1034)."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Annotated[str, Field(json_schema_extra={"enum": ["active", "inactive", "pending"]})] = (
        "active"
    )
    verified: bool = True


def _titled(*names: str) -> list[dict[str, str]]:
    return [{"const": name, "title": name.title()} for name in names]


class Choices(BaseModel):
    """The five forms of an enumeration (SEP-1330)."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["option1", "option2", "option3"]})
    titledSingle: str = Field(json_schema_extra={"oneOf": _titled("value1", "value2", "value3")})
    legacyEnum: str = Field(
        json_schema_extra={
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        }
    )
    untitledMulti: list[str] = Field(
        json_schema_extra={"items": {"type": "string", "enum": ["option1", "option2", "option3"]}}
    )
    titledMulti: list[str] = Field(
        json_schema_extra={"items": {"anyOf": _titled("value1", "value2", "value3")}}
    )


def _add_talking_tools(server: ToolServer) -> None:
    @server.tool()
    async def test_tool_with_logging(context: AnyContext) -> str:
        """Log three times."""
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.log("info", line)
            await asyncio.sleep(0.05)
        return "Logged."

    @server.tool()
    async def test_logging_tool(context: AnyContext) -> str:
        """Log once, which reaches only those who asked for it."""
        await context.log("info", "Only for those who asked")
        return "Logged."

    @server.tool()
    async def test_tool_with_progress(context: AnyContext) -> str:
        """Report three times how far it is."""
        for done in (0, 50, 100):
            await context.report_progress(done, 100, f"Completed step {done} of 100")
            await asyncio.sleep(0.05)
        return "Done."

    @server.tool()
    async def test_sampling(prompt: str, context: AnyContext) -> str:
        """Ask the client's model."""
        result = await context.session.create_message(
            [SamplingMessage(role="user", content=TextContent(text=prompt))],
            max_tokens=100,
            related_request_id=context.request_id,
        )
        said = result.content.text if isinstance(result.content, TextContent) else ""
        return f"LLM response: {said}"

    async def ask(context: AnyContext, message: str, schema: type[BaseModel]) -> str:
        answer = await context.elicit(message, schema)
        said = answer.data.model_dump_json() if answer.action == "accept" else "{}"
        return f"action={answer.action}, content={said}"

    @server.tool()
    async def test_elicitation(message: str, context: AnyContext) -> str:
        """Ask the user."""
        return f"User response: {await ask(context, message, Reply)}"

    @server.tool()
    async def test_elicitation_sep1034_defaults(context: AnyContext) -> str:
        """Ask the user with defaults."""
        return f"Elicitation completed: {await ask(context, 'Please check', Defaults)}"

    @server.tool()
    async def test_elicitation_sep1330_enums(context: AnyContext) -> str:
        """Ask the user to choose."""
        return f"Elicitation completed: {await ask(context, 'Please choose', Choices)}"

    @server.tool()
    async def test_trigger_tool_change(context: AnyContext) -> str:
        """Tell subscribers that the tools have changed."""
        await context.notify_tools_changed()
        return "Told."

    @server.tool()
    async def test_trigger_prompt_change(context: AnyContext) -> str:
        """Tell subscribers that the prompts have changed."""
        await context.notify_prompts_changed()
        return "Told."

    @server.tool()
    async def test_reconnection(context: AnyContext) -> str:
        """Close the stream before the answer (SEP-1699)."""
        close = context.request_context.close_sse_stream
        if close is not None:
            await close()
        await asyncio.sleep(0.2)
        return "Reconnection test completed"


def _elicit(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str, max_tokens: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=text))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def _ask(state: str | None = None, **requests: Any) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def _answers(context: AnyContext) -> dict[str, Any]:
    """Return the contents of what was answered, by name."""
    return dict(context.input_responses or {})


def _add_input_tools(server: ToolServer) -> None:
    """Add tools that ask by their result (SEP-2322)."""

    @server.tool()
    async def test_input_required_result_elicitation(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask for a name."""
        answer = _answers(context).get("user_name")
        if answer is None:
            return _ask(user_name=_elicit("What is your name?", "name"))
        return f"Hello, {answer.content['name']}!"

    @server.tool()
    async def test_input_required_result_sampling(context: AnyContext) -> str | InputRequiredResult:
        """Ask the client's model."""
        answer = _answers(context).get("capital_question")
        if answer is None:
            return _ask(capital_question=_sample("What is the capital of France?", 100))
        return str(answer.content.text)

    @server.tool()
    async def test_input_required_result_list_roots(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask for the client's roots."""
        answer = _answers(context).get("client_roots")
        if answer is None:
            return _ask(client_roots=ListRootsRequest())
        return f"Roots: {[str(root.uri) for root in answer.roots]}"

    @server.tool()
    async def test_input_required_result_request_state(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask, and get the own state back."""
        if "confirm" not in _answers(context):
            return _ask("begun", confirm=_elicit("Please confirm", "ok", "boolean"))
        return "state-ok" if context.request_state == "begun" else "state-lost"

    @server.tool()
    async def test_input_required_result_tampered_state(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask with a state that nobody may change."""
        if "confirm" not in _answers(context):
            return _ask("sealed", confirm=_elicit("Please confirm", "ok", "boolean"))
        return "Confirmed."

    @server.tool()
    async def test_input_required_result_multiple_inputs(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask for three things at once."""
        answers = _answers(context)
        if not {"user_name", "greeting", "client_roots"} <= answers.keys():
            return _ask(
                "three",
                user_name=_elicit("What is your name?", "name"),
                greeting=_sample("Generate a greeting", 50),
                client_roots=ListRootsRequest(),
            )
        return f"{answers['greeting'].content.text} {answers['user_name'].content['name']}"

    @server.tool()
    async def test_input_required_result_multi_round(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask twice."""
        answers = _answers(context)
        if "step2" in answers:
            return f"{context.request_state} likes {answers['step2'].content['color']}."
        if "step1" in answers:
            name = str(answers["step1"].content["name"])
            return _ask(name, step2=_elicit("Step 2: What is your favorite color?", "color"))
        return _ask("round 1", step1=_elicit("Step 1: What is your name?", "name"))

    @server.tool()
    async def test_input_required_result_capabilities(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask only what the client said it can answer."""
        can = context.client_capabilities
        requests: dict[str, Any] = {}
        if can is not None and can.elicitation is not None:
            requests["user_name"] = _elicit("What is your name?", "name")
        if can is not None and can.sampling is not None:
            requests["greeting"] = _sample("Generate a greeting", 50)
        return _ask(**requests) if requests and not _answers(context) else "Nothing to ask."

    @server.tool()
    async def test_missing_capability(context: AnyContext) -> str:
        """Need a client with sampling."""
        can = context.client_capabilities
        if can is None or can.sampling is None:
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "This needs sampling.",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return "Sampling is there."

    @server.tool()
    async def test_streaming_elicitation(context: AnyContext) -> str | InputRequiredResult:
        """Report how far it is, then ask by the result."""
        if "user_name" in _answers(context):
            return "Thank you."
        await context.report_progress(1, 2, "About to ask")
        return _ask(user_name=_elicit("What is your name?", "name"))


def _add_task_tools(server: ToolServer) -> None:
    """Add tools that take long enough to become tasks (SEP-2663)."""

    @server.tool()
    async def greet(name: str) -> str:
        """Greet at once."""
        return f"Hello, {name}!"

    @server.tool()
    async def slow_compute(seconds: float, label: str = "") -> str:
        """Take some seconds."""
        await asyncio.sleep(seconds)
        return f"Computed {label} for {seconds:g} s."

    @server.tool()
    async def failing_job(context: AnyContext) -> str:
        """Fail after a second; only as a task."""
        require_tasks(context.request_context)
        await asyncio.sleep(1)
        raise ToolError("This job fails.")

    @server.tool()
    async def protocol_error_job() -> str:
        """End in a protocol error."""
        await asyncio.sleep(_UNTIL_A_TASK_S)
        raise MCPError(INTERNAL_ERROR, "The job broke.")

    @server.tool()
    async def confirm_delete(filename: str, context: AnyContext) -> str | InputRequiredResult:
        """Look for a file, then ask whether to delete it."""
        answer = _answers(context).get("confirm")
        if answer is None:
            await asyncio.sleep(_UNTIL_A_TASK_S)
            return _ask(confirm=_elicit(f"Delete {filename}?", "confirm", "boolean"))
        return f"{filename}: {answer.action}"

    @server.tool()
    async def multi_input(context: AnyContext) -> str | InputRequiredResult:
        """Ask two things at once, inside a task."""
        answers = _answers(context)
        if not {"name", "confirm"} <= answers.keys():
            await asyncio.sleep(_UNTIL_A_TASK_S)
            return _ask(
                name=_elicit("What is your name?", "name"),
                confirm=_elicit("Are you sure?", "confirm", "boolean"),
            )
        return "Both are answered."

    @server.tool()
    async def test_tool_with_task(context: AnyContext) -> str | InputRequiredResult:
        """Ask before the task begins."""
        require_tasks(context.request_context)
        answer = _answers(context).get("user_name")
        if answer is None:
            return _ask(user_name=_elicit("What is your name?", "name"))
        await asyncio.sleep(_UNTIL_A_TASK_S)
        return f"Hello, {answer.content['name']}, from a task."


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
        answer = _answers(context).get("user_context")
        if answer is None:
            return _ask(user_context=_elicit("What context should the prompt use?", "context"))
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
