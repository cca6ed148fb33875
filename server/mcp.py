"""The MCP door: every tool of the studio, pictures and personas as resources.

One server speaks the handshake era (up to 2025-11-25) and the stateless 2026-07-28 revision;
the SDK chooses by the client's first message (https://modelcontextprotocol.io/specification).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    Resource,
    ToolAnnotations,
)
from mcp.types import Tool as PublishedTool

import agent_tools
from agent_tools.callers import acting_as, may
from agent_tools.errors import AgentToolsError, BadSettings, Overloaded
from agent_tools.inline import MOST_SINGLE
from agent_tools.settings import Settings
from agent_tools.studio import Studio, unknown_tool
from agent_tools.tools.base import Progress, ProgressEvent, Tool
from server import content, delivery
from server.apps.gallery import (
    add_thumbnails,
    announce_in_handshake,
    gallery_app,
    tool_meta,
)
from server.calls import note
from server.completion import add_completion
from server.logs import configure_logging, current_request_id, new_request_id, request
from server.prompts import add_prompts
from server.quick_start import without_collector
from server.resources import add_resources
from server.schemas import arguments_schema, result_schema
from server.shutdown import close_within, leave_now
from server.tasks import Tasks
from server.warm_up import WarmUp

logger = logging.getLogger(__name__)

INSTRUCTIONS = (
    "Makes pictures for a conversation and keeps them. Every picture gets an image_id that stays "
    "valid: pass it to edit_image, create_product_variants (recolor a product exactly), get_image "
    "or export_to_kb instead of sending pixels; a picture of the user's own gets one from the "
    "server's POST /images or from `agent-tools gallery add`. Personas keep their face through a "
    "persona_id. draw_diagram draws structure and text exactly; do not ask generate_image for "
    "readable text. Before making a picture, see whether one exists: find_images knows all that "
    "was made here, search_kb what was published. When the user likes a picture, export_to_kb puts "
    "it with its caption where a chatbot finds it again. Show the caption beside the picture and "
    "use the alt text. The same words and seed give the same picture. A call that takes long may "
    "answer with a job_id: call get_job for its result. Errors say what to do next."
)
_LISTED_IMAGES = 50
# Long enough for the answer to be written before the libraries' import takes Python's lock.
_ANSWER_FIRST_S = 0.2


class ToolServer(MCPServer[Any]):
    """Serve a studio's tools from their classes: schemas, annotations and errors are theirs."""

    def __init__(self, studio: Studio, on_listed: Callable[[], None] | None = None) -> None:
        self._studio = studio
        self._on_listed = on_listed
        settings = studio.settings
        self._published = [_published(tool, settings) for tool in studio.offered.values()]
        super().__init__(
            "agent-tools",
            title="Agent Tools",
            description="Picture tools for LLM agents.",
            instructions=INSTRUCTIONS,
            version=agent_tools.__version__,
            middleware=[
                _with_its_own_context,
                *([announce_in_handshake] if settings.apps else []),
            ],
            extensions=[Tasks(studio), *([gallery_app()] if settings.apps else [])],
        )

    async def list_tools(self) -> list[PublishedTool]:
        """Return every tool; needs no model."""
        if self._on_listed is not None:
            self._on_listed()
        added = await super().list_tools()
        if delivery.structured_asked(self._studio.settings):
            return [*self._published, *added]
        plain = [tool.model_copy(update={"output_schema": None}) for tool in self._published]
        return [*plain, *added]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Run a tool. What fails is told to the model with the next step, in the result."""
        offered = self._studio.offered
        if name not in offered and self._tool_manager.get_tool(name) is not None:
            return await super().call_tool(name, arguments, context)  # one that was added
        started = time.monotonic()
        outcome = "ok"
        try:
            _check_rate(context)
            tool = offered.get(name)
            if tool is None and name in self._studio.tools:
                raise unknown_tool(name, offered)
            settings, own = delivery.chosen(self._studio.settings, tool, arguments)
            result = await self._studio.call(name, own, _progress_to(context))
            note(result)
            if len(result.images) > MOST_SINGLE:  # a contact sheet is drawn
                return await asyncio.to_thread(content.success, result, settings)
            return content.success(result, settings)
        except AgentToolsError as error:
            outcome = error.code
            return content.failure(error)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception:
            outcome = "internal"
            logger.exception("A tool failed unexpectedly")
            return content.failure(_internal_error())
        finally:
            known = name if name in offered else "(unknown)"
            seconds = round(time.monotonic() - started, 3)
            fields = {"tool": known, "outcome": outcome, "seconds": seconds}
            logger.info("tool call", extra={"fields": fields})

    async def list_resources(self) -> list[Resource]:
        """Return the newest pictures, so that people can attach one to a conversation."""
        if not may("read"):
            return []
        return [
            Resource(
                uri=f"image://{record.image_id}",
                name=record.image_id,
                title=record.title,
                description=record.alt,
                mime_type="image/png",
            )
            for record in self._studio.gallery.list(limit=_LISTED_IMAGES)
        ]

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Any, Any] | None = None,
    ) -> GetPromptResult | InputRequiredResult:
        """Write a prompt's request.

        Raises:
            MCPError: "invalid params" for an unknown prompt or a missing argument.
        """
        prompts = {prompt.name: prompt for prompt in await self.list_prompts()}
        if name not in prompts:
            known = ", ".join(sorted(prompts))
            raise MCPError(INVALID_PARAMS, f"There is no prompt '{name[:80]}'. There are: {known}.")
        needed = [a.name for a in prompts[name].arguments or [] if a.required]
        missing = [argument for argument in needed if argument not in (arguments or {})]
        if missing:
            raise MCPError(INVALID_PARAMS, f"Prompt '{name}' needs: {', '.join(missing)}.")
        return await super().get_prompt(name, arguments, context)


def build_server(studio: Studio, on_listed: Callable[[], None] | None = None) -> ToolServer:
    """Build the MCP server of a studio; nothing is loaded and no transport is opened.

    Args:
        studio: what the tools work with; its settings say how results travel.
        on_listed: called whenever a client has asked for the tools.

    Raises:
        BadSettings: if links shall be web addresses but the server's own is not set.
    """
    if studio.settings.links == "https" and not studio.settings.public_url:
        raise BadSettings(
            "Setting 'links' is 'https', but 'public_url' is not set.",
            hint="Set public_url to the address of this server, or links to 'resource' or 'text'.",
            data={"setting": "public_url"},
        )
    server = ToolServer(studio, on_listed)
    add_resources(server, studio)
    add_prompts(server)
    add_completion(server, studio)
    if studio.settings.apps:
        add_thumbnails(server, studio)
    return server


def _published(tool: Tool, settings: Settings) -> PublishedTool:
    output = result_schema(tool.Output)
    if not tool.about_jobs:
        output = content.or_job(output)
    arguments = arguments_schema(tool.Arguments)
    if tool.shows_pictures:
        arguments["properties"]["images"] = delivery.images_argument(settings)
    return PublishedTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=arguments,
        output_schema=output,
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent,
            open_world_hint=tool.open_world,
        ),
        _meta=tool_meta(tool.name) if settings.apps else None,
    )


def _progress_to(context: Context[Any, Any] | None) -> Progress:
    """Return a callback that sends progress to the client; only growing values, as MCP asks."""
    last = -1.0

    async def report(event: ProgressEvent) -> None:
        nonlocal last
        if context is not None and event.done > last:
            last = event.done
            await context.report_progress(event.done, event.total, event.message)

    return report


def _internal_error() -> AgentToolsError:
    return AgentToolsError(
        "The tool failed because of a fault in the server.",
        hint=f"Tell the server's operator the request id {current_request_id()}.",
        code="internal",
    )


def _check_rate(context: Context[Any, Any] | None) -> None:
    """Tell a caller who is too fast when to come back, in a result that a model can read."""
    asked_by = None if context is None else context.request_context.request
    caller = getattr(getattr(asked_by, "state", None), "caller", None)
    if caller is not None and caller.retry_after_s is not None:
        raise Overloaded(
            "You call too often.",
            code="too_many_requests",
            data={"retry_after_s": max(1.0, round(caller.retry_after_s, 1))},
        )


async def _with_its_own_context(
    ctx: ServerRequestContext[Any, Any],
    call_next: Callable[[ServerRequestContext[Any, Any]], Awaitable[HandlerResult]],
) -> HandlerResult:
    """Give every message an id for the logs, its caller, and its wishes for results.

    Id and caller are those of the HTTP request, if any. Sessions of the handshake era run in a
    task of their own, so nothing is inherited.
    """
    state = getattr(ctx.request, "state", None)
    caller = getattr(state, "caller", None)
    with (
        request(getattr(state, "request_id", None) or new_request_id()),
        delivery.asked_by(ctx.request, ctx.params),
    ):
        if caller is None:
            return await call_next(ctx)
        with acting_as(caller.access.caller, caller.access.scopes):
            return await call_next(ctx)


def serve_stdio(settings: Settings) -> None:
    """Serve MCP over stdin and stdout until the client closes stdin, or SIGTERM or SIGINT.

    The tools are listed at once; the model loads once a client has listed them.

    Raises:
        AgentToolsError: if the data directory cannot be used.
        BadSettings: if settings contradict each other.
    """
    configure_logging(settings.log_level)
    with without_collector():
        studio = Studio.open(settings)
    asyncio.run(run_stdio(studio))


async def run_stdio(studio: Studio) -> None:
    """Serve an open studio over stdin and stdout and close it; see `serve_stdio`."""
    warm_up = WarmUp(studio)
    server = build_server(studio, on_listed=lambda: warm_up.start(_ANSWER_FIRST_S))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(*_: object) -> None:
        if stop.is_set():
            leave_now()  # asked twice
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    logger.info("Serving MCP over stdio", extra={"fields": {"model": studio.settings.model}})
    serving = asyncio.create_task(server.run_stdio_async())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    closed = await close_within(studio, warm_up)
    logger.info("Stopped")
    if not closed or not serving.done():
        # After a signal a thread still waits in read() for the client's next line, and nothing
        # else can wake it. Everything that must last is committed.
        leave_now()
    stopping.cancel()
    serving.result()
