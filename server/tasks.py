"""MCP's Tasks extension, version 2026-07-28, over the studio's jobs.

https://modelcontextprotocol.github.io/ext-tasks/specification/2026-07-28/tasks.html (SEP-2663). A
client that declares it gets a task handle for a call that is not done at once, and asks with
tasks/get, tasks/update and tasks/cancel. A task is a job of `agent_tools.jobs` under the same id:
it belongs to its caller, lives for a day and is not lost by a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.inbound import decode_header_value
from mcp.types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    InputResponse,
    RequestParams,
)
from pydantic import TypeAdapter, ValidationError

from agent_tools.errors import AgentToolsError, NotFound
from agent_tools.jobs import Job
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from server import calls, content

IDENTIFIER = "io.modelcontextprotocol/tasks"
# What is done within this time is answered at once: a handle would only add a round.
TASK_AFTER_S = 0.5
POLL_INTERVAL_MS = 1000
_response: TypeAdapter[InputResponse] = TypeAdapter(InputResponse)
_VERSIONS = frozenset({"2026-07-28"})


class TaskParams(RequestParams):
    """Parameters of tasks/get and tasks/cancel."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Parameters of tasks/update."""

    # Checked one by one: answers to what is not asked are ignored, whatever they are.
    input_responses: dict[str, Any]


class Tasks(Extension):
    """Answer calls in time and serve what goes on after that."""

    identifier = IDENTIFIER

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def methods(self) -> Sequence[MethodBinding]:
        """Return the three methods of the extension; earlier revisions do not have them."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, _VERSIONS),
            MethodBinding("tasks/update", TaskUpdateParams, self._update, _VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, _VERSIONS),
        )

    async def intercept_tool_call(
        self,
        params: CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        """Run a call and answer it in time: with its result, or with a handle."""
        tool = self._studio.tools.get(params.name)
        if tool is not None and tool.about_jobs:
            return await call_next(ctx)

        async def tell(event: ProgressEvent) -> None:
            await ctx.session.report_progress(
                event.done, event.total or None, event.message or None
            )

        with_tasks = supports_tasks(ctx)
        # Only the studio's own tools publish that a job may be their answer.
        in_time = self._studio.settings.answer_within_s if tool is not None else None
        try:
            work = await calls.begin(self._studio, params, ctx, call_next)
        except AgentToolsError as error:
            return content.failure(error)
        seconds = TASK_AFTER_S if with_tasks else in_time
        if await work.wait(seconds, tell):
            return calls.answer_of(work)
        job = self._studio.jobs.keep(params.name, work)
        if with_tasks:
            return {"resultType": "task", **_task(job)}
        return calls.pending(job, self._studio)

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        return _detailed(self._found(ctx, params))

    async def _update(
        self, ctx: ServerRequestContext[Any, Any], params: TaskUpdateParams
    ) -> HandlerResult:
        asked = self._found(ctx, params).questions
        given = {name: said for name, said in params.input_responses.items() if name in asked}
        for name, said in given.items():
            try:
                _response.validate_python(said, by_name=False)
            except ValidationError:
                raise MCPError(INVALID_PARAMS, f"The answer to '{name}' is malformed.") from None
        self._studio.jobs.answer(params.task_id, given)
        return {}

    async def _cancel(
        self, ctx: ServerRequestContext[Any, Any], params: TaskParams
    ) -> HandlerResult:
        self._found(ctx, params)
        try:
            await self._studio.jobs.cancel(params.task_id)
        except AgentToolsError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        return {}

    def _found(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> Job:
        require_tasks(ctx)
        headers = getattr(ctx.request, "headers", None)
        if headers is not None:
            named = headers.get("mcp-name")
            if named is None or decode_header_value(named) != params.task_id:
                raise MCPError(HEADER_MISMATCH, "The header Mcp-Name must be the taskId.")
        try:
            return self._studio.jobs.get(params.task_id)
        except NotFound as error:
            raise MCPError(INVALID_PARAMS, f"Task not found. {error}") from None


def supports_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client declared the extension for this request, in a revision that has it."""
    capabilities = ctx.session.client_capabilities
    declared = (capabilities.extensions if capabilities else None) or {}
    return IDENTIFIER in declared and ctx.protocol_version in _VERSIONS


def require_tasks(ctx: ServerRequestContext[Any, Any]) -> None:
    """Refuse a client that did not declare the extension.

    Raises:
        MCPError: -32021, naming the capability.
    """
    if not supports_tasks(ctx):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"This needs a client that declares the extension {IDENTIFIER}.",
            {"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}},
        )


def _task(job: Job) -> dict[str, Any]:
    return {
        "taskId": job.job_id,
        "status": job.status,
        "statusMessage": job.message,
        "createdAt": _iso(job.created_at),
        "lastUpdatedAt": _iso(job.updated_at),
        "ttlMs": round(job.kept_s * 1000),
        "pollIntervalMs": POLL_INTERVAL_MS,
    }


def _detailed(job: Job) -> dict[str, Any]:
    task = {"resultType": "complete", **_task(job)}
    if job.questions:
        task["inputRequests"] = job.questions
    if job.outcome is not None and job.status == "completed":
        task["result"] = job.outcome.answer
    if job.outcome is not None and job.status == "failed":
        lost = {"code": INTERNAL_ERROR, "message": job.message}
        task["error"] = job.outcome.answer or lost
    return task


def _iso(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
