"""Tools of the conformance suite that ask by their result, and tasks."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp import MCPError
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    InputRequiredResult,
    ListRootsRequest,
)
from requests_back import AnyContext, answered, ask, elicit, sample

from server.mcp import ToolServer
from server.tasks import TASK_AFTER_S, require_tasks

# Longer than what is answered at once, so that the call becomes a task.
_UNTIL_A_TASK_S = TASK_AFTER_S + 0.3


def add_input_tools(server: ToolServer) -> None:
    """Add tools that ask by their result (SEP-2322)."""

    @server.tool()
    async def test_input_required_result_elicitation(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask for a name."""
        answer = answered(context).get("user_name")
        if answer is None:
            return ask(user_name=elicit("What is your name?", "name"))
        return f"Hello, {answer.content['name']}!"

    @server.tool()
    async def test_input_required_result_sampling(context: AnyContext) -> str | InputRequiredResult:
        """Ask the client's model."""
        answer = answered(context).get("capital_question")
        if answer is None:
            return ask(capital_question=sample("What is the capital of France?", 100))
        return str(answer.content.text)

    @server.tool()
    async def test_input_required_result_list_roots(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask for the client's roots."""
        answer = answered(context).get("client_roots")
        if answer is None:
            return ask(client_roots=ListRootsRequest())
        return f"Roots: {[str(root.uri) for root in answer.roots]}"

    @server.tool()
    async def test_input_required_result_request_state(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask, and get the own state back."""
        if "confirm" not in answered(context):
            return ask("begun", confirm=elicit("Please confirm", "ok", "boolean"))
        return "state-ok" if context.request_state == "begun" else "state-lost"

    @server.tool()
    async def test_input_required_result_tampered_state(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask with a state that nobody may change."""
        if "confirm" not in answered(context):
            return ask("sealed", confirm=elicit("Please confirm", "ok", "boolean"))
        return "Confirmed."

    @server.tool()
    async def test_input_required_result_multiple_inputs(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask for three things at once."""
        answers = answered(context)
        if not {"user_name", "greeting", "client_roots"} <= answers.keys():
            return ask(
                "three",
                user_name=elicit("What is your name?", "name"),
                greeting=sample("Generate a greeting", 50),
                client_roots=ListRootsRequest(),
            )
        return f"{answers['greeting'].content.text} {answers['user_name'].content['name']}"

    @server.tool()
    async def test_input_required_result_multi_round(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask twice."""
        answers = answered(context)
        if "step2" in answers:
            return f"{context.request_state} likes {answers['step2'].content['color']}."
        if "step1" in answers:
            name = str(answers["step1"].content["name"])
            return ask(name, step2=elicit("Step 2: What is your favorite color?", "color"))
        return ask("round 1", step1=elicit("Step 1: What is your name?", "name"))

    @server.tool()
    async def test_input_required_result_capabilities(
        context: AnyContext,
    ) -> str | InputRequiredResult:
        """Ask only what the client said it can answer."""
        can = context.client_capabilities
        requests: dict[str, Any] = {}
        if can is not None and can.elicitation is not None:
            requests["user_name"] = elicit("What is your name?", "name")
        if can is not None and can.sampling is not None:
            requests["greeting"] = sample("Generate a greeting", 50)
        return ask(**requests) if requests and not answered(context) else "Nothing to ask."

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
        if "user_name" in answered(context):
            return "Thank you."
        await context.report_progress(1, 2, "About to ask")
        return ask(user_name=elicit("What is your name?", "name"))


def add_task_tools(server: ToolServer) -> None:
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
        answer = answered(context).get("confirm")
        if answer is None:
            await asyncio.sleep(_UNTIL_A_TASK_S)
            return ask(confirm=elicit(f"Delete {filename}?", "confirm", "boolean"))
        return f"{filename}: {answer.action}"

    @server.tool()
    async def multi_input(context: AnyContext) -> str | InputRequiredResult:
        """Ask two things at once, inside a task."""
        answers = answered(context)
        if not {"name", "confirm"} <= answers.keys():
            await asyncio.sleep(_UNTIL_A_TASK_S)
            return ask(
                name=elicit("What is your name?", "name"),
                confirm=elicit("Are you sure?", "confirm", "boolean"),
            )
        return "Both are answered."

    @server.tool()
    async def test_tool_with_task(context: AnyContext) -> str | InputRequiredResult:
        """Ask before the task begins."""
        require_tasks(context.request_context)
        answer = answered(context).get("user_name")
        if answer is None:
            return ask(user_name=elicit("What is your name?", "name"))
        await asyncio.sleep(_UNTIL_A_TASK_S)
        return f"Hello, {answer.content['name']}, from a task."
