"""Tools of the conformance suite that talk to the client while they run."""

from __future__ import annotations

import asyncio
from typing import Annotated

from mcp.types import (
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field
from requests_back import AnyContext

from server.mcp import ToolServer


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


def add_talking_tools(server: ToolServer) -> None:
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
