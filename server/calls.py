"""One tools/call from its request to its end, which may come after its answer.

A call is run as a piece of work of its own. Its request waits for it; if that takes too long, the
work becomes a job and the request is answered with a handle: a task for clients that know the Tasks
extension, else a `job_id` for the tool get_job. A call that carries an idempotency key joins the
run of an earlier one with that key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    InputResponses,
    TextContent,
)
from mcp_types.methods import is_input_required
from pydantic import BaseModel, TypeAdapter

from agent_tools.callers import require_scope
from agent_tools.errors import AgentToolsError
from agent_tools.idempotency import seed_of
from agent_tools.jobs import Job, Outcome, as_json, outcome_from
from agent_tools.results import ToolResult
from agent_tools.shared_work import SharedWork
from agent_tools.studio import Studio
from agent_tools.tools.base import ProgressEvent
from agent_tools.tools.get_job import job_info
from server import content

IDEMPOTENCY_META = "idempotency_key"
Work = SharedWork[dict[str, Any]]
_responses = TypeAdapter(InputResponses)


@dataclass(slots=True)
class Record:
    """What the tool itself did during a call, before the door shaped it."""

    result: ToolResult | None = None


_record: ContextVar[Record | None] = ContextVar("server_call_record", default=None)


@contextmanager
def _recording() -> Iterator[Record]:
    record = Record()
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def note(result: ToolResult) -> None:
    """Note what the tool of the running call gave, for `get_job`."""
    record = _record.get()
    if record is not None:
        record.result = result


async def begin(
    studio: Studio,
    params: CallToolRequestParams,
    ctx: ServerRequestContext[Any, Any],
    call_next: CallNext,
) -> Work:
    """Start a call, or join the one that its idempotency key names.

    Raises:
        AgentToolsError: if the key is malformed, was used otherwise or is busy elsewhere, or the
            caller lacks the tool's scope.
    """

    async def run(work: Work) -> dict[str, Any]:
        return as_json(await _run(work, params, ctx, call_next))

    key: Any = (params.meta or {}).get(IDEMPOTENCY_META)
    if key is None:
        return SharedWork(run)
    tool = studio.tools.get(params.name)
    if tool is not None:
        require_scope(tool.scope)  # also for what was done before
    arguments = params.arguments or {}
    said = {"tool": params.name, "arguments": arguments}

    async def run_with_seed(work: Work) -> dict[str, Any]:
        if tool and "seed" in tool.Arguments.model_fields and arguments.get("seed") is None:
            params.arguments = {**arguments, "seed": seed_of(key)}
        return await run(work)

    return await studio.idempotency.begin(key, said, run_with_seed, _worth_keeping)


def answer_of(work: Work) -> HandlerResult:
    """Return the answer of a call that has ended.

    Raises:
        MCPError: if it never came to one.
    """
    try:
        outcome = outcome_from(work.result())
    except asyncio.CancelledError:
        return content.failure(
            AgentToolsError(
                "This call was cancelled.", code="cancelled", hint="Call the tool again if needed."
            )
        )
    if outcome.status == "failed":
        raise MCPError(**cast(dict[str, Any], outcome.answer))
    return outcome.answer


def pending(job: Job, studio: Studio) -> CallToolResult:
    """Tell a model that its call goes on, and how to get at the result."""
    seconds = studio.settings.answer_within_s
    text = (
        f"{job.tool} takes longer than {seconds:g} s and goes on in the background as "
        f"job_id={job.job_id} ({job.message}). Call get_job with this job_id to wait for its "
        f"result, or cancel_job to stop it. Do not call {job.tool} again for this."
    )
    structured = {"job": job_info(job).model_dump(mode="json")}
    return CallToolResult(
        content=[TextContent(text=text)],
        structured_content=structured if studio.settings.structured else None,
    )


async def _run(
    work: Work,
    params: CallToolRequestParams,
    ctx: ServerRequestContext[Any, Any],
    call_next: CallNext,
) -> Outcome:
    session = cast(ServerSession, _Session(ctx.session, work))
    heard = replace(ctx, session=session)
    with _recording() as record:
        try:
            answer = _dumped(await call_next(heard))
            # Before the call became a job its questions are answered by calling again; see
            # https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr
            while is_input_required(answer) and work.kept:
                given = await work.ask(answer.get("inputRequests") or {})
                params.input_responses = _responses.validate_python(given, by_name=False)
                params.request_state = answer.get("requestState")
                answer = _dumped(await call_next(heard))
        except MCPError as error:
            said = error.error.model_dump(mode="json", exclude_none=True)
            return Outcome("failed", answer=said, text=error.message, error=_protocol(error))
    # An answer that its request still waits for is all there is to tell.
    return _outcome(answer, record) if work.kept else Outcome("completed", answer=answer)


class _Session:
    """A request's session whose progress goes to the work, and on to whoever waits for it."""

    def __init__(self, session: ServerSession, work: Work) -> None:
        self._session = session
        self._work = work

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Note progress; 0 and "" stand for a total and a message that are not known."""
        await self._work.report(ProgressEvent(progress, total or 0, message or ""))


def _dumped(result: HandlerResult) -> dict[str, Any]:
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return dict(result or {})


def _outcome(answer: dict[str, Any], record: Record) -> Outcome:
    result = record.result
    return Outcome(
        "completed",
        answer=answer,
        text=result.text if result else _words(answer),
        data=result.data.model_dump(mode="json") if result else answer.get("structuredContent"),
        image_ids=tuple(image.info.image_id for image in result.images) if result else (),
        error=_error(answer) if answer.get("isError") else None,
    )


def _words(answer: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in answer.get("content", ()) if "text" in block)


def _error(answer: dict[str, Any]) -> dict[str, Any]:
    ours: dict[str, Any] | None = answer.get("_meta", {}).get(content.ERROR_META)
    return ours or content.error_data(AgentToolsError(_words(answer), code="tool_error"))


def _protocol(error: MCPError) -> dict[str, Any]:
    return content.error_data(AgentToolsError(error.message, code="protocol_error"))


def _worth_keeping(values: dict[str, Any]) -> bool:
    """Whether a retry shall get this answer: it did what was asked, to the end."""
    outcome = outcome_from(values)
    answer = outcome.answer or {}
    said_yes = outcome.status == "completed" and not answer.get("isError")
    return said_yes and not is_input_required(answer)
