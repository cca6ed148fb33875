"""The tools for LangChain: `ImageToolkit(settings).get_tools()`, in this process or a server's.

The engine belongs to one event loop, and an application may use several (one for each
`asyncio.run`) or none. So the toolkit runs every call on one background loop of its own; callers
wait for it from wherever they are.
"""

from __future__ import annotations

import asyncio
import base64
import queue
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.tools import BaseTool, BaseToolkit, ToolException
from pydantic import BaseModel, PrivateAttr, ValidationError

from agent_tools.background_loop import BackgroundLoop
from agent_tools.errors import AgentToolsError, InvalidArguments
from agent_tools.inline import inline_pictures
from agent_tools.results import ToolResult
from agent_tools.settings import Settings
from agent_tools.studio import Studio, explain_arguments
from agent_tools.tools.base import Progress, ProgressEvent, Tool

PROGRESS_EVENT = "image_progress"
T = TypeVar("T")
Content = list[dict[str, Any]]


class ImageToolkit(BaseToolkit):
    """Every picture tool as a LangChain tool: in this process, or a running server's.

    Use it as a context manager or call `close` to free the model:

        with ImageToolkit(load_settings()) as toolkit:
            agent = create_agent(model, toolkit.get_tools())

        with ImageToolkit(url="https://pictures.example", token=token) as toolkit:
            agent = create_agent(model, toolkit.get_tools())
    """

    _source: _Source = PrivateAttr()
    _loop: BackgroundLoop = PrivateAttr()

    def __init__(
        self,
        studio: Studio | Settings | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
    ) -> None:
        """Use a studio, open one with `studio` as its settings, or use the server at `url`.

        A studio passed in must not be used from another event loop while the toolkit is open.

        Args:
            studio: of this process.
            url: of a server (`agent-tools serve --http`), with or without /mcp.
            token: what lets us into that server.

        Raises:
            InvalidArguments: unless exactly one of studio and url is given.
        """
        super().__init__()
        if (studio is None) == (url is None) or (token is not None and url is None):
            raise InvalidArguments(
                "A toolkit needs either a studio (or settings) or the url of a server.",
                hint='ImageToolkit(load_settings()) or ImageToolkit(url="https://...", token=...).',
            )
        if url is not None:
            self._source = _ServerSource(url, token)
        elif isinstance(studio, Settings):
            self._source = _StudioSource(Studio.open(studio), owned=True)
        elif studio is not None:
            self._source = _StudioSource(studio, owned=False)
        self._loop = BackgroundLoop()

    def get_tools(self) -> list[BaseTool]:
        """Return one LangChain tool for each tool of the studio or the server.

        Of a studio those about jobs are left out: a call is answered when it is done, never
        before. A server may answer before, so there they are.

        Raises:
            AgentToolsError: if the server cannot be reached.
        """
        described = self._loop.submit(self._source.describe()).result()
        return [StudioTool(tool, self._source, self._loop) for tool in described]

    def close(self) -> None:
        """Cancel running calls and close a studio opened here. Idempotent."""
        if self._loop.running:
            self._loop.submit(self._source.close()).result()
        self._loop.stop()

    def __enter__(self) -> ImageToolkit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Described:
    """A tool as LangChain needs to know it; `explain` puts pydantic's report into words."""

    name: str
    description: str
    arguments: type[BaseModel] | dict[str, Any]
    metadata: dict[str, Any]
    explain: Callable[[Any], str] = str


class _Source(Protocol):
    """Where the tools are."""

    async def describe(self) -> list[_Described]: ...

    async def call(
        self, name: str, arguments: dict[str, Any], tell: Progress, /
    ) -> tuple[Content, dict[str, Any]]: ...

    async def close(self) -> None: ...


class _StudioSource:
    """The tools of a studio in this process."""

    def __init__(self, studio: Studio, *, owned: bool) -> None:
        self._studio = studio
        self._owned = owned

    async def describe(self) -> list[_Described]:
        tools = self._studio.offered.values()
        return [_describe(tool) for tool in tools if not tool.about_jobs]

    async def call(
        self, name: str, arguments: dict[str, Any], progress: Progress
    ) -> tuple[Content, dict[str, Any]]:
        result = await self._studio.call(name, arguments, progress)
        return _content(result, self._studio.settings), _artifact(result)

    async def close(self) -> None:
        if self._owned:
            await self._studio.close()


class _ServerSource:
    """The tools of a server."""

    def __init__(self, url: str, token: str | None) -> None:
        from agent_tools.langchain_server import ToolsOfServer

        self._tools = ToolsOfServer(url, token)
        self.call = self._tools.call

    async def describe(self) -> list[_Described]:
        return [
            _Described(
                tool.name,
                tool.description or "",
                tool.input_schema,
                _metadata(
                    tool.title or tool.name,
                    *(
                        getattr(tool.annotations, f"{name}_hint", None)
                        for name in ("read_only", "destructive", "idempotent", "open_world")
                    ),
                ),
            )
            for tool in await self._tools.tools()
        ]

    async def close(self) -> None:
        return


def _describe(tool: Tool) -> _Described:
    def explain(error: Any) -> str:
        return str(explain_arguments(tool, error) if isinstance(error, ValidationError) else error)

    return _Described(
        tool.name,
        tool.description,
        tool.Arguments,
        _metadata(tool.title, tool.read_only, tool.destructive, tool.idempotent, tool.open_world),
        explain,
    )


def _metadata(
    title: str,
    read_only: bool | None,
    destructive: bool | None,
    idempotent: bool | None,
    open_world: bool | None,
) -> dict[str, Any]:
    """Return MCP's tool annotations under their Python names."""
    return {
        "title": title,
        "read_only": read_only,
        "destructive": destructive,
        "idempotent": idempotent,
        "open_world": open_world,
    }


class StudioTool(BaseTool):
    """One tool of a studio or a server.

    The content holds what the model needs: text and thumbnails as standard content blocks. The
    artifact holds the whole structured result as `data` and, in this process, the pictures' paths
    as `files`. Errors come back as a tool message with status "error" that says what to do next.
    Progress is dispatched as the custom event "image_progress" with `done`, `total` and `message`.
    """

    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    _source: _Source = PrivateAttr()
    _loop: BackgroundLoop = PrivateAttr()

    def __init__(self, tool: _Described, source: _Source, loop: BackgroundLoop) -> None:
        """Wrap `tool`; its calls run on `loop`."""
        super().__init__(
            name=tool.name,
            description=tool.description,
            args_schema=tool.arguments,
            handle_tool_error=True,
            handle_validation_error=tool.explain,
            metadata=tool.metadata,
        )
        self._source = source
        self._loop = loop

    def _parse_input(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> str | dict[str, Any]:
        """Check the arguments, and pass on only what was said.

        LangChain adds every default, and tools tell a default from what was asked for.
        """
        parsed = super()._parse_input(tool_input, tool_call_id)
        if isinstance(parsed, dict) and isinstance(tool_input, dict):
            return {name: value for name, value in parsed.items() if name in tool_input}
        return parsed

    def _run(self, **arguments: Any) -> tuple[Content, dict[str, Any]]:
        """Call the tool and wait; progress is dispatched from the calling thread."""
        events: queue.SimpleQueue[ProgressEvent | None] = queue.SimpleQueue()
        future = self._loop.submit(self._call(arguments, events.put))
        future.add_done_callback(lambda _: events.put(None))
        try:
            while (event := events.get()) is not None:
                dispatch_custom_event(PROGRESS_EVENT, _event_data(event))
            return _outcome(future)
        finally:
            future.cancel()  # an interrupt while waiting stops the work

    async def _arun(self, **arguments: Any) -> tuple[Content, dict[str, Any]]:
        """Call the tool; progress is dispatched in the caller's event loop."""
        here = asyncio.get_running_loop()
        events: asyncio.Queue[ProgressEvent | None] = asyncio.Queue()

        def forward(event: ProgressEvent | None) -> None:
            here.call_soon_threadsafe(events.put_nowait, event)

        future = self._loop.submit(self._call(arguments, forward))
        future.add_done_callback(lambda _: forward(None))
        try:
            while (event := await events.get()) is not None:
                await adispatch_custom_event(PROGRESS_EVENT, _event_data(event))
            return _outcome(future)
        finally:
            future.cancel()

    async def _call(
        self, arguments: dict[str, Any], report: Callable[[ProgressEvent], None]
    ) -> tuple[Content, dict[str, Any]]:
        async def progress(event: ProgressEvent) -> None:
            report(event)

        try:
            return await self._source.call(self.name, arguments, progress)
        except AgentToolsError as error:
            raise ToolException(str(error)) from error


def _outcome(future: Future[T]) -> T:
    """Return what a finished call returned, or raise what it raised."""
    try:
        return future.result()
    except CancelledError:
        raise ToolException("The toolkit was closed during the call.") from None


def _content(result: ToolResult, settings: Settings) -> Content:
    """Return standard content blocks, never links: providers reject schemes they do not know."""
    blocks: Content = [{"type": "text", "text": result.text}]
    if settings.images in ("inline", "both"):
        inline = inline_pictures(result.images)
        blocks[0]["text"] += inline.note
        blocks += [
            {
                "type": "image",
                "base64": base64.b64encode(picture.data).decode(),
                "mime_type": "image/webp",
            }
            for picture in inline.pictures
        ]
    return blocks


def _artifact(result: ToolResult) -> dict[str, Any]:
    return {
        "data": result.data.model_dump(mode="json"),
        "files": {image.info.image_id: str(image.path) for image in result.images},
    }


def _event_data(event: ProgressEvent) -> dict[str, Any]:
    return {"done": event.done, "total": event.total, "message": event.message}
